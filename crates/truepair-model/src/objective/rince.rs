//! RINCE: between InfoNCE and a symmetric loss, so that a pair that fits badly pulls less.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::{PairLoss, diagonal};

/// Robust InfoNCE, the mean of both directions.
///
/// ```text
/// Lᵢ = ½ (r(Sᵢ· / τ) + r(S·ᵢ / τ)),     r(s) = ((λ Σⱼ e^sⱼ)^q − e^(q sᵢ)) / q
/// ```
/// For `q → 0` it is InfoNCE plus `log λ`; for `q = 1` it is `λ Σ_{j≠i} e^sⱼ − (1 − λ) e^sᵢ`, whose
/// two terms are of one kind, so that random wrong pairs cancel in expectation. Beside InfoNCE's, the
/// gradient of a pair counts by `e^(q sᵢ)`.
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// Chuang et al., CVPR 2022; code read at chingyaoc/RINCE@c7f8534 (`README.md`, `sym_loss` of its
/// SimCLR, `contrastive_loss` of its MoCo).
/// # Deviations
/// 1. Two modalities in place of two views: a candidate is an item of the other side. The SimCLR release
///    counts items of both views as negatives, the MoCo release those of the other view, as here.
/// 2. The mean of both directions, as in [`InfoNce`](super::InfoNce); releases average over all
///    anchors of both, or sum the directions and multiply by 2 τ.
/// 3. Where an anchor's larger exponent `q sᵢ` or `q log(λ Σⱼ e^sⱼ)` exceeds 30, its loss is divided by
///    what it exceeds, `e^(… − 30)`, without a gradient through that: unbounded scores would overflow
///    and give NaN. Cosines stay below it for `τ > q / 30`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rince {
    /// τ: divides the scores, above 0.
    pub temperature: f64,
    /// q, (0, 1].
    pub q: f64,
    /// λ: how much all candidates count beside the given one, (0, 1].
    pub lambda: f64,
}

/// The largest exponent; losses, gradients and their squares are far from the end of `f32`.
const LARGEST: f64 = 30.0;

impl Rince {
    /// One loss per pair of scores `[b, b]`.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        let logits = scores.clone() / self.temperature;
        let given = diagonal(&logits);
        let rows = self.one_way(given.clone(), log_softmax(logits.clone(), 1));
        let columns = self.one_way(given, log_softmax(logits, 0));
        PairLoss((rows + columns) * 0.5)
    }

    /// `r` from the given pairs' logits `[b]` and the logarithms of their softmax `[b, b]`.
    fn one_way(&self, given: Tensor<1>, log: Tensor<2>) -> Tensor<1> {
        let all = given.clone() - diagonal(&log);
        let given = given * self.q;
        let all = (all + self.lambda.ln()) * self.q;
        let largest = given.clone().detach().max_pair(all.clone().detach());
        let base = largest.clone().clamp_max(LARGEST);
        let bounded = |x: Tensor<1>| (x - largest.clone() + base.clone()).exp();
        (bounded(all) - bounded(given)) / self.q
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::InfoNce;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    fn rince(q: f64, lambda: f64) -> Rince {
        Rince {
            temperature: 0.4,
            q,
            lambda,
        }
    }

    #[test]
    fn it_equals_the_equation() {
        let (s, b) = (scores(5), 5);
        for (q, lambda) in [(0.1, 0.01), (0.5, 0.01), (0.5, 1.0), (1.0, 0.3)] {
            let objective = rince(q, lambda);
            let (losses, _) = run(&s, |x| objective.pair_loss(x));
            let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.4).exp();
            for (i, loss) in losses.iter().enumerate() {
                let r = |all: f64| ((lambda * all).powf(q) - e(i, i).powf(q)) / q;
                let row: f64 = (0..b).map(|j| e(i, j)).sum();
                let column: f64 = (0..b).map(|j| e(j, i)).sum();
                let expected = (r(row) + r(column)) / 2.0;
                assert!((f64::from(*loss) - expected).abs() < 1e-5 * expected.abs().max(1.0));
            }
            check_gradient(&s, |x| objective.pair_loss(x));
            check_permutation(&s, |x| objective.pair_loss(x));
        }
    }

    /// The numbers are those of the release's formula in another program.
    #[test]
    fn it_equals_numbers_of_an_independent_computation() {
        const EXPECTED: [f32; 3] = [-5.476737, -2.818672, -4.813462];
        let s = [0.9, 0.1, -0.3, 0.2, 0.4, 0.35, 0.0, -0.1, 0.8];
        let (losses, _) = run(&s, |x| rince(0.5, 0.01).pair_loss(x));
        for (found, expected) in losses.iter().zip(EXPECTED) {
            assert!((found - expected).abs() < 1e-5, "{losses:?}");
        }
    }

    #[test]
    fn a_small_exponent_gives_info_nce_and_the_logarithm_of_lambda() {
        let (s, temperature) = (scores(5), 0.4);
        let (losses, _) = run(&s, |x| rince(1e-3, 0.2).pair_loss(x));
        let (plain, _) = run(&s, |x| InfoNce { temperature }.pair_loss(x));
        for (found, plain) in losses.iter().zip(plain) {
            assert!(
                (found - plain - 0.2f32.ln()).abs() < 0.03,
                "{found} {plain}"
            );
        }
    }

    #[test]
    fn scores_without_bounds_give_finite_losses_and_gradients() {
        let objective = Rince {
            temperature: 0.01,
            ..rince(1.0, 0.01)
        };
        for scale in [1e2, -1e2, 1e6, 1e12] {
            let s: Vec<f32> = scores(4).iter().map(|x| x * scale).collect();
            let (losses, gradient) = run(&s, |x| objective.pair_loss(x));
            let finite = losses.iter().chain(&gradient).all(|x| x.is_finite());
            assert!(finite, "{losses:?} {gradient:?}");
        }
        // The guard scales, it does not stop: what is wrong is still pushed apart.
        let (_, gradient) = run(&[1.0, 4.0, 0.0, 1.0], |x| objective.pair_loss(x));
        assert!(gradient[1] > 0.0, "{gradient:?}");
    }
}
