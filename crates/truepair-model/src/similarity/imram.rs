//! Iterative matching: cross attention whose queries remember what they have seen.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{Head, Space};
use crate::encoding::Encoding;
use crate::kernel::{self, Attention, ImramSettings, RawNorm};
use crate::layer::{Init, Linear, Mode};

/// Which side's vectors are the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImramMode {
    /// Words attend to regions.
    #[default]
    Text,
    /// Regions attend to words.
    Image,
    /// The sum of both, each with its own layers.
    Full,
}

/// Settings of [`Imram`]. The defaults are those of the released code's argument parser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImramConfig {
    /// Which side's vectors are the queries.
    pub mode: ImramMode,
    /// Steps K of attention, in [1, 16].
    pub steps: usize,
    /// How inner products are normalized over the queries of each context.
    pub raw_norm: RawNorm,
    /// Inverse temperature of the attention weights, (0, 1000].
    pub smooth: f64,
    /// Whether queries are scaled to length 1 after every update. The released code does it unless
    /// it is given `--no_IMRAM_norm`; both of its scripts give that.
    pub normalize_query: bool,
}

impl Default for ImramConfig {
    fn default() -> Self {
        Self {
            mode: ImramMode::Text,
            steps: 3,
            raw_norm: RawNorm::ClippedL2,
            smooth: 9.0,
            normalize_query: true,
        }
    }
}

/// K steps of cross attention; between them every query takes up what it attended to.
///
/// ```text
/// c^k = Σ_c w_c c, w as in SCAN with the queries q^(k-1), q⁰ = q
/// S   = Σ_k mean over q of cos(q⁰, c^k)
/// o   = tanh(W_o [q^(k-1); c^k] + b_o)         g = σ(W_g [q^(k-1); c^k] + b_g)
/// q^k = g q^(k-1) + (1 − g) o
/// ```
/// Every step compares with the original query. Scores are in [-K, K], or twice that in the mode `full`.
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Chen et al., CVPR 2020; HuiChen24/IMRAM@acada5c, `SCAN.forward` (golden `u07_imram_text`,
/// `u07_imram_image`, `u07_imram_full`).
/// # Deviations
/// 1. The last update, which the released code computes and discards, is left out.
/// 2. Scores are summed in `f32`, in the released code in `f64`.
/// 3. Scores are `[n_images, n_captions]` in training too, where the released code transposes them;
///    its loss is symmetric.
/// 4. A mode has only the layers that it needs; released weights hold those of both sides.
/// 5. An item without any vector scores 0 and has no gradient.
#[derive(Module, Debug)]
pub struct Imram {
    linear_t2i: Option<Linear>,
    gate_t2i: Option<Linear>,
    linear_i2t: Option<Linear>,
    gate_i2t: Option<Linear>,
    #[module(skip)]
    settings: ImramSettings,
}

impl ImramConfig {
    pub(super) fn build(&self, space: Space, init: &mut Init) -> Result<Imram> {
        let smooth = self.smooth > 0.0 && self.smooth <= 1000.0;
        if !smooth || !(1..=16).contains(&self.steps) {
            return Err(Error::argument(
                format!(
                    "similarity `imram` cannot have smooth = {}, steps = {}",
                    self.smooth, self.steps
                ),
                "smooth is in (0, 1000] and steps in [1, 16]; the paper uses 9 and 3",
            ));
        }
        let mut layer = |wanted: bool| wanted.then(|| Linear::new(init, 2 * space.dim, space.dim));
        let (text, image) = (self.mode != ImramMode::Image, self.mode != ImramMode::Text);
        Ok(Imram {
            linear_t2i: layer(text),
            gate_t2i: layer(text),
            linear_i2t: layer(image),
            gate_i2t: layer(image),
            settings: ImramSettings {
                attention: Attention {
                    norm: self.raw_norm,
                    smooth: self.smooth as f32,
                },
                steps: self.steps,
                normalize: self.normalize_query,
                precision: init.precision(),
            },
        })
    }
}

impl Head for Imram {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let text = side(
            &self.linear_t2i,
            &self.gate_t2i,
            images,
            captions,
            self.settings,
        );
        let image = side(
            &self.linear_i2t,
            &self.gate_i2t,
            captions,
            images,
            self.settings,
        );
        match (text, image.map(Tensor::transpose)) {
            (Some(text), Some(image)) => text + image,
            (one, other) => one.or(other).expect("a mode has the layers of a side"),
        }
    }

    /// Raw products, weights and their sums; what the steps need is bounded by the kernel's tiles.
    fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
        4 * images.values.dims()[1] * captions.values.dims()[1] * size_of::<f32>()
    }
}

/// Scores `[contexts, queries]` of one side, if it has layers.
fn side(
    linear: &Option<Linear>,
    gate: &Option<Linear>,
    contexts: &Encoding,
    queries: &Encoding,
    settings: ImramSettings,
) -> Option<Tensor<2>> {
    let (linear, gate) = (linear.as_ref()?, gate.as_ref()?);
    let items = |items: &Encoding| (items.values.clone(), items.mask_or_ones());
    let layer = |layer: &Linear| (layer.weight.val(), layer.bias.val());
    Some(kernel::imram(
        items(contexts),
        items(queries),
        layer(linear),
        layer(gate),
        settings,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use crate::parameters::{self, Values};
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    const SPACE: Space = Space { dim: 2, regions: 3 };

    fn init() -> Init {
        let stream = Seed(0).stream("init", &[]);
        Init::new(stream, Device::flex(), Precision::F32)
    }

    /// Three regions and two words in two dimensions, computed by hand from the equations.
    #[test]
    fn worked_example_of_two_steps() {
        let config = ImramConfig {
            steps: 2,
            normalize_query: false,
            ..ImramConfig::default()
        };
        let imram = config.build(SPACE, &mut init()).unwrap();
        let mut weights = parameters::export(&imram);
        for values in weights.values_mut() {
            values.values.fill(0.0);
        }
        let average = Values {
            shape: vec![2, 4],
            values: vec![0.5, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.5],
        };
        weights.insert("linear_t2i.weight".to_owned(), average);
        let imram = parameters::import(imram, weights).unwrap();
        let encoding = |values: Tensor<3>| Encoding::new(values, None);
        let device = Device::flex();
        let images = Tensor::from_floats([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]], &device);
        let captions = Tensor::from_floats([[[0.8, 0.6], [1.0, 0.0]]], &device);
        let (images, captions) = (encoding(images), encoding(captions));
        let scores = imram.scores(&images, &captions, &mut Mode::Evaluate);
        let found = scores.into_data().try_into_vec::<f32>().unwrap()[0];
        assert!((found - 1.710_387).abs() < 2e-6, "{found}");
    }

    #[test]
    fn a_mode_has_the_layers_of_its_sides() {
        for (mode, expected) in [
            (ImramMode::Text, vec!["t2i"]),
            (ImramMode::Image, vec!["i2t"]),
            (ImramMode::Full, vec!["t2i", "i2t"]),
        ] {
            let config = ImramConfig {
                mode,
                ..ImramConfig::default()
            };
            let names = parameters::names(&config.build(SPACE, &mut init()).unwrap());
            let expected: Vec<String> = (expected.iter())
                .flat_map(|side| ["linear", "gate"].map(|layer| format!("{layer}_{side}")))
                .flat_map(|layer| ["weight", "bias"].map(|part| format!("{layer}.{part}")))
                .collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (smooth, steps) in [(9.0, 0), (9.0, 17), (0.0, 3)] {
            let config = ImramConfig {
                smooth,
                steps,
                ..ImramConfig::default()
            };
            let error = config.build(SPACE, &mut init()).unwrap_err();
            assert!(error.to_string().contains("steps"), "{error}");
        }
    }
}
