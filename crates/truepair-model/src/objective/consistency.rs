//! Consistency: swapping modalities must change no likeness between matched pairs.

use burn::tensor::Tensor;

use super::{PairLoss, diagonal, per_pair};

/// How far the scores are from symmetric.
///
/// ```text
/// Lᵢ = yᵢ / b Σⱼ yⱼ (Sᵢⱼ − Sⱼᵢ)²
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; `labels`: `[b]` in [0, 1]; returns `[b]`
/// # Source
/// SPS, IJCAI 2025; code read at C-TeaRanger/SPS@b985abe (golden `u04_sps`), which uses it on pairs
/// held strictly clean, that is, with labels of 1.
pub fn asymmetry(scores: &Tensor<2>, labels: &[f32]) -> PairLoss {
    squared_difference(scores.clone(), scores.clone().transpose(), labels)
}

/// How far the images' likeness is from the captions'.
///
/// ```text
/// Lᵢ = yᵢ / b Σⱼ yⱼ (Iᵢⱼ − Tᵢⱼ)²
/// ```
/// # Shapes
/// - `images`, `captions`: cosines `[b, b]`; `labels`: `[b]` in [0, 1]; returns `[b]`
/// # Source
/// As [`asymmetry`].
pub fn modality_gap(images: &Tensor<2>, captions: &Tensor<2>, labels: &[f32]) -> PairLoss {
    squared_difference(images.clone(), captions.clone(), labels)
}

/// How far two pairs are from changing alike when they exchange captions, and when they exchange images.
///
/// ```text
/// Dᵢⱼ = (Sᵢᵢ − Sᵢⱼ) − (Sⱼⱼ − Sⱼᵢ)  captions     Eᵢⱼ = (Sᵢᵢ − Sⱼᵢ) − (Sⱼⱼ − Sᵢⱼ)  images
/// Lᵢ = yᵢ / b Σⱼ yⱼ ½ ([Dᵢⱼ² − m]₊ + [Eᵢⱼ² − m]₊)
/// ```
/// Without a margin `m` it is [`asymmetry`] plus the squared differences of the given pairs' scores:
/// `½ (D² + E²) = (Sᵢⱼ − Sⱼᵢ)² + (Sᵢᵢ − Sⱼⱼ)²`.
/// # Shapes
/// - `scores`: `[b, b]`; `labels`: `[b]` in [0, 1]; returns `[b]`
/// # Source
/// Wang et al., ICCV 2023 (EqSim); code read at Wangt-CN/EqBen@ab6c79a (`pairloss_criterion`).
/// # Deviations
/// 1. Every two pairs of the batch have both terms, as in the release's mode `itc`; its recipe gives them to
///    sampled hard negatives and asymmetry to the others.
/// 2. Scores as they are; the recipe takes the softmax over a row.
/// 3. The margin is of every two pairs, as in the release's second criterion; the first has it of the
///    mean over the batch.
pub fn equivariance(scores: &Tensor<2>, labels: &[f32], margin: f64) -> PairLoss {
    let b = labels.len();
    let given = diagonal(scores).reshape([b, 1]);
    let given = given.clone() - given.transpose();
    let crossed = scores.clone() - scores.clone().transpose();
    let beyond = |change: Tensor<2>| (change.square() - margin).clamp_min(0.0);
    let both = beyond(given.clone() - crossed.clone()) + beyond(given + crossed);
    let weights = per_pair(labels, scores);
    let counted = both * weights.clone().unsqueeze::<2>();
    PairLoss(counted.sum_dim(1).reshape([b]) * weights * (0.5 / b as f64))
}

fn squared_difference(left: Tensor<2>, right: Tensor<2>, labels: &[f32]) -> PairLoss {
    let weights = per_pair(labels, &left);
    let difference = left - right;
    let squares = difference.clone() * difference * weights.clone().unsqueeze::<2>();
    let b = labels.len();
    PairLoss(squares.sum_dim(1).reshape([b]) * weights / b as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, run, scores, tracked};

    #[test]
    fn a_difference_counts_by_both_labels() {
        let s = scores(4);
        let labels = [1.0, 0.5, 0.0, 0.8];
        let (losses, _) = run(&s, |x| asymmetry(x, &labels));
        for i in 0..4 {
            let expected: f32 = (0..4)
                .map(|j| labels[i] * labels[j] * (s[i * 4 + j] - s[j * 4 + i]).powi(2) / 4.0)
                .sum();
            assert!((losses[i] - expected).abs() < 1e-6);
        }
        check_gradient(&s, |x| asymmetry(x, &labels));
        let captions: Vec<f32> = s.iter().rev().copied().collect();
        check_gradient(&s, |x| modality_gap(x, &tracked(&captions), &labels));
        check_gradient(&captions, |x| modality_gap(&tracked(&s), x, &labels));
    }
    #[test]
    fn equivariance_equals_the_equation_and_holds_asymmetry() {
        let (s, b) = (scores(4), 4);
        let labels = [1.0, 0.5, 0.0, 0.8];
        for margin in [0.0, 0.2] {
            let (losses, _) = run(&s, |x| equivariance(x, &labels, margin));
            let at = |i: usize, j: usize| f64::from(s[i * b + j]);
            for i in 0..b {
                let expected: f64 = (0..b)
                    .map(|j| {
                        let captions = (at(i, i) - at(i, j)) - (at(j, j) - at(j, i));
                        let images = (at(i, i) - at(j, i)) - (at(j, j) - at(i, j));
                        let beyond = |x: f64| (x * x - margin).max(0.0);
                        let weight = f64::from(labels[i] * labels[j]) / b as f64;
                        weight * (beyond(captions) + beyond(images)) / 2.0
                    })
                    .sum();
                assert!((f64::from(losses[i]) - expected).abs() < 1e-5);
            }
            check_gradient(&s, |x| equivariance(x, &labels, margin));
        }
        // Where the given pairs score alike, asymmetry is all there is.
        let mut alike = s;
        (0..b).for_each(|i| alike[i * b + i] = 0.7);
        let (whole, _) = run(&alike, |x| equivariance(x, &labels, 0.0));
        let (half, _) = run(&alike, |x| asymmetry(x, &labels));
        assert!(whole.iter().zip(&half).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
