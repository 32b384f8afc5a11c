//! InfoNCE: the given pair against the batch under a softmax, in both directions.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};

use super::{PairLoss, diagonal};
use crate::kernel;

/// Symmetric cross-entropy over the batch.
///
/// ```text
/// Lᵢ = −½ log softmaxⱼ(Sᵢⱼ / τ)ᵢ − ½ log softmaxⱼ(Sⱼᵢ / τ)ᵢ
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// van den Oord et al., 2018; symmetric form of Radford et al., ICML 2021.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoNce {
    /// τ: divides the scores; fixed, not learned.
    pub temperature: f64,
}

impl Default for InfoNce {
    fn default() -> Self {
        Self { temperature: 0.07 }
    }
}

impl InfoNce {
    /// One loss per pair of scores `[b, b]`.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        PairLoss(match kernel::is_fused(&scores.device()) {
            true => kernel::info_nce(scores.clone(), self.temperature),
            false => self.twin(scores),
        })
    }

    pub(crate) fn twin(&self, scores: &Tensor<2>) -> Tensor<1> {
        let logits = scores.clone() / self.temperature;
        let rows = diagonal(&log_softmax(logits.clone(), 1));
        let columns = diagonal(&log_softmax(logits, 0));
        (rows + columns) * -0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    #[test]
    fn it_equals_the_equation() {
        let (s, b, objective) = (scores(5), 5, InfoNce { temperature: 0.4 });
        let (losses, _) = run(&s, |x| objective.pair_loss(x));
        let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.4).exp();
        for (i, loss) in losses.iter().enumerate() {
            let row: f64 = (0..b).map(|j| e(i, j)).sum();
            let column: f64 = (0..b).map(|j| e(j, i)).sum();
            let expected = -0.5 * ((e(i, i) / row).ln() + (e(i, i) / column).ln());
            assert!((f64::from(*loss) - expected).abs() < 1e-5);
        }
        check_gradient(&s, |x| objective.pair_loss(x));
        check_permutation(&s, |x| objective.pair_loss(x));
    }
}
