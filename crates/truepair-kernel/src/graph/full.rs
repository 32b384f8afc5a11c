//! A step that computes every node.

use std::ops::Range;

use super::edges::{softmax_columns, softmax_columns_backward, stride, transposed};
use super::fold::{Folded, FoldedGradient};
use super::tile::Tile;
use crate::product::{Precision, Threads, View, Write};
use crate::vector::wide;

/// What a step reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) tile: &'a Tile,
    pub(super) weights: &'a Folded,
    /// The tile's nodes before the step, `[nodes, s]`.
    pub(super) x: &'a [f32],
}

/// What the step computed of the tile that it ran on last; all but the edges `[nodes, s]`.
#[derive(Debug, Default)]
pub(super) struct Full {
    /// `X M + 1 kᵀ`
    queries: Vec<f32>,
    /// `Eᵀ` of every pair, padded.
    edges: Vec<f32>,
    /// `E X`
    mixed: Vec<f32>,
    /// The nodes after the step.
    pub(super) nodes: Vec<f32>,
}

/// What only the backward pass computes on its way, in any step.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Gradient by `E X`, `[nodes, s]`.
    by_mixed: Vec<f32>,
    /// Gradient by `X M + 1 kᵀ`, `[nodes, s]`.
    by_queries: Vec<f32>,
    /// Gradient by `Eᵀ`, then by what the softmax was taken of.
    by_edges: Vec<f32>,
}

impl Full {
    /// Runs the step.
    pub(super) fn forward(&mut self, before: Before<'_>) {
        let Before { tile, weights, x } = before;
        let s = weights.width();
        for rows in [&mut self.queries, &mut self.mixed, &mut self.nodes] {
            rows.resize(x.len(), 0.0);
        }
        self.edges.resize(tile.edges(), 0.0);
        weights.pairing.forward(x, &mut self.queries);
        each_pair(tile, s, |rows, edges, m| {
            let queries = View::rows(&self.queries[rows.clone()], s);
            let (x, out) = (View::rows(&x[rows], s), &mut self.edges[edges]);
            product(x, queries.t(), out, stride(m), Write::Replace);
        });
        wide(
            #[inline(always)]
            || {
                for pair in tile.members() {
                    let edges = &mut self.edges[pair.edges.clone()];
                    softmax_columns(edges, stride(pair.nodes.len()));
                }
            },
        );
        each_pair(tile, s, |rows, edges, m| {
            let edges = transposed(&self.edges[edges], m).t();
            let (x, out) = (View::rows(&x[rows.clone()], s), &mut self.mixed[rows]);
            product(edges, x, out, s, Write::Replace);
        });
        weights.reason.forward_relu(&self.mixed, &mut self.nodes);
    }

    /// Turns `gradient`, by the nodes after the step, into the one by the nodes `x` before it, and
    /// adds to the gradients of the weights.
    pub(super) fn backward(
        &self,
        before: Before<'_>,
        gradient: &mut [f32],
        scratch: &mut Scratch,
        sums: &mut FoldedGradient,
    ) {
        let Before { tile, weights, x } = before;
        let (s, precision) = (weights.width(), weights.precision);
        scratch.fit(tile, s);
        relu_backward(&self.nodes, gradient);
        sums.reason.gather(precision, &self.mixed, gradient);
        let by_mixed = &mut scratch.by_mixed;
        (weights.reason).backward(gradient, by_mixed, Write::Replace);
        self.edges_backward(tile, x, gradient, scratch, s);
        sums.pairing.gather(precision, x, &scratch.by_queries);
        (weights.pairing).backward(&scratch.by_queries, gradient, Write::Add);
    }

    /// Through `E X` and the softmax: sets `gradient` to what comes to the nodes on these ways, and
    /// fills `by_queries`.
    fn edges_backward(
        &self,
        tile: &Tile,
        x: &[f32],
        gradient: &mut [f32],
        scratch: &mut Scratch,
        s: usize,
    ) {
        let Scratch {
            by_mixed,
            by_queries,
            by_edges,
        } = scratch;
        each_pair(tile, s, |rows, edges, m| {
            let by_mixed = View::rows(&by_mixed[rows.clone()], s);
            let (x, out) = (
                View::rows(&x[rows.clone()], s),
                &mut by_edges[edges.clone()],
            );
            product(x, by_mixed.t(), out, stride(m), Write::Replace);
            let edges = transposed(&self.edges[edges], m);
            product(edges, by_mixed, &mut gradient[rows], s, Write::Replace);
        });
        wide(
            #[inline(always)]
            || {
                for pair in tile.members() {
                    let (m, edges) = (pair.nodes.len(), pair.edges.clone());
                    let gradient = &mut by_edges[edges.clone()];
                    softmax_columns_backward(&self.edges[edges], gradient, stride(m));
                }
            },
        );
        each_pair(tile, s, |rows, edges, m| {
            let by_edges = transposed(&by_edges[edges], m);
            let queries = View::rows(&self.queries[rows.clone()], s);
            product(
                by_edges,
                queries,
                &mut gradient[rows.clone()],
                s,
                Write::Add,
            );
            let (x, out) = (View::rows(&x[rows.clone()], s), &mut by_queries[rows]);
            product(by_edges.t(), x, out, s, Write::Replace);
        });
    }
}

impl Scratch {
    fn fit(&mut self, tile: &Tile, s: usize) {
        for rows in [&mut self.by_mixed, &mut self.by_queries] {
            rows.resize(tile.nodes() * s, 0.0);
        }
        self.by_edges.resize(tile.edges(), 0.0);
    }
}

/// Sets the gradient to 0 where a positive part was 0.
pub(super) fn relu_backward(output: &[f32], gradient: &mut [f32]) {
    wide(
        #[inline(always)]
        || {
            let pairs = gradient.iter_mut().zip(output);
            pairs.for_each(|(g, x)| *g = if *x > 0.0 { *g } else { 0.0 });
        },
    );
}

/// A product for one pair, too small to profit from rounding its factors.
fn product(left: View<'_>, right: View<'_>, out: &mut [f32], out_stride: usize, write: Write) {
    let (precision, threads) = (Precision::F32, Threads::One);
    left.times(right)
        .with(precision)
        .on(threads)
        .put(write, out, out_stride);
}

/// Of every pair, where its nodes lie in `[nodes, s]`, where its edges lie, and its nodes' number.
fn each_pair(tile: &Tile, s: usize, mut run: impl FnMut(Range<usize>, Range<usize>, usize)) {
    for pair in tile.members() {
        let rows = pair.nodes.start * s..pair.nodes.end * s;
        run(rows, pair.edges.clone(), pair.nodes.len());
    }
}
