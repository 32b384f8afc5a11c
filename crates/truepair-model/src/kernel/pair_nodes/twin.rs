//! The same nodes from plain tensor operations, one caption after another.

use burn::tensor::activation::{leaky_relu, softmax};
use burn::tensor::{Int, Tensor, TensorData};

use super::{NodeProjection, PairInputs, Side};
use crate::encoding::unit_length;
use crate::kernel::{Attention, RawNorm};

/// # Panics
/// If the attention normalizes in another way than SGRAF does.
pub(super) fn pair_nodes(inputs: PairInputs, attention: Attention) -> Tensor<3> {
    assert_eq!(attention.norm, RawNorm::ClippedL2);
    let PairInputs {
        images,
        captions,
        local,
        global,
    } = inputs;
    let [c, t, d] = captions.vectors.dims();
    let device = captions.vectors.device();
    let mask: Vec<f32> = captions
        .mask
        .into_data()
        .try_into_vec()
        .expect("a mask of f32");
    let words = captions.vectors.reshape([c * t, d]);
    let mut nodes = Vec::new();
    for caption in 0..c {
        let whole = captions.whole.clone().narrow(0, caption, 1);
        let difference = images.whole.clone() - whole;
        nodes.push(projected(difference.square().unsqueeze_dim(1), &global));
        let kept: Vec<i64> = (caption * t..(caption + 1) * t)
            .filter(|&at| mask[at] != 0.0)
            .map(|at| at as i64)
            .collect();
        if kept.is_empty() {
            continue;
        }
        let n = kept.len();
        let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [n]), &device);
        let words = words.clone().select(0, kept).unsqueeze_dim::<3>(0);
        let contexts = contexts(&images, words.clone(), f64::from(attention.smooth));
        nodes.push(projected((unit_length(contexts) - words).square(), &local));
    }
    Tensor::cat(nodes, 1)
}

/// Attended regions `[n, t, d]` of one caption's words `[1, t, d]`.
pub(super) fn contexts(images: &Side, words: Tensor<3>, smooth: f64) -> Tensor<3> {
    let raw = leaky_relu(images.vectors.clone().matmul(words.swap_dims(1, 2)), 0.1);
    // Missing regions get a weight of exactly 0, even where an image has none at all.
    let mask = images.mask.clone().unsqueeze_dim::<3>(2);
    let logits = unit_length(raw) * smooth + (mask.clone() - 1.0) * 1e9;
    let weights = softmax(logits, 1) * mask;
    weights.swap_dims(1, 2).matmul(images.vectors.clone())
}

fn projected(squares: Tensor<3>, layer: &NodeProjection) -> Tensor<3> {
    let [n, m, d] = squares.dims();
    let s = layer.weight.dims()[0];
    let rows = squares
        .reshape([n * m, d])
        .matmul(layer.weight.clone().transpose());
    unit_length((rows + layer.bias.clone().unsqueeze()).reshape([n, m, s]))
}
