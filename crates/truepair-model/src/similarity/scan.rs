//! Stacked cross attention: every word looks at the regions of an image, or every region at the
//! words of a caption.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{Head, Space};
use crate::encoding::Encoding;
use crate::kernel::{self, Attention, Pool, Pooling, RawNorm, ScanSettings};
use crate::layer::{Init, Mode};

/// Which side attends to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Text to image: every word is a query, regions are its contexts.
    #[default]
    T2i,
    /// Image to text: every region is a query, words are its contexts.
    I2t,
}

/// Settings of [`Scan`]. The defaults are the paper's text-to-image model; its image-to-text models
/// have `smooth` 4 and `lambda_lse` 5 (Flickr30K) or 20 (MS-COCO).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScanConfig {
    /// Which side attends to the other.
    pub direction: Direction,
    /// How inner products are normalized over the queries of each context.
    pub raw_norm: RawNorm,
    /// Inverse temperature of the attention weights, (0, 1000].
    pub smooth: f64,
    /// How the relevances of the queries become one score.
    pub pooling: Pooling,
    /// Sharpness of the pooling `log-sum-exp`, (0, 40].
    pub lambda_lse: f64,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self {
            direction: Direction::T2i,
            raw_norm: RawNorm::ClippedL2,
            smooth: 9.0,
            pooling: Pooling::LogSumExp,
            lambda_lse: 6.0,
        }
    }
}

/// The relevance of a query is its cosine with what it attends to; an item's relevances are pooled.
///
/// ```text
/// a_cq = l2 over q of leaky₀.₁(c · q)      w_cq = softmax over c of smooth · a_cq
/// r_q = cos(q, Σ_c w_cq c)                 S = 1/λ log Σ_q exp(λ r_q)
/// ```
/// The cosine divides by at least 1e-8. It needs the inner products `c · q` and those among
/// contexts, never the context itself.
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Lee et al., ECCV 2018; kuanghuei/SCAN@8063557, `xattn_score_t2i` and `xattn_score_i2t` (golden
/// `u05_scan_similarity`, `u05_scan_gradients`, `u05_scan_loss`).
/// # Deviations
/// 1. The paper clips inner products at 0; here as in the released code they go through a leaky
///    ReLU with slope 0.1.
/// 2. The L1 norms call an undefined function in the released code; here they divide by the sum of
///    magnitudes plus 1e-8.
/// 3. The length of a context comes from inner products: equal up to rounding, but a context whose
///    weighted vectors cancel to less than a thousandth of their length loses digits.
/// 4. Captions of one word and images of one region are scored; the released code fails on them.
/// 5. An item without any vector scores 0 and has no gradient.
#[derive(Module, Debug)]
pub struct Scan {
    #[module(skip)]
    direction: Direction,
    #[module(skip)]
    settings: ScanSettings,
}

impl ScanConfig {
    pub(super) fn build(&self, _space: Space, init: &mut Init) -> Result<Scan> {
        let within = |x: f64, most: f64| x > 0.0 && x <= most;
        if !within(self.smooth, 1000.0) || !within(self.lambda_lse, 40.0) {
            return Err(Error::argument(
                format!(
                    "similarity `scan` cannot have smooth = {}, lambda_lse = {}",
                    self.smooth, self.lambda_lse
                ),
                "smooth is in (0, 1000] and lambda_lse in (0, 40]; the paper uses 4 to 20",
            ));
        }
        let settings = ScanSettings {
            attention: Attention {
                norm: self.raw_norm,
                smooth: self.smooth as f32,
            },
            pool: Pool {
                pooling: self.pooling,
                lambda: self.lambda_lse as f32,
            },
            precision: init.precision(),
        };
        Ok(Scan {
            direction: self.direction,
            settings,
        })
    }
}

impl Head for Scan {
    fn scores(&self, images: &Encoding, captions: &Encoding, _mode: &mut Mode<'_>) -> Tensor<2> {
        let side = |items: &Encoding| (items.values.clone(), items.mask_or_ones());
        let (images, captions) = (side(images), side(captions));
        match self.direction {
            Direction::T2i => kernel::scan(images, captions, self.settings),
            Direction::I2t => kernel::scan(captions, images, self.settings).transpose(),
        }
    }

    /// Raw products, weights and their sums; what the steps need is bounded by the kernel's tiles.
    fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
        4 * images.values.dims()[1] * captions.values.dims()[1] * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    fn score(config: &ScanConfig, images: Tensor<3>, captions: Tensor<3>) -> f32 {
        let mut init = Init::new(Seed(0).stream("init", &[]), Device::flex(), Precision::F32);
        let space = Space { dim: 2, regions: 3 };
        let encoding = |values| Encoding::new(values, None);
        let (images, captions) = (encoding(images), encoding(captions));
        let scan = config.build(space, &mut init).unwrap();
        let scores = scan.scores(&images, &captions, &mut Mode::Evaluate);
        scores.into_data().try_into_vec::<f32>().unwrap()[0]
    }

    /// Three regions and two words in two dimensions, computed by hand from the equations.
    #[test]
    fn worked_example_of_both_directions() {
        let device = Device::flex();
        let images = Tensor::<3>::from_floats([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]], &device);
        let captions = Tensor::<3>::from_floats([[[0.8, 0.6], [1.0, 0.0]]], &device);
        let config = |direction, smooth, pooling, lambda_lse| ScanConfig {
            direction,
            smooth,
            pooling,
            lambda_lse,
            ..ScanConfig::default()
        };
        let cases = [
            (config(Direction::T2i, 9.0, Pooling::Mean, 6.0), 0.856_244),
            (
                config(Direction::T2i, 9.0, Pooling::LogSumExp, 6.0),
                1.025_144,
            ),
            (config(Direction::I2t, 4.0, Pooling::Mean, 5.0), 0.797_608_4),
            (
                config(Direction::I2t, 4.0, Pooling::LogSumExp, 5.0),
                1.092_416_8,
            ),
        ];
        for (config, expected) in cases {
            let found = score(&config, images.clone(), captions.clone());
            assert!((found - expected).abs() < 2e-6, "{config:?}: {found}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let mut init = Init::new(Seed(0).stream("init", &[]), Device::flex(), Precision::F32);
        for (smooth, lambda_lse) in [(0.0, 6.0), (f64::NAN, 6.0), (9.0, 41.0)] {
            let config = ScanConfig {
                smooth,
                lambda_lse,
                ..ScanConfig::default()
            };
            let space = Space { dim: 2, regions: 3 };
            let error = config.build(space, &mut init).unwrap_err();
            assert!(error.to_string().contains("smooth"), "{error}");
        }
    }
}
