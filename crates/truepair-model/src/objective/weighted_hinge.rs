//! The hardest-negative triplet whose directions count by weights of their own.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{PairLoss, diagonal, log_probabilities, off_diagonal};

/// Hardest-negative triplet with one weight a pair and direction.
///
/// ```text
/// Lᵢ = wᵢ maxⱼ [α + Sᵢⱼ − Sᵢᵢ]₊ + w′ᵢ maxⱼ [α + Sⱼᵢ − Sᵢᵢ]₊        j ≠ i
/// ```
/// # Shapes
/// - `scores`: `[b, b]`; `weights` of the image-anchored and the caption-anchored hinges: `[b]` each,
///   through which no gradient flows; returns `[b]`
pub fn weighted_hinge(scores: &Tensor<2>, margin: f64, weights: [Tensor<1>; 2]) -> PairLoss {
    let b = scores.dims()[0];
    let off = off_diagonal(scores);
    let own = diagonal(scores).reshape([b, 1]);
    let one_way = |anchored: Tensor<2>, weight: Tensor<1>| {
        let hinges = relu(anchored - own.clone() + margin) * off.clone();
        hinges.max_dim(1).reshape([b]) * weight.detach()
    };
    let [image, caption] = weights;
    PairLoss(one_way(scores.clone(), image) + one_way(scores.clone().transpose(), caption))
}

/// How certain the *other* modality is: `[b]` in [0, 1] for the image-anchored and the
/// caption-anchored hinges, without gradient.
///
/// ```text
/// wᵢ = 1 − H(uᵢ) / log b      w′ᵢ = 1 − H(pᵢ) / log b
/// ```
/// `pᵢ` is image `i`'s softmax over the captions, `uᵢ` caption `i`'s over the images. One pair alone
/// is certain.
///
/// # Source
/// Idea: SREM, AAAI 2024 (arXiv 2312.16478), of which the abstract alone was available; the equation
/// is a reconstruction.
pub fn swapped_certainty(scores: &Tensor<2>, temperature: f64) -> [Tensor<1>; 2] {
    let b = scores.dims()[0];
    let most = (b as f64).ln().max(1e-6);
    let certainty = |log_p: Tensor<2>| {
        let entropy = (log_p.clone().exp() * log_p).sum_dim(1).neg();
        (entropy.reshape([b]) / -most + 1.0).clamp(0.0, 1.0)
    };
    let [image, caption] = log_probabilities(&scores.clone().detach(), temperature).map(certainty);
    [caption, image]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::floats;
    use crate::objective::check::{check_gradient, check_permutation, run, scores, tracked};
    use crate::objective::{Margins, Negatives, per_pair, triplet};

    #[test]
    fn equal_weights_give_the_plain_triplet() {
        let s = scores(5);
        let ones = |x: &Tensor<2>| [(); 2].map(|()| per_pair(&[1.0; 5], x));
        let (found, _) = run(&s, |x| weighted_hinge(x, 0.2, ones(x)));
        let (plain, _) = run(&s, |x| triplet(x, &Margins::Fixed(0.2), Negatives::Hardest));
        assert!(found.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6));
        check_gradient(&s, |x| {
            let weights = [
                per_pair(&[0.9, 0.1, 0.5, 0.0, 1.0], x),
                per_pair(&[0.3; 5], x),
            ];
            weighted_hinge(x, 0.2, weights)
        });
    }

    #[test]
    fn the_image_hinge_counts_as_far_as_the_caption_is_certain() {
        // Image 0 likes both captions alike; caption 0 knows its image.
        let s = [0.9, 0.9, 0.1, 0.8];
        let [image, caption] = swapped_certainty(&tracked(&s), 0.1).map(floats);
        assert!(caption[0] < 1e-4 && image[0] > 0.9, "{image:?} {caption:?}");
        let [alone, _] = swapped_certainty(&tracked(&[0.3]), 0.1).map(floats);
        assert_eq!(alone, [1.0]);
        check_permutation(&scores(5), |x| {
            weighted_hinge(x, 0.2, swapped_certainty(x, 0.4))
        });
    }
}
