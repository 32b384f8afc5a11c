//! Evidence instead of probabilities: a query says how strongly it favors each candidate and, by
//! the evidence's sum, how much it knows.

use burn::tensor::Tensor;

use super::dirichlet::divergence_from_uniform;
use super::{PairLoss, per_pair};

/// The evidential loss of both directions.
///
/// ```text
/// e = exp(t / τ),   a = e + 1,   A = Σⱼ aⱼ,   p = a / A          per query over the b candidates
/// l = Σⱼ (yⱼ − pⱼ)² + Σⱼ pⱼ (1 − pⱼ) / (A + 1) + λ KL(Dir(e (1 − y) + 1) ‖ Dir(1))
/// ```
/// `y` is the pair's label at its own candidate and 0 at all others, so a pair with label 0 teaches
/// its queries to find evidence for none.
///
/// # Source
/// Qin et al., ACM MM 2022; code read at QinYang79/DECL@1b0a775. Golden `u04_decl`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidential {
    /// τ: divides the bounded scores, above 0.
    pub temperature: f64,
    /// λ: weight of the divergence of misleading evidence, at least 0.
    pub divergence: f64,
}

impl Evidential {
    /// One loss per pair of bounded scores `[b, b]` in [-1, 1], given labels `[b]` in [0, 1].
    ///
    /// # Panics
    /// If there are not `b` labels.
    pub fn pair_loss(&self, bounded: &Tensor<2>, labels: &[f32]) -> PairLoss {
        let b = bounded.dims()[0];
        let own = Tensor::eye(b, &bounded.device()) * per_pair(labels, bounded).reshape([1, b]);
        let evidence = (bounded.clone() / self.temperature).exp();
        let rows = self.one_way(evidence.clone(), own.clone());
        let columns = self.one_way(evidence.transpose(), own);
        PairLoss((rows + columns).reshape([b]))
    }

    /// The losses of the queries that are rows, `[b, 1]`.
    fn one_way(&self, evidence: Tensor<2>, own: Tensor<2>) -> Tensor<2> {
        let concentration = evidence.clone() + 1.0;
        let strength = concentration.clone().sum_dim(1);
        let mean = concentration / strength.clone();
        let error = (own.clone() - mean.clone()).powi_scalar(2).sum_dim(1);
        let spread = (mean.clone() * (mean.neg() + 1.0)).sum_dim(1) / (strength + 1.0);
        let misleading = evidence * (own.neg() + 1.0) + 1.0;
        error + spread + divergence_from_uniform(misleading) * self.divergence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    const OBJECTIVE: Evidential = Evidential {
        temperature: 0.5,
        divergence: 0.1,
    };

    #[test]
    fn gradients_and_permutation() {
        check_gradient(&scores(5), |x| {
            OBJECTIVE.pair_loss(x, &[1.0, 0.0, 1.0, 0.5, 1.0])
        });
        check_permutation(&scores(5), |x| OBJECTIVE.pair_loss(x, &[1.0; 5]));
    }

    #[test]
    fn a_similar_pair_is_pushed_apart_by_label_0_and_together_by_1() {
        let eye: Vec<f32> = (0..16)
            .map(|k| if k % 5 == 0 { 0.8 } else { 0.0 })
            .collect();
        let (_, apart) = run(&eye, |x| OBJECTIVE.pair_loss(x, &[0.0; 4]));
        let (_, together) = run(&eye, |x| OBJECTIVE.pair_loss(x, &[1.0; 4]));
        for k in (0..16).step_by(5) {
            assert!(
                apart[k] > 0.0 && together[k] < 0.0,
                "{apart:?} {together:?}"
            );
        }
    }

    #[test]
    fn evidence_at_its_bounds_stays_finite() {
        let sharp = Evidential {
            temperature: 0.1,
            ..OBJECTIVE
        };
        let bounds = [1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0];
        let (losses, gradient) = run(&bounds, |x| sharp.pair_loss(x, &[1.0, 1.0, 0.0]));
        assert!(
            losses.iter().chain(&gradient).all(|x| x.is_finite()),
            "{losses:?}"
        );
    }
}
