//! Settings of the rectifier's division, and the labels and margins that they give: what the
//! rectifier and the methods built on it share.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::mixture::GaussianConfig;

use super::setting::check_share;
use crate::error::Result;
use truepair_model::objective::{Margins, positive};

/// Settings of a division by a mixture on losses, and of the soft margins that follow from it; the
/// card of [`NcrConfig`](super::NcrConfig) has the equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DivisionConfig {
    /// Networks: 2, which divide each other's pairs, or 1.
    pub peers: usize,
    /// α, in units of the similarity.
    pub margin: f64,
    /// m, the base of the exponential soft margin, above 1.
    pub base: f64,
    /// How the margin falls with doubt.
    pub soft_margin: SoftMargin,
    /// Epochs before the division, in addition to `training.epochs`.
    pub warm_up: usize,
    /// A pair is clean when its posterior is above this, [0, 1).
    pub threshold: f64,
    /// Share of the main epochs before noisy pairs are used, [0, 1].
    pub noisy_after: f64,
    /// How the mixture is fitted and guarded.
    pub mixture: GaussianConfig,
    /// Whose margin a hinge uses.
    pub margin_axis: MarginAxis,
    /// How a clean pair's label is rectified.
    pub rectification: Rectification,
}

/// How the margin falls with doubt; every form is 0 at y = 0 and α at y = 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoftMargin {
    /// `α (mʸ − 1) / (m − 1)`; the paper's.
    Exponential,
    /// `α y`.
    Linear,
    /// `α (sin(π y − π/2) / 2 + 1/2)`.
    Sine,
}

/// Whose margin the hinge of image `i` against caption `j` uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarginAxis {
    /// The anchor's, in both directions; the paper's.
    Anchor,
    /// Pair `i`'s in both directions: released code on labels of shape `(b, 1)`.
    Row,
    /// Pair `j`'s in both directions: released code on labels of shape `(b,)`.
    Column,
}

/// How a clean pair's label is rectified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rectification {
    /// `yᵢ = wᵢ + (1 − wᵢ) Pᵢ`; the paper's.
    Pair,
    /// `yᵢⱼ = wᵢ + (1 − wᵢ) Pⱼ`: released code, by broadcasting.
    Outer,
}

impl Default for DivisionConfig {
    fn default() -> Self {
        Self {
            peers: 2,
            margin: 0.2,
            base: 10.0,
            soft_margin: SoftMargin::Exponential,
            warm_up: 5,
            threshold: 0.5,
            noisy_after: 0.5,
            mixture: GaussianConfig::default(),
            margin_axis: MarginAxis::Anchor,
            rectification: Rectification::Pair,
        }
    }
}

impl DivisionConfig {
    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn check(&self) -> Result<()> {
        positive("strategy.margin", self.margin)?;
        check_share("threshold", self.threshold, "the paper uses 0.5")?;
        check_share("noisy_after", self.noisy_after, "the paper uses 0.5")?;
        let problem = if self.base <= 1.0 || self.base.is_nan() {
            format!("strategy.base = {} is not above 1", self.base)
        } else if !(1..=2).contains(&self.peers) {
            format!("strategy.peers = {} is neither 1 nor 2", self.peers)
        } else {
            return Ok(());
        };
        Err(Error::argument(problem, "the paper uses base = 10 and peers = 2").into())
    }

    /// α̂(y), in units of the similarity; `y` in [0, 1].
    pub fn soft_margin_at(&self, y: f64) -> f64 {
        let share = match self.soft_margin {
            SoftMargin::Exponential => (self.base.powf(y) - 1.0) / (self.base - 1.0),
            SoftMargin::Linear => y,
            SoftMargin::Sine => (PI * y - PI / 2.0).sin() / 2.0 + 0.5,
        };
        self.margin * share
    }

    /// The mean-negative triplet loss of every pair of scores `[b * b]`, `[b]`.
    pub fn mean_hinge(&self, scores: &[f32]) -> Vec<f32> {
        let b = side(scores);
        let mut losses = vec![0.0f64; b];
        for i in 0..b {
            for j in (0..b).filter(|&j| j != i) {
                let score = f64::from(scores[i * b + j]);
                let hinge = |own: usize| {
                    let violation = self.margin + score - f64::from(scores[own * b + own]);
                    // Not `max`, which would let NaN look like no loss.
                    if violation < 0.0 { 0.0 } else { violation }
                };
                losses[i] += hinge(i);
                losses[j] += hinge(j);
            }
        }
        losses
            .into_iter()
            .map(|loss| (loss / b as f64) as f32)
            .collect()
    }

    /// P(I, T) of every pair of evaluation-mode scores `[b * b]`, `[b]` in [0, 1].
    pub fn predict(&self, scores: &[f32]) -> Vec<f32> {
        let margin = self.margin as f32;
        let gaps: Vec<f32> = (self.mean_hinge(scores).iter())
            .map(|loss| (margin - loss / 2.0).clamp(0.0, margin))
            .collect();
        scaled(&gaps, 1e-8)
    }

    /// Margins of a batch for one soft correspondence per pair `[b]`.
    pub fn margins(&self, labels: &[f32], scores: &Tensor<2>) -> Margins {
        let b = labels.len();
        let at = |i: usize| self.soft_margin_at(f64::from(labels[i])) as f32;
        match self.margin_axis {
            MarginAxis::Anchor => {
                let margins: Vec<f32> = (0..b).map(at).collect();
                Margins::PerPair(Tensor::from_data(
                    TensorData::new(margins, [b]),
                    &scores.device(),
                ))
            }
            MarginAxis::Row => per_entry(b, scores, |i, _| at(i)),
            MarginAxis::Column => per_entry(b, scores, |_, j| at(j)),
        }
    }

    /// Margins of released code for clean pairs: labels `yᵢⱼ = wᵢ + (1 − wᵢ) Pⱼ`.
    pub fn outer_margins(
        &self,
        posterior: &[f32],
        predicted: &[f32],
        scores: &Tensor<2>,
    ) -> Margins {
        per_entry(posterior.len(), scores, |i, j| {
            self.soft_margin_at(f64::from(rectify_one(posterior[i], predicted[j]))) as f32
        })
    }
}

/// Labels from gaps `[b]`: `clip(q / τ, 0, 1)` with τ the mean of the largest tenth of the gaps, at
/// least `floor`.
pub(super) fn scaled(gaps: &[f32], floor: f32) -> Vec<f32> {
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let top = &sorted[..(gaps.len() / 10 + 1).min(gaps.len())];
    let scale = (top.iter().sum::<f32>() / top.len().max(1) as f32).max(floor);
    gaps.iter()
        .map(|gap| (gap / scale).clamp(0.0, 1.0))
        .collect()
}

fn side(scores: &[f32]) -> usize {
    let b = scores.len().isqrt();
    assert_eq!(b * b, scores.len(), "scores of a batch are square");
    b
}

fn per_entry(b: usize, scores: &Tensor<2>, margin: impl Fn(usize, usize) -> f32) -> Margins {
    let margins: Vec<f32> = (0..b * b).map(|at| margin(at / b, at % b)).collect();
    Margins::PerEntry(Tensor::from_data(
        TensorData::new(margins, [b, b]),
        &scores.device(),
    ))
}

/// yᵢ = wᵢ + (1 − wᵢ) Pᵢ, `[b]`.
pub(super) fn rectify(posterior: &[f32], predicted: &[f32]) -> Vec<f32> {
    let pairs = posterior.iter().zip(predicted);
    pairs.map(|(&w, &p)| rectify_one(w, p)).collect()
}

/// w + (1 − w) P.
pub(super) fn rectify_one(posterior: f32, predicted: f32) -> f32 {
    posterior + (1.0 - posterior) * predicted
}
