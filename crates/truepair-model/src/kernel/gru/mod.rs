//! Gated recurrent units over items of unequal length.

#[cfg(test)]
mod tests;
mod twin;

use burn::tensor::Tensor;
use truepair_kernel::product::Precision;
use truepair_kernel::{Directions, Gru, States};

use super::{Operand, apply, is_fused};
use twin::Order;

/// One direction's weights; rows are stacked in the order r, z, n.
#[derive(Debug, Clone)]
pub(crate) struct GruWeights {
    /// `[3d, w]`.
    pub(crate) weight_ih: Tensor<2>,
    /// `[3d, d]`.
    pub(crate) weight_hh: Tensor<2>,
    /// `[3d]`.
    pub(crate) bias_ih: Tensor<1>,
    /// `[3d]`.
    pub(crate) bias_hh: Tensor<1>,
}

/// The states of a gated recurrent unit; with a backward direction, the mean of both.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn))      h' = (1 − z) n + z h
/// ```
/// An item's first `lengths[i]` tokens are valid. The backward direction starts at the last valid
/// one; padding changes no state and gets no gradient.
///
/// # Shapes
/// - `words`: `[n, t, w]`, `lengths`: `n`; returns `[n, t, d]` or `[n, 1, d]`, see [`States`]
/// # Panics
/// If there is not one length of at most `t` an item, or weights have other shapes.
pub(crate) fn gru(
    words: Tensor<3>,
    lengths: &[usize],
    forward: GruWeights,
    backward: Option<GruWeights>,
    states: States,
    precision: Precision,
) -> Tensor<3> {
    let [n, t, _] = words.dims();
    assert_eq!(n, lengths.len(), "one length an item");
    if !is_fused(&words.device()) {
        let backward = backward.map(|weights| (Order::Backward, weights));
        let directions = [(Order::Forward, forward)].into_iter().chain(backward);
        return twin::twin(words, lengths, directions.collect(), states);
    }
    let directions = match backward {
        Some(_) => Directions::Both,
        None => Directions::Forward,
    };
    let operation = Gru::new(lengths, t, directions, states, precision);
    let [a, b, c, d] = forward.operands();
    match backward.map(GruWeights::operands) {
        None => apply(operation, [words.into(), a, b, c, d]),
        Some([e, f, g, h]) => apply(operation, [words.into(), a, b, c, d, e, f, g, h]),
    }
}

impl GruWeights {
    fn operands(self) -> [Operand; 4] {
        [
            self.weight_ih.into(),
            self.weight_hh.into(),
            self.bias_ih.into(),
            self.bias_hh.into(),
        ]
    }
}
