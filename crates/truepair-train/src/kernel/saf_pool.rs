//! Nodes of every pair pooled by signed attention.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::pairs::{Pairs, Span, split};
use super::vector::{add_scaled, dot, wide};
use super::{Array, Gradients, Operation, apply, is_fused};
use crate::encoding::unit_length;

const GUARD: f32 = 1e-8;

/// Lengths below count as constants in the gradient, because a root has none at 0.
const SMALLEST: f32 = 1e-15;

/// Of every pair with nodes `X` and attention `a`
///
/// ```text
/// y = Σⱼ aⱼ Xⱼ / (Σⱼ |aⱼ| + 1e-8)     y / (‖y‖ + 1e-8)
/// ```
///
/// Where all attention is 0 the result is 0. The gradient by an attention of 0 takes the slope of
/// its magnitude as 0, and a `‖y‖` below 1e-15 counts as constant.
///
/// # Shapes
/// - `nodes`: `[n, total, s]`, of every image the nodes of its pair with the first caption, then of
///   that with the second, and so on; `attention`: `[n, total]`, of any sign; `lengths`: nodes of
///   each caption, at least 1
/// - returns `[n, c, s]`
/// # Panics
/// If a length is 0 or the lengths do not add up to `total`.
/// # Source
/// Diao et al., AAAI 2021, similarity attention filtration; Paranioar/SGRAF@a19d1a9,
/// `AttentionFiltration` (golden `u01_saf_head`).
pub(crate) fn saf_pool(nodes: Tensor<3>, attention: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
    if !is_fused(&nodes.device()) {
        return twin(nodes, attention, lengths);
    }
    let operation = Pool {
        lengths: lengths.to_vec(),
    };
    apply(operation, [nodes.into(), attention.into()])
}

/// Sums over captions are products with a matrix that says which node belongs to which caption.
fn twin(nodes: Tensor<3>, attention: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
    let [_, total, _] = nodes.dims();
    let captions = lengths.len();
    let owners = (lengths.iter().enumerate()).flat_map(|(j, m)| std::iter::repeat_n(j, *m));
    let mut belongs = vec![0f32; total * captions];
    for (node, caption) in owners.enumerate() {
        belongs[node * captions + caption] = 1.0;
    }
    let belongs = TensorData::new(belongs, [total, captions]);
    let belongs = Tensor::<2>::from_data(belongs, &nodes.device());
    let sizes = attention.clone().abs().matmul(belongs.clone()) + f64::from(GUARD);
    let weights = attention / sizes.matmul(belongs.clone().transpose());
    let weighted = nodes * weights.unsqueeze_dim::<3>(2);
    unit_length(belongs.transpose().unsqueeze::<3>().matmul(weighted))
}

#[derive(Debug)]
struct Pool {
    lengths: Vec<usize>,
}

/// What a chunk of pairs leaves for the backward pass.
#[derive(Debug)]
struct Pooled {
    /// The result, `[pairs, s]`.
    output: Vec<f32>,
    /// `Σⱼ |aⱼ| + 1e-8` and `‖y‖` of every pair.
    scales: Vec<[f32; 2]>,
}

impl Pool {
    fn pairs(&self, nodes: Array<'_>, attention: Array<'_>) -> Pairs {
        let [n, total, _] = nodes.dims();
        assert_eq!(attention.shape, [n, total], "one attention a node");
        Pairs::new(n, &self.lengths, total)
    }
}

impl Operation for Pool {
    type Saved = Vec<Pooled>;

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved) {
        let [n, _, s] = inputs[0].dims();
        let pairs = self.pairs(inputs[0], inputs[1]);
        let chunks = pairs.chunks();
        let pooled = chunks.par_iter().map(|chunk| {
            let rows = chunk.nodes();
            let nodes = &inputs[0].values[rows.start * s..rows.end * s];
            forward(chunk, nodes, &inputs[1].values[rows], s)
        });
        let pooled: Vec<Pooled> = pooled.collect();
        let outputs: Vec<&[f32]> = pooled.iter().map(|chunk| &chunk.output[..]).collect();
        (outputs.concat(), vec![n, self.lengths.len(), s], pooled)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let s = inputs[0].dims::<3>()[2];
        let pairs = self.pairs(inputs[0], inputs[1]);
        let chunks = pairs.chunks();
        let wanted = [0, 1].map(|input| gradients.wants(input));
        let mut outputs = [0, 1].map(|input| {
            let unwanted = || vec![0.0; inputs[input].values.len()];
            gradients.take(input).unwrap_or_else(unwanted)
        });
        let [by_nodes, by_attention] = &mut outputs;
        let ends = |width: usize| chunks.iter().map(move |chunk| chunk.nodes().end * width);
        let by_nodes = split(by_nodes, ends(s)).into_par_iter();
        let parts = by_nodes.zip(split(by_attention, ends(1)));
        let chunks = chunks.par_iter().zip(saved).zip(parts);
        chunks.for_each(|((chunk, pooled), (by_nodes, by_attention))| {
            let rows = chunk.nodes();
            let nodes = &inputs[0].values[rows.start * s..rows.end * s];
            let upstream = &gradient[chunk.pairs().start * s..chunk.pairs().end * s];
            let inputs = (nodes, &inputs[1].values[rows]);
            backward(chunk, inputs, pooled, upstream, (by_nodes, by_attention));
        });
        for (input, output) in outputs.into_iter().enumerate() {
            gradients.put(input, wanted[input].then_some(output));
        }
    }
}

fn forward(chunk: &Span<'_>, nodes: &[f32], attention: &[f32], s: usize) -> Pooled {
    let mut output = vec![0.0; chunk.len() * s];
    let mut scales = Vec::with_capacity(chunk.len());
    wide(
        #[inline(always)]
        || {
            for (pair, y) in chunk.members().zip(output.chunks_exact_mut(s)) {
                let rows = nodes[pair.start * s..pair.end * s].chunks_exact(s);
                let attention = &attention[pair];
                let size = attention.iter().map(|a| a.abs()).sum::<f32>() + GUARD;
                for (a, node) in attention.iter().zip(rows) {
                    add_scaled(y, a / size, node);
                }
                let norm = dot(y, y).sqrt().max(SMALLEST);
                let inverse = 1.0 / (norm + GUARD);
                y.iter_mut().for_each(|y| *y *= inverse);
                scales.push([size, norm]);
            }
        },
    );
    Pooled { output, scales }
}

fn backward(
    chunk: &Span<'_>,
    (nodes, attention): (&[f32], &[f32]),
    Pooled { output, scales }: &Pooled,
    upstream: &[f32],
    (by_nodes, by_attention): (&mut [f32], &mut [f32]),
) {
    let s = output.len() / chunk.len();
    let mut by_y = vec![0.0; s];
    wide(
        #[inline(always)]
        || {
            let outputs = output.chunks_exact(s).zip(upstream.chunks_exact(s));
            for ((pair, [size, norm]), (unit, upstream)) in chunk.members().zip(scales).zip(outputs)
            {
                let length = norm + GUARD;
                let along = dot(unit, upstream);
                let pull = if *norm > SMALLEST { along / norm } else { 0.0 };
                for ((by_y, unit), upstream) in by_y.iter_mut().zip(unit).zip(upstream) {
                    *by_y = upstream / length - unit * pull;
                }
                let by_size = dot(&by_y, unit) * length;
                let rows = pair.start * s..pair.end * s;
                let nodes = nodes[rows.clone()].chunks_exact(s);
                let by_nodes = by_nodes[rows].chunks_exact_mut(s);
                let attention = attention[pair.clone()].iter();
                let by_attention = by_attention[pair].iter_mut();
                for (((node, by_node), a), by_a) in
                    nodes.zip(by_nodes).zip(attention).zip(by_attention)
                {
                    let sign = if *a == 0.0 { 0.0 } else { a.signum() };
                    *by_a = (dot(&by_y, node) - sign * by_size) / size;
                    let weight = a / size;
                    for (by_node, by_y) in by_node.iter_mut().zip(&by_y) {
                        *by_node = weight * by_y;
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        let cases: [(usize, &[usize], usize); 4] = [
            (3, &[3, 1, 5], 7),
            (1, &[4], 3),
            (1, &[1, 2], 4),
            (50, &[2, 3], 2),
        ];
        for (n, lengths, s) in cases {
            let total = lengths.iter().sum();
            check_against_twin(
                &[Input::normal(&[n, total, s]), Input::normal(&[n, total])],
                |x| saf_pool(x[0].rank(), x[1].rank(), lengths),
                |x| twin(x[0].rank(), x[1].rank(), lengths),
            );
        }
    }

    fn tensor<const D: usize>(shape: [usize; D], values: &[f32]) -> Tensor<D> {
        let device = Device::flex().autodiff();
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn three_nodes_give_the_worked_numbers() {
        let nodes = [0.6, 0.8, 1.0, 0.0, 0.0, 1.0];
        let raw = [0.6f32 - 0.8, 1.0, -1.0];
        // Normalized with mean 0 and variance 1 as a trained batch norm does.
        let attention = raw.map(|x| 1.0 / (1.0 + (-x / 1.00001f32.sqrt()).exp()));
        let found = saf_pool(tensor([1, 3, 2], &nodes), tensor([1, 3], &attention), &[3]);
        for (a, b) in floats(found).iter().zip([0.846_721_7, 0.532_036_04]) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn attention_of_zero_gives_zero_and_a_finite_gradient() {
        let (nodes, attention) = (tensor([1, 2, 2], &[0.3; 4]), tensor([1, 2], &[0.0; 2]));
        let output = saf_pool(nodes.clone(), attention.clone(), &[2]);
        let graph = output.clone().sum().backward();
        assert_eq!(floats(output), [0.0; 2]);
        let finite = |values: Vec<f32>| values.iter().all(|x| x.is_finite());
        assert!(finite(floats(nodes.grad(&graph).unwrap())));
        assert!(finite(floats(attention.grad(&graph).unwrap())));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let wave =
            |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32 * 0.37).sin()).collect() };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let nodes = tensor([40, 8, 33], &wave(40 * 8 * 33));
                let attention = tensor([40, 8], &wave(40 * 8));
                let output = saf_pool(nodes.clone(), attention.clone(), &[5, 1, 2]);
                let graph = (output.clone() * output.clone().cos()).sum().backward();
                let all = [
                    floats(output),
                    floats(nodes.grad(&graph).unwrap()),
                    floats(attention.grad(&graph).unwrap()),
                ];
                all.map(|values| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            })
        };
        assert!(run(1) == run(2));
    }
}
