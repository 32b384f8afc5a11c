//! The fused operation: chunks of pairs in parallel, each with its own gradients by the weights.

use rayon::prelude::*;

use super::edges::stride;
use super::fold::{Folded, FoldedGradient, Given, GivenGradient};
use super::full::{self, Stepped};
use super::last::{self, Read};
use crate::kernel::matmul::Precision;
use crate::kernel::pairs::{Pairs, Span, split_nodes};
use crate::kernel::{Array, Gradients, Operation};

/// Operands: nodes `[n, total, s]`; then of query, key and reason the weights of all steps
/// `[steps, s, s]` and their biases `[steps, s]`.
#[derive(Debug)]
pub(super) struct Graph {
    lengths: Vec<usize>,
    precision: Precision,
}

/// What the forward pass of a chunk leaves for the backward pass.
#[derive(Debug)]
pub(super) struct Passed {
    steps: Vec<Stepped>,
    read: Read,
}

impl Graph {
    pub(super) fn new(lengths: &[usize], precision: Precision) -> Self {
        Self {
            lengths: lengths.to_vec(),
            precision,
        }
    }

    fn pairs(&self, nodes: Array<'_>) -> Pairs {
        let [n, total, _] = nodes.dims();
        Pairs::new(n, &self.lengths, total, |m| m * stride(m))
    }

    fn folded(&self, inputs: &[Array<'_>]) -> Vec<Folded> {
        let given = given(inputs).into_iter();
        given
            .map(|given| Folded::new(given, self.precision))
            .collect()
    }
}

impl Operation for Graph {
    type Saved = Vec<Passed>;

    fn forward(&self, inputs: &[Array<'_>], tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved) {
        let [n, _, s] = inputs[0].dims();
        let (pairs, weights) = (self.pairs(inputs[0]), self.folded(inputs));
        let run = |chunk: &Span<'_>| {
            let nodes = &inputs[0].values[chunk.nodes().start * s..chunk.nodes().end * s];
            forward(chunk, &weights, nodes, tracked)
        };
        let (output, saved): (Vec<_>, Vec<_>) = pairs.chunks().par_iter().map(run).unzip();
        let saved = saved.into_iter().flatten().collect();
        (output.concat(), vec![n, self.lengths.len(), s], saved)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let s = inputs[0].dims::<3>()[2];
        let (pairs, weights) = (self.pairs(inputs[0]), self.folded(inputs));
        let chunks = pairs.chunks();
        let wanted = gradients.take(0);
        let wants_nodes = wanted.is_some();
        let mut by_nodes = wanted.unwrap_or_else(|| vec![0.0; inputs[0].values.len()]);
        let parts = split_nodes(&chunks, &mut by_nodes, s);
        let parts = chunks.par_iter().zip(saved).zip(parts);
        let sums = parts.map(|((chunk, passed), by_nodes)| {
            let nodes = &inputs[0].values[chunk.nodes().start * s..chunk.nodes().end * s];
            let upstream = &gradient[chunk.pairs().start * s..chunk.pairs().end * s];
            backward(chunk, &weights, nodes, passed, upstream, by_nodes)
        });
        let sums: Vec<Vec<FoldedGradient>> = sums.collect();
        if wants_nodes {
            gradients.put(0, Some(by_nodes));
        }
        for (step, given) in given(inputs).into_iter().enumerate() {
            let mut sum = FoldedGradient::zeros(s);
            sums.iter().for_each(|chunk| sum.merge(&chunk[step]));
            write(step, sum.unfold(given, self.precision), gradients);
        }
    }
}

fn forward(
    chunk: &Span<'_>,
    weights: &[Folded],
    nodes: &[f32],
    tracked: bool,
) -> (Vec<f32>, Option<Passed>) {
    let (last, full) = weights.split_last().expect("a graph has a step");
    let mut steps: Vec<Stepped> = Vec::new();
    for step in full {
        let stepped = full::forward(chunk, step, after(&steps, nodes));
        if !tracked {
            steps.clear();
        }
        steps.push(stepped);
    }
    let read = last::forward(chunk, last, after(&steps, nodes));
    match tracked {
        true => (read.nodes.clone(), Some(Passed { steps, read })),
        false => (read.nodes, None),
    }
}

/// The gradients by the weights of every step; the one by the nodes is written to `gradient`.
fn backward(
    chunk: &Span<'_>,
    weights: &[Folded],
    nodes: &[f32],
    Passed { steps, read }: &Passed,
    upstream: &[f32],
    gradient: &mut [f32],
) -> Vec<FoldedGradient> {
    let s = weights[0].width();
    let mut sums: Vec<_> = weights.iter().map(|_| FoldedGradient::zeros(s)).collect();
    let last = steps.len();
    last::backward(
        chunk,
        &weights[last],
        after(steps, nodes),
        read,
        upstream,
        gradient,
        &mut sums[last],
    );
    for (at, step) in steps.iter().enumerate().rev() {
        let before = after(&steps[..at], nodes);
        full::backward(chunk, &weights[at], before, step, gradient, &mut sums[at]);
    }
    sums
}

/// The nodes after all of these steps.
fn after<'a>(steps: &'a [Stepped], nodes: &'a [f32]) -> &'a [f32] {
    steps.last().map_or(nodes, |step| &step.nodes)
}

fn given<'a>(inputs: &[Array<'a>]) -> Vec<Given<'a>> {
    let [steps, s] = inputs[2].dims();
    let width = inputs[0].dims::<3>()[2];
    let square = |input: usize| inputs[input].shape == [steps, width, width];
    assert!(
        s == width && [1, 3, 5].into_iter().all(square),
        "weights of width {width}"
    );
    let matrix = |input: usize, step: usize| &inputs[input].values[step * s * s..][..s * s];
    let bias = |input: usize, step: usize| &inputs[input].values[step * s..][..s];
    (0..steps)
        .map(|step| Given {
            query: matrix(1, step),
            query_bias: bias(2, step),
            key: matrix(3, step),
            reason: matrix(5, step),
            reason_bias: bias(6, step),
        })
        .collect()
}

fn write(step: usize, values: GivenGradient, gradients: &mut Gradients) {
    let operands = [
        (1, values.query),
        (2, values.query_bias),
        (3, values.key),
        (5, values.reason),
        (6, values.reason_bias),
    ];
    for (operand, values) in operands {
        if let Some(out) = gradients.get(operand) {
            out[step * values.len()..][..values.len()].copy_from_slice(&values);
        }
    }
}
