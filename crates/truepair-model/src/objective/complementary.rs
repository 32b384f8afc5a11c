//! Complementary learning: say only what a caption is *not*, which is rarely wrong.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{PairLoss, off_diagonal};

/// The penalty `f` on the probability of a negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComplementForm {
    /// `−log(1 − p)`; the paper's default.
    Log,
    /// `tan p`.
    Tan,
    /// `p`.
    Mae,
    /// `exp(−(1 − p))`.
    Exp,
    /// `(1 − (1 − p)^q) / q`.
    Gce,
}

/// The robust complementary contrastive loss.
///
/// ```text
/// pᵢⱼ = softmaxⱼ(Sᵢⱼ / τ)      uᵢⱼ = softmaxᵢ(Sᵢⱼ / τ)
/// Lᵢ  = Σ_{j≠i} f(pᵢⱼ) + Σ_{j≠i} f(uⱼᵢ)
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// Hu et al., TPAMI 2023; code read at penghu-cs/RCL (golden `u04_rcl`).
/// # Deviations
/// 1. `1 − p` of the likeliest candidate is summed from the others instead of subtracted from 1, and
///    is at least 1e-30: in single precision the released form loses all digits when `p` is near 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Complementary {
    /// Shape of the penalty.
    pub form: ComplementForm,
    /// τ: divides the scores.
    pub temperature: f64,
    /// Exponent of the `gce` form, (0, 1].
    pub q: f64,
}

impl Default for Complementary {
    fn default() -> Self {
        Self {
            form: ComplementForm::Log,
            temperature: 0.07,
            q: 0.5,
        }
    }
}

impl Complementary {
    /// One loss per pair of scores `[b, b]`. `negatives` `[b, b]` is 1 where entry (anchor,
    /// candidate) counts; all others count when it is `None`.
    pub fn pair_loss(&self, scores: &Tensor<2>, negatives: Option<Tensor<2>>) -> PairLoss {
        let b = scores.dims()[0];
        let off = off_diagonal(scores);
        let counted = match negatives {
            Some(chosen) => chosen * off,
            None => off,
        };
        let [rows, columns] = self.penalties(scores);
        let rows = (rows * counted.clone()).sum_dim(1);
        let columns = (columns * counted).sum_dim(1);
        PairLoss((rows + columns).reshape([b]))
    }

    /// The penalty of every candidate of scores `[b, b]` in both directions, `[b, b]` each with
    /// anchors as rows, the given pairs on the diagonal included.
    pub fn penalties(&self, scores: &Tensor<2>) -> [Tensor<2>; 2] {
        let logits = scores.clone() / self.temperature;
        [
            self.penalty(logits.clone()),
            self.penalty(logits.transpose()),
        ]
    }

    fn penalty(&self, logits: Tensor<2>) -> Tensor<2> {
        let (p, complement) = probabilities(logits);
        match self.form {
            ComplementForm::Log => complement.log().neg(),
            ComplementForm::Tan => p.tan(),
            ComplementForm::Mae => p,
            ComplementForm::Exp => complement.neg().exp(),
            ComplementForm::Gce => (complement.powf_scalar(self.q).neg() + 1.0) / self.q,
        }
    }
}

/// Negative learning: `−log(1 − p)` of every entry under a softmax along rows, `[n, c]`; what it
/// costs to say of a candidate that it is not the match.
///
/// # Source
/// Kim et al., ICCV 2019; code read at ydkim1293/NLNL-Negative-Learning-for-Noisy-Labels@921dec4
/// (golden `u04_nlnl`).
/// # Deviations
/// 1. The release clips `1 − p` to [1e-5, 1], which stops the gradient just where a candidate is
///    held a match for certain. Here `1 − p` is at least 1e-30.
pub fn negative_log(logits: Tensor<2>) -> Tensor<2> {
    probabilities(logits).1.log().neg()
}

/// `p` and `1 − p` of every entry under a softmax along rows, both accurate.
fn probabilities(logits: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let largest = logits.clone().detach().max_dim(1);
    let shifted = (logits - largest.clone()).exp();
    // Exactly the entries at the row's largest logit have exp(0) = 1.
    let is_largest = shifted.clone().detach().equal_elem(1.0);
    let total = shifted.clone().sum_dim(1);
    let rest = shifted
        .clone()
        .mask_fill(is_largest.clone(), 0.0)
        .sum_dim(1);
    let top = shifted
        .clone()
        .mask_fill(is_largest.clone().bool_not(), 0.0)
        .sum_dim(1);
    let p = shifted.clone() / total.clone();
    // Beside an entry at the top are its ties. Without one, `top − shifted` is 0 and so is its
    // gradient, which rounding would let drown that of a small rest.
    let alone = (is_largest.clone().float().sum_dim(1)).equal_elem(1.0);
    let ties = (top - shifted.clone()).mask_fill(alone.expand(shifted.dims()), 0.0);
    let summed = (rest + ties) / total;
    let complement = (p.clone().neg() + 1.0).mask_where(is_largest, summed);
    (p, complement.clamp_min(1e-30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    const FORMS: [ComplementForm; 5] = [
        ComplementForm::Log,
        ComplementForm::Tan,
        ComplementForm::Mae,
        ComplementForm::Exp,
        ComplementForm::Gce,
    ];

    fn f(form: ComplementForm, p: f64) -> f64 {
        match form {
            ComplementForm::Log => -(1.0 - p).ln(),
            ComplementForm::Tan => p.tan(),
            ComplementForm::Mae => p,
            ComplementForm::Exp => (-(1.0 - p)).exp(),
            ComplementForm::Gce => (1.0 - (1.0 - p).powf(0.5)) / 0.5,
        }
    }

    #[test]
    fn every_form_equals_the_equation() {
        let (s, b) = (scores(5), 5);
        for form in FORMS {
            let objective = Complementary {
                form,
                temperature: 0.4,
                q: 0.5,
            };
            let (losses, _) = run(&s, |x| objective.pair_loss(x, None));
            let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.4).exp();
            for (i, loss) in losses.iter().enumerate() {
                let row: f64 = (0..b).map(|j| e(i, j)).sum();
                let column: f64 = (0..b).map(|j| e(j, i)).sum();
                let expected: f64 = (0..b)
                    .filter(|&j| j != i)
                    .map(|j| f(form, e(i, j) / row) + f(form, e(j, i) / column))
                    .sum();
                assert!(
                    (f64::from(*loss) - expected).abs() < 1e-4 * expected,
                    "{form:?}"
                );
            }
            check_gradient(&s, |x| objective.pair_loss(x, None));
            check_permutation(&s, |x| objective.pair_loss(x, None));
        }
    }

    #[test]
    fn a_saturated_wrong_candidate_gives_a_finite_loss_and_gradient() {
        let saturated = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        let objective = Complementary {
            temperature: 0.01,
            ..Complementary::default()
        };
        let (losses, gradient) = run(&saturated, |x| objective.pair_loss(x, None));
        assert!(
            losses.iter().chain(&gradient).all(|x| x.is_finite()),
            "{losses:?} {gradient:?}"
        );
        assert!(losses[0] > 90.0, "the loss keeps its digits: {losses:?}");
    }

    #[test]
    fn equal_scores_share_the_gradient() {
        let (losses, gradient) = run(&[0.5; 9], |x| Complementary::default().pair_loss(x, None));
        assert!(losses.iter().all(|x| (x - losses[0]).abs() < 1e-5));
        assert!((gradient[1] - gradient[3]).abs() < 1e-4 && gradient[0] < 0.0);
    }
}
