//! The last step, which computes the first node of every pair and no other.

use super::edges::{softmax, softmax_backward};
use super::fold::FoldedGradient;
use super::full::{Before, relu_backward};
use super::tile::Tile;
use crate::product::Write;
use crate::vector::{add, add_scaled, dot, wide};

/// What the step computed of the tile that it ran on last: of every pair, the first row of each.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// `X`, `[pairs, s]`.
    first: Vec<f32>,
    /// `X M + 1 kᵀ`, `[pairs, s]`.
    queries: Vec<f32>,
    /// `E`, `[nodes]`.
    edges: Vec<f32>,
    /// `E X`, `[pairs, s]`.
    mixed: Vec<f32>,
    /// The node after the step, `[pairs, s]`.
    pub(super) nodes: Vec<f32>,
}

impl Last {
    /// Runs the step.
    pub(super) fn forward(&mut self, before: Before<'_>) {
        let Before { tile, weights, x } = before;
        let s = weights.width();
        self.first.clear();
        for pair in tile.members() {
            self.first
                .extend_from_slice(&x[pair.nodes.start * s..][..s]);
        }
        for rows in [&mut self.queries, &mut self.mixed, &mut self.nodes] {
            rows.resize(tile.len() * s, 0.0);
        }
        self.edges.resize(tile.nodes(), 0.0);
        weights.pairing.forward(&self.first, &mut self.queries);
        self.mixed.fill(0.0);
        wide(
            #[inline(always)]
            || {
                let queries = self.queries.chunks_exact(s);
                let rows = queries.zip(self.mixed.chunks_exact_mut(s));
                for (pair, (query, mixed)) in tile.members().iter().zip(rows) {
                    let x = x[pair.nodes.start * s..pair.nodes.end * s].chunks_exact(s);
                    let edges = &mut self.edges[pair.nodes.clone()];
                    for (edge, node) in edges.iter_mut().zip(x.clone()) {
                        *edge = dot(query, node);
                    }
                    softmax(edges);
                    for (edge, node) in edges.iter().zip(x) {
                        add_scaled(mixed, *edge, node);
                    }
                }
            },
        );
        weights.reason.forward_relu(&self.mixed, &mut self.nodes);
    }

    /// Sets `gradient`, by the nodes `x` before the step, from `upstream`, the one by the first nodes
    /// after it, and adds to the gradients of the weights.
    pub(super) fn backward(
        &self,
        before: Before<'_>,
        mut upstream: Vec<f32>,
        gradient: &mut [f32],
        sums: &mut FoldedGradient,
    ) {
        let Before { tile, weights, x } = before;
        let (s, precision) = (weights.width(), weights.precision);
        relu_backward(&self.nodes, &mut upstream);
        sums.reason.gather(precision, &self.mixed, &upstream);
        let mut by_mixed = vec![0.0; upstream.len()];
        (weights.reason).backward(&upstream, &mut by_mixed, Write::Replace);
        let mut by_queries = upstream;
        by_queries.fill(0.0);
        self.edges_backward(tile, x, &by_mixed, &mut by_queries, gradient);
        sums.pairing.gather(precision, &self.first, &by_queries);
        let mut by_first = by_mixed;
        (weights.pairing).backward(&by_queries, &mut by_first, Write::Replace);
        for (pair, by_first) in tile.members().iter().zip(by_first.chunks_exact(s)) {
            add(&mut gradient[pair.nodes.start * s..][..s], by_first);
        }
    }

    /// Through `E X` and the softmax of every pair.
    fn edges_backward(
        &self,
        tile: &Tile,
        x: &[f32],
        by_mixed: &[f32],
        by_queries: &mut [f32],
        gradient: &mut [f32],
    ) {
        let s = by_mixed.len() / tile.len();
        let mut by_edges = vec![0.0; self.edges.len()];
        wide(
            #[inline(always)]
            || {
                let upstream = by_mixed.chunks_exact(s).zip(by_queries.chunks_exact_mut(s));
                let pairs = tile.members().iter().zip(self.queries.chunks_exact(s));
                for ((pair, query), (by_mixed, by_query)) in pairs.zip(upstream) {
                    let rows = pair.nodes.start * s..pair.nodes.end * s;
                    let x = x[rows.clone()].chunks_exact(s);
                    let edges = &self.edges[pair.nodes.clone()];
                    let by_edges = &mut by_edges[pair.nodes.clone()];
                    for (edge, node) in by_edges.iter_mut().zip(x.clone()) {
                        *edge = dot(by_mixed, node);
                    }
                    softmax_backward(edges, by_edges);
                    let by_rows = gradient[rows].chunks_exact_mut(s);
                    let terms = edges.iter().zip(&*by_edges).zip(x).zip(by_rows);
                    for (((edge, by_edge), node), by_row) in terms {
                        let sources = by_mixed.iter().zip(query);
                        for (out, (mixed, query)) in by_row.iter_mut().zip(sources) {
                            *out = edge * mixed + by_edge * query;
                        }
                        add_scaled(by_query, *by_edge, node);
                    }
                }
            },
        );
    }
}
