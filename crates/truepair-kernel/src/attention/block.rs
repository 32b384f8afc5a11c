//! Attention of one item's queries over one item's contexts, with plain rows.

use super::{Attention, Numerators, Room, Tile};
use crate::segment::padded;
use crate::vector::wide;

/// A block `[contexts, queries]` in a buffer whose rows start `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Number of rows.
    pub contexts: usize,
    /// Number of columns.
    pub queries: usize,
    /// From the start of a row to that of the next.
    pub stride: usize,
}

impl Block {
    fn row(self, context: usize) -> std::ops::Range<usize> {
        context * self.stride..context * self.stride + self.queries
    }

    fn gathered(self, values: &[f32], stride: usize) -> Vec<f32> {
        let mut rows = vec![0.0; self.contexts * stride];
        for (context, row) in rows.chunks_exact_mut(stride).enumerate() {
            row[..self.queries].copy_from_slice(&values[self.row(context)]);
        }
        rows
    }

    fn scatter(self, rows: &[f32], stride: usize, values: &mut [f32]) {
        for (context, row) in rows.chunks_exact(stride).enumerate() {
            values[self.row(context)].copy_from_slice(&row[..self.queries]);
        }
    }
}

impl Attention {
    /// Weights of `block` from its raw inner products; both buffers are laid out alike.
    pub fn weights(self, block: Block, raw: &[f32], weights: &mut [f32]) {
        let (stride, offsets) = (padded(block.queries), [0, block.queries]);
        let tile = Tile {
            contexts: block.contexts,
            offsets: &offsets,
            raw_stride: stride,
            stride,
        };
        let raw = block.gathered(raw, stride);
        let (mut norms, mut sums) = (vec![0.0; block.contexts], vec![0.0; stride]);
        let (mut out, mut room) = (vec![0.0; raw.len()], Room::new(stride, 1));
        wide(
            #[inline(always)]
            || {
                let target = Numerators {
                    norms: &mut norms,
                    out: &mut out,
                    sums: &mut sums,
                };
                self.numerators(tile, &raw, target, &mut room);
                for row in out.chunks_exact_mut(stride) {
                    let columns = row.iter_mut().zip(&sums).take(block.queries);
                    columns.for_each(|(x, sum)| *x /= sum);
                }
            },
        );
        block.scatter(&out, stride, weights);
    }

    /// Turns the gradient by the weights into the gradient by the raw inner products, in place.
    pub fn backward(self, block: Block, raw: &[f32], weights: &[f32], gradient: &mut [f32]) {
        let (stride, offsets) = (padded(block.queries), [0, block.queries]);
        let tile = Tile {
            contexts: block.contexts,
            offsets: &offsets,
            raw_stride: stride,
            stride,
        };
        let raw = block.gathered(raw, stride);
        let weights = block.gathered(weights, stride);
        let mut out = block.gathered(gradient, stride);
        let mut norms = vec![0.0; block.contexts];
        let (mut along, mut room) = (vec![0.0; stride], Room::new(stride, 1));
        wide(
            #[inline(always)]
            || {
                for (g, w) in out.chunks_exact(stride).zip(weights.chunks_exact(stride)) {
                    let columns = along.iter_mut().zip(g.iter().zip(w));
                    columns.for_each(|(sum, (g, w))| *sum += g * w);
                }
                let rows = out.chunks_exact_mut(stride);
                for (g, w) in rows.zip(weights.chunks_exact(stride)) {
                    let columns = g.iter_mut().zip(w.iter().zip(&along));
                    columns.for_each(|(g, (w, along))| *g = w * (*g - along));
                }
                let rows = raw.chunks_exact(stride).zip(norms.chunks_exact_mut(1));
                rows.for_each(|(raw, norm)| {
                    self.norms(tile, &raw[..block.queries], norm, &mut room);
                });
                self.numerators_backward(tile, &raw, &norms, &mut out, &mut room);
            },
        );
        block.scatter(&out, stride, gradient);
    }
}
