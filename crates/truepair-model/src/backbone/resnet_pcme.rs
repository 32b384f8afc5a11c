//! A Gaussian a picture from its pixels: a residual network under PCME's heads.

use std::path::PathBuf;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::pcme::UncertainImage;
use super::{Deviation, InputShape, Resnet, ResnetConfig, Stem};
use crate::encoding::{Encoding, Input, unit_length};
use crate::layer::{Init, Mode, PieNet};

/// Settings of [`ResnetPcme`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResnetPcmeConfig {
    /// Layers: 10, 18, 34, 50, 101 or 152.
    pub depth: usize,
    /// Channels after the first layer; 64 in the published networks.
    pub width: usize,
    /// What the first layer does.
    pub stem: Stem,
    /// Width of the joint space.
    pub dim: usize,
    /// Share of values of the mean's residual that are dropped while training, [0, 1).
    pub dropout: f64,
    /// torchvision's weights for this depth (`.pth` or `.safetensors`), read before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Where log σ starts and what it is clipped to.
    pub deviation: Deviation,
}

impl Default for ResnetPcmeConfig {
    fn default() -> Self {
        let ResnetConfig {
            depth,
            width,
            stem,
            dim,
            weights,
        } = ResnetConfig::default();
        Self {
            depth,
            width,
            stem,
            dim,
            dropout: 0.0,
            weights,
            deviation: Deviation::default(),
        }
    }
}

/// [`Pcme`](super::Pcme)'s mean and deviation over the places of a residual network's last planes.
///
/// # Shapes
/// - input: pixels `[n, 3, side²]`; output: means `[n, 1, dim]` of length 1 with log σ `[n, dim]`
/// # Source
/// Chun et al., CVPR 2021 (PCME). Code read at naver-ai/pcme@4947684, `EncoderImage`; its parts are
/// checked as [`Resnet`] and [`Pcme`](super::Pcme).
///
/// # Deviations
/// 1. Deviations 2 and 3 of [`Pcme`](super::Pcme) and those of [`Resnet`].
#[derive(Module, Debug)]
pub struct ResnetPcme {
    network: Resnet,
    pie: PieNet,
    uncertain: UncertainImage,
    #[module(skip)]
    deviation: Deviation,
}

impl ResnetPcmeConfig {
    fn network(&self) -> ResnetConfig {
        ResnetConfig {
            depth: self.depth,
            width: self.width,
            stem: self.stem,
            dim: self.dim,
            weights: self.weights.clone(),
        }
    }

    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<ResnetPcme> {
        self.deviation.check("resnet_pcme")?;
        let network = self.network();
        let module = network.build(shape, init)?;
        let channels = network.channels();
        Ok(ResnetPcme {
            network: module,
            pie: PieNet::new(init, channels, self.dim, 1, self.dropout),
            uncertain: UncertainImage::new(&self.deviation, init, channels, self.dim),
            deviation: self.deviation,
        })
    }

    /// The network with torchvision's weights, when the settings name a file.
    ///
    /// # Errors
    /// If the file cannot be read, or its tensors are those of another network.
    pub(super) fn pretrained(&self, module: ResnetPcme) -> Result<ResnetPcme> {
        Ok(ResnetPcme {
            network: self.network().pretrained(module.network)?,
            ..module
        })
    }
}

impl ResnetPcme {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let places = self.network.places(input, mode);
        let [n, _, channels] = places.dims();
        let pooled = places.clone().mean_dim(1).reshape([n, channels]);
        let global = self.network.projected(pooled.clone());
        let (mean, _) = self.pie.forward(global, &places, None, mode);
        let log_deviation = self.uncertain.forward(&places, None, pooled);
        Encoding {
            gaussian: Some(self.deviation.clipped(log_deviation)),
            ..Encoding::new(unit_length(mean), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use truepair_core::rng::{Seed, normal};

    use super::*;
    use crate::kernel::Precision;
    use crate::numbers::floats;

    fn built(config: &ResnetPcmeConfig) -> Result<ResnetPcme> {
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let shape = InputShape::Features {
            width: 16 * 16,
            regions: 3,
        };
        config.build(shape, &mut init)
    }

    fn small() -> ResnetPcmeConfig {
        ResnetPcmeConfig {
            depth: 10,
            width: 4,
            stem: Stem::Small,
            dim: 12,
            ..ResnetPcmeConfig::default()
        }
    }

    /// A picture's Gaussian has a mean of length 1, depends on its own pixels alone, and equals the
    /// heads on the mean of its places where all places are alike.
    #[test]
    fn a_picture_becomes_a_gaussian_of_its_own() {
        let module = built(&small()).unwrap();
        let mut rng = Seed(2).stream("pixels", &[]);
        let pixels: Vec<f32> = (0..2 * 3 * 256).map(|_| normal(&mut rng) as f32).collect();
        let encode = |pixels: &[f32], n: usize| {
            let data = TensorData::new(pixels.to_vec(), [n, 3, 256]);
            let input = Input::Features {
                values: Tensor::from_data(data, &Device::flex()),
                mask: None,
            };
            let found = module.encode(&input, &mut Mode::Evaluate);
            let gaussian = found.gaussian.expect("a Gaussian");
            (floats(found.values), floats(gaussian.log_deviation))
        };
        let (means, deviations) = encode(&pixels, 2);
        assert_eq!((means.len(), deviations.len()), (24, 24));
        for mean in means.chunks(12) {
            let length: f32 = mean.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-4, "{length}");
        }
        let (mean, deviation) = encode(&pixels[768..], 1);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near(&mean, &means[12..]) && near(&deviation, &deviations[12..]));
        assert!(!near(&means[..12], &means[12..]));
        // log σ starts around the setting.
        let average = deviations.iter().sum::<f32>() / 24.0;
        assert!((average + 4.0).abs() < 2.0, "{average}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let empty = Deviation {
            low: 1.0,
            high: 0.0,
            start: 0.5,
        };
        let error = built(&ResnetPcmeConfig {
            deviation: empty,
            ..small()
        });
        assert!(error.unwrap_err().to_string().contains("resnet_pcme"));
        let error = built(&ResnetPcmeConfig {
            depth: 7,
            ..small()
        });
        assert!(error.unwrap_err().to_string().contains("depth = 7"));
    }
}
