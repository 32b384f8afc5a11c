//! The last step, which computes the first node of every pair and no other.

use super::edges::{softmax, softmax_backward};
use super::fold::{Folded, FoldedGradient};
use super::full::relu_backward;
use crate::kernel::matmul::Write;
use crate::kernel::pairs::Span;
use crate::kernel::vector::{add, add_scaled, dot, wide};

/// What the last step leaves for the backward pass: of every pair, the first row of each.
#[derive(Debug)]
pub(super) struct Read {
    /// `E`
    edges: Vec<f32>,
    /// `X M + 1 kᵀ`, `[pairs, s]`.
    queries: Vec<f32>,
    /// `E X`, `[pairs, s]`.
    mixed: Vec<f32>,
    /// The node after the step, `[pairs, s]`.
    pub(super) nodes: Vec<f32>,
}

/// Runs the step on the nodes `[nodes, s]` of `span`.
pub(super) fn forward(span: &Span<'_>, weights: &Folded, nodes: &[f32]) -> Read {
    let s = weights.width();
    let rows = || vec![0.0; span.len() * s];
    let mut read = Read {
        edges: vec![0.0; nodes.len() / s],
        queries: rows(),
        mixed: rows(),
        nodes: rows(),
    };
    let first = first_nodes(span, nodes, s);
    weights.pairing.forward(&first, &mut read.queries);
    wide(
        #[inline(always)]
        || {
            let queries = read.queries.chunks_exact(s);
            let mixed = read.mixed.chunks_exact_mut(s);
            for ((pair, query), mixed) in span.members().zip(queries).zip(mixed) {
                let x = nodes[pair.nodes.start * s..pair.nodes.end * s].chunks_exact(s);
                let edges = &mut read.edges[pair.nodes];
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
    weights.reason.forward_relu(&read.mixed, &mut read.nodes);
    read
}

/// Sets `gradient`, by the nodes before the step, from `upstream`, the one by the first nodes after
/// it, and adds to the gradients of the weights.
pub(super) fn backward(
    span: &Span<'_>,
    weights: &Folded,
    nodes: &[f32],
    read: &Read,
    upstream: &[f32],
    gradient: &mut [f32],
    sums: &mut FoldedGradient,
) {
    let (s, precision) = (weights.width(), weights.precision);
    let mut by_node = upstream.to_vec();
    relu_backward(&read.nodes, &mut by_node);
    sums.reason.gather(precision, &read.mixed, &by_node);
    let mut by_mixed = vec![0.0; by_node.len()];
    weights
        .reason
        .backward(&by_node, &mut by_mixed, Write::Replace);
    let mut by_query = by_node;
    by_query.fill(0.0);
    pairs_backward(span, nodes, read, &by_mixed, &mut by_query, gradient);
    let first = first_nodes(span, nodes, s);
    sums.pairing.gather(precision, &first, &by_query);
    let mut by_first = by_mixed;
    weights
        .pairing
        .backward(&by_query, &mut by_first, Write::Replace);
    for (pair, by_first) in span.members().zip(by_first.chunks_exact(s)) {
        add(&mut gradient[pair.nodes.start * s..][..s], by_first);
    }
}

/// Through `E X` and the softmax of every pair.
fn pairs_backward(
    span: &Span<'_>,
    nodes: &[f32],
    read: &Read,
    by_mixed: &[f32],
    by_query: &mut [f32],
    gradient: &mut [f32],
) {
    let s = by_mixed.len() / span.len();
    let mut by_edge = vec![0.0; read.edges.len()];
    wide(
        #[inline(always)]
        || {
            let upstream = by_mixed.chunks_exact(s).zip(by_query.chunks_exact_mut(s));
            let pairs = span.members().zip(read.queries.chunks_exact(s));
            for ((pair, query), (by_mixed, by_query)) in pairs.zip(upstream) {
                let rows = pair.nodes.start * s..pair.nodes.end * s;
                let x = nodes[rows.clone()].chunks_exact(s);
                let (edges, by_edge) = (&read.edges[pair.nodes.clone()], &mut by_edge[pair.nodes]);
                for (edge, node) in by_edge.iter_mut().zip(x.clone()) {
                    *edge = dot(by_mixed, node);
                }
                softmax_backward(edges, by_edge);
                let by_rows = gradient[rows].chunks_exact_mut(s);
                let terms = edges.iter().zip(&*by_edge).zip(x).zip(by_rows);
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

/// The first node of every pair, `[pairs, s]`.
fn first_nodes(span: &Span<'_>, nodes: &[f32], s: usize) -> Vec<f32> {
    let mut first = Vec::with_capacity(span.len() * s);
    for pair in span.members() {
        first.extend_from_slice(&nodes[pair.nodes.start * s..][..s]);
    }
    first
}
