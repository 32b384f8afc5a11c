//! The loss that draws an item's modalities together without any label.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Whether an embedding is compared with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelfTerm {
    /// It is left out of both sums: the released code.
    Excluded,
    /// It counts among the matches and among all: the paper's Eq. (6).
    Included,
}

/// Multimodal contrastive loss of `m ≥ 2` modalities: `[b]`.
///
/// ```text
/// P(i, a) = Σ_{c ≠ a} e(zᵢₐ · zᵢ꜀ / τ) / Σ_{(j, c) ≠ (i, a)} e(zᵢₐ · zⱼ꜀ / τ)
/// Lᵢ = −(2/m) Σₐ log P(i, a)
/// ```
/// With [`SelfTerm::Included`] neither sum leaves `(i, a)` out.
///
/// # Shapes
/// - `embeddings`: per modality `[b, d]` of length 1; returns `[b]`
///
/// # Panics
/// If there are fewer than two modalities or shapes differ.
///
/// # Source
/// Hu et al., CVPR 2021, Eq. (6). Code read at penghu-cs/MRL@e0f5c8f, whose two terms are equal
/// because similarities are symmetric. Golden `u11_mrl_*`.
///
/// # Deviations
/// 1. Similarities are lowered by their largest possible value before they are exponentiated, which
///    changes no ratio.
pub fn multimodal_contrastive(
    embeddings: &[Tensor<2>],
    temperature: f64,
    self_term: SelfTerm,
) -> Tensor<1> {
    let (m, [b, _]) = (embeddings.len(), embeddings[0].dims());
    assert!(m >= 2, "{m} modality: nothing to contrast");
    let all = Tensor::cat(embeddings.to_vec(), 0);
    let device = all.device();
    let scores = (all.clone().matmul(all.transpose()) - 1.0) / temperature;
    let exponential = scores.exp();
    let mask = |kept: &dyn Fn(usize, usize) -> bool| -> Tensor<2> {
        let n = m * b;
        let value = |at: usize| f32::from(u8::from(kept(at / n, at % n)));
        let values: Vec<f32> = (0..n * n).map(value).collect();
        Tensor::from_data(TensorData::new(values, [n, n]), &device)
    };
    let with_self = self_term == SelfTerm::Included;
    let matching = mask(&|row, column| row % b == column % b && (with_self || row != column));
    let matches = (exponential.clone() * matching).sum_dim(1);
    let counted = match with_self {
        true => exponential,
        false => exponential * mask(&|row, column| row != column),
    };
    let log = (matches / counted.sum_dim(1)).log();
    let per_item: Tensor<1> = log.reshape([m, b]).sum_dim(0).reshape([b]);
    per_item * (-2.0 / m as f64)
}
