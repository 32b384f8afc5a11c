//! Noisy correspondence rectifier: two peers divide the pairs by a mixture on their losses, correct
//! each other's labels, and let doubt shrink the margin.

use std::f64::consts::PI;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::mixture::GaussianConfig;

use super::co_division::{
    CoDivision, CoTeaching, DividedLoss, check_share, rectify_one, soft_triplet,
};
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use crate::objective::{Margins, positive};

/// Settings of `ncr`.
///
/// Warm-up on all pairs with the mean-negative triplet; then every epoch, per peer: the loss of
/// every pair in evaluation mode, a two-component Gaussian mixture on the losses, a division into
/// clean and noisy pairs by the *other* peer's posterior `w`, and hardest-negative triplets with
///
/// ```text
/// P(I, T) = clip(q / τ, 0, 1),   q = clip(α − l / 2, 0, α),   τ = mean of the largest tenth of q
/// clean:  y = w + (1 − w) P_own          noisy:  y = (P_own + P_other) / 2
/// α̂(y) = α (mʸ − 1) / (m − 1)
/// ```
/// where `l` is the pair's mean-negative triplet loss inside its batch.
///
/// # Source
/// Huang et al., NeurIPS 2021. Code read at XLearning-SCU/2021-NeurIPS-NCR@60256ba. Golden
/// `u02_ncr_losses`, `u02_ncr_predict`, `u02_ncr_margin_table`, `u02_ncr_gmm`.
/// # Deviations
/// 1. A pair's soft margin acts in both directions on that pair as anchor. The released code gives
///    one direction the margin of the negative's pair: `margin_axis = "row"` or `"column"`.
/// 2. The clean label is one number a pair. The released code builds a `b × b` matrix by
///    broadcasting: `rectification = "outer"`.
/// 3. `τ` is at least 1e-8, so a batch in which every pair loses gives labels 0; the released code
///    divides 0 by 0.
/// 4. The mixture has guards (see [`GaussianConfig`] and
///    [`divide`](truepair_core::mixture::divide)) that the released code
///    lacks; `strategy.mixture` turns them off one by one.
/// 5. A survey batch has at least half the batch size, so that no pair looks clean for want of
///    negatives.
/// 6. `peers = 1` trains one network, which divides its pairs by its own posterior: half the time,
///    without the ensemble of the published figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NcrConfig {
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

impl Default for NcrConfig {
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

impl NcrConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(CoTeaching {
            division: CoDivision::new(self, n_main)?,
            loss: RectifiedTriplet,
        }))
    }

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

/// The hardest-negative triplet at soft margins.
#[derive(Debug)]
struct RectifiedTriplet;

impl DividedLoss for RectifiedTriplet {
    fn judge(
        &mut self,
        division: &CoDivision,
        _epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let predict = |peer: usize| division.config.predict(&view.opinions[peer].scores);
        let rectified = division.rectified(view, predict);
        Judgement {
            loss: soft_triplet(view, &rectified),
            beliefs: Beliefs {
                soft_label: Some(rectified.labels),
                ..Beliefs::default()
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::tests::{run, scores};
    use crate::objective::{Negatives, triplet};
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::{FIRST, check_plain_when_certain};
    use truepair_core::ledger::Ledger;
    use truepair_core::rng::Seed;

    #[test]
    fn pairs_that_are_clean_for_certain_have_the_plain_triplet() {
        check_plain_when_certain(&StrategyConfig::Ncr(NcrConfig::default()));
    }

    #[test]
    fn soft_correspondence_1_gives_the_plain_triplet() {
        let (s, config) = (scores(6), NcrConfig::default());
        let (plain, _) = run(&s, |x| {
            triplet(x, &Margins::Fixed(config.margin), Negatives::Hardest)
        });
        for margin_axis in [MarginAxis::Anchor, MarginAxis::Row, MarginAxis::Column] {
            let config = NcrConfig {
                margin_axis,
                ..config.clone()
            };
            let (soft, _) = run(&s, |x| {
                triplet(x, &config.margins(&[1.0; 6], x), Negatives::Hardest)
            });
            assert!(plain.iter().zip(&soft).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_batch_in_which_every_pair_loses_is_labelled_0() {
        let mut s = vec![1.0; 36];
        (0..6).for_each(|i| s[i * 7] = -1.0);
        assert_eq!(NcrConfig::default().predict(&s), vec![0.0; 6]);
    }

    #[test]
    fn equal_losses_leave_every_pair_clean_and_training_goes_on() {
        let mut ncr = NcrConfig::default().build(4).unwrap();
        let mut ledgers = vec![Ledger::new(50), Ledger::new(50)];
        let mut rng = Seed(0).stream("test", &[]);
        let plan = ncr.plan(FIRST, &mut ledgers, &[], &mut rng).unwrap();
        assert!(
            plan.peers.iter().all(|peer| peer.groups[0].len() >= 49),
            "{plan:?}"
        );
        let posterior = &ledgers[0].clean_posterior;
        assert!(posterior.iter().all(|w| (0.0..=1.0).contains(w)));
    }

    #[test]
    fn losses_that_are_not_numbers_are_an_error() {
        let mut ncr = NcrConfig::default().build(4).unwrap();
        let mut ledgers = vec![Ledger::new(5), Ledger::new(5)];
        ledgers[1].loss[3] = f32::NAN;
        let mut rng = Seed(0).stream("test", &[]);
        assert!(ncr.plan(FIRST, &mut ledgers, &[], &mut rng).is_err());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let wrong = [
            NcrConfig {
                peers: 3,
                ..NcrConfig::default()
            },
            NcrConfig {
                base: 1.0,
                ..NcrConfig::default()
            },
            NcrConfig {
                threshold: f64::NAN,
                ..NcrConfig::default()
            },
        ];
        assert!(wrong.iter().all(|config| config.check().is_err()));
    }
}
