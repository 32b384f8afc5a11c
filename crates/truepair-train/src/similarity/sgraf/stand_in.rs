//! Plain tensor operations in the place of two fused ones.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};

use crate::encoding::unit_length;
use crate::kernel::Precision;

pub(super) struct GraphStep {
    pub(super) query: (Tensor<2>, Tensor<1>),
    pub(super) key: (Tensor<2>, Tensor<1>),
    pub(super) reason: (Tensor<2>, Tensor<1>),
}

pub(super) fn graph(
    nodes: Tensor<3>,
    lengths: &[usize],
    steps: Vec<GraphStep>,
    _precision: Precision,
) -> Tensor<3> {
    let mut start = 0;
    let mut globals = Vec::new();
    for &length in lengths {
        let mut x = nodes.clone().narrow(1, start, length);
        start += length;
        for step in &steps {
            let query = linear(x.clone(), &step.query);
            let key = linear(x.clone(), &step.key);
            let edges = softmax(query.matmul(key.swap_dims(1, 2)), 2);
            x = relu(linear(edges.matmul(x), &step.reason));
        }
        globals.push(x.narrow(1, 0, 1));
    }
    Tensor::cat(globals, 1)
}

fn linear(x: Tensor<3>, (weight, bias): &(Tensor<2>, Tensor<1>)) -> Tensor<3> {
    let [n, m, s] = x.dims();
    let y = x.reshape([n * m, s]).matmul(weight.clone().transpose());
    (y + bias.clone().unsqueeze()).reshape([n, m, s])
}

pub(super) fn saf_pool(nodes: Tensor<3>, attention: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
    let mut start = 0;
    let mut pooled = Vec::new();
    for &length in lengths {
        let x = nodes.clone().narrow(1, start, length);
        let a = attention.clone().narrow(1, start, length);
        start += length;
        let a = a.clone() / (a.abs().sum_dim(1) + 1e-8);
        pooled.push((x * a.unsqueeze_dim(2)).sum_dim(1));
    }
    unit_length(Tensor::cat(pooled, 1))
}
