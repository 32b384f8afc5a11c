//! Softmax over the edges of one pair, and where they lie.
//!
//! Edges are kept transposed: row `j` holds the weights that all nodes give to node `j`. A softmax
//! then runs over rows, with a node in each lane, and rows are padded to whole vectors. What the
//! padding holds is never read by a product.

use crate::product::View;
use crate::vector::exp;

const LANES: usize = 16;

/// Weights below are 0, because numbers near the end of the range make products many times slower.
const SMALLEST: f32 = 1e-30;

/// Length of a row of edges of `m` nodes.
pub(super) fn stride(m: usize) -> usize {
    m.next_multiple_of(LANES)
}

/// `Eᵀ`, `[m, m]`.
pub(super) fn transposed(edges: &[f32], m: usize) -> View<'_> {
    View::strided(edges, m, m, stride(m))
}

/// Turns every column into its softmax. Inline it into [`wide`](crate::vector::wide), as
/// everything below.
#[inline(always)]
pub(super) fn softmax_columns(edges: &mut [f32], stride: usize) {
    for start in (0..stride).step_by(LANES) {
        let (mut largest, mut total) = ([f32::NEG_INFINITY; LANES], [0f32; LANES]);
        for row in edges.chunks_exact(stride) {
            let row = lanes(row, start);
            (0..LANES).for_each(|lane| largest[lane] = largest[lane].max(row[lane]));
        }
        for row in edges.chunks_exact_mut(stride) {
            let row = lanes_mut(row, start);
            for lane in 0..LANES {
                row[lane] = exp(row[lane] - largest[lane]);
                total[lane] += row[lane];
            }
        }
        let inverse = total.map(|sum| 1.0 / sum);
        for row in edges.chunks_exact_mut(stride) {
            let row = lanes_mut(row, start);
            (0..LANES).for_each(|lane| row[lane] = flushed(row[lane] * inverse[lane]));
        }
    }
}

/// Turns the gradient by [`softmax_columns`] into the gradient by what they were taken of.
#[inline(always)]
pub(super) fn softmax_columns_backward(edges: &[f32], gradient: &mut [f32], stride: usize) {
    for start in (0..stride).step_by(LANES) {
        let mut along = [0f32; LANES];
        for (row, by_row) in edges
            .chunks_exact(stride)
            .zip(gradient.chunks_exact(stride))
        {
            let (row, by_row) = (lanes(row, start), lanes(by_row, start));
            (0..LANES).for_each(|lane| along[lane] += row[lane] * by_row[lane]);
        }
        let rows = edges.chunks_exact(stride);
        for (row, by_row) in rows.zip(gradient.chunks_exact_mut(stride)) {
            let (row, by_row) = (lanes(row, start), lanes_mut(by_row, start));
            (0..LANES).for_each(|lane| by_row[lane] = row[lane] * (by_row[lane] - along[lane]));
        }
    }
}

/// Turns a row that stands alone into its softmax.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    row.iter_mut().for_each(|x| *x = exp(*x - largest));
    let inverse = 1.0 / row.iter().sum::<f32>();
    row.iter_mut().for_each(|x| *x = flushed(*x * inverse));
}

/// Turns the gradient by [`softmax`] into the gradient by what it was taken of.
#[inline(always)]
pub(super) fn softmax_backward(row: &[f32], gradient: &mut [f32]) {
    let along: f32 = row.iter().zip(&*gradient).map(|(e, g)| e * g).sum();
    let pairs = row.iter().zip(gradient);
    pairs.for_each(|(e, g)| *g = e * (*g - along));
}

#[inline(always)]
fn flushed(weight: f32) -> f32 {
    if weight < SMALLEST { 0.0 } else { weight }
}

#[inline(always)]
fn lanes(row: &[f32], start: usize) -> &[f32; LANES] {
    row[start..].first_chunk().expect("rows are whole vectors")
}

#[inline(always)]
fn lanes_mut(row: &mut [f32], start: usize) -> &mut [f32; LANES] {
    row[start..]
        .first_chunk_mut()
        .expect("rows are whole vectors")
}
