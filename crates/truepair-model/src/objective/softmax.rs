//! The batch read as classification: which caption belongs to this image, which image to this caption.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

/// Logarithms of both directions' probabilities, `[b, b]` each, anchors as rows:
///
/// ```text
/// pᵢⱼ = softmaxⱼ(Sᵢⱼ / τ)  (image i, captions)      uᵢⱼ = softmaxⱼ(Sⱼᵢ / τ)  (caption i, images)
/// ```
pub fn log_probabilities(scores: &Tensor<2>, temperature: f64) -> [Tensor<2>; 2] {
    let logits = scores.clone() / temperature;
    [
        log_softmax(logits.clone(), 1),
        log_softmax(logits.transpose(), 1),
    ]
}

/// One constant a pair, `[b]`.
pub fn per_pair(values: &[f32], like: &Tensor<2>) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len()]),
        &like.device(),
    )
}

/// A constant matrix `[b, b]` from row-major values.
///
/// # Panics
/// If there are not `b²` values.
pub fn per_entry(values: &[f32], like: &Tensor<2>) -> Tensor<2> {
    let b = values.len().isqrt();
    Tensor::from_data(TensorData::new(values.to_vec(), [b, b]), &like.device())
}
