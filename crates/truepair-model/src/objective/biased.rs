//! Complementary learning with a bias: which of the negatives are denied how often.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::{PairLoss, off_diagonal};

/// The biased complementary loss of both directions.
///
/// A pair's complementary label "this caption is not mine" falls on caption `j` with probability
/// `Qᵢⱼ`, and the model is asked for the probability of that label:
/// ```text
/// qᵢ = softmaxⱼ(Sᵢⱼ / τ)      Qᵢⱼ ∝ exp(κ Sᵢⱼ / τ) for j ≠ i, Qᵢᵢ = 0, no gradient through Q
/// Lᵢ = (b − 1) KL(Qᵢ ‖ Qᵀqᵢ) and the same with images and captions exchanged
/// ```
/// `L` is 0 exactly for an ordinary classifier's optimum `qᵢᵢ = 1`. With `κ = 0` it is the log form of
/// [`Complementary`](super::Complementary) over all negatives; `κ > 0` stresses hard negatives, `κ < 0`
/// those that hard-negative mining never looks at.
///
/// # Source
/// Properties: SREM, AAAI 2024 (arXiv 2312.16478), of which the abstract alone was available. Form: the
/// forward correction of biased complementary labels, as a reconstruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BiasedComplementary {
    /// τ: divides the scores, above 0.
    pub temperature: f64,
    /// κ, any number.
    pub bias: f64,
}

impl BiasedComplementary {
    /// One loss per pair of scores `[b, b]`.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        let b = scores.dims()[0];
        let logits = scores.clone() / self.temperature;
        let rows = self.one_way(logits.clone());
        let columns = self.one_way(logits.transpose());
        PairLoss((rows + columns).reshape([b]))
    }

    /// The losses of the anchors that are rows, `[b, 1]`.
    fn one_way(&self, logits: Tensor<2>) -> Tensor<2> {
        let n_negatives = logits.dims()[0] as f64 - 1.0;
        let chance = self.chance(&logits);
        // A sum of positive terms keeps the digits that 1 − q would lose.
        let complement = softmax(logits, 1).matmul(chance.clone());
        let ratio = chance.clone().clamp_min(1e-30).log() - complement.clamp_min(1e-30).log();
        (chance * ratio).sum_dim(1) * n_negatives
    }

    /// `Q`, `[b, b]`.
    fn chance(&self, logits: &Tensor<2>) -> Tensor<2> {
        let tilted = logits.clone().detach() * self.bias;
        let off = off_diagonal(logits);
        let candidates = tilted.mask_fill(off.clone().equal_elem(0.0), -1e30);
        let largest = candidates.clone().max_dim(1);
        let weights = (candidates - largest).exp() * off;
        weights.clone() / weights.sum_dim(1).clamp_min(1e-30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Complementary;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    fn objective(bias: f64) -> BiasedComplementary {
        BiasedComplementary {
            temperature: 0.4,
            bias,
        }
    }

    #[test]
    fn without_bias_it_is_the_complementary_loss() {
        let s = scores(5);
        let plain = Complementary {
            temperature: 0.4,
            ..Complementary::default()
        };
        let (expected, slope) = run(&s, |x| plain.pair_loss(x, None));
        let (found, gradient) = run(&s, |x| objective(0.0).pair_loss(x));
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4 * b, "{found:?} {expected:?}");
        }
        assert!(
            gradient
                .iter()
                .zip(&slope)
                .all(|(a, b)| (a - b).abs() < 1e-3)
        );
    }

    #[test]
    fn gradients_and_permutation() {
        // The finite difference of a biased loss would move Q as well, which the gradient must not.
        check_gradient(&scores(5), |x| objective(0.0).pair_loss(x));
        for bias in [-1.0, 0.0, 1.0] {
            check_permutation(&scores(5), |x| objective(bias).pair_loss(x));
        }
    }

    #[test]
    fn a_certain_match_costs_nothing_and_one_pair_has_no_negative() {
        let eye = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        for bias in [-1.0, 0.0, 1.0] {
            let sharp = BiasedComplementary {
                temperature: 0.01,
                bias,
            };
            let (losses, gradient) = run(&eye, |x| sharp.pair_loss(x));
            assert!(losses.iter().all(|x| x.abs() < 1e-4), "{losses:?}");
            assert!(gradient.iter().all(|x| x.is_finite()));
            assert_eq!(run(&[0.4], |x| sharp.pair_loss(x)).0, [0.0]);
        }
    }
}
