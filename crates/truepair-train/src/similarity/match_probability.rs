//! The probability that draws from two Gaussians match: the score of HIB and PCME.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::rng::{Seed, Stream};

use super::{ItemSide, Space};
use crate::encoding::{Encoding, Gaussian};
use crate::error::Result;
use crate::init::Init;
use crate::kernel::{Distance, MatchForm, is_fused, match_log_odds};
use crate::mode::Mode;

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
            )
            .into());
        }
        if !(self.scale > 0.0 && self.shift.is_finite() && self.guard >= 0.0) {
            return Err(Error::argument(
                format!(
                    "similarity `match_probability` cannot have scale = {}, shift = {}, guard = {}",
                    self.scale, self.shift, self.guard
                ),
                "the scale is above 0, the shift finite and the guard at least 0",
            )
            .into());
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

impl MatchProbability {
    /// `items` with draws.
    pub(super) fn drawn(&self, items: Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Encoding {
        let samples = self.samples_of(&items, side, mode);
        Encoding {
            gaussian: items.gaussian.map(|gaussian| Gaussian {
                samples: Some(samples),
                ..gaussian
            }),
            ..items
        }
    }

    /// The draws `[n, j, d]` that `items` come with, or fresh ones.
    fn samples_of(&self, items: &Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Tensor<3> {
        if let Some(samples) = items.gaussian.as_ref().and_then(|g| g.samples.clone()) {
            return samples;
        }
        let log_deviation = items.log_deviation();
        let ([n, d], j) = (log_deviation.dims(), self.samples);
        let (rows, noise) = match mode {
            Mode::Train(rng) => (n, normals(rng, n * j * d)),
            Mode::Evaluate => (1, normals(&mut Seed(0).stream(side.name(), &[]), j * d)),
        };
        let noise = TensorData::new(noise, [rows, j, d]);
        let noise = Tensor::<3>::from_data(noise, &log_deviation.device());
        let deviation: Tensor<3> = log_deviation.exp().unsqueeze_dim(1);
        noise * deviation + items.pooled().unsqueeze_dim(1)
    }

    pub(super) fn scores(
        &self,
        images: &Encoding,
        captions: &Encoding,
        mode: &mut Mode<'_>,
    ) -> Tensor<2> {
        let images = self.samples_of(images, ItemSide::Image, mode);
        let captions = self.samples_of(captions, ItemSide::Caption, mode);
        let (scale, shift) = (self.scale.val(), self.shift.val());
        match_log_odds(images, captions, scale, shift, self.form)
    }

    pub(super) fn pair_bytes(&self, images: &Encoding, _captions: &Encoding) -> usize {
        match is_fused(&images.values.device()) {
            true => size_of::<f32>(),
            // The twin holds differences, their squares and the odds.
            false => 3 * self.samples.pow(2) * images.values.dims()[2] * size_of::<f32>(),
        }
    }

    pub(super) fn embeddings(&self, _items: &Encoding) -> Option<Tensor<2>> {
        None
    }
}

/// Standard normal numbers (Box and Muller, 1958), two from a pair of uniform ones of 24 bits, so
/// none is beyond 5.8.
fn normals(rng: &mut Stream, n: usize) -> Vec<f32> {
    const PAIR: usize = 8;
    let mut bytes = vec![0u8; n.div_ceil(2) * PAIR];
    rng.fill_bytes(&mut bytes);
    let uniform = |bytes: &[u8]| {
        let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        (bits + 1) as f32 / (1 << 24) as f32
    };
    let pairs = bytes.par_chunks_exact(PAIR).with_min_len(1 << 12);
    let mut values: Vec<f32> = pairs
        .flat_map_iter(|pair| {
            let radius = (-2.0 * uniform(&pair[..4]).ln()).sqrt();
            let (sine, cosine) = (std::f32::consts::TAU * uniform(&pair[4..])).sin_cos();
            [radius * cosine, radius * sine]
        })
        .collect();
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_standard_normal_and_independent_in_pairs() {
        for n in [1, 7, 200_000] {
            let mut rng = Seed(1).stream("test", &[]);
            assert_eq!(normals(&mut rng, n).len(), n);
        }
        let mut rng = Seed(2).stream("test", &[]);
        let values = normals(&mut rng, 200_000);
        let mean = |f: &dyn Fn(f64) -> f64| {
            values.iter().map(|x| f(f64::from(*x))).sum::<f64>() / 200_000.0
        };
        assert!(mean(&|x| x).abs() < 0.01);
        assert!((mean(&|x| x * x) - 1.0).abs() < 0.015);
        assert!((mean(&|x| x.powi(4)) - 3.0).abs() < 0.1);
        let pairs = values.chunks_exact(2);
        let product: f32 = pairs.map(|pair| pair[0] * pair[1]).sum();
        assert!((product / 100_000.0).abs() < 0.015);
    }
}
