//! What a pair looked like early: running two-class targets, match against no match, per pair.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::ColumnSpec;

use super::{BatchView, Beliefs};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{accumulate, beats_hardest, early_learning, per_pair, positive};

/// Settings of the running targets.
///
/// ```text
/// pₙ = (σ((Sₙₙ − S_{n,h}) / τ) + σ((Sₙₙ − S_{h',n}) / τ)) / 2, clipped to [1e-4, 1 − 1e-4]
/// tmₙ ← β tmₙ + (1 − β) pₙ      cmₙ ← β cmₙ + (1 − β)      targets (tmₙ, cmₙ − tmₙ), from 0
/// Rₙ = log(1 − pₙ tmₙ − (1 − pₙ)(cmₙ − tmₙ))
/// ```
///
/// Chance is 1/2 and not 1/b: with the batch as classes, early targets would say of every pair that
/// it is no match.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyTargets {
    /// β, the share of a target that a visit leaves, [0, 1).
    pub beta: f64,
    /// τ: divides score differences.
    pub temperature: f64,
}

impl Default for EarlyTargets {
    fn default() -> Self {
        Self {
            beta: 0.7,
            temperature: 0.1,
        }
    }
}

/// tm: what was predicted of a pair as a match, [0, 1].
pub(super) const MATCH_MASS: ColumnSpec = ColumnSpec::floats("match_mass");
/// cm: how much was predicted of a pair at all, [0, 1].
pub(super) const MASS: ColumnSpec = ColumnSpec::floats("mass");

/// A batch's targets after its visit, `[b]` each.
#[derive(Debug)]
pub(super) struct Targets {
    /// tm, accumulated probability of a match.
    matched: Vec<f32>,
    /// cm, accumulated weight; at most 1.
    mass: Vec<f32>,
}

impl EarlyTargets {
    /// The ledger's columns that hold targets: tm and cm.
    pub(super) const COLUMNS: [ColumnSpec; 2] = [MATCH_MASS, MASS];

    pub(super) fn check(&self, table: &str) -> Result<()> {
        positive(&format!("{table}.temperature"), self.temperature)?;
        check_beta(self.beta)
    }

    /// Takes the batch's present scores into its targets. The training peer's ledger holds tm and cm
    /// in [`COLUMNS`](Self::COLUMNS).
    pub(super) fn visit(&self, view: &BatchView<'_>) -> Targets {
        let ledger = &view.ledgers[view.peer];
        let p = floats(beats_hardest(view.scores, self.temperature).detach());
        let (mut matched, mut mass) = (
            view.recall(ledger.floats(MATCH_MASS)),
            view.recall(ledger.floats(MASS)),
        );
        for ((matched, mass), &p) in matched.iter_mut().zip(&mut mass).zip(&p) {
            let mut target = [*matched, (*mass - *matched).max(0.0)];
            accumulate(&mut target, &[p, 1.0 - p], self.beta);
            *matched = target[0];
            *mass = (target[0] + target[1]).min(1.0);
        }
        Targets { matched, mass }
    }

    /// Rₙ of scores `[b, b]` against targets, `[b]`, at most 0.
    pub(super) fn regularizer(&self, scores: &Tensor<2>, targets: &Targets) -> Tensor<1> {
        let b = targets.mass.len();
        let p = beats_hardest(scores, self.temperature);
        let mismatch: Vec<f32> = (targets.mass.iter())
            .zip(&targets.matched)
            .map(|(mass, matched)| (mass - matched).max(0.0))
            .collect();
        let columns = |first: Tensor<1>, second: Tensor<1>| {
            Tensor::cat(vec![first.reshape([b, 1]), second.reshape([b, 1])], 1)
        };
        early_learning(
            columns(p.clone(), p.neg() + 1.0),
            columns(
                per_pair(&targets.matched, scores),
                per_pair(&mismatch, scores),
            ),
        )
    }
}

/// Refuses a share of memory outside [0, 1).
pub(super) fn check_beta(beta: f64) -> Result<()> {
    if (0.0..1.0).contains(&beta) {
        return Ok(());
    }
    Err(Error::argument(
        format!("strategy beta = {beta} is not in [0, 1)"),
        "early-learning regularization uses 0.7 or 0.9",
    )
    .into())
}

impl Targets {
    /// For the ledger: both columns, and `more`.
    pub(super) fn remember(self, more: Beliefs) -> Beliefs {
        let mut beliefs = more;
        beliefs.columns.push((MATCH_MASS, self.matched));
        beliefs.columns.push((MASS, self.mass));
        beliefs
    }

    /// cm, `[b]`.
    pub(super) fn mass(&self) -> &[f32] {
        &self.mass
    }
}

/// The soft label that targets imply: `clip(2 tm / cm − 1, 0, 1)`, so that chance is 0; 1 for a pair
/// that was never visited.
pub(super) fn implied_label(matched: f32, mass: f32) -> f32 {
    if mass <= 0.0 {
        return 1.0;
    }
    (2.0 * matched / mass - 1.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_model::objective::PairLoss;
    use truepair_model::objective::check::{check_gradient, run, scores};

    fn targets(matched: f32, mass: f32) -> Targets {
        Targets {
            matched: vec![matched; 5],
            mass: vec![mass; 5],
        }
    }

    #[test]
    fn the_term_equals_the_equation_and_pulls_toward_the_target() {
        let (s, early) = (scores(5), EarlyTargets::default());
        for (matched, mass) in [(0.0, 0.0), (0.1, 0.3), (0.8, 0.9), (0.05, 1.0)] {
            let t = targets(matched, mass);
            let loss = |x: &Tensor<2>| PairLoss(early.regularizer(x, &t));
            let (found, gradient) = run(&s, loss);
            let (p, _) = run(&s, |x| PairLoss(beats_hardest(x, early.temperature)));
            for (i, p) in p.iter().map(|p| p.clamp(1e-4, 1.0 - 1e-4)).enumerate() {
                let expected = (1.0 - p * matched - (1.0 - p) * (mass - matched)).ln();
                assert!((found[i] - expected).abs() < 1e-5, "{matched} {mass}");
                let toward_match = 2.0 * matched >= mass;
                assert!(gradient[i * 6] == 0.0 || (gradient[i * 6] < 0.0) == toward_match);
            }
            let wide = EarlyTargets {
                temperature: 0.5,
                ..early
            };
            check_gradient(&s, |x| PairLoss(wide.regularizer(x, &t)));
        }
    }

    #[test]
    fn the_implied_label_maps_chance_to_0() {
        assert_eq!(implied_label(0.0, 0.0), 1.0);
        assert_eq!(implied_label(0.25, 0.5), 0.0);
        assert_eq!(implied_label(0.1, 0.5), 0.0);
        assert_eq!(implied_label(0.5, 0.5), 1.0);
    }

    #[test]
    fn a_memory_that_never_learns_is_refused() {
        assert!(check_beta(1.0).is_err() && check_beta(f64::NAN).is_err());
        assert!(check_beta(0.0).is_ok() && check_beta(0.9).is_ok());
    }
}
