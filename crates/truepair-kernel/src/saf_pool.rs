//! Nodes of every pair pooled by signed attention.

use rayon::prelude::*;

use super::pairs::{Pairs, Span, split};
use super::vector::{add_scaled, dot, wide};
use super::{Array, Gradients, Operation, Output};

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
/// - inputs: nodes `[n, total, s]`, of every image the nodes of its pair with the first caption, then
///   of that with the second, and so on; attention `[n, total]`, of any sign
/// - output: `[n, c, s]`
/// # Panics
/// If a length is 0 or the lengths do not add up to `total`.
#[derive(Debug, Clone)]
pub struct SafPool {
    /// Nodes of each caption, at least 1: `c`.
    pub lengths: Vec<usize>,
}

/// What a chunk of pairs leaves for the backward pass.
#[derive(Debug)]
pub struct Pooled {
    /// The result, `[pairs, s]`.
    output: Vec<f32>,
    /// `Σⱼ |aⱼ| + 1e-8` and `‖y‖` of every pair.
    scales: Vec<[f32; 2]>,
}

impl SafPool {
    fn pairs(&self, nodes: Array<'_>, attention: Array<'_>) -> Pairs {
        let [n, total, _] = nodes.dims();
        assert_eq!(attention.shape, [n, total], "one attention per node");
        Pairs::new(n, &self.lengths, total)
    }
}

impl Operation for SafPool {
    type Saved = Vec<Pooled>;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved) {
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
        let shape = [n, self.lengths.len(), s];
        (Output::new(outputs.concat(), shape), pooled)
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
        gradients.with_first(inputs, |[by_nodes, by_attention]| {
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
        });
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
