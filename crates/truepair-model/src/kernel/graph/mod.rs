//! Reasoning steps over the fully connected graph of every pair's nodes.

#[cfg(test)]
mod tests;

use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use truepair_kernel::Graph;
use truepair_kernel::product::Precision;

use super::{apply, is_fused};

/// Weights of one step, each a matrix `[s, s]` from columns to rows and a bias `[s]`.
#[derive(Debug, Clone)]
pub(crate) struct GraphStep {
    pub(crate) query: (Tensor<2>, Tensor<1>),
    pub(crate) key: (Tensor<2>, Tensor<1>),
    pub(crate) reason: (Tensor<2>, Tensor<1>),
}

/// Reasoning over the nodes `X` of every pair; every step is
///
/// ```text
/// E = softmax over rows of (X Wqᵀ + 1 bqᵀ)(X Wkᵀ + 1 bkᵀ)ᵀ     X ← relu(E X Wgᵀ + 1 bgᵀ)
/// ```
///
/// and the result is the first node after the last one. The gradient by a key bias is exactly 0,
/// because it moves a whole row of a softmax.
///
/// # Shapes
/// - `nodes`: `[n, total, s]`, of every image the nodes of its pair with the first caption, then of
///   that with the second, and so on; `lengths`: nodes of each caption, at least 1
/// - returns `[n, c, s]`
/// # Panics
/// If there is no step, a weight is not of width `s`, a length is 0, or the lengths do not add up to
/// `total`.
/// # Source
/// Diao et al., AAAI 2021, similarity graph reasoning; Paranioar/SGRAF@a19d1a9, `GraphReasoning`
/// (golden `u01_sgr_head`).
/// # Deviations
/// 1. On the CPU an entry of `E` below 1e-30 counts as 0.
pub(crate) fn graph(
    nodes: Tensor<3>,
    lengths: &[usize],
    steps: Vec<GraphStep>,
    precision: Precision,
) -> Tensor<3> {
    assert!(!steps.is_empty(), "a graph reasons in at least one step");
    if !is_fused(&nodes.device()) {
        return twin(nodes, lengths, &steps);
    }
    let weights = |part: fn(&GraphStep) -> &(Tensor<2>, Tensor<1>)| {
        let (matrices, biases) = steps.iter().map(|step| part(step).clone()).unzip();
        let (matrices, biases): (Vec<_>, Vec<_>) = (matrices, biases);
        (
            Tensor::stack::<3>(matrices, 0).into(),
            Tensor::stack::<2>(biases, 0).into(),
        )
    };
    let (query, query_bias) = weights(|step| &step.query);
    let (key, key_bias) = weights(|step| &step.key);
    let (reason, reason_bias) = weights(|step| &step.reason);
    let operation = Graph {
        lengths: lengths.to_vec(),
        precision,
    };
    let nodes = nodes.into();
    apply(
        operation,
        [nodes, query, query_bias, key, key_bias, reason, reason_bias],
    )
}

/// Captions of the same length together, so that nothing is padded.
fn twin(nodes: Tensor<3>, lengths: &[usize], steps: &[GraphStep]) -> Tensor<3> {
    let [n, _, s] = nodes.dims();
    let device = nodes.device();
    let choose = |indices: Vec<usize>| {
        let indices: Vec<i64> = indices.into_iter().map(|at| at as i64).collect();
        let count = indices.len();
        Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &device)
    };
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&caption| lengths[caption]);
    let start = |caption: usize| lengths[..caption].iter().sum::<usize>();
    let alike = order.chunk_by(|&a, &b| lengths[a] == lengths[b]);
    let first = alike.map(|captions| {
        let m = lengths[captions[0]];
        let rows = captions.iter().flat_map(|&j| start(j)..start(j) + m);
        let x = nodes.clone().select(1, choose(rows.collect()));
        let x = x.reshape([n * captions.len(), m, s]);
        let x = steps.iter().fold(x, twin_step);
        x.narrow(1, 0, 1).reshape([n, captions.len(), s])
    });
    let first = Tensor::cat(first.collect(), 1);
    let mut places = vec![0; order.len()];
    for (place, &caption) in order.iter().enumerate() {
        places[caption] = place;
    }
    first.select(1, choose(places))
}

fn twin_step(x: Tensor<3>, step: &GraphStep) -> Tensor<3> {
    let affine = |x: Tensor<3>, (weight, bias): &(Tensor<2>, Tensor<1>)| {
        x.matmul(weight.clone().transpose().unsqueeze()) + bias.clone().unsqueeze()
    };
    let (query, key) = (affine(x.clone(), &step.query), affine(x.clone(), &step.key));
    let edges = softmax(query.matmul(key.transpose()), 2);
    relu(affine(edges.matmul(x), &step.reason))
}
