//! Similarity nodes of every image-caption pair, with the attended context of every word.
//!
//! Nothing of the size `[pairs, words, d]` is ever held: a tile of one image and some hundred words
//! goes from raw inner products to finished nodes, and the backward pass computes it again.

mod backward;
mod forward;
mod layout;
mod rows;

use super::product::Precision;
use super::{Array, Attention, Gradients, Operation, Output};
use layout::Pairs;

/// The nodes of every pair: for caption `j` with words `w₁ … w_T` and an image with regions `v_r`
///
/// ```text
/// c_k = l2(Σ_r a_rk v_r)        a: attention of the words over the regions
/// X_0 = l2(W_glo (v̄ − t̄)² + b_glo)        X_k = l2(W_loc (c_k − w_k)² + b_loc)
/// ```
/// with `l2(x) = x / (‖x‖ + 1e-8)` and squares taken entry by entry. An image without regions has
/// contexts 0; a caption without words has its global node only.
///
/// # Shapes
/// - inputs: regions `[n, r, d]`, their mask `[n, r]`, words `[c, t, d]`, their mask `[c, t]`, whole
///   images `v̄` `[n, d]`, whole captions `t̄` `[c, d]`, then weight `[s, d]` and bias `[s]` of the
///   local and of the global nodes
/// - output: `[n, total, s]`; the `T + 1` nodes of one caption follow those of the caption before,
///   its global node first, so `total = c + Σ T`
#[derive(Debug, Clone, Copy)]
pub struct PairNodes {
    /// Attention of the words over the regions.
    pub attention: Attention,
    /// Precision of the products.
    pub precision: Precision,
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

impl Operation for PairNodes {
    /// Length of every node before it was scaled to 1, `[n, total]`.
    type Saved = Vec<f32>;

    const KEEPS_OUTPUT: bool = true;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved) {
        let pairs = Pairs::new(self, inputs);
        let shape = [pairs.images.len(), pairs.n_nodes(), pairs.width()];
        let (nodes, lengths) = forward::run(&pairs);
        (Output::new(nodes, shape), lengths)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let pairs = Pairs::new(self, inputs);
        let nodes = rows::Nodes {
            values: inputs[input::NODES].values,
            lengths: saved,
            gradient,
        };
        backward::run(&pairs, &nodes, gradients);
    }
}
