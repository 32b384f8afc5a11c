//! Losses between the batch's softmaxes and labels that are no given pair.

use burn::tensor::Tensor;

use super::{PairLoss, diagonal, log_probabilities, per_entry};

/// Least label that a logarithm is taken of.
const LEAST: f32 = 1e-10;

/// Cross-entropy and reverse cross-entropy of the given pairs, which bounds what a wrong pair costs.
///
/// ```text
/// Lᵢ = ½ (−log pᵢᵢ − log uᵢᵢ + A (1 − pᵢᵢ) + A (1 − uᵢᵢ)),   A = −log 1e-7
/// ```
/// with `p`, `u` the softmaxes of the scores over `temperature`.
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// Wang et al., ICCV 2019; code read at hhc1997/L2RM@a766c22 (golden `u04_l2rm_losses`).
/// # Deviations
/// 1. The release's logarithm of `1 + 1e-7` is 0 here.
pub fn symmetric_cross_entropy(scores: &Tensor<2>, temperature: f64) -> PairLoss {
    const PENALTY: f64 = 16.118_095_650_958_32;
    let one_way = |log: Tensor<2>| {
        let own = diagonal(&log);
        own.clone().neg() + (own.exp().neg() + 1.0) * PENALTY
    };
    let [images, captions] = log_probabilities(scores, temperature);
    PairLoss((one_way(images) + one_way(captions)) * 0.5)
}

/// Symmetric Kullback-Leibler divergence between the softmaxes and a soft matching, both ways.
///
/// ```text
/// aᵢ = πᵢ· / Σⱼ πᵢⱼ,   bᵢ = π·ᵢ / Σⱼ πⱼᵢ
/// Lᵢ = ½ (KL(aᵢ ‖ pᵢ) + KL(pᵢ ‖ aᵢ) + KL(bᵢ ‖ uᵢ) + KL(uᵢ ‖ bᵢ))
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; `matching`: π, `[b * b]` row-major, non-negative, below 1e-10 held 1e-10;
///   returns `[b]`
/// # Source
/// Han et al., CVPR 2024; code read at hhc1997/L2RM@a766c22 (golden `u04_l2rm_losses`).
pub fn symmetric_divergence(scores: &Tensor<2>, matching: &[f32], temperature: f64) -> PairLoss {
    let b = scores.dims()[0];
    let transposed: Vec<f32> = (0..b * b).map(|at| matching[at % b * b + at / b]).collect();
    let one_way = |log: Tensor<2>, matching: &[f32]| {
        let labels = per_entry(&normalized_rows(matching, b), &log);
        let difference = labels.clone() - log.clone().exp();
        // KL(a ‖ p) + KL(p ‖ a) = Σ (a − p) (log a − log p)
        (difference * (labels.log() - log)).sum_dim(1).reshape([b])
    };
    let [images, captions] = log_probabilities(scores, temperature);
    PairLoss((one_way(images, matching) + one_way(captions, &transposed)) * 0.5)
}

/// Cross-entropy of the batch's softmaxes with labels of any size, both ways.
///
/// ```text
/// Lᵢ = −Σⱼ aᵢⱼ log pᵢⱼ − Σⱼ bᵢⱼ log uᵢⱼ
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; `images`: a, `[b * b]` row-major, one row an image; `captions`: b, likewise, one
///   row a caption; returns `[b]`
/// # Source
/// Ma et al., TIP 2024; code read at XLearning-SCU/2024-TIP-CREAM@f487d6f (`InfoNCELoss.py`), whose
/// two sums over the batch are here divided by the row's own pair.
pub fn soft_cross_entropy(
    scores: &Tensor<2>,
    images: &[f32],
    captions: &[f32],
    temperature: f64,
) -> PairLoss {
    let b = scores.dims()[0];
    let one_way = |log: Tensor<2>, labels: &[f32]| {
        let labels = per_entry(labels, &log);
        (log * labels).sum_dim(1).reshape([b])
    };
    let [rows, columns] = log_probabilities(scores, temperature);
    PairLoss((one_way(rows, images) + one_way(columns, captions)).neg())
}

fn normalized_rows(values: &[f32], b: usize) -> Vec<f32> {
    let row = |row: &[f32]| {
        let clipped: Vec<f32> = row.iter().map(|x| x.max(LEAST)).collect();
        let sum: f32 = clipped.iter().sum();
        clipped.into_iter().map(move |x| x / sum)
    };
    values.chunks_exact(b).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    #[test]
    fn cross_entropy_equals_the_equation() {
        let (s, b) = (scores(4), 4);
        let (losses, _) = run(&s, |x| symmetric_cross_entropy(x, 0.5));
        let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.5).exp();
        for (i, loss) in losses.iter().enumerate() {
            let p = e(i, i) / (0..b).map(|j| e(i, j)).sum::<f64>();
            let u = e(i, i) / (0..b).map(|j| e(j, i)).sum::<f64>();
            let one_way = |p: f64| -p.ln() - 1e-7f64.ln() * (1.0 - p);
            let expected = (one_way(p) + one_way(u)) / 2.0;
            assert!((f64::from(*loss) - expected).abs() < 1e-4);
        }
        check_gradient(&s, |x| symmetric_cross_entropy(x, 0.5));
        check_permutation(&s, |x| symmetric_cross_entropy(x, 0.5));
    }

    #[test]
    fn labels_of_any_size_weigh_the_cross_entropy() {
        let (s, b) = (scores(4), 4);
        let images: Vec<f32> = s.iter().map(|x| x.abs()).collect();
        let captions: Vec<f32> = s.iter().map(|x| x * x).collect();
        let loss = |x: &Tensor<2>| soft_cross_entropy(x, &images, &captions, 0.5);
        let (losses, _) = run(&s, loss);
        let e = |i: usize, j: usize| (f64::from(s[i * b + j]) / 0.5).exp();
        for (i, loss) in losses.iter().enumerate() {
            let row: f64 = (0..b).map(|j| e(i, j)).sum();
            let column: f64 = (0..b).map(|j| e(j, i)).sum();
            let expected: f64 = (0..b)
                .map(|j| {
                    let (a, u) = (images[i * b + j], captions[i * b + j]);
                    -f64::from(a) * (e(i, j) / row).ln() - f64::from(u) * (e(j, i) / column).ln()
                })
                .sum();
            assert!((f64::from(*loss) - expected).abs() < 1e-4);
        }
        check_gradient(&s, loss);
    }

    #[test]
    fn divergence_is_0_at_the_matching_and_its_gradient_equals_differences() {
        let mut s = vec![0.3; 16];
        let (losses, gradient) = run(&s, |x| symmetric_divergence(x, &[0.1; 16], 0.5));
        assert!(losses.iter().chain(&gradient).all(|x| x.abs() < 1e-5));
        s = scores(4);
        let matching: Vec<f32> = scores(4).iter().map(|x| x.abs()).collect();
        check_gradient(&s, |x| symmetric_divergence(x, &matching, 0.5));
    }
}
