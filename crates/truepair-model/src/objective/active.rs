//! Active complementary learning: assert a pair as far as it is believed, deny all others.

use burn::tensor::Tensor;

use super::{PairLoss, diagonal, log_probabilities, off_diagonal, per_pair};

/// The active complementary loss.
///
/// ```text
/// pᵢⱼ = softmaxⱼ(Sᵢⱼ / τ)      uᵢⱼ = softmaxⱼ(Sⱼᵢ / τ)
/// Lᵢ  = yᵢ (−log pᵢᵢ − log uᵢᵢ) + λ (D(pᵢ, yᵢ) + D(uᵢ, yᵢ))
/// D(p, y) = Σ_{j≠i} tan pⱼ / (Σⱼ tan pⱼ)^(1−y)
/// ```
/// With `y = 1` the denial `D` is the plain complementary sum; with `y = 0` it is a share, at most 1
/// and as robust as the mean absolute error.
///
/// # Source
/// Qin et al., NeurIPS 2023; code read at QinYang79/CRCL@4a96406. Golden `u04_crcl`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveComplementary {
    /// τ: divides the scores, above 0.
    pub temperature: f64,
    /// λ: weight of the denial, at least 0.
    pub denial: f64,
}

impl ActiveComplementary {
    /// One loss per pair of scores `[b, b]`, given soft correspondences `[b]` in [0, 1].
    ///
    /// # Panics
    /// If there are not `b` soft correspondences.
    pub fn pair_loss(&self, scores: &Tensor<2>, labels: &[f32]) -> PairLoss {
        let belief = per_pair(labels, scores);
        let off = off_diagonal(scores);
        let [row, column] = log_probabilities(scores, self.temperature).map(|anchored| {
            let denied = denial(anchored.clone(), off.clone(), &belief);
            denied * self.denial - diagonal(&anchored) * belief.clone()
        });
        PairLoss(row + column)
    }
}

/// `D` of every anchor, `[b]`, from log-probabilities with anchors as rows.
fn denial(log_p: Tensor<2>, off: Tensor<2>, belief: &Tensor<1>) -> Tensor<1> {
    let b = log_p.dims()[0];
    let tangents = log_p.exp().tan();
    // A softmax has the sum 1 and tan p ≥ p, so the logarithm is of a number of at least 1.
    let total = tangents.clone().sum_dim(1).reshape([b]);
    let denied = (tangents * off).sum_dim(1).reshape([b]);
    let doubt = belief.clone().neg() + 1.0;
    denied / (total.log() * doubt).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};
    use crate::objective::{ComplementForm, Complementary, InfoNce};

    const OBJECTIVE: ActiveComplementary = ActiveComplementary {
        temperature: 0.4,
        denial: 5.0,
    };

    #[test]
    fn believing_everything_is_info_nce_and_the_plain_complementary_loss() {
        let s = scores(5);
        let (losses, _) = run(&s, |x| OBJECTIVE.pair_loss(x, &[1.0; 5]));
        let (positive, _) = run(&s, |x| InfoNce { temperature: 0.4 }.pair_loss(x));
        let plain = Complementary {
            form: ComplementForm::Tan,
            temperature: 0.4,
            ..Complementary::default()
        };
        let (negative, _) = run(&s, |x| plain.pair_loss(x, None));
        for i in 0..5 {
            let expected = 2.0 * positive[i] + 5.0 * negative[i];
            assert!((losses[i] - expected).abs() < 1e-4 * expected);
        }
    }

    #[test]
    fn a_disbelieved_pair_is_denied_by_a_share() {
        let wrong = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let objective = ActiveComplementary {
            temperature: 0.01,
            denial: 1.0,
        };
        let (losses, gradient) = run(&wrong, |x| objective.pair_loss(x, &[0.0; 3]));
        assert!((losses[0] - 2.0).abs() < 1e-5, "{losses:?}");
        assert!(gradient.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn gradients_and_permutation() {
        let labels = [1.0, 0.3, 0.0, 0.8, 0.5];
        check_gradient(&scores(5), |x| OBJECTIVE.pair_loss(x, &labels));
        check_permutation(&scores(5), |x| OBJECTIVE.pair_loss(x, &[0.6; 5]));
    }
}
