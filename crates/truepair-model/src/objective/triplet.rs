//! Triplet ranking: the given pair must beat the batch's other pairs by a margin.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
pub use truepair_kernel::Negatives;

use super::PairLoss;
use crate::kernel;
pub use crate::kernel::Margins;

/// Settings of the triplet objective with one fixed margin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Triplet {
    /// In units of the similarity.
    pub margin: f64,
    /// Which of the batch's other pairs count.
    pub negatives: Negatives,
}

impl Default for Triplet {
    fn default() -> Self {
        Self {
            margin: 0.2,
            negatives: Negatives::Hardest,
        }
    }
}

impl Triplet {
    /// One loss per pair of scores `[b, b]`.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        triplet(scores, &Margins::Fixed(self.margin), self.negatives)
    }
}

/// Triplet ranking in both directions.
///
/// ```text
/// Rᵢⱼ = [αᵢ + Sᵢⱼ − Sᵢᵢ]₊ (image anchor)    Cᵢⱼ = [αⱼ + Sᵢⱼ − Sⱼⱼ]₊ (caption anchor)    j ≠ i
/// Lᵢ  = maxⱼ Rᵢⱼ + maxⱼ Cⱼᵢ   or   Lᵢ = (Σⱼ Rᵢⱼ + Σⱼ Cⱼᵢ) / b   or   Lᵢ = Σⱼ Rᵢⱼ + Σⱼ Cⱼᵢ
/// ```
///
/// Where several entries share the largest hinge, the first gets the gradient. A NaN among the
/// scores makes the losses NaN that it enters.
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Panics
/// If `scores` is not square or a margin has another length.
/// # Source
/// Faghri et al., BMVC 2018, Eq. 5 (sum) and 6 (hardest); Huang et al., NeurIPS 2021 (mean,
/// warm-up; soft margins). Golden `u02_ncr_losses`, `u06_vsepp_loss`.
pub fn triplet(scores: &Tensor<2>, margins: &Margins, negatives: Negatives) -> PairLoss {
    PairLoss(kernel::hinge(scores.clone(), margins, negatives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    fn oracle(s: &[f32], b: usize, margin: f64, negatives: Negatives) -> Vec<f64> {
        let at = |i: usize, j: usize| f64::from(s[i * b + j]);
        let hinge = |x: f64| (margin + x).max(0.0);
        (0..b)
            .map(|i| {
                let others = (0..b).filter(|&j| j != i);
                let rows: Vec<f64> = others.clone().map(|j| hinge(at(i, j) - at(i, i))).collect();
                let columns: Vec<f64> = others.map(|j| hinge(at(j, i) - at(i, i))).collect();
                let sum = rows.iter().sum::<f64>() + columns.iter().sum::<f64>();
                match negatives {
                    Negatives::Mean => sum / b as f64,
                    Negatives::Sum => sum,
                    Negatives::Hardest => {
                        rows.iter().fold(0.0f64, |m, x| m.max(*x))
                            + columns.iter().fold(0.0f64, |m, x| m.max(*x))
                    }
                }
            })
            .collect()
    }

    #[test]
    fn every_form_equals_the_equation() {
        for negatives in [Negatives::Hardest, Negatives::Mean, Negatives::Sum] {
            let s = scores(5);
            let objective = Triplet {
                margin: 0.3,
                negatives,
            };
            let (losses, _) = run(&s, |x| objective.pair_loss(x));
            for (loss, expected) in losses.iter().zip(oracle(&s, 5, 0.3, negatives)) {
                assert!((f64::from(*loss) - expected).abs() < 1e-5);
            }
            check_gradient(&s, |x| objective.pair_loss(x));
            check_permutation(&s, |x| objective.pair_loss(x));
        }
    }

    #[test]
    fn one_pair_has_no_negative_and_no_loss() {
        let (losses, gradient) = run(&[0.4], |x| Triplet::default().pair_loss(x));
        assert_eq!((losses[0], gradient[0]), (0.0, 0.0));
    }
}
