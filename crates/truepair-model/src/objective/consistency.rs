//! Consistency: swapping modalities must change no likeness between matched pairs.

use burn::tensor::Tensor;

use super::{PairLoss, per_pair};

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
}
