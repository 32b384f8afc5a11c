//! A hinge on the `n` hardest negatives, between the mean of all and the hardest one.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{PairLoss, diagonal, per_entry};
use crate::numbers::floats;

/// The robust dynamic hinge.
///
/// ```text
/// Lᵢ = 1/n (Σ_{j ∈ Hᵢ} [α + Sᵢⱼ − Sᵢᵢ]₊ + Σ_{j ∈ H′ᵢ} [α + Sⱼᵢ − Sᵢᵢ]₊)
/// ```
/// `Hᵢ` are the `n` other captions with the largest scores in row `i`, `H′ᵢ` the `n` other images in
/// column `i`; of equal scores the first count. Where fewer than `n` others exist all count, and the
/// divisor is their number, at least 1.
///
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
/// # Source
/// Qin et al., ACM MM 2022; code read at QinYang79/DECL@1b0a775. Golden `u04_decl`.
pub fn dynamic_hinge(scores: &Tensor<2>, margin: f64, n: usize) -> PairLoss {
    let b = scores.dims()[0];
    let n = n.min(b.saturating_sub(1));
    let values = floats(scores.clone().detach());
    let rows = hardest(b, n, |anchor, other| values[anchor * b + other]);
    let columns = hardest(b, n, |anchor, other| values[other * b + anchor]);
    let own = diagonal(scores).reshape([b, 1]);
    let one_way = |anchored: Tensor<2>, counted: &[f32]| {
        (relu(anchored - own.clone() + margin) * per_entry(counted, scores)).sum_dim(1)
    };
    let sum = one_way(scores.clone(), &rows) + one_way(scores.clone().transpose(), &columns);
    PairLoss(sum.reshape([b]) / n.max(1) as f64)
}

/// 1 at the `n` others with the largest scores of every anchor, `[b * b]` with anchors as rows.
fn hardest(b: usize, n: usize, score: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut counted = vec![0.0; b * b];
    for anchor in 0..b {
        let mut others: Vec<usize> = (0..b).filter(|&other| other != anchor).collect();
        if n < others.len() {
            others.select_nth_unstable_by(n, |&x, &y| {
                (score(anchor, y).total_cmp(&score(anchor, x))).then(x.cmp(&y))
            });
        }
        for &other in &others[..n] {
            counted[anchor * b + other] = 1.0;
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};
    use crate::objective::{Margins, Negatives, triplet};

    #[test]
    fn one_negative_is_the_hardest_and_all_are_the_mean() {
        let s = scores(6);
        let of = |negatives| run(&s, |x| triplet(x, &Margins::Fixed(0.2), negatives)).0;
        let (hardest, sum) = (of(Negatives::Hardest), of(Negatives::Sum));
        let (one, _) = run(&s, |x| dynamic_hinge(x, 0.2, 1));
        let (all, _) = run(&s, |x| dynamic_hinge(x, 0.2, 99));
        for i in 0..6 {
            assert!((one[i] - hardest[i]).abs() < 1e-5);
            assert!((all[i] - sum[i] / 5.0).abs() < 1e-5);
        }
    }

    #[test]
    fn gradients_permutation_and_a_single_pair() {
        check_gradient(&scores(5), |x| dynamic_hinge(x, 0.3, 2));
        check_permutation(&scores(5), |x| dynamic_hinge(x, 0.3, 2));
        assert_eq!(run(&[0.4], |x| dynamic_hinge(x, 0.3, 2)).0, [0.0]);
    }
}
