//! Similarity nodes of every image-caption pair, with the attended context of every word.
//!
//! Nothing of the size `[pairs, words, d]` is ever held: a tile of one image and some hundred words
//! goes from raw inner products to finished nodes, and the backward pass computes it again.

mod backward;
mod forward;
mod layout;
mod rows;
#[cfg(test)]
mod tests;
mod twin;

use burn::tensor::Tensor;

use super::{Array, Attention, Gradients, Operation, Precision, apply, is_fused};
use layout::Pairs;

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
pub(crate) struct Projection {
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
    pub(crate) local: Projection,
    /// From the whole image and the whole caption to the global node.
    pub(crate) global: Projection,
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

/// Places of the inputs of [`PairNodes`].
mod input {
    pub(super) const REGIONS: usize = 0;
    pub(super) const REGION_MASK: usize = 1;
    pub(super) const WORDS: usize = 2;
    pub(super) const WORD_MASK: usize = 3;
    pub(super) const IMAGES: usize = 4;
    pub(super) const CAPTIONS: usize = 5;
    pub(super) const LOCAL: usize = 6;
    pub(super) const LOCAL_BIAS: usize = 7;
    pub(super) const GLOBAL: usize = 8;
    pub(super) const GLOBAL_BIAS: usize = 9;
    /// The output, for the backward pass.
    pub(super) const NODES: usize = 10;
}

#[derive(Debug)]
struct PairNodes {
    attention: Attention,
    precision: Precision,
}

impl Operation for PairNodes {
    /// Length of every node before it was scaled to 1, `[n, total]`.
    type Saved = Vec<f32>;

    const KEEPS_OUTPUT: bool = true;

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved) {
        let pairs = Pairs::new(self, inputs);
        let shape = vec![pairs.images.len(), pairs.n_nodes(), pairs.width()];
        let (nodes, lengths) = forward::run(&pairs);
        (nodes, shape, lengths)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let pairs = Pairs::new(self, inputs);
        let nodes = backward::Nodes {
            values: inputs[input::NODES].values,
            lengths: saved,
            gradient,
        };
        backward::run(&pairs, &nodes, gradients);
    }
}
