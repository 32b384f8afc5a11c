//! Negative can be positive: pairs that lose most inside their batch are taught as negatives.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::mixture::{self, BetaConfig};

use super::{BatchView, Beliefs, Epoch, Judgement, Strategy, beta_division};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{
    Complementary, InfoNce, PairLoss, off_diagonal, per_entry, per_pair, positive,
};

/// Settings of `dcl`.
///
/// In every batch a beta mixture on the pairs' InfoNCE losses says which pairs are clean (`yᵢ = 1`)
/// and which are negatives like any other entry (`yᵢ = 0`):
///
/// ```text
/// Lclean = Σᵢ yᵢ (−log pᵢᵢ − log uᵢᵢ) / Σᵢ yᵢ
/// Lneg   = Σᵢⱼ (1 − yᵢ [i = j]) (−log(1 − pᵢⱼ) − log(1 − uᵢⱼ)) / (b (b − 1) + Σᵢ (1 − yᵢ))
/// L      = β₁ Lclean + β₂ Lneg
/// ```
/// A pair's own loss is its share of both sums, scaled so that the mean over pairs is `L`.
///
/// # Source
/// "Negative can be positive", Information Fusion 2026. Code read at hxy2969/dcl@5025b55, one
/// network; no numbers of the released code are at hand to compare with.
/// # Deviations
/// 1. Losses are clipped to 1e-4 before the mixture (1e-12 in the released code), and the mixture
///    is guarded; see [`mixture::beta_clean_posterior`].
/// 2. A batch without a noisy pair keeps its negatives' term; the released code drops it.
/// 3. The released code adds 1e-6 inside logarithms; here probabilities are computed accurately.
/// 4. The released code fine-tunes CLIP and needs no warm-up. Networks that start from nothing do:
///    `warm_up` epochs of the negatives' term with every pair held clean, which is what the released
///    code trains on when its mixture is switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DclConfig {
    /// Divides the scores.
    pub temperature: f64,
    /// β₁.
    pub clean_weight: f64,
    /// β₂; about the batch size makes an anchor's negatives count once.
    pub negative_weight: f64,
    /// A pair is clean when its posterior is above this, [0, 1].
    pub threshold: f64,
    /// Epochs before the mixture, in addition to `training.epochs`.
    pub warm_up: usize,
    /// How the mixture inside a batch is fitted and guarded.
    pub mixture: BetaConfig,
}

impl Default for DclConfig {
    fn default() -> Self {
        Self {
            temperature: 0.05,
            clean_weight: 0.2,
            negative_weight: 128.0,
            threshold: 0.5,
            warm_up: 1,
            mixture: BetaConfig::default(),
        }
    }
}

#[derive(Debug)]
struct Dcl {
    config: DclConfig,
}

impl DclConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        positive("strategy.clean_weight", self.clean_weight)?;
        positive("strategy.negative_weight", self.negative_weight)?;
        beta_division::check(self.threshold, &self.mixture)?;
        Ok(Box::new(Dcl {
            config: self.clone(),
        }))
    }

    /// The loss of every pair of scores `[b, b]` when the pairs' labels `[b]` are 1 for clean ones
    /// and 0 for negatives.
    pub fn pair_loss(&self, scores: &Tensor<2>, labels: &[f32]) -> PairLoss {
        let negatives = self.negatives(scores, labels);
        let n_clean: f32 = labels.iter().sum();
        if n_clean == 0.0 {
            return PairLoss(negatives);
        }
        let scale = 2.0 * self.clean_weight * labels.len() as f64 / f64::from(n_clean);
        PairLoss(negatives + self.info_nce(scores).0 * per_pair(labels, scores) * scale)
    }

    /// Half the loss of which the released code fits its mixture.
    fn info_nce(&self, scores: &Tensor<2>) -> PairLoss {
        let temperature = self.temperature;
        InfoNce { temperature }.pair_loss(scores)
    }

    fn negatives(&self, scores: &Tensor<2>, labels: &[f32]) -> Tensor<1> {
        let b = labels.len();
        let objective = Complementary {
            temperature: self.temperature,
            ..Complementary::default()
        };
        let mut noisy = vec![0.0; b * b];
        for (i, label) in labels.iter().enumerate() {
            noisy[i * b + i] = 1.0 - label;
        }
        let counted = off_diagonal(scores) + per_entry(&noisy, scores);
        let n_counted = (b * (b - 1)) as f32 + noisy.iter().sum::<f32>();
        let [rows, columns] = objective.penalties(scores);
        let scale = self.negative_weight * b as f64 / f64::from(n_counted.max(1.0));
        ((rows + columns) * counted).sum_dim(1).reshape([b]) * scale
    }

    /// P(pair is clean) of every pair of a batch, `[b]`.
    fn posterior(&self, scores: &Tensor<2>) -> Vec<f32> {
        let losses = floats(self.info_nce(scores).0.inner());
        // Losses that are no numbers stop the run when the trainer reads them.
        beta_division::posterior(&losses, &self.mixture).unwrap_or_else(|_| vec![1.0; losses.len()])
    }

    /// 1 for clean pairs and 0 for the others, `[b]`.
    fn labels(&self, posterior: &[f32]) -> Vec<f32> {
        let Ok(division) = mixture::divide(posterior, self.threshold as f32) else {
            return vec![1.0; posterior.len()];
        };
        (division.clean.iter())
            .map(|&clean| f32::from(u8::from(clean)))
            .collect()
    }
}

impl Strategy for Dcl {
    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let b = view.pairs.len();
        if epoch.is_warm_up() {
            return PairLoss(self.config.negatives(view.scores, &vec![1.0; b])).into();
        }
        let posterior = self.config.posterior(view.scores);
        let labels = self.config.labels(&posterior);
        Judgement {
            loss: self.config.pair_loss(view.scores, &labels),
            beliefs: Beliefs {
                clean_posterior: Some(posterior),
                soft_label: Some(labels),
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_model::objective::check::{check_gradient, check_permutation, run, scores};

    fn config() -> DclConfig {
        DclConfig {
            temperature: 0.4,
            negative_weight: 6.0,
            ..DclConfig::default()
        }
    }

    #[test]
    fn the_mean_over_pairs_equals_the_equation() {
        let (s, b, labels) = (scores(5), 5, [1.0, 0.0, 1.0, 1.0, 0.0]);
        let (losses, _) = run(&s, |x| config().pair_loss(x, &labels));
        let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.4).exp();
        let p = |i: usize, j: usize| e(i, j) / (0..b).map(|k| e(i, k)).sum::<f64>();
        let u = |i: usize, j: usize| e(j, i) / (0..b).map(|k| e(k, i)).sum::<f64>();
        let (mut clean, mut negative) = (0.0, 0.0);
        for (i, &label) in labels.iter().enumerate() {
            for j in 0..b {
                if i == j && label == 1.0 {
                    clean -= p(i, i).ln() + u(i, i).ln();
                } else {
                    negative -= (1.0 - p(i, j)).ln() + (1.0 - u(i, j)).ln();
                }
            }
        }
        let expected = 0.2 * clean / 3.0 + 6.0 * negative / (20.0 + 2.0);
        let mean = losses.iter().map(|x| f64::from(*x)).sum::<f64>() / 5.0;
        assert!((mean - expected).abs() < 1e-4, "{mean} {expected}");
        check_gradient(&s, |x| config().pair_loss(x, &labels));
        check_permutation(&s, |x| config().pair_loss(x, &[1.0; 5]));
    }

    #[test]
    fn clean_pairs_alone_give_both_plain_objectives() {
        let (losses, _) = run(&scores(5), |x| config().pair_loss(x, &[1.0; 5]));
        let (info, _) = run(&scores(5), |x| config().info_nce(x));
        let complementary = Complementary {
            temperature: 0.4,
            ..Complementary::default()
        };
        let (negatives, _) = run(&scores(5), |x| complementary.pair_loss(x, None));
        for i in 0..5 {
            let expected = 0.2 * 2.0 * info[i] + 6.0 * negatives[i] * 5.0 / 20.0;
            assert!((losses[i] - expected).abs() < 1e-3, "{i}");
        }
    }

    #[test]
    fn a_batch_of_negatives_still_has_a_finite_loss() {
        let (losses, gradient) = run(&scores(4), |x| config().pair_loss(x, &[0.0; 4]));
        assert!(losses.iter().chain(&gradient).all(|x| x.is_finite()));
    }

    #[test]
    fn pairs_that_lose_most_are_negatives() {
        let mut s = vec![0.0; 64];
        (0..8).for_each(|i| s[i * 9] = if i == 3 { -0.5 } else { 0.7 + 0.01 * i as f32 });
        let posterior = run_posterior(&s);
        assert!(posterior[3] < 0.5);
        let labels = DclConfig::default().labels(&posterior);
        assert_eq!(labels[3], 0.0);
        assert_eq!(labels.iter().sum::<f32>(), 7.0);
    }

    fn run_posterior(s: &[f32]) -> Vec<f32> {
        DclConfig::default().posterior(&truepair_model::objective::check::tracked(s))
    }
}
