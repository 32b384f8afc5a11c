//! Hardest-negative soft labels with a memory, and the early-learning term.

use serde::{Deserialize, Serialize};
use truepair_core::ledger::ColumnSpec;

use super::co_division::{CLEAN, CoDivision, CoTeaching, DividedLoss, soft_triplet};
use super::division_config::{DivisionConfig, rectify};
use super::early_targets::{EarlyTargets, MASS, MATCH_MASS, Targets};
use super::hnsf::{DivideBy, HardestLabel};
use super::nlnc::{check_weight, keep_above, push};
use super::setting::check_share;
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{NegativeTriplet, PairLoss, per_pair};

/// Settings of `car+hnsf`.
///
/// Hardest-negative predictions P (see [`HardestLabel`]) are averaged over a pair's visits, with the
/// β of the running targets, and stand in for `ncr`'s predictions:
///
/// ```text
/// ȳₙ = running mean of Pₙ (own for a clean pair, both peers' mean for a noisy one), bias-corrected
/// clean: y = w + (1 − w) ȳ      L = triplet(α̂(y)) + λ_car R
/// noisy: y = ȳ                  L = 1[y ≥ θ] triplet(α̂(y)) + λ_neg (n_noisy / n_clean) (1 − y) N + λ_car R
/// ```
/// R is that of [`EarlyTargets`], N that of [`NegativeTriplet`], off by default; the sizes are those of
/// the epoch's division, as in `nlnc`. The warm-up only
/// fills ȳ and the targets; noisy pairs follow at `ncr.noisy_after`, or at once when pushed.
/// `divide_by` is `hnsf`'s, whose card has its equations.
///
/// # Source
/// A graduation report (Kookmin University), which prints figures of the combination (worse than
/// either part) without equations: a reconstruction.
/// # Deviations
/// 1. In the warm-up, where no network is asked in evaluation mode, P is taken from the training-mode
///    scores.
/// 2. R's probability is itself a gap to the hardest negative: the two parts are correlated signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CarHnsfConfig {
    /// Division, margins and the use of noisy pairs.
    pub ncr: DivisionConfig,
    /// The prediction.
    pub label: HardestLabel,
    /// What the mixture sees.
    pub divide_by: DivideBy,
    /// β and τ.
    pub targets: EarlyTargets,
    /// λ_car, at least 0.
    pub weight: f64,
    /// θ: a noisy pair below it leaves the triplet, [0, 1].
    pub threshold: f64,
    /// The term that pushes noisy pairs apart.
    pub negative: NegativeTriplet,
    /// λ_neg, at least 0; 0 leaves the term out.
    pub negative_weight: f64,
}

impl Default for CarHnsfConfig {
    fn default() -> Self {
        Self {
            ncr: DivisionConfig::default(),
            label: HardestLabel::default(),
            divide_by: DivideBy::default(),
            targets: EarlyTargets::default(),
            weight: 1.0,
            threshold: 0.5,
            negative: NegativeTriplet::default(),
            negative_weight: 0.0,
        }
    }
}

impl CarHnsfConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        self.label.check("label")?;
        self.targets.check("strategy.targets")?;
        self.negative.check("strategy.negative")?;
        check_weight("weight", self.weight)?;
        check_weight("negative_weight", self.negative_weight)?;
        check_share("threshold", self.threshold, "0.5 is usual")?;
        Ok(Box::new(CoTeaching {
            division: CoDivision::new(&self.ncr, n_main)?,
            loss: RememberedFilter {
                config: self.clone(),
            },
        }))
    }
}

#[derive(Debug)]
struct RememberedFilter {
    config: CarHnsfConfig,
}

/// The ledger's column with the accumulated predictions.
const LABEL_MASS: ColumnSpec = ColumnSpec::floats("label_mass");

impl RememberedFilter {
    /// The accumulated predictions after this visit, and their bias-corrected mean ȳ, `[b]` each.
    fn visit(
        &self,
        view: &BatchView<'_>,
        predicted: &[f32],
        targets: &Targets,
    ) -> (Vec<f32>, Vec<f32>) {
        let beta = self.config.targets.beta as f32;
        let held = view.recall(view.ledgers[view.peer].floats(LABEL_MASS));
        let sums: Vec<f32> = (held.iter().zip(predicted))
            .map(|(held, p)| beta * held + (1.0 - beta) * p)
            .collect();
        let means = (sums.iter().zip(targets.mass()))
            .map(|(sum, mass)| (sum / mass.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0))
            .collect();
        (sums, means)
    }
}

impl DividedLoss for RememberedFilter {
    fn columns(&self) -> &'static [ColumnSpec] {
        &[MATCH_MASS, MASS, LABEL_MASS]
    }

    fn noisy_from(&self, division: &CoDivision) -> usize {
        match self.config.negative_weight > 0.0 {
            true => 0,
            false => division.noisy_from(),
        }
    }

    fn measure(&self, division: &CoDivision, scores: &[f32]) -> Vec<f32> {
        let config = &self.config;
        config.divide_by.measure(&config.label, division, scores)
    }

    fn watch_warm_up(&self, division: &CoDivision, view: &BatchView<'_>) -> Beliefs {
        let targets = self.config.targets.visit(view);
        let scores = floats(view.scores.clone().detach());
        let predicted = self.config.label.predict(&scores, division.config.margin);
        let (sums, _) = self.visit(view, &predicted, &targets);
        targets.remember(Beliefs {
            columns: vec![(LABEL_MASS, sums)],
            ..Beliefs::default()
        })
    }

    fn judge(
        &mut self,
        division: &CoDivision,
        epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let config = &self.config;
        let margin = division.config.margin;
        let predict = |peer: usize| config.label.predict(&view.opinions[peer].scores, margin);
        let predicted = division.rectified(view, predict).predicted;
        let targets = config.targets.visit(view);
        let (sums, means) = self.visit(view, &predicted, &targets);
        let labels = match view.group {
            CLEAN => rectify(&division.posterior(view), &means),
            _ => means.clone(),
        };
        let rectified = division.labeled(view, labels, means);
        let mut loss = soft_triplet(view, &rectified).0;
        let labels = rectified.labels;
        if view.group != CLEAN {
            let uses_noisy = division.uses_noisy(epoch);
            let kept = keep_above(&labels, uses_noisy.then_some(config.threshold));
            let weight = config.negative_weight * division.noisy_per_clean(view.peer);
            let pushed = push(&labels, weight, 1.0);
            loss = loss * per_pair(&kept, view.scores)
                + config.negative.pair_loss(view.scores).0 * per_pair(&pushed, view.scores);
        }
        let regularizer = config.targets.regularizer(view.scores, &targets);
        Judgement {
            loss: PairLoss(loss + regularizer * config.weight),
            beliefs: targets.remember(Beliefs {
                soft_label: Some(labels),
                columns: vec![(LABEL_MASS, sums)],
                ..Beliefs::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::{FIRST, LAST, check_plain_when_certain, judge};
    use truepair_model::objective::check::{scores, tracked};
    use truepair_model::objective::{Margins, Negatives, triplet};

    #[test]
    fn without_the_regularizer_certain_pairs_have_the_plain_triplet() {
        check_plain_when_certain(&StrategyConfig::CarHnsf(CarHnsfConfig {
            weight: 0.0,
            ..CarHnsfConfig::default()
        }));
    }

    #[test]
    fn a_first_visit_is_bias_corrected_to_the_prediction() {
        let config = CarHnsfConfig::default();
        let predicted = config.label.predict(&scores(6), config.ncr.margin);
        let config = StrategyConfig::CarHnsf(config);
        let judged = judge(&config, LAST, 1, 0.2);
        let labels = judged.beliefs.soft_label.unwrap();
        assert!(
            labels
                .iter()
                .zip(&predicted)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
        let warm_up = Epoch { index: 0, ..FIRST };
        let watched = judge(&config, warm_up, 0, 1.0).beliefs.columns;
        let columns: Vec<ColumnSpec> = watched.iter().map(|(column, _)| *column).collect();
        assert_eq!(columns, [LABEL_MASS, MATCH_MASS, MASS]);
        assert!(
            watched[0]
                .1
                .iter()
                .zip(&predicted)
                .all(|(sum, p)| (sum - 0.3 * p).abs() < 1e-5)
        );
    }

    #[test]
    fn doubtful_noisy_pairs_leave_the_triplet_or_are_pushed() {
        let with = |negative_weight| {
            let config = CarHnsfConfig {
                weight: 0.0,
                negative_weight,
                ..CarHnsfConfig::default()
            };
            judge(&StrategyConfig::CarHnsf(config), LAST, 1, 0.2)
        };
        let (silent, pushed) = (with(0.0), with(2.0));
        let labels = silent.beliefs.soft_label.unwrap();
        let (silent, pushed) = (floats(silent.loss.0.inner()), floats(pushed.loss.0.inner()));
        let x = tracked(&scores(6));
        let negative = floats(NegativeTriplet::default().pair_loss(&x).0.inner());
        let plain = floats(
            triplet(&x, &Margins::Fixed(0.2), Negatives::Hardest)
                .0
                .inner(),
        );
        for i in 0..6 {
            assert!(if labels[i] < 0.5 {
                silent[i] == 0.0
            } else {
                silent[i] <= plain[i]
            });
            let expected = silent[i] + 2.0 * (1.0 - labels[i]) * negative[i];
            assert!((pushed[i] - expected).abs() < 1e-5);
        }
    }
}
