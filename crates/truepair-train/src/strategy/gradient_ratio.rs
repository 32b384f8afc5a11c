//! Weights of auxiliary terms from how hard each pulls at the scores.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::co_division::CLEAN;
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::positive;

/// Settings of gradient-ratio weights.
///
/// Every term is a function of the scores S, so its pull is the `b × b` matrix ∂L/∂S. A term with
/// share ρ gets, per peer and group of pairs, the smoothed weight
///
/// ```text
/// λ ← s λ + (1 − s) clip(ρ M / (‖∂L_term/∂S‖ + 1e-8), 0, max_weight),   M ← s M + (1 − s) ‖∂L_main/∂S‖
/// ```
/// with Frobenius norms, of which no gradient is taken. It does not depend on the terms' scales,
/// temperatures or signs, nor on the batch size.
///
/// # Source
/// The adaptive weight of Esser et al. (VQGAN, CVPR 2021), taken by the scores instead of a layer;
/// smoothing and limits are choices of this program.
/// # Deviations
/// 1. M is measured in batches of clean pairs and smoothed. Among noisy pairs the main term is mostly
///    masked, and a ratio to nothing would switch every term off.
/// 2. A batch in which a term or M has no gradient leaves its weight alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatioConfig {
    /// s, the share of a weight that a batch leaves, [0, 1).
    pub smoothing: f64,
    /// Largest weight.
    pub max_weight: f64,
}

impl Default for RatioConfig {
    fn default() -> Self {
        Self {
            smoothing: 0.99,
            max_weight: 10.0,
        }
    }
}

impl RatioConfig {
    pub(super) fn check(&self) -> Result<()> {
        positive("strategy.ratio.max_weight", self.max_weight)?;
        if (0.0..1.0).contains(&self.smoothing) {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "strategy.ratio.smoothing = {} is not in [0, 1)",
                self.smoothing
            ),
            "0.99 is usual; 0 weighs every batch by itself",
        )
        .into())
    }
}

/// Number of auxiliary terms.
pub(super) const N_TERMS: usize = 2;

/// Numbers a peer: M, and each group's weights.
const N_NUMBERS: usize = 1 + 2 * N_TERMS;

/// A number before its first measurement.
const UNMEASURED: f64 = -1.0;

/// Smoothed weights of every peer.
#[derive(Debug)]
pub(super) struct GradientRatio {
    config: RatioConfig,
    /// `[n_peers * N_NUMBERS]`
    numbers: Vec<f64>,
}

impl GradientRatio {
    pub(super) fn new(config: RatioConfig, n_peers: usize) -> Self {
        Self {
            config,
            numbers: vec![UNMEASURED; n_peers * N_NUMBERS],
        }
    }

    /// Takes in the norm of the main term's gradient on a batch of clean pairs.
    pub(super) fn measure_main(&mut self, peer: usize, norm: f64) {
        if norm > 0.0 {
            self.smooth(peer * N_NUMBERS, norm);
        }
    }

    /// The weight of auxiliary term `term` on a batch where its gradient has this norm; `start` until
    /// there is anything to compare.
    pub(super) fn weight(
        &mut self,
        (peer, group, term): (usize, usize, usize),
        norm: f64,
        share: f64,
        start: f64,
    ) -> f64 {
        let main = self.numbers[peer * N_NUMBERS];
        let at = peer * N_NUMBERS + 1 + usize::from(group != CLEAN) * N_TERMS + term;
        if main > 0.0 && norm > 0.0 {
            let ratio = share * main / (norm + 1e-8);
            self.smooth(at, ratio.clamp(0.0, self.config.max_weight));
        }
        match self.numbers[at] {
            UNMEASURED => start,
            weight => weight,
        }
    }

    fn smooth(&mut self, at: usize, value: f64) {
        let held = &mut self.numbers[at];
        *held = match *held {
            UNMEASURED => value,
            held => self.config.smoothing * held + (1.0 - self.config.smoothing) * value,
        };
    }

    pub(super) fn state(&self) -> Vec<f64> {
        self.numbers.clone()
    }

    pub(super) fn restore(&mut self, state: &[f64]) {
        self.numbers.copy_from_slice(state);
    }
}

/// ‖∂ Σ term / ∂S‖ at these scores, on a copy; 0 where it is not finite, which the loss reports.
pub(super) fn gradient_norm(scores: &Tensor<2>, term: impl FnOnce(&Tensor<2>) -> Tensor<1>) -> f64 {
    let copy = scores.clone().detach().require_grad();
    let gradients = term(&copy).sum().backward();
    let Some(gradient) = copy.grad(&gradients) else {
        return 0.0;
    };
    let squares = floats(gradient).into_iter().map(|g| f64::from(g).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    if norm.is_finite() { norm } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_model::objective::check::tracked;

    const AT: (usize, usize, usize) = (1, CLEAN, 0);

    fn ratio(smoothing: f64) -> GradientRatio {
        let config = RatioConfig {
            smoothing,
            max_weight: 10.0,
        };
        GradientRatio::new(config, 2)
    }

    #[test]
    fn weights_make_pulls_a_share_of_the_main_terms() {
        let mut ratio = ratio(0.0);
        assert_eq!(ratio.weight(AT, 1.0, 0.5, 7.0), 7.0, "nothing to compare");
        ratio.measure_main(1, 4.0);
        assert!((ratio.weight(AT, 1.0, 0.5, 7.0) - 2.0).abs() < 1e-6);
        assert!((ratio.weight(AT, 100.0, 0.5, 7.0) - 0.02).abs() < 1e-6);
        assert_eq!(ratio.weight(AT, 1e-12, 0.5, 7.0), 10.0);
        assert_eq!(
            ratio.weight(AT, 0.0, 0.5, 7.0),
            10.0,
            "no gradient, no change"
        );
        assert_eq!(ratio.weight((0, CLEAN, 0), 1.0, 0.5, 7.0), 7.0);
        assert!((ratio.weight((1, 1, 1), 2.0, 0.5, 7.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn weights_move_slowly_and_survive_a_stop() {
        let mut slow = ratio(0.9);
        slow.measure_main(1, 1.0);
        slow.weight(AT, 1.0, 1.0, 0.0);
        let second = slow.weight(AT, 0.5, 1.0, 0.0);
        assert!((second - 1.1).abs() < 1e-6);
        let mut other = ratio(0.9);
        other.restore(&slow.state());
        assert_eq!(
            other.weight(AT, 3.0, 1.0, 0.0).to_bits(),
            slow.weight(AT, 3.0, 1.0, 0.0).to_bits()
        );
    }

    #[test]
    fn the_norm_is_the_gradients_and_leaves_the_scores_alone() {
        let scores = tracked(&[3.0, 0.0, 4.0, 0.0]);
        let norm = gradient_norm(&scores, |x| x.clone().powi_scalar(2).sum() / 2.0);
        assert!((norm - 5.0).abs() < 1e-6);
        let nan = tracked(&[f32::NAN; 4]);
        assert_eq!(gradient_norm(&nan, |x| x.clone().powi_scalar(2).sum()), 0.0);
    }
}
