//! Noisy correspondence rectifier: two peers divide the pairs by a mixture on their losses, correct
//! each other's labels, and let doubt shrink the margin.

use super::co_division::{CoDivision, CoTeaching, DividedLoss, soft_triplet};
use super::division_config::DivisionConfig;
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;

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
/// 4. The mixture has guards (see [`GaussianConfig`](truepair_core::mixture::GaussianConfig) and
///    [`divide`](truepair_core::mixture::divide)) that the released code
///    lacks; `strategy.mixture` turns them off one by one.
/// 5. A survey batch has at least half the batch size, so that no pair looks clean for want of
///    negatives.
/// 6. `peers = 1` trains one network, which divides its pairs by its own posterior: half the time,
///    without the ensemble of the published figures.
pub type NcrConfig = DivisionConfig;

impl NcrConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        Ok(Box::new(CoTeaching {
            division: CoDivision::new(self, n_main)?,
            loss: RectifiedTriplet,
        }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::co_division::tests::{FIRST, check_plain_when_certain};
    use crate::strategy::{MarginAxis, Planning, StrategyConfig};
    use truepair_core::ledger::Ledger;
    use truepair_core::rng::Seed;
    use truepair_model::objective::check::{run, scores};
    use truepair_model::objective::{Margins, Negatives, triplet};

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
    fn a_batch_in_which_every_pair_loses_is_labeled_0() {
        let mut s = vec![1.0; 36];
        (0..6).for_each(|i| s[i * 7] = -1.0);
        assert_eq!(NcrConfig::default().predict(&s), vec![0.0; 6]);
    }

    #[test]
    fn equal_losses_leave_every_pair_clean_and_training_goes_on() {
        let mut ncr = NcrConfig::default().build(4).unwrap();
        let mut ledgers = vec![Ledger::new(50), Ledger::new(50)];
        let mut rng = Seed(0).stream("test", &[]);
        let plan = ncr
            .plan(Planning {
                epoch: FIRST,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut rng,
            })
            .unwrap();
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
        assert!(
            ncr.plan(Planning {
                epoch: FIRST,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut rng
            })
            .is_err()
        );
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
