//! A residual network on pixels.

use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input};
use crate::layer::{BatchNorm, Convolution, Init, Linear, Mode};
use crate::pretrained;

/// Settings of [`Resnet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResnetConfig {
    /// Layers: 10, 18, 34, 50, 101 or 152.
    pub depth: usize,
    /// Channels after the first layer; 64 in the published networks.
    pub width: usize,
    /// What the first layer does.
    pub stem: Stem,
    /// Width of the joint space.
    pub dim: usize,
    /// torchvision's weights for this depth (`.pth` or `.safetensors`), read before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

/// The first layer of a residual network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// Windows of 7 pixels, every second one, and a maximum: for pictures of about 224 pixels.
    Large,
    /// Windows of 3 pixels: for pictures of about 32 pixels.
    Small,
}

impl Default for ResnetConfig {
    fn default() -> Self {
        Self {
            depth: 50,
            width: 64,
            stem: Stem::Large,
            dim: 1024,
            weights: None,
        }
    }
}

/// Convolutions whose blocks add to what they read; the mean over the last plane under a dense
/// layer.
///
/// ```text
/// block(x) = relu(f(x) + s(x));   f: 3x3, 3x3 (10, 18, 34 layers) or 1x1, 3x3, 1x1 (50 and more),
/// each followed by batch normalization;   s: x itself, or 1x1 and normalization where sizes change
/// ```
///
/// # Shapes
/// - input: pixels `[n, 3, side²]`, planes red, green, blue; output: `[n, 1, dim]`
/// # Source
/// He et al., CVPR 2016; torchvision's `resnet.py` for the strides (the 3x3 layer of a block has
/// them), against whose outputs it is checked; gradients are checked against PyTorch's. CIFAR's
/// small first layer is that of the same paper, section 4.2.
///
/// # Deviations
/// 1. The last layer projects to the joint space and has no classes; of torchvision's weights, `fc` is
///    not read.
/// 2. 10 layers (one block a stage) are not in the paper.
#[derive(Module, Debug)]
pub struct Resnet {
    conv1: Convolution,
    bn1: BatchNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    project: Linear,
    #[module(skip)]
    stem: Stem,
}

/// A residual block; the third layer is there from 50 layers on.
#[derive(Module, Debug)]
struct Block {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
    downsample: Option<Shortcut>,
}

/// What a block adds to, where sizes change.
#[derive(Module, Debug)]
struct Shortcut {
    conv: Convolution,
    norm: BatchNorm,
}

impl ResnetConfig {
    /// Blocks of the four stages, and whether they have three layers.
    fn stages(&self) -> Option<([usize; 4], bool)> {
        Some(match self.depth {
            10 => ([1, 1, 1, 1], false),
            18 => ([2, 2, 2, 2], false),
            34 => ([3, 4, 6, 3], false),
            50 => ([3, 4, 6, 3], true),
            101 => ([3, 4, 23, 3], true),
            152 => ([3, 8, 36, 3], true),
            _ => return None,
        })
    }

    /// Planes after the last stage.
    pub(super) fn channels(&self) -> usize {
        let wider = match self.stages() {
            Some((_, true)) => 32,
            _ => 8,
        };
        wider * self.width
    }

    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Resnet> {
        let pixels = match shape {
            InputShape::Features { width, regions: 3 } => {
                Some(width.isqrt()).filter(|side| side * side == width && *side > 1)
            }
            _ => None,
        };
        if pixels.is_none() {
            return Err(Error::argument(
                format!("backbone `resnet` reads square pictures, the data has {shape:?}"),
                "train on pixels (--pixels SIDE), or use `mlp` or `region_linear` for features",
            ));
        }
        let stages = self.stages().filter(|_| self.width > 0 && self.dim > 0);
        let Some((blocks, deep)) = stages else {
            return Err(Error::argument(
                format!(
                    "backbone `resnet` cannot have depth = {}, width = {}, dim = {}",
                    self.depth, self.width, self.dim
                ),
                "depth is 10, 18, 34, 50, 101 or 152, and widths are at least 1",
            ));
        };
        let mut channels = self.width;
        let mut stage = |init: &mut Init, at: usize| {
            let inner = self.width << at;
            let outer = if deep { 4 * inner } else { inner };
            (0..blocks[at])
                .map(|block| {
                    let stride = if at > 0 && block == 0 { 2 } else { 1 };
                    let from = std::mem::replace(&mut channels, outer);
                    Block::new(init, [from, inner, outer], stride, deep)
                })
                .collect()
        };
        let conv1 = match self.stem {
            Stem::Large => Convolution::new(init, [3, self.width], 7, 2),
            Stem::Small => Convolution::new(init, [3, self.width], 3, 1),
        };
        Ok(Resnet {
            conv1,
            bn1: BatchNorm::new(init, self.width),
            layer1: stage(init, 0),
            layer2: stage(init, 1),
            layer3: stage(init, 2),
            layer4: stage(init, 3),
            project: Linear::xavier(init, self.channels(), self.dim),
            stem: self.stem,
        })
    }

    /// The network with torchvision's weights, when the settings name a file.
    ///
    /// # Errors
    /// If the file cannot be read, or its tensors are those of another network.
    pub(super) fn pretrained(&self, module: Resnet) -> Result<Resnet> {
        match &self.weights {
            None => Ok(module),
            Some(path) => pretrained::load(module, path, torchvision_name),
        }
    }
}

/// The name under which torchvision stores a parameter; `None` = it has no such one.
fn torchvision_name(name: &str) -> Option<String> {
    if name.starts_with("project.") {
        return None;
    }
    let name = name.replace("downsample.conv.", "downsample.0.");
    Some(name.replace("downsample.norm.", "downsample.1."))
}

impl Block {
    /// `channels`: read, inside, handed on.
    fn new(init: &mut Init, channels: [usize; 3], stride: usize, deep: bool) -> Self {
        let [from, inner, outer] = channels;
        let shortcut = (stride != 1 || from != outer).then(|| Shortcut {
            conv: Convolution::new(init, [from, outer], 1, stride),
            norm: BatchNorm::new(init, outer),
        });
        let (first, second) = match deep {
            true => ((1, 1), (3, stride)),
            false => ((3, stride), (3, 1)),
        };
        Self {
            conv1: Convolution::new(init, [from, inner], first.0, first.1),
            bn1: BatchNorm::new(init, inner),
            conv2: Convolution::new(init, [inner, inner], second.0, second.1),
            bn2: BatchNorm::new(init, inner),
            conv3: deep.then(|| Convolution::new(init, [inner, outer], 1, 1)),
            bn3: deep.then(|| BatchNorm::new(init, outer)),
            downsample: shortcut,
        }
    }

    fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let y = self.conv1.forward(x.clone());
        let y = self.bn1.rectified_planes(y, None, mode);
        let y = self.conv2.forward(y);
        let (y, norm) = match (&self.conv3, &self.bn3) {
            (Some(conv), Some(norm)) => {
                let y = self.bn2.rectified_planes(y, None, mode);
                (conv.forward(y), norm)
            }
            _ => (y, &self.bn2),
        };
        let kept = match &self.downsample {
            Some(Shortcut { conv, norm }) => norm.forward_planes(conv.forward(x), mode),
            None => x,
        };
        norm.rectified_planes(y, Some(kept), mode)
    }
}

impl Resnet {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let pooled = pooled(self.planes(pixels(input), mode));
        Encoding::new(self.projected(pooled).unsqueeze_dim(1), None)
    }

    /// The vectors of all places of the last planes, `[n, h w, channels]`.
    pub(super) fn places(&self, input: &Input, mode: &Mode<'_>) -> Tensor<3> {
        let planes = self.planes(pixels(input), mode);
        let [n, channels, h, w] = planes.dims();
        planes.reshape([n, channels, h * w]).swap_dims(1, 2)
    }

    /// `[n, channels]` in the joint space, `[n, dim]`.
    pub(super) fn projected(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.project.forward(pooled)
    }

    /// The last planes, `[n, channels, h, w]`.
    fn planes(&self, pixels: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let mut x = self.conv1.forward(pixels);
        x = self.bn1.rectified_planes(x, None, mode);
        if self.stem == Stem::Large {
            let pool = MaxPoolOptions::new([3, 3])
                .with_stride([2, 2])
                .with_padding([1, 1]);
            x = max_pool2d(x, pool);
        }
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        for block in stages.into_iter().flatten() {
            x = block.forward(x, mode);
        }
        x
    }
}

/// `[n, planes, side²]` as squares.
fn pixels(input: &Input) -> Tensor<4> {
    let Input::Features { values, .. } = input else {
        panic!("residual networks are built for pixels")
    };
    let [n, planes, area] = values.dims();
    let side = area.isqrt();
    values.clone().reshape([n, planes, side, side])
}

/// The mean over planes, `[n, channels]`.
fn pooled(planes: Tensor<4>) -> Tensor<2> {
    let [n, channels, h, w] = planes.dims();
    planes
        .reshape([n, channels, h * w])
        .mean_dim(2)
        .reshape([n, channels])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::{Device, TensorData};
    use truepair_core::rng::Seed;
    use truepair_read::checkpoint::{self, TensorValues};

    use super::*;
    use crate::kernel::Precision;
    use crate::numbers::floats;
    use crate::parameters;

    fn build(depth: usize, width: usize, stem: Stem, side: usize) -> Result<Resnet> {
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let config = ResnetConfig {
            depth,
            width,
            stem,
            dim: 8,
            weights: None,
        };
        let shape = InputShape::Features {
            width: side * side,
            regions: 3,
        };
        config.build(shape, &mut init)
    }

    /// The hash of `fixtures/golden/index.json`, entry `u14_resnet`.
    fn draw(parameter: u32, index: u32) -> f64 {
        let first = index.wrapping_add(1).wrapping_mul(2_654_435_761);
        let mut x = first.wrapping_add(parameter.wrapping_add(1).wrapping_mul(2_246_822_519));
        x ^= x >> 15;
        x = x.wrapping_mul(2_246_822_519);
        x ^= x >> 13;
        f64::from(x) / 4_294_967_296.0 - 0.5
    }

    /// The network with the weights of the golden file.
    fn drawn(depth: usize) -> Resnet {
        let module = build(depth, 64, Stem::Large, 64).unwrap();
        let mut weights = parameters::export(&module);
        let mut names: Vec<(String, String)> = (weights.keys())
            .filter_map(|name| Some((torchvision_name(name)?, name.clone())))
            .collect();
        names.sort();
        for (parameter, (theirs, ours)) in names.into_iter().enumerate() {
            let values = weights.get_mut(&ours).unwrap();
            let taps: usize = values.shape.iter().skip(1).product();
            for (index, value) in values.values.iter_mut().enumerate() {
                let u = draw(parameter as u32, index as u32);
                let x = match theirs.rsplit('.').next() {
                    _ if values.shape.len() == 4 => u * (18.0 / taps as f64).sqrt(),
                    Some("running_var") => 1.0 + u,
                    Some("running_mean" | "bias") => 0.2 * u,
                    _ if depth > 18 && theirs.contains("bn3") => 0.5 + 0.5 * u,
                    _ => 1.0 + 0.5 * u,
                };
                *value = x as f32;
            }
        }
        parameters::import(module, weights).unwrap()
    }

    #[test]
    fn golden_outputs_of_torchvision() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/u14_resnet.safetensors");
        let golden = checkpoint::read(&path).unwrap();
        let pixels: Vec<f32> = (0..3 * 64 * 64)
            .map(|n| (f64::from(n) * 0.05 + f64::from(n % 7)).sin() as f32)
            .collect();
        let pixels = TensorData::new(pixels, [1, 3, 64, 64]);
        for depth in [18, 50, 152] {
            let expected = &golden.tensors[&format!("out.resnet{depth}")].values;
            let TensorValues::F32(expected) = expected else {
                panic!("{expected:?}")
            };
            let input = Tensor::from_data(pixels.clone(), &Device::flex());
            let found = floats(pooled(drawn(depth).planes(input, &Mode::Evaluate)));
            let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
            let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            let worst = differences.fold(0f32, f32::max);
            assert!(worst <= 2e-5 * largest, "{depth}: {worst} of {largest}");
        }
    }

    #[test]
    fn weights_are_read_by_torchvisions_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resnet10.safetensors");
        let source = build(10, 4, Stem::Small, 16).unwrap();
        let weights = parameters::export(&source);
        let store = |skip: &str| {
            let mut bytes: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
            for (name, values) in &weights {
                if let Some(name) = torchvision_name(name).filter(|name| name != skip) {
                    let raw = values.values.iter().flat_map(|x| x.to_le_bytes()).collect();
                    bytes.push((name, values.shape.clone(), raw));
                }
            }
            let views = bytes.iter().map(|(name, shape, raw)| {
                let dtype = safetensors::Dtype::F32;
                let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), raw);
                (name.as_str(), view.unwrap())
            });
            std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        };
        store("");
        let mut config = ResnetConfig {
            depth: 10,
            width: 4,
            stem: Stem::Small,
            dim: 8,
            weights: Some(path.clone()),
        };
        let fresh = || {
            let mut init = Init::new(Seed(9).stream("init", &[]), Device::flex(), Precision::F32);
            let shape = InputShape::Features {
                width: 256,
                regions: 3,
            };
            config.build(shape, &mut init).unwrap()
        };
        let loaded = parameters::export(&config.pretrained(fresh()).unwrap());
        for name in ["conv1.weight", "layer2.0.downsample.norm.running_var"] {
            assert_eq!(loaded[name], weights[name], "{name}");
        }
        assert_ne!(loaded["project.weight"], weights["project.weight"]);
        store("layer4.0.downsample.0.weight");
        let error = config.pretrained(fresh()).unwrap_err().to_string();
        assert!(
            error.contains("`layer4.0.downsample.0.weight` is missing"),
            "{error}"
        );
        let module = fresh();
        config.weights = Some(folder.path().join("none.pth"));
        let error = config.pretrained(module).unwrap_err().to_string();
        assert!(error.contains("none.pth"), "{error}");
    }

    #[test]
    fn what_is_no_picture_or_no_depth_is_refused() {
        let error = build(20, 64, Stem::Large, 64).unwrap_err().to_string();
        assert!(
            error.contains("depth = 20") && error.contains("152"),
            "{error}"
        );
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let shape = InputShape::Features {
            width: 2048,
            regions: 36,
        };
        let error = ResnetConfig::default().build(shape, &mut init).unwrap_err();
        assert!(error.to_string().contains("--pixels"), "{error}");
    }
}
