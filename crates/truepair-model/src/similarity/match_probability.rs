//! The probability that draws from two Gaussians match: the score of HIB and PCME.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::draws::{both, draws};
use super::{Head, ItemSide, Space};
use crate::encoding::{Encoding, Gaussian};
use crate::kernel::{Distance, MatchForm, is_fused, match_log_odds};
use crate::layer::{Init, Mode};

/// Settings of [`MatchProbability`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchProbabilityConfig {
    /// Draws an item, while training and while evaluating, at least 1.
    pub samples: usize,
    /// How far two draws are from one another.
    pub distance: Distance,
    /// Added to squared distances.
    pub guard: f64,
    /// How a distance becomes a probability.
    pub logistic: Logistic,
    /// What `a` starts from, above 0; learned.
    pub scale: f64,
    /// What `b` starts from; learned.
    pub shift: f64,
}

/// How a distance `δ` becomes a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logistic {
    /// `σ(−a δ + b)`: HIB, and PCME in print.
    Printed,
    /// `eˢ / (eˢ + e⁻ˢ) = σ(2 s)` with `s = −a δ + b`: PCME's code. Its `a` and `b` are half of the
    /// printed ones.
    Doubled,
}

impl Default for MatchProbabilityConfig {
    fn default() -> Self {
        Self {
            samples: 7,
            distance: Distance::Euclidean,
            guard: 1e-6,
            logistic: Logistic::Printed,
            scale: 15.0,
            shift: 15.0,
        }
    }
}

/// The log odds of a match, estimated from `j` draws `z = μ + ε σ` on either side:
///
/// ```text
/// P = mean_{k,l} σ(−a ‖zₖ − z'ₗ‖ + b)      S(I, T) = log P − log(1 − P)
/// ```
/// `σ(S)` is the match probability; its logarithmic odds rank the same and do not saturate. `a` and
/// `b` are learned.
///
/// While training, draws come from the pass's own stream. While evaluating, every image is drawn
/// with the same `j` standard normal vectors and every caption with the same other `j`, so that a
/// score depends on nothing but its two items.
///
/// # Shapes
/// - means `[n, 1, d]` with log σ `[n, d]` on either side; returns `[n_images, n_captions]`
/// # Source
/// Oh et al., ICLR 2019 (HIB, formulas recalled); Chun et al., CVPR 2021 (PCME), code read at
/// naver-ai/pcme@4947684, `match_prob`, `batchwise_cdist`. Golden `u09_pcme_loss`,
/// `u09_pcmepp_mc_loss`.
/// # Deviations
/// 1. Evaluation shares standard normal vectors between items; the source draws each item's own.
/// 2. The source's doubled logistic is `logistic = "doubled"`.
#[derive(Module, Debug)]
pub struct MatchProbability {
    /// `a`, `[1]`.
    pub scale: Param<Tensor<1>>,
    /// `b`, `[1]`.
    pub shift: Param<Tensor<1>>,
    #[module(skip)]
    samples: usize,
    #[module(skip)]
    form: MatchForm,
}

impl MatchProbabilityConfig {
    pub(super) fn build(&self, _space: Space, init: &mut Init) -> Result<MatchProbability> {
        if self.samples == 0 {
            return Err(Error::argument(
                "similarity `match_probability` cannot have samples = 0",
                "draw at least 1 (published: 7), or use `closed_form`, which draws none",
            ));
        }
        if !(self.scale > 0.0 && self.shift.is_finite() && self.guard >= 0.0) {
            return Err(Error::argument(
                format!(
                    "similarity `match_probability` cannot have scale = {}, shift = {}, guard = {}",
                    self.scale, self.shift, self.guard
                ),
                "the scale is above 0, the shift finite and the guard at least 0",
            ));
        }
        Ok(MatchProbability {
            scale: init.filled([1], self.scale),
            shift: init.filled([1], self.shift),
            samples: self.samples,
            form: MatchForm {
                distance: self.distance,
                guard: self.guard,
                factor: match self.logistic {
                    Logistic::Printed => 1.0,
                    Logistic::Doubled => 2.0,
                },
            },
        })
    }
}

impl Head for MatchProbability {
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        let [images, captions] = both(images, captions, self.samples, mode);
        let (scale, shift) = (self.scale.val(), self.shift.val());
        match_log_odds(images, captions, scale, shift, self.form)
    }

    fn pair_bytes(&self, images: &Encoding, _captions: &Encoding) -> usize {
        match is_fused(&images.values.device()) {
            true => size_of::<f32>(),
            // The twin holds differences, their squares and the odds.
            false => 3 * self.samples.pow(2) * images.values.dims()[2] * size_of::<f32>(),
        }
    }

    /// `items` with draws.
    fn drawn(&self, items: Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Encoding {
        let samples = draws(&items, self.samples, side, mode);
        Encoding {
            gaussian: items.gaussian.map(|gaussian| Gaussian {
                samples: Some(samples),
                ..gaussian
            }),
            ..items
        }
    }
}
