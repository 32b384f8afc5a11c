//! Triplet alignment: the hardest-negative triplet made smooth, so that all negatives count by
//! their hardness.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};
use serde::{Deserialize, Serialize};

use super::PairLoss;

/// The triplet alignment loss.
///
/// ```text
/// Lᵢ = [α − Pᵢ + τ log Σ_{j∉Nᵢ} exp(Sᵢⱼ / τ)]₊ + [α − P′ᵢ + τ log Σ_{j∉Nᵢ} exp(Sⱼᵢ / τ)]₊
/// ```
/// `Nᵢ` are the positives of pair `i`, by default `i` alone; `Pᵢ` is their scores' mean in the row,
/// weighted by `softmax(S / τ)` through which no gradient flows, and `P′ᵢ` that in the column. The
/// hinge is never below that of the hardest negative, and equals it as `τ → 0`.
///
/// # Source
/// Qin et al., CVPR 2024; code read at QinYang79/RDE@b3fd396. Golden `u04_rde_tal`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tal {
    /// α, in units of the similarity.
    pub margin: f64,
    /// τ, in units of the similarity: how much softer than the maximum.
    pub temperature: f64,
}

impl Default for Tal {
    fn default() -> Self {
        Self {
            margin: 0.1,
            temperature: 0.015,
        }
    }
}

/// Stands for the logit of an entry that is left out: its exponential is 0 beside any other.
const LEFT_OUT: f32 = -1e30;

impl Tal {
    /// One loss per pair of scores `[b, b]`. `positives` `[b, b]` is 1 where image and caption
    /// match, the diagonal included, and 0 elsewhere; `None` for the diagonal alone.
    pub fn pair_loss(&self, scores: &Tensor<2>, positives: Option<Tensor<2>>) -> PairLoss {
        let b = scores.dims()[0];
        let positives = positives.unwrap_or_else(|| Tensor::eye(b, &scores.device()));
        let rows = self.one_way(scores.clone(), positives.clone());
        let columns = self.one_way(scores.clone().transpose(), positives.transpose());
        PairLoss(rows + columns)
    }

    /// The hinges of the anchors that are rows, `[b]`.
    fn one_way(&self, scores: Tensor<2>, positives: Tensor<2>) -> Tensor<1> {
        let b = scores.dims()[0];
        let is_positive = positives.equal_elem(1.0);
        let logits = scores.clone() / self.temperature;
        let negatives = logits.clone().mask_fill(is_positive.clone(), LEFT_OUT);
        let largest = negatives.clone().detach().max_dim(1);
        let sum = (negatives - largest.clone()).exp().sum_dim(1);
        let hardness = (sum.log() + largest) * self.temperature;
        let weights = logits.detach().mask_fill(is_positive.bool_not(), LEFT_OUT);
        let own = (softmax(weights, 1) * scores).sum_dim(1);
        relu(hardness - own + self.margin).reshape([b])
    }

    /// [`pair_loss`](Self::pair_loss) of plain scores `[b * b]`, `[b]`.
    ///
    /// # Panics
    /// If the number of scores is no square.
    pub fn measure(&self, scores: &[f32]) -> Vec<f32> {
        let b = scores.len().isqrt();
        assert_eq!(b * b, scores.len(), "scores of a batch are square");
        let at = |i: usize, j: usize| f64::from(scores[i * b + j]);
        let hinge = |own: f64, others: &dyn Fn(usize) -> f64, i: usize| {
            let others = (0..b).filter(|&j| j != i).map(others);
            let gap = self.soft_maximum(others) - own;
            (self.margin + gap).max(0.0)
        };
        (0..b)
            .map(|i| {
                let own = at(i, i);
                (hinge(own, &|j| at(i, j), i) + hinge(own, &|j| at(j, i), i)) as f32
            })
            .collect()
    }

    /// `τ log Σ exp(x / τ)`; −∞ of nothing.
    fn soft_maximum(&self, values: impl Iterator<Item = f64> + Clone) -> f64 {
        let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let sum: f64 = values
            .map(|x| ((x - largest) / self.temperature).exp())
            .sum();
        largest + self.temperature * sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};
    use crate::objective::{Margins, Negatives, triplet};
    use burn::tensor::TensorData;

    const SMOOTH: Tal = Tal {
        margin: 0.3,
        temperature: 0.4,
    };

    #[test]
    fn tensors_and_plain_numbers_agree() {
        let s = scores(5);
        for objective in [SMOOTH, Tal::default()] {
            let (losses, _) = run(&s, |x| objective.pair_loss(x, None));
            let plain = objective.measure(&s);
            assert!(losses.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        check_gradient(&s, |x| SMOOTH.pair_loss(x, None));
        check_permutation(&s, |x| SMOOTH.pair_loss(x, None));
    }

    #[test]
    fn a_small_temperature_gives_the_hardest_negative() {
        let s = scores(6);
        let objective = Tal {
            margin: 0.2,
            temperature: 1e-4,
        };
        let (smooth, _) = run(&s, |x| objective.pair_loss(x, None));
        let (hard, _) = run(&s, |x| triplet(x, &Margins::Fixed(0.2), Negatives::Hardest));
        assert!(
            smooth.iter().zip(&hard).all(|(a, b)| (a - b).abs() < 1e-3),
            "{smooth:?} {hard:?}"
        );
    }

    #[test]
    fn one_pair_or_only_positives_have_no_loss() {
        assert_eq!(run(&[0.4], |x| SMOOTH.pair_loss(x, None)).0, [0.0]);
        assert_eq!(SMOOTH.measure(&[0.4]), [0.0]);
        let all = |x: &Tensor<2>| {
            Tensor::from_data(TensorData::new(vec![1.0f32; 9], [3, 3]), &x.device())
        };
        let (losses, gradient) = run(&scores(3), |x| SMOOTH.pair_loss(x, Some(all(x))));
        assert!(losses.iter().chain(&gradient).all(|&x| x == 0.0));
    }
}
