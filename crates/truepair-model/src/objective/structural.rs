//! Structure: a pair's image must relate to the batch's images as its caption does to their captions.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{PairLoss, diagonal, log_probabilities, per_pair};

/// Which side's neighborhood looks for the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StructureDirection {
    /// Both, averaged.
    Both,
    /// Image neighborhoods among caption neighborhoods only: released code.
    ImageToCaption,
}

/// InfoNCE between neighborhoods: row `i` of the images' likeness must be nearest to row `i` of the
/// captions' likeness. Neighbors count by their labels, and so does the pair itself.
///
/// ```text
/// I'ᵢₖ = yₖ Iᵢₖ,  T'ᵢₖ = yₖ Tᵢₖ,  M = I' T'ᵀ
/// Lᵢ   = −½ yᵢ (log softmaxⱼ(Mᵢⱼ)ᵢ + log softmaxⱼ(Mⱼᵢ)ᵢ)
/// ```
/// # Shapes
/// - `images`, `captions`: likeness inside a modality `[b, b]`; `labels`: `[b]` in [0, 1]; returns
///   `[b]`
/// # Source
/// Zhao et al., CVPR 2024; code read at MediaBrain-SJTU/GSC@2759ba0 (golden `u04_gsc_loss`).
pub fn structural(
    images: &Tensor<2>,
    captions: &Tensor<2>,
    labels: &[f32],
    direction: StructureDirection,
) -> PairLoss {
    let weights = per_pair(labels, images);
    let columns = weights.clone().unsqueeze::<2>();
    let likeness =
        (images.clone() * columns.clone()).matmul((captions.clone() * columns).transpose());
    let [rows, columns] = log_probabilities(&likeness, 1.0);
    let log = match direction {
        StructureDirection::Both => (diagonal(&rows) + diagonal(&columns)) / 2.0,
        StructureDirection::ImageToCaption => diagonal(&rows),
    };
    PairLoss(log.neg() * weights)
}

/// How alike the two neighborhoods of every pair are: the cosine of row `i` of the images' and of
/// the captions' likeness, neighbors counted by their labels. `[b]` in [-1, 1]; 0 where a row
/// vanishes.
///
/// `images`, `captions` are `[b * b]`, row-major; `labels` is `[b]`.
pub fn neighborhood_agreement(images: &[f32], captions: &[f32], labels: &[f32]) -> Vec<f32> {
    let b = labels.len();
    (images.chunks_exact(b).zip(captions.chunks_exact(b)))
        .map(|(image, caption)| {
            let (mut dot, mut left, mut right) = (0.0f64, 0.0f64, 0.0f64);
            for ((&x, &y), &label) in image.iter().zip(caption).zip(labels) {
                let (x, y) = (f64::from(x * label), f64::from(y * label));
                dot += x * y;
                left += x * x;
                right += y * y;
            }
            (dot / (left * right).sqrt().max(1e-12)) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::InfoNce;
    use crate::objective::check::{check_gradient, run, scores, tracked};

    fn captions() -> Vec<f32> {
        scores(5).iter().rev().copied().collect()
    }

    #[test]
    fn labels_of_1_give_info_nce_of_the_neighborhoods() {
        let captions = captions();
        let (losses, _) = run(&scores(5), |x| {
            structural(x, &tracked(&captions), &[1.0; 5], StructureDirection::Both)
        });
        let (expected, _) = run(&scores(5), |x| {
            let likeness = x.clone().matmul(tracked(&captions).transpose());
            InfoNce { temperature: 1.0 }.pair_loss(&likeness)
        });
        assert!(
            losses
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }

    #[test]
    fn gradients_equal_differences_on_both_sides() {
        let (captions, labels) = (captions(), [0.9, 0.2, 1.0, 0.0, 0.6]);
        for direction in [StructureDirection::Both, StructureDirection::ImageToCaption] {
            check_gradient(&scores(5), |x| {
                structural(x, &tracked(&captions), &labels, direction)
            });
            check_gradient(&captions, |x| {
                structural(&tracked(&scores(5)), x, &labels, direction)
            });
        }
    }

    #[test]
    fn neighborhoods_agree_with_themselves_and_a_vanished_one_with_none() {
        let images = [1.0, 0.5, 0.5, 1.0];
        let agreement = neighborhood_agreement(&images, &images, &[1.0, 0.5]);
        assert!(agreement.iter().all(|x| (x - 1.0).abs() < 1e-6));
        assert_eq!(
            neighborhood_agreement(&images, &images, &[0.0; 2]),
            [0.0; 2]
        );
    }
}
