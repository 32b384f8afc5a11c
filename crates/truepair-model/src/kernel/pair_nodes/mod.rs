//! Similarity nodes of every image-caption pair, with the attended context of every word.

#[cfg(test)]
mod tests;
mod twin;

use burn::tensor::Tensor;
use truepair_kernel::product::Precision;
use truepair_kernel::{Attention, PairNodes};

use super::{apply, is_fused};

/// One modality of [`pair_nodes`].
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// Regions or words `[n, m, d]`.
    pub(crate) vectors: Tensor<3>,
    /// 1 where a vector is there, `[n, m]`.
    pub(crate) mask: Tensor<2>,
    /// One vector for the whole item, `[n, d]`.
    pub(crate) whole: Tensor<2>,
}

/// A dense layer from squared differences to nodes.
#[derive(Debug, Clone)]
pub(crate) struct NodeProjection {
    /// `[s, d]`
    pub(crate) weight: Tensor<2>,
    /// `[s]`
    pub(crate) bias: Tensor<1>,
}

/// What [`pair_nodes`] reads.
#[derive(Debug, Clone)]
pub(crate) struct PairInputs {
    /// `n` images.
    pub(crate) images: Side,
    /// `c` captions.
    pub(crate) captions: Side,
    /// From words and their contexts to the local nodes.
    pub(crate) local: NodeProjection,
    /// From the whole image and the whole caption to the global node.
    pub(crate) global: NodeProjection,
}

/// The nodes of every pair: for caption `j` with words `w₁ … w_T` and an image with regions `v_r`
///
/// ```text
/// c_k = l2(Σ_r a_rk v_r)        a: attention of the words over the regions
/// X_0 = l2(W_glo (v̄ − t̄)² + b_glo)        X_k = l2(W_loc (c_k − w_k)² + b_loc)
/// ```
/// with `l2(x) = x / (‖x‖ + 1e-8)` and squares taken entry by entry.
///
/// # Shapes
/// - returns `[n, total, s]`; the `T + 1` nodes of one caption follow those of the caption before,
///   its global node first, so `total = c + Σ T`
///
/// An image without regions has contexts 0; a caption without words has its global node only.
pub(crate) fn pair_nodes(
    inputs: PairInputs,
    attention: Attention,
    precision: Precision,
) -> Tensor<3> {
    if !is_fused(&inputs.images.vectors.device()) {
        return twin::pair_nodes(inputs, attention);
    }
    let PairInputs {
        images,
        captions,
        local,
        global,
    } = inputs;
    apply(
        PairNodes {
            attention,
            precision,
        },
        [
            images.vectors.into(),
            images.mask.into(),
            captions.vectors.into(),
            captions.mask.into(),
            images.whole.into(),
            captions.whole.into(),
            local.weight.into(),
            local.bias.into(),
            global.weight.into(),
            global.bias.into(),
        ],
    )
}
