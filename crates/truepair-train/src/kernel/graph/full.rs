//! A step that computes every node.

use std::ops::Range;

use super::edges::{softmax_columns, softmax_columns_backward, stride, transposed};
use super::fold::{Folded, FoldedGradient};
use crate::kernel::matmul::{Precision, Threads, View, Write, multiply};
use crate::kernel::pairs::{Places, Span};
use crate::kernel::vector::wide;

/// Nodes of a tile: enough for products to run at full speed, few enough for what a tile reads and
/// writes to stay in a core's cache.
const TILE_ROWS: usize = 256;

/// What a step leaves for the backward pass. `X M + 1 kᵀ` is not kept: computing it again takes as
/// long as writing it to memory and fetching it back.
#[derive(Debug)]
pub(super) struct Stepped {
    /// `Eᵀ` of every pair, padded.
    edges: Vec<f32>,
    /// The nodes after the step, `[nodes, s]`.
    pub(super) nodes: Vec<f32>,
}

/// Runs one step on the nodes `[nodes, s]` of `span`.
pub(super) fn forward(span: &Span<'_>, weights: &Folded, nodes: &[f32]) -> Stepped {
    let s = weights.width();
    let mut stepped = Stepped {
        edges: vec![0.0; span.edges()],
        nodes: vec![0.0; nodes.len()],
    };
    let tiles = span.tiles(TILE_ROWS);
    let mut scratch = vec![0.0; largest(&tiles).nodes.len() * s];
    for (tile, places) in &tiles {
        let rows = places.nodes.start * s..places.nodes.end * s;
        let (x, scratch) = (&nodes[rows.clone()], &mut scratch[..rows.len()]);
        let edges = &mut stepped.edges[places.edges.clone()];
        weights.pairing.forward(x, scratch);
        each_pair(tile, s, |rows, square, m| {
            let (queries, x) = (
                View::rows(&scratch[rows.clone()], s),
                View::rows(&x[rows], s),
            );
            product(
                x,
                queries.t(),
                &mut edges[square],
                stride(m),
                Write::Replace,
            );
        });
        wide(
            #[inline(always)]
            || {
                for pair in tile.members() {
                    softmax_columns(&mut edges[pair.edges], stride(pair.nodes.len()));
                }
            },
        );
        mix(tile, edges, x, scratch, s);
        weights
            .reason
            .forward_relu(scratch, &mut stepped.nodes[rows]);
    }
    stepped
}

/// Turns `gradient`, by the nodes after the step, into the one by the nodes before it, and adds to
/// the gradients of the weights.
pub(super) fn backward(
    span: &Span<'_>,
    weights: &Folded,
    before: &[f32],
    stepped: &Stepped,
    gradient: &mut [f32],
    sums: &mut FoldedGradient,
) {
    let s = weights.width();
    let tiles = span.tiles(TILE_ROWS);
    let mut scratch = Scratch::new(&largest(&tiles), s);
    for (tile, places) in &tiles {
        let rows = places.nodes.start * s..places.nodes.end * s;
        let tile = Tile {
            span: tile,
            weights,
            x: &before[rows.clone()],
            next: &stepped.nodes[rows.clone()],
            edges: &stepped.edges[places.edges.clone()],
        };
        tile.backward(&mut gradient[rows], scratch.part(places, s), sums);
    }
}

/// What the backward pass of a tile computes on its way; all but the last `[nodes, s]`.
#[derive(Debug)]
struct Scratch<T> {
    /// `E X`, later the gradient by `X M + 1 kᵀ`.
    mixed: T,
    /// Gradient by `E X`.
    upstream: T,
    /// `X M + 1 kᵀ`
    queries: T,
    /// Gradient by `Eᵀ`, then by what the softmax was taken of.
    edges: T,
}

impl Scratch<Vec<f32>> {
    fn new(places: &Places, s: usize) -> Self {
        let nodes = || vec![0.0; places.nodes.len() * s];
        Self {
            mixed: nodes(),
            upstream: nodes(),
            queries: nodes(),
            edges: vec![0.0; places.edges.len()],
        }
    }

    fn part(&mut self, places: &Places, s: usize) -> Scratch<&mut [f32]> {
        let nodes = places.nodes.len() * s;
        Scratch {
            mixed: &mut self.mixed[..nodes],
            upstream: &mut self.upstream[..nodes],
            queries: &mut self.queries[..nodes],
            edges: &mut self.edges[..places.edges.len()],
        }
    }
}

struct Tile<'a> {
    span: &'a Span<'a>,
    weights: &'a Folded,
    x: &'a [f32],
    next: &'a [f32],
    edges: &'a [f32],
}

impl Tile<'_> {
    fn backward(
        &self,
        gradient: &mut [f32],
        scratch: Scratch<&mut [f32]>,
        sums: &mut FoldedGradient,
    ) {
        let Scratch {
            mixed,
            upstream,
            queries,
            edges: by_edge,
        } = scratch;
        let (weights, x, s) = (self.weights, self.x, self.weights.width());
        let precision = weights.precision;
        relu_backward(self.next, gradient);
        mix(self.span, self.edges, x, mixed, s);
        sums.reason.gather(precision, mixed, gradient);
        weights.reason.backward(gradient, upstream, Write::Replace);
        weights.pairing.forward(x, queries);
        each_pair(self.span, s, |rows, square, m| {
            let upstream = View::rows(&upstream[rows.clone()], s);
            let edges = transposed(&self.edges[square.clone()], m);
            product(
                edges,
                upstream,
                &mut gradient[rows.clone()],
                s,
                Write::Replace,
            );
            let x = View::rows(&x[rows], s);
            product(
                x,
                upstream.t(),
                &mut by_edge[square],
                stride(m),
                Write::Replace,
            );
        });
        wide(
            #[inline(always)]
            || {
                for pair in self.span.members() {
                    let (m, edges) = (pair.nodes.len(), &self.edges[pair.edges.clone()]);
                    softmax_columns_backward(edges, &mut by_edge[pair.edges], stride(m));
                }
            },
        );
        each_pair(self.span, s, |rows, square, m| {
            let by_edge = transposed(&by_edge[square], m);
            let queries = View::rows(&queries[rows.clone()], s);
            product(by_edge, queries, &mut gradient[rows.clone()], s, Write::Add);
            let x = View::rows(&x[rows.clone()], s);
            product(by_edge.t(), x, &mut mixed[rows], s, Write::Replace);
        });
        sums.pairing.gather(precision, x, mixed);
        weights.pairing.backward(mixed, gradient, Write::Add);
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

/// `out = E X` of every pair.
fn mix(tile: &Span<'_>, edges: &[f32], x: &[f32], out: &mut [f32], s: usize) {
    each_pair(tile, s, |rows, square, m| {
        let x = View::rows(&x[rows.clone()], s);
        let edges = transposed(&edges[square], m).t();
        product(edges, x, &mut out[rows], s, Write::Replace);
    });
}

/// A product of one pair. It is too small to profit from rounding its factors.
fn product(left: View<'_>, right: View<'_>, out: &mut [f32], out_stride: usize, write: Write) {
    multiply(
        Precision::F32,
        Threads::One,
        left,
        right,
        out,
        out_stride,
        write,
    );
}

/// Of every pair, where its nodes lie in `[nodes, s]`, where its edges lie, and its nodes' number.
fn each_pair(tile: &Span<'_>, s: usize, mut run: impl FnMut(Range<usize>, Range<usize>, usize)) {
    for pair in tile.members() {
        let rows = pair.nodes.start * s..pair.nodes.end * s;
        run(rows, pair.edges, pair.nodes.len());
    }
}

/// The numbers of nodes and of edges that hold every tile.
fn largest(tiles: &[(Span<'_>, Places)]) -> Places {
    let most = |count: fn(&Places) -> usize| tiles.iter().map(|(_, places)| count(places)).max();
    Places {
        nodes: 0..most(|places| places.nodes.len()).unwrap_or(0),
        edges: 0..most(|places| places.edges.len()).unwrap_or(0),
    }
}
