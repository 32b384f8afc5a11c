//! Where tensors live: the processor, or a graphics card that this build knows how to use.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use truepair_core::{Error, Result};

/// A place to compute, as typed: `cpu`, `gpu` or `gpu:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accelerator {
    /// The processor, with the fused operations of this crate.
    #[default]
    Cpu,
    /// The graphics card with this index, from 0.
    Gpu(usize),
}

impl FromStr for Accelerator {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "gpu" => Ok(Self::Gpu(0)),
            Some(("gpu", index)) => match index.parse() {
                Ok(index) => Ok(Self::Gpu(index)),
                Err(_) => Err(format!("`{index}` is no number of a graphics card")),
            },
            _ => Err("expected `cpu`, `gpu` or `gpu:1`".to_owned()),
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
        }
    }
}

impl Accelerator {
    /// The framework's device, without automatic differentiation.
    ///
    /// # Errors
    /// If this build has no graphics support or the machine has no such card.
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Gpu(index) => gpu(index),
        }
    }
}

#[cfg(any(feature = "gpu", feature = "webgpu", feature = "cuda"))]
fn gpu(index: usize) -> Result<Device> {
    use burn::tensor::DeviceType;
    #[cfg(feature = "cuda")]
    let kind = DeviceType::Cuda;
    #[cfg(all(feature = "gpu", not(feature = "cuda")))]
    let kind = DeviceType::Vulkan;
    #[cfg(not(any(feature = "gpu", feature = "cuda")))]
    let kind = DeviceType::Wgpu;
    let devices = Device::enumerate(kind).into_vec();
    let found = devices.len();
    devices.into_iter().nth(index).ok_or_else(|| {
        Error::argument(
            format!("there is no graphics card {index}: {found} found"),
            "check the driver, choose a smaller index, or use `--device cpu`",
        )
        .into()
    })
}

#[cfg(not(any(feature = "gpu", feature = "webgpu", feature = "cuda")))]
fn gpu(_index: usize) -> Result<Device> {
    Err(Error::argument(
        "this build of truepair has no graphics support",
        "use `--device cpu`, or build with `cargo build --release --features gpu`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for (text, accelerator) in [
            ("cpu", Accelerator::Cpu),
            ("gpu:0", Accelerator::Gpu(0)),
            ("gpu:3", Accelerator::Gpu(3)),
        ] {
            assert_eq!(text.parse(), Ok(accelerator));
            assert_eq!(accelerator.to_string(), text);
        }
        assert_eq!("gpu".parse(), Ok(Accelerator::Gpu(0)));
        for bad in ["tpu", "gpu:x", "cpu:1", ""] {
            assert!(bad.parse::<Accelerator>().is_err(), "{bad}");
        }
        assert!(Accelerator::Cpu.device().is_ok());
    }
}
