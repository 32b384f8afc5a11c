//! Negative learning for noisy correspondence: pairs that look mismatched are pushed apart instead of
//! being pulled together more gently.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::co_division::{CLEAN, CoDivision, CoTeaching, DividedLoss, epoch_at, soft_triplet};
use super::division_config::DivisionConfig;
use super::setting::check_share;
use super::staged::{StagedConfig, StagedNegatives};
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{NegativeTriplet, PairLoss, per_pair};

/// Settings of `nlnc`.
///
/// `ncr`'s division, soft labels and clean batches. In noisy batches, with `θ = threshold`,
/// `λ = weight` and the negative triplet `N` (see [`NegativeTriplet`] for its forms and directions
/// and why `reference` is the default):
///
/// ```text
/// Lᵢ = 1[yᵢ ≥ θ] triplet(α̂(yᵢ)) + λ (n_noisy / n_clean) (1 − yᵢ) Nᵢ
/// ```
///
/// The sizes are those of the epoch's division. Every clean batch is followed by a noisy one, however
/// few noisy pairs there are; without the ratio a few pairs that were held noisy by mistake would be
/// pushed dozens of times an epoch.
///
/// The mask is what makes the two terms agree: a soft margin of 0 still pulls a pair that loses to
/// its hardest negative together, which is the pair that `N` pushes.
///
/// `schedule = "staged"` follows NLNL's NL → SelNL → SelPL without a division; see
/// [`StagedConfig`].
///
/// # Source
/// A graduation report (Kookmin University) that adapts Kim et al. (NLNL, ICCV 2019) to noisy
/// correspondence in one line: "a negative triplet loss pushes false correspondences apart". Its
/// equations are not public; everything beside `ncr` and NLNL's logarithm is a reconstruction.
/// # Deviations
/// 1. All three readings of the line are named values of `negative.form`; the most literal is `swap`.
/// 2. λ = 1 suits the hinges; 0.1 suits `log`, whose gradient does not end.
/// 3. Negative learning starts at `negative_after`, by default with the first division, while
///    `ncr.noisy_after` holds for the masked triplet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NlncConfig {
    /// Division, labels and margins.
    pub ncr: DivisionConfig,
    /// The term that pushes.
    pub negative: NegativeTriplet,
    /// λ, at least 0.
    pub weight: f64,
    /// θ: a noisy pair below it leaves the triplet, [0, 1].
    pub threshold: f64,
    /// A noisy pair is pushed when its label is at most this, [0, 1]; 1 pushes all by 1 − y.
    pub push_below: f64,
    /// Share of the main epochs before noisy pairs are pushed, [0, 1].
    pub negative_after: f64,
    /// What decides who is pushed.
    pub schedule: NegativeSchedule,
    /// Settings of the `staged` schedule.
    pub staged: StagedConfig,
}

/// What decides which pairs are pushed apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativeSchedule {
    /// The other peer's mixture.
    Division,
    /// NLNL's stages on the batch as classification.
    Staged,
}

impl Default for NlncConfig {
    fn default() -> Self {
        Self {
            ncr: DivisionConfig::default(),
            negative: NegativeTriplet::default(),
            weight: 1.0,
            threshold: 0.5,
            push_below: 1.0,
            negative_after: 0.0,
            schedule: NegativeSchedule::Division,
            staged: StagedConfig::default(),
        }
    }
}

impl NlncConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        self.negative.check("strategy.negative")?;
        check_weight("weight", self.weight)?;
        check_share("threshold", self.threshold, "0.5 is usual")?;
        check_share("push_below", self.push_below, "1 pushes every noisy pair")?;
        check_share("negative_after", self.negative_after, "0 pushes at once")?;
        let division = CoDivision::new(&self.ncr, n_main)?;
        Ok(match self.schedule {
            NegativeSchedule::Division => Box::new(CoTeaching {
                loss: NegativeLearning {
                    config: self.clone(),
                    push_from: epoch_at(self.negative_after, n_main),
                },
                division,
            }),
            NegativeSchedule::Staged => {
                Box::new(StagedNegatives::new(&self.staged, &self.ncr, n_main)?)
            }
        })
    }
}

/// Refuses a term's weight that is negative or no number.
pub(super) fn check_weight(name: &str, weight: f64) -> Result<()> {
    if weight >= 0.0 && weight.is_finite() {
        return Ok(());
    }
    Err(Error::argument(
        format!("strategy.{name} = {weight} is not a number from 0"),
        "0 switches the term off",
    )
    .into())
}

#[derive(Debug)]
struct NegativeLearning {
    config: NlncConfig,
    /// First main epoch that pushes.
    push_from: usize,
}

impl DividedLoss for NegativeLearning {
    fn noisy_from(&self, division: &CoDivision) -> usize {
        division.noisy_from().min(self.push_from)
    }

    fn judge(
        &mut self,
        division: &CoDivision,
        epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let predict = |peer: usize| division.config.predict(&view.opinions[peer].scores);
        let rectified = division.rectified(view, predict);
        let triplet = soft_triplet(view, &rectified);
        let labels = rectified.labels;
        let loss = if view.group == CLEAN {
            triplet
        } else {
            let uses_noisy = division.uses_noisy(epoch);
            let kept = keep_above(&labels, uses_noisy.then_some(self.config.threshold));
            let pushed = match epoch.main_index() >= self.push_from {
                true => {
                    let weight = self.config.weight * division.noisy_per_clean(view.peer);
                    push(&labels, weight, self.config.push_below)
                }
                false => vec![0.0; labels.len()],
            };
            let negative = self.config.negative.pair_loss(view.scores);
            PairLoss(
                triplet.0 * per_pair(&kept, view.scores)
                    + negative.0 * per_pair(&pushed, view.scores),
            )
        };
        Judgement {
            loss,
            beliefs: Beliefs {
                soft_label: Some(labels),
                ..Beliefs::default()
            },
        }
    }
}

/// 1 for pairs that stay in the triplet, `[b]`: those with `y ≥ threshold`; none before noisy pairs are used,
/// when there is no threshold.
pub(super) fn keep_above(labels: &[f32], threshold: Option<f64>) -> Vec<f32> {
    let stays = |y: &f32| threshold.is_some_and(|threshold| f64::from(*y) >= threshold);
    labels.iter().map(|y| f32::from(stays(y))).collect()
}

/// λ (1 − y) for pairs with `y ≤ below`, else 0, `[b]`.
pub(super) fn push(labels: &[f32], weight: f64, below: f64) -> Vec<f32> {
    let strength = |&y: &f32| match f64::from(y) <= below {
        true => weight as f32 * (1.0 - y),
        false => 0.0,
    };
    labels.iter().map(strength).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::{
        FIRST, LAST, check_plain_when_certain, judge, noisy_losses_after_division,
    };
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{run, scores, tracked};
    use truepair_model::objective::{Margins, Negatives, triplet};

    #[test]
    fn pairs_that_are_clean_for_certain_have_the_plain_triplet() {
        check_plain_when_certain(&StrategyConfig::Nlnc(NlncConfig::default()));
    }

    #[test]
    fn a_noisy_batch_is_the_masked_triplet_and_the_push() {
        let config = NlncConfig::default();
        let ncr = &config.ncr;
        let labels = ncr.predict(&scores(6));
        let plain = |s: &_, margins| triplet(s, &margins, Negatives::Hardest);
        let x = tracked(&scores(6));
        let soft = floats(plain(&x, ncr.margins(&labels, &x)).0.detach());
        let (negative, _) = run(&scores(6), |s| config.negative.pair_loss(s));
        for (epoch, uses_triplet) in [(FIRST, false), (LAST, true)] {
            let judged = judge(&StrategyConfig::Nlnc(config.clone()), epoch, 1, 0.2);
            let found = floats(judged.loss.0.inner());
            for i in 0..6 {
                let kept = if uses_triplet && labels[i] >= 0.5 {
                    soft[i]
                } else {
                    0.0
                };
                let expected = kept + (1.0 - labels[i]) * negative[i];
                assert!((found[i] - expected).abs() < 1e-5, "{found:?}");
            }
        }
    }

    #[test]
    fn few_noisy_pairs_are_pushed_as_often_as_many() {
        let config = StrategyConfig::Nlnc(NlncConfig {
            threshold: 1.0,
            ..NlncConfig::default()
        });
        let plain = floats(judge(&config, LAST, 1, 0.2).loss.0.inner());
        let labels = DivisionConfig::default().predict(&scores(6));
        for n_noisy in [4, 10] {
            let ratio = n_noisy as f32 / (40 - n_noisy) as f32;
            let found = noisy_losses_after_division(&config, n_noisy);
            for i in (0..6).filter(|&i| labels[i] < 1.0) {
                assert!((found[i] - ratio * plain[i]).abs() < 1e-5, "{found:?}");
            }
        }
    }

    #[test]
    fn without_weight_and_mask_the_batch_is_that_of_the_rectifier() {
        let config = NlncConfig {
            weight: 0.0,
            threshold: 0.0,
            ..NlncConfig::default()
        };
        let ncr = StrategyConfig::Ncr(config.ncr.clone());
        let rectifier = floats(judge(&ncr, LAST, 1, 0.2).loss.0.inner());
        let found = judge(&StrategyConfig::Nlnc(config), LAST, 1, 0.2);
        assert_eq!(floats(found.loss.0.inner()), rectifier);
        let margins = Margins::Fixed(0.2);
        let x = tracked(&scores(6));
        assert_ne!(
            rectifier,
            floats(triplet(&x, &margins, Negatives::Hardest).0.inner())
        );
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let wrong = [
            NlncConfig {
                weight: -1.0,
                ..NlncConfig::default()
            },
            NlncConfig {
                threshold: 1.5,
                ..NlncConfig::default()
            },
            NlncConfig {
                negative: NegativeTriplet {
                    margin: f64::NAN,
                    ..NegativeTriplet::default()
                },
                ..NlncConfig::default()
            },
        ];
        assert!(wrong.iter().all(|config| config.build(4).is_err()));
    }
}
