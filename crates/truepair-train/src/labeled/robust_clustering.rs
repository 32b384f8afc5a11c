//! The loss by which clear cases shape the classes and unlikely labels hardly do.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::view::column;

/// Far below every logit of unit vectors, and finite.
const ABSENT: f64 = -1e9;

/// Robust clustering of one modality: `[b]`.
///
/// ```text
/// p(k | x) = softmaxₖ(cₖ · z / τ)        Lᵢ = log(1 − p(yᵢ | xᵢ))
/// ```
/// Its slope by the logit of the label is `−p(y)`: a label that the class centers find unlikely
/// moves little, where cross-entropy's slope `−(1 − p(y))` makes it move most. The loss has no lower
/// bound, but unit vectors keep `p` away from 1.
///
/// # Shapes
/// - `embedding`: `[b, d]`; `centers`: `[d, k]`; `target`: one-hot `[b, k]`; returns `[b]`
///
/// # Source
/// Hu et al., CVPR 2021, Eq. (5). Code read at penghu-cs/MRL@e0f5c8f. Golden `u11_mrl_*`.
///
/// # Deviations
/// 1. `log(1 − p)` is computed as the difference of two logarithms of sums, so that it stays finite
///    where `p` rounds to 1.
pub fn robust_clustering(
    embedding: &Tensor<2>,
    centers: &Tensor<2>,
    target: &Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let logits = embedding.clone().matmul(centers.clone()) / temperature;
    let others = log_softmax(logits, 1) + target.clone() * ABSENT;
    column(log_sum_exp(others))
}

/// `log Σ exp` along rows, `[b, 1]`.
fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let largest = x.clone().max_dim(1).detach();
    (x - largest.clone()).exp().sum_dim(1).log() + largest
}
