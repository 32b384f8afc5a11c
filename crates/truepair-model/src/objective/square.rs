//! Given pairs and all others among the scores of a batch.

use burn::tensor::Tensor;

/// The diagonal of `[b, b]` as `[b]`.
pub(crate) fn diagonal(scores: &Tensor<2>) -> Tensor<1> {
    let [b, columns] = scores.dims();
    assert_eq!(
        b, columns,
        "scores of a batch are square, got [{b}, {columns}]"
    );
    (scores.clone() * Tensor::eye(b, &scores.device()))
        .sum_dim(1)
        .reshape([b])
}

/// 1 off the diagonal and 0 on it, `[b, b]`.
pub fn off_diagonal(scores: &Tensor<2>) -> Tensor<2> {
    Tensor::eye(scores.dims()[0], &scores.device()).neg() + 1.0
}
