//! Element-wise passes over rows; inline them into [`wide`](crate::vector::wide).

use crate::vector::dot;

const GUARD: f32 = 1e-8;

/// The length of `row` and the factor of `l2`.
#[inline(always)]
fn length(row: &[f32]) -> (f32, f32) {
    let length = dot(row, row).sqrt();
    (length, 1.0 / (length + GUARD))
}

/// Every context `x` becomes `(l2(x) − word)²`.
#[inline(always)]
pub(super) fn contexts_to_squares(contexts: &mut [f32], words: &[f32], d: usize) {
    for (context, word) in contexts.chunks_exact_mut(d).zip(words.chunks_exact(d)) {
        let (_, scale) = length(context);
        for (x, w) in context.iter_mut().zip(word) {
            let difference = *x * scale - w;
            *x = difference * difference;
        }
    }
}

/// Every context `x` becomes `l2(x)`; writes its length and `(l2(x) − word)²`.
#[inline(always)]
pub(super) fn contexts_and_squares(
    contexts: &mut [f32],
    words: &[f32],
    d: usize,
    lengths: &mut [f32],
    squares: &mut [f32],
) {
    let rows = contexts.chunks_exact_mut(d).zip(words.chunks_exact(d));
    let out = squares.chunks_exact_mut(d).zip(lengths);
    for ((context, word), (square, kept)) in rows.zip(out) {
        let (norm, scale) = length(context);
        *kept = norm;
        for ((x, w), out) in context.iter_mut().zip(word).zip(square) {
            *x *= scale;
            let difference = *x - w;
            *out = difference * difference;
        }
    }
}

/// Contexts of a tile and what they are compared with.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    /// `l2` of the contexts, `[words, d]`.
    pub(super) contexts: &'a [f32],
    /// Lengths of the contexts before that.
    pub(super) lengths: &'a [f32],
    /// `[words, d]`
    pub(super) words: &'a [f32],
    pub(super) d: usize,
}

/// Turns the gradient by the squares into the gradient by the contexts before their scaling, and
/// adds the gradient by the words.
#[inline(always)]
pub(super) fn squares_backward(compared: Compared<'_>, gradient: &mut [f32], by_words: &mut [f32]) {
    let Compared {
        contexts,
        lengths,
        words,
        d,
    } = compared;
    let rows = contexts.chunks_exact(d).zip(words.chunks_exact(d));
    let out = gradient
        .chunks_exact_mut(d)
        .zip(by_words.chunks_exact_mut(d));
    for (((context, word), (gradient, by_word)), norm) in rows.zip(out).zip(lengths) {
        for (((x, w), g), by) in context
            .iter()
            .zip(word)
            .zip(gradient.iter_mut())
            .zip(by_word)
        {
            *g *= 2.0 * (x - w);
            *by -= *g;
        }
        unit_backward(context, *norm, gradient);
    }
}

/// `gradient` by `unit = l2(x)` becomes the gradient by `x`, which was `norm` long.
#[inline(always)]
fn unit_backward(unit: &[f32], norm: f32, gradient: &mut [f32]) {
    let guarded = norm + GUARD;
    let scale = 1.0 / guarded;
    let pull = if norm > 0.0 {
        dot(unit, gradient) * guarded / norm
    } else {
        0.0
    };
    for (g, x) in gradient.iter_mut().zip(unit) {
        *g = (*g - x * pull) * scale;
    }
}

/// Writes `(whole − other)²`.
#[inline(always)]
pub(super) fn squares(whole: &[f32], other: &[f32], out: &mut [f32]) {
    for ((x, y), out) in whole.iter().zip(other).zip(out) {
        *out = (x - y) * (x - y);
    }
}

/// Adds the gradients by both vectors of [`squares`].
#[inline(always)]
pub(super) fn wholes_backward(
    whole: &[f32],
    other: &[f32],
    gradient: &[f32],
    by_whole: &mut [f32],
    by_other: &mut [f32],
) {
    let out = by_whole.iter_mut().zip(by_other);
    for (((x, y), g), (by_x, by_y)) in whole.iter().zip(other).zip(gradient).zip(out) {
        let pull = 2.0 * g * (x - y);
        *by_x += pull;
        *by_y -= pull;
    }
}

/// Nodes and their lengths before scaling.
pub(super) struct NodesMut<'a> {
    /// `[nodes, s]`
    pub(super) values: &'a mut [f32],
    /// `[nodes]`
    pub(super) lengths: &'a mut [f32],
}

/// Writes `l2(projected + bias)` of every row to its node, and the length beside it. The rows are
/// left with the bias.
#[inline(always)]
pub(super) fn write_nodes(
    projected: &mut [f32],
    bias: &[f32],
    places: &[usize],
    nodes: &mut [f32],
    lengths: &mut [f32],
) {
    let s = bias.len();
    for (row, &place) in projected.chunks_exact_mut(s).zip(places) {
        for (x, b) in row.iter_mut().zip(bias) {
            *x += b;
        }
        let (norm, scale) = length(row);
        lengths[place] = norm;
        for (node, x) in nodes[place * s..][..s].iter_mut().zip(row) {
            *node = *x * scale;
        }
    }
}

/// What the backward pass knows of some nodes.
#[derive(Clone, Copy)]
pub(super) struct Nodes<'a> {
    /// `[nodes, s]`
    pub(super) values: &'a [f32],
    /// Lengths before scaling, `[nodes]`.
    pub(super) lengths: &'a [f32],
    /// `[nodes, s]`
    pub(super) gradient: &'a [f32],
}

/// Writes the gradient by the projected rows of the nodes at `places`, and adds that by the bias.
#[inline(always)]
pub(super) fn read_nodes(
    nodes: Nodes<'_>,
    places: &[usize],
    projected: &mut [f32],
    by_bias: &mut [f32],
) {
    let Nodes {
        values,
        lengths,
        gradient,
    } = nodes;
    let s = by_bias.len();
    for (row, &place) in projected.chunks_exact_mut(s).zip(places) {
        let at = place * s..(place + 1) * s;
        row.copy_from_slice(&gradient[at.clone()]);
        unit_backward(&values[at], lengths[place], row);
        for (sum, g) in by_bias.iter_mut().zip(row) {
            *sum += *g;
        }
    }
}
