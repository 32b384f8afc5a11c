//! Early-learning regularization: predictions are held near what was learned before errors were
//! memorized.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{diagonal, hardest_others};

/// Distance of probabilities from 0 and 1.
const CLIP: f32 = 1e-4;

/// `log(1 − ⟨p, t⟩)` of every row, `[n]`, at most 0: the term falls as predictions `p` agree with
/// targets `t`. It is added with a positive weight.
///
/// # Shapes
/// - `p`, `targets`: `[n, c]`; rows of `p` sum to 1, those of `targets` to at most 1; no gradient
///   flows through targets
/// # Source
/// Liu et al., NeurIPS 2020; code read at shengliu66/ELR@934af53 (golden `u04_elr`, `u04_elr_plus`).
/// `p` is clipped to [1e-4, 1 − 1e-4], without gradient outside, as released.
/// # Deviations
/// 1. `1 − ⟨p, t⟩` is at least 1e-6, which matters only to targets whose sum exceeds 1.
pub fn early_learning(p: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let n = p.dims()[0];
    let p = p.clamp(CLIP, 1.0 - CLIP);
    let agreement = (p * targets.detach()).sum_dim(1).reshape([n]);
    (agreement.neg() + 1.0).clamp_min(1e-6).log()
}

/// One visit's change of a pair's targets `[c]`: `t ← β t + (1 − β) p / Σp`, `p` clipped to
/// [1e-4, 1 − 1e-4]. Targets start at 0.
///
/// # Source
/// As [`early_learning`].
/// # Panics
/// If the lengths differ.
pub fn accumulate(targets: &mut [f32], p: &[f32], beta: f64) {
    assert_eq!(targets.len(), p.len(), "one target a class");
    let clipped = |p: f32| f64::from(p.clamp(CLIP, 1.0 - CLIP));
    let sum: f64 = p.iter().map(|&p| clipped(p)).sum();
    for (target, &p) in targets.iter_mut().zip(p) {
        *target = (beta * f64::from(*target) + (1.0 - beta) * clipped(p) / sum) as f32;
    }
}

/// The probability that a pair is a match in a choice between it and its hardest negative, mean of
/// both directions, `[b]`; 0.5 is chance.
///
/// ```text
/// pᵢ = (σ((Sᵢᵢ − S_{i,h}) / τ) + σ((Sᵢᵢ − S_{h',i}) / τ)) / 2
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; a batch of one pair gives 1
pub fn beats_hardest(scores: &Tensor<2>, temperature: f64) -> Tensor<1> {
    let own = diagonal(scores);
    let [row, column] =
        hardest_others(scores).map(|other| sigmoid((own.clone() - other) / temperature));
    (row + column) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::PairLoss;
    use crate::objective::check::{check_gradient, check_permutation, run, scores, tracked};
    use crate::objective::softmax::per_entry;
    use burn::tensor::activation::softmax;

    #[test]
    fn the_probability_of_beating_the_hardest_equals_its_definition() {
        let s = scores(5);
        let loss = |x: &Tensor<2>| PairLoss(beats_hardest(x, 0.3));
        let (found, _) = run(&s, loss);
        let sigma = |x: f32| 1.0 / (1.0 + (-x / 0.3).exp());
        for (i, found) in found.iter().enumerate() {
            let others = || (0..5).filter(|&j| j != i);
            let row = others().map(|j| s[i * 5 + j]).fold(f32::MIN, f32::max);
            let column = others().map(|j| s[j * 5 + i]).fold(f32::MIN, f32::max);
            let own = s[i * 6];
            let expected = (sigma(own - row) + sigma(own - column)) / 2.0;
            assert!((found - expected).abs() < 1e-5);
        }
        check_gradient(&s, loss);
        check_permutation(&s, loss);
        let (alone, gradient) = run(&[0.3], loss);
        assert_eq!((alone[0], gradient[0]), (1.0, 0.0));
    }

    #[test]
    fn the_term_and_its_gradient_equal_the_equation() {
        let s = scores(5);
        let targets: Vec<f32> = (0..25).map(|at| 0.18 * ((at % 5) as f32 / 4.0)).collect();
        let loss = |x: &Tensor<2>| {
            PairLoss(early_learning(
                softmax(x.clone(), 1),
                per_entry(&targets, x),
            ))
        };
        check_gradient(&s, loss);
        let (found, gradient) = run(&s, loss);
        for i in 0..5 {
            let row = &s[i * 5..][..5];
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            let p: Vec<f32> = row.iter().map(|x| x.exp() / sum).collect();
            let t = &targets[i * 5..][..5];
            let agreement: f32 = p.iter().zip(t).map(|(p, t)| p * t).sum();
            assert!((found[i] - (1.0 - agreement).ln()).abs() < 1e-5);
            for c in 0..5 {
                let expected = p[c] * (agreement - t[c]) / (1.0 - agreement);
                assert!((gradient[i * 5 + c] - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn targets_of_0_have_no_effect_and_certain_ones_stay_finite() {
        let p = tracked(&[1.0, 0.0, 0.0, 1.0]);
        let none = early_learning(p.clone(), Tensor::zeros([2, 2], &p.device()));
        assert_eq!(none.into_data().try_into_vec::<f32>().unwrap(), [0.0, 0.0]);
        let certain = early_learning(p.clone(), Tensor::ones([2, 2], &p.device()));
        let values: Vec<f32> = certain.into_data().try_into_vec().unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{values:?}");
    }

    #[test]
    fn visits_accumulate_toward_the_prediction() {
        let mut targets = [0.0, 0.0];
        accumulate(&mut targets, &[0.8, 0.2], 0.7);
        assert!((targets[0] - 0.24).abs() < 1e-6 && (targets[1] - 0.06).abs() < 1e-6);
        (0..60).for_each(|_| accumulate(&mut targets, &[0.8, 0.2], 0.7));
        assert!((targets[0] - 0.8).abs() < 1e-5 && (targets[1] - 0.2).abs() < 1e-5);
        accumulate(&mut targets, &[1.0, 0.0], 0.0);
        assert_eq!(targets, [0.9999, 0.0001]);
    }
}
