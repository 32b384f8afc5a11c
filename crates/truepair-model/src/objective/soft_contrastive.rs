//! Soft contrastive: every pair of the batch is a match or a mismatch, as likely as its score says.

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::PairLoss;
use crate::numbers::floats;

/// Binary cross-entropy of scores that are log odds of a match, over all `b²` pairs of the batch,
/// each read from its image and from its caption:
///
/// ```text
/// hᵢⱼ(y) = −y log σ(Sᵢⱼ) − (1 − y) log (1 − σ(Sᵢⱼ))
/// Lᵢ = w Σⱼ [hᵢⱼ(Yᵢⱼ) + hⱼᵢ(Yⱼᵢ)] + α w Σⱼ [hᵢⱼ(Y'ᵢⱼ) + hⱼᵢ(Y''ⱼᵢ)],   w = 1 or 1/b
/// ```
/// `Y` is the identity unless other targets are given. In `Y'` every entry of a row that scores at
/// least as high as the row's largest target counts as much as that target (a pseudo-positive);
/// `Y''` is the same of columns. No gradient flows through targets.
///
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// Oh et al., ICLR 2019 (HIB); Chun et al., CVPR 2021 (PCME), code read at naver-ai/pcme@4947684,
/// `MCSoftContrastiveLoss` (sum); Chun, ICLR 2024 (PCME++), code read at naver-ai/pcmepp@8829c0d,
/// `ClosedFormSampledDistanceLoss` (mean, pseudo-positives). Golden `u09_pcme_loss`,
/// `u09_pcmepp_loss`, `u09_pcmepp_mc_loss`. Both released codes compute the two directions' equal
/// losses and add them; so does `Lᵢ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftContrastive {
    /// How the pairs of an anchor are added up.
    pub over: Over,
    /// α: weight of the terms with pseudo-positives, at least 0.
    pub pseudo: f64,
}

/// How the pairs of an anchor are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Divided by their number: PCME++.
    Mean,
    /// Summed: PCME.
    Sum,
}

impl Default for SoftContrastive {
    fn default() -> Self {
        Self {
            over: Over::Mean,
            pseudo: 0.0,
        }
    }
}

impl SoftContrastive {
    /// One loss per pair of scores `[b, b]`; only given pairs match.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        let b = scores.dims()[0];
        let identity: Vec<f32> = (0..b * b).map(|at| f32::from(at % (b + 1) == 0)).collect();
        self.pair_loss_to(scores, &identity)
    }

    /// One loss per pair of scores `[b, b]` with targets `[b * b]` in [0, 1].
    ///
    /// # Panics
    /// If the scores are not square or there is not one target for each.
    pub fn pair_loss_to(&self, scores: &Tensor<2>, targets: &[f32]) -> PairLoss {
        let [b, columns] = scores.dims();
        assert_eq!((b, b * b), (columns, targets.len()), "one target a pair");
        let mut by_row = cross_entropy(scores, targets.to_vec());
        let mut by_column = by_row.clone();
        if self.pseudo > 0.0 {
            let plain = floats(scores.clone().detach());
            let rows = pseudo_positives(&plain, targets, b);
            let columns = pseudo_positives(&transposed(&plain, b), &transposed(targets, b), b);
            by_row = by_row + cross_entropy(scores, rows) * self.pseudo;
            let columns = transposed(&columns, b);
            by_column = by_column + cross_entropy(scores, columns) * self.pseudo;
        }
        let total = by_row.sum_dim(1).reshape([b]) + by_column.sum_dim(0).reshape([b]);
        PairLoss(match self.over {
            Over::Mean => total / b as f64,
            Over::Sum => total,
        })
    }
}

/// `log(1 + eˢ) − y s` of every entry.
fn cross_entropy(scores: &Tensor<2>, targets: Vec<f32>) -> Tensor<2> {
    let data = TensorData::new(targets, scores.dims());
    let targets = Tensor::<2>::from_data(data, &scores.device());
    let softplus = relu(scores.clone()) + (scores.clone().abs().neg().exp() + 1.0).log();
    softplus - scores.clone() * targets
}

/// Per row, the largest target wherever the score is at least that of the largest target's entry.
fn pseudo_positives(scores: &[f32], targets: &[f32], b: usize) -> Vec<f32> {
    let mut out = targets.to_vec();
    let rows = scores.chunks_exact(b).zip(targets.chunks_exact(b));
    for (out, (scores, targets)) in out.chunks_exact_mut(b).zip(rows) {
        let first = (0, f32::NEG_INFINITY);
        let (at, most) = (targets.iter().enumerate()).fold(first, |best, (at, &target)| {
            if target > best.1 { (at, target) } else { best }
        });
        for (out, &score) in out.iter_mut().zip(scores) {
            if score >= scores[at] {
                *out = most;
            }
        }
    }
    out
}

fn transposed(values: &[f32], b: usize) -> Vec<f32> {
    (0..b * b).map(|at| values[at % b * b + at / b]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    fn oracle(s: &[f32], b: usize, objective: &SoftContrastive) -> Vec<f64> {
        let at = |i: usize, j: usize| f64::from(s[i * b + j]);
        let h = |s: f64, y: f64| {
            let p = 1.0 / (1.0 + (-s).exp());
            -y * p.ln() - (1.0 - y) * (1.0 - p).ln()
        };
        let given = |i: usize, j: usize| f64::from(u8::from(i == j));
        let pseudo = |own: f64, other: f64| f64::from(u8::from(other >= own));
        (0..b)
            .map(|i| {
                let mut sum = 0.0;
                for j in 0..b {
                    sum += h(at(i, j), given(i, j)) + h(at(j, i), given(i, j));
                    let extra = h(at(i, j), pseudo(at(i, i), at(i, j)))
                        + h(at(j, i), pseudo(at(i, i), at(j, i)));
                    sum += objective.pseudo * extra;
                }
                match objective.over {
                    Over::Mean => sum / b as f64,
                    Over::Sum => sum,
                }
            })
            .collect()
    }

    #[test]
    fn every_form_equals_the_equation() {
        let s: Vec<f32> = scores(5).iter().map(|x| 3.0 * x - 0.4).collect();
        for over in [Over::Mean, Over::Sum] {
            for pseudo in [0.0, 0.3] {
                let objective = SoftContrastive { over, pseudo };
                let (losses, _) = run(&s, |x| objective.pair_loss(x));
                for (loss, expected) in losses.iter().zip(oracle(&s, 5, &objective)) {
                    let error = (f64::from(*loss) - expected).abs();
                    assert!(error < 1e-5 * expected.max(1.0), "{loss} {expected}");
                }
                // Which entries are pseudo-positives can change within a finite difference.
                if pseudo == 0.0 {
                    check_gradient(&s, |x| objective.pair_loss(x));
                }
                check_permutation(&s, |x| objective.pair_loss(x));
            }
        }
    }

    #[test]
    fn a_soft_target_is_handed_to_what_scores_as_high() {
        let scores = [0.1, 0.5, 0.3, 0.9];
        let targets = [0.7, 0.3, 0.2, 0.8];
        assert_eq!(pseudo_positives(&scores, &targets, 2), [0.7, 0.7, 0.2, 0.8]);
        assert_eq!(transposed(&scores, 2), [0.1, 0.3, 0.5, 0.9]);
    }

    #[test]
    fn hopeless_scores_give_finite_losses() {
        let (losses, gradient) = run(&[-900.0, 900.0, 0.0, 900.0], |x| {
            SoftContrastive::default().pair_loss(x)
        });
        assert!(losses.iter().chain(&gradient).all(|x| x.is_finite()));
        let expected = (3.0 * 900.0 + std::f32::consts::LN_2) / 2.0;
        assert!((losses[0] - expected).abs() < 1e-3);
    }
}
