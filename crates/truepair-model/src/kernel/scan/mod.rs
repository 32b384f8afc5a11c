//! SCAN's scores of every image against every caption.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
mod twin;

use burn::tensor::Tensor;
use truepair_kernel::{Scan, ScanSettings};

use super::{apply, is_fused};
pub(crate) use twin::{attention_weights, pooled};

/// `pool over q of cos(q, Σ_c w_cq c)` with the weights of [`Attention`], for every item of contexts
/// and every item of queries. The cosine divides by at least 1e-8. An item without any vector
/// scores 0 and has no gradient.
///
/// # Shapes
/// - `contexts`: `[n, m, d]` with a mask `[n, m]`, `queries`: `[k, l, d]` with a mask `[k, l]`;
///   returns `[n, k]`
pub(crate) fn scan(
    contexts: (Tensor<3>, Tensor<2>),
    queries: (Tensor<3>, Tensor<2>),
    settings: ScanSettings,
) -> Tensor<2> {
    if !is_fused(&contexts.0.device()) {
        return twin::scan(contexts, queries, settings);
    }
    apply(
        Scan::new(settings),
        [
            contexts.0.into(),
            contexts.1.into(),
            queries.0.into(),
            queries.1.into(),
        ],
    )
}
