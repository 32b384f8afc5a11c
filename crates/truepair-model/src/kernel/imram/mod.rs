//! IMRAM's scores of every image against every caption.

#[cfg(test)]
mod tests;
mod twin;

use burn::tensor::Tensor;
use truepair_kernel::{Imram, ImramSettings};

use super::{apply, is_fused};

/// A dense layer over `[query; attended context]`: weight `[d, 2 d]` and bias `[d]`.
pub(crate) type Layer = (Tensor<2>, Tensor<1>);

/// `Σ_k mean over queries of cos(q⁰, c^k)` over K steps, for every item of contexts and every item
/// of queries, where
///
/// ```text
/// c^k = Σ_c w_c c with the weights of q^(k-1)       o = tanh(output [q; c])       g = σ(gate [q; c])
/// q^k = g q^(k-1) + (1 − g) o, scaled to length 1 if so set
/// ```
/// The last update is left out. The cosine divides by at least 1e-8. An item without any vector
/// scores 0 and has no gradient.
///
/// # Shapes
/// - `contexts`: `[n, m, d]` with a mask `[n, m]`, `queries`: `[k, l, d]` with a mask `[k, l]`;
///   returns `[n, k]`
pub(crate) fn imram(
    contexts: (Tensor<3>, Tensor<2>),
    queries: (Tensor<3>, Tensor<2>),
    output: Layer,
    gate: Layer,
    settings: ImramSettings,
) -> Tensor<2> {
    if !is_fused(&contexts.0.device()) {
        return twin::imram(contexts, queries, output, gate, settings);
    }
    apply(
        Imram(settings),
        [
            contexts.0.into(),
            contexts.1.into(),
            queries.0.into(),
            queries.1.into(),
            output.0.into(),
            output.1.into(),
            gate.0.into(),
            gate.1.into(),
        ],
    )
}
