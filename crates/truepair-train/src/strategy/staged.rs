//! NLNL's stages, NL → SelNL → SelPL, on the batch read as classification.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::ledger::ColumnSpec;

use super::batch::Square;
use super::co_division::epoch_at;
use super::division_config::DivisionConfig;
use super::early_targets::check_beta;
use super::rcl::negative_mask;
use super::setting::check_share;
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{
    ComplementForm, Complementary, Margins, Negatives, PairLoss, per_pair, positive, triplet,
};

/// Settings of `nlnc`'s `schedule = "staged"`.
///
/// Classes are the b captions of an image and the b images of a caption; p̄ is a pair's running mean
/// probability, bias-corrected, of being its anchors' match. C is complementary learning on random
/// negatives: `−log(1 − p)`, `negatives` of them an anchor, drawn anew at every visit.
///
/// ```text
/// NL     (warm-up)                         Lᵢ = Cᵢ
/// SelNL  (until `positive_after`)          Lᵢ = 1[p̄ᵢ > 1/b] Cᵢ
/// SelPL  (from then on)                    Lᵢ = triplet(α) where p̄ᵢ > `threshold`, else Cᵢ
/// ```
///
/// The networks, the epochs of NL and α are `ncr`'s; two peers learn side by side without division.
///
/// # Source
/// Kim et al., ICCV 2019; code read at ydkim1293/NLNL-Negative-Learning-for-Noisy-Labels@921dec4. The
/// transfer to pairs is a reconstruction.
/// # Deviations
/// 1. p̄ is a running mean with `beta`; NLNL averages the last 10 epochs.
/// 2. SelPL trains the rest by complementary learning, and the positive loss is the triplet; NLNL
///    drops the rest and uses cross-entropy.
/// 3. Pseudo-labels for a new network are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StagedConfig {
    /// τ of the softmax: divides the scores.
    pub temperature: f64,
    /// β, the share of p̄ that a visit leaves, [0, 1).
    pub beta: f64,
    /// Random negatives an anchor, at least 1; NLNL draws 1 for 10 classes and 110 for 100.
    pub negatives: usize,
    /// A pair above this p̄ is asserted in SelPL, [0, 1].
    pub threshold: f64,
    /// Share of the main epochs before SelPL, [0, 1].
    pub positive_after: f64,
}

impl Default for StagedConfig {
    fn default() -> Self {
        Self {
            temperature: 0.07,
            beta: 0.9,
            negatives: 1,
            threshold: 0.5,
            positive_after: 0.5,
        }
    }
}

/// The share of the scores that was the pair's own, times [`MASS`].
const GIVEN_MASS: ColumnSpec = ColumnSpec::floats("given_mass");
/// How much of the running mean is filled, [0, 1].
const MASS: ColumnSpec = ColumnSpec::floats("mass");

#[derive(Debug)]
pub(super) struct StagedNegatives {
    config: StagedConfig,
    ncr: DivisionConfig,
    /// First main epoch of SelPL.
    positive_from: usize,
}

impl StagedNegatives {
    pub(super) fn new(config: &StagedConfig, ncr: &DivisionConfig, n_main: usize) -> Result<Self> {
        positive("strategy.staged.temperature", config.temperature)?;
        check_beta(config.beta)?;
        check_share("staged.threshold", config.threshold, "NLNL uses 0.5")?;
        check_share("staged.positive_after", config.positive_after, "try 0.5")?;
        Ok(Self {
            config: *config,
            ncr: ncr.clone(),
            positive_from: epoch_at(config.positive_after, n_main),
        })
    }

    /// Complementary learning on random negatives, `[b]`.
    fn complementary(&self, view: &mut BatchView<'_>) -> Tensor<1> {
        let b = view.pairs.len();
        let chosen = negative_mask(view.rng, b, self.config.negatives);
        let chosen = Tensor::from_data(TensorData::new(chosen, [b, b]), &view.scores.device());
        let objective = Complementary {
            form: ComplementForm::Log,
            temperature: self.config.temperature,
            ..Complementary::default()
        };
        objective.pair_loss(view.scores, Some(chosen)).0
    }
}

impl Strategy for StagedNegatives {
    fn n_peers(&self) -> usize {
        self.ncr.peers
    }

    fn n_warm_up(&self) -> usize {
        self.ncr.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        &[GIVEN_MASS, MASS]
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let (b, beta) = (view.pairs.len(), self.config.beta as f32);
        let ledger = &view.ledgers[view.peer];
        let scores = floats(view.scores.clone().detach());
        let given = Square::new(&scores).mean_given(self.config.temperature);
        let visit = |column: &[f32], now: &[f32]| -> Vec<f32> {
            let held = view.recall(column);
            let pairs = held.iter().zip(now);
            pairs
                .map(|(held, now)| beta * held + (1.0 - beta) * now)
                .collect()
        };
        let (sum, mass) = (
            visit(ledger.floats(GIVEN_MASS), &given),
            visit(ledger.floats(MASS), &vec![1.0; b]),
        );
        let mean: Vec<f32> = (sum.iter().zip(&mass))
            .map(|(sum, mass)| (sum / mass.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0))
            .collect();

        let asserted = !epoch.is_warm_up() && epoch.main_index() >= self.positive_from;
        let above = |bar: f64| -> Vec<f32> {
            let share = mean.iter().map(|&p| f32::from(f64::from(p) > bar));
            share.collect()
        };
        let complementary = self.complementary(view);
        let loss = if epoch.is_warm_up() {
            complementary
        } else if asserted {
            let chosen = per_pair(&above(self.config.threshold), view.scores);
            let margins = Margins::Fixed(self.ncr.margin);
            let positive = triplet(view.scores, &margins, Negatives::Hardest).0;
            positive * chosen.clone() + complementary * (chosen.neg() + 1.0)
        } else {
            complementary * per_pair(&above(1.0 / b as f64), view.scores)
        };
        Judgement {
            loss: PairLoss(loss),
            beliefs: Beliefs {
                soft_label: Some(mean),
                columns: vec![(GIVEN_MASS, sum), (MASS, mass)],
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nlnc::{NegativeSchedule, NlncConfig};
    use super::*;
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::{FIRST, LAST, judge};

    fn staged(threshold: f64) -> StrategyConfig {
        StrategyConfig::Nlnc(NlncConfig {
            schedule: NegativeSchedule::Staged,
            staged: StagedConfig {
                threshold,
                ..StagedConfig::default()
            },
            ..NlncConfig::default()
        })
    }

    #[test]
    fn the_last_stage_asserts_likely_pairs_and_the_middle_one_skips_unlikely_ones() {
        let losses = |config, epoch| floats(judge(&config, epoch, 0, 1.0).loss.0.inner());
        let x =
            truepair_model::objective::check::tracked(&truepair_model::objective::check::scores(6));
        let plain = triplet(&x, &Margins::Fixed(0.2), Negatives::Hardest);
        assert_eq!(losses(staged(0.0), LAST), floats(plain.0.inner()));
        let warm_up = Epoch { index: 0, ..FIRST };
        let (all, selected) = (losses(staged(0.5), warm_up), losses(staged(0.5), FIRST));
        let mean = judge(&staged(0.5), FIRST, 0, 1.0)
            .beliefs
            .soft_label
            .unwrap();
        for i in 0..6 {
            let expected = if mean[i] > 1.0 / 6.0 { all[i] } else { 0.0 };
            assert_eq!(selected[i], expected);
        }
    }
}
