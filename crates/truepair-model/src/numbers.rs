//! A tensor's values as plain numbers.

use burn::tensor::Tensor;

/// The values of a tensor of `f32`.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("every tensor of this crate holds f32")
}
