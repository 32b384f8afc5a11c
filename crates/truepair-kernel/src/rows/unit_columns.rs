//! Channels of an item scaled to length 1 over its rows.

use rayon::prelude::*;

use super::unit::{EPSILON, LEAST_SQUARE};
use crate::items::{row_ranges, split};
use crate::vector::wide;
use crate::{Array, Gradients, Operation, Output};

/// `x / (‖x‖ + 1e-8)` for every channel of every item, `‖x‖` over the item's rows; 0 for a channel
/// of zeros.
///
/// # Shapes
/// - input and output: `[rows, d]`, an item's rows one after another; rows beyond those of the items
///   give 0
/// # Panics
/// If there are fewer rows than the items have.
#[derive(Debug, Clone)]
pub struct UnitColumns {
    /// Rows of every item.
    pub lengths: Vec<usize>,
}

impl UnitColumns {
    /// Runs `work` on the place of every item's rows and on its part of `out`.
    fn each_item(
        &self,
        out: &mut [f32],
        d: usize,
        work: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
    ) {
        let parts = split(out, self.lengths.iter().map(|m| m * d));
        (row_ranges(&self.lengths).into_par_iter())
            .zip(parts)
            .for_each(|(range, out)| {
                wide(
                    #[inline(always)]
                    || work(range.start * d..range.end * d, out),
                );
            });
    }
}

impl Operation for UnitColumns {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let ([_, d], x) = (inputs[0].dims(), inputs[0].values);
        let mut out = vec![0.0; x.len()];
        self.each_item(
            &mut out,
            d,
            #[inline(always)]
            |range, out| scale(&x[range], out, d),
        );
        (Output::new(out, inputs[0].shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let ([_, d], x) = (inputs[0].dims(), inputs[0].values);
        if let Some(out) = gradients.get(0) {
            self.each_item(
                out,
                d,
                #[inline(always)]
                |range, out| scale_back(&x[range.clone()], &gradient[range], out, d),
            );
        }
    }
}

#[inline(always)]
fn scale(x: &[f32], out: &mut [f32], d: usize) {
    let mut scales = products(x, x, d);
    for square in &mut scales {
        *square = 1.0 / (square.max(LEAST_SQUARE).sqrt() + EPSILON);
    }
    for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
        for ((out, x), scale) in out.iter_mut().zip(x).zip(&scales) {
            *out = x * scale;
        }
    }
}

#[inline(always)]
fn scale_back(x: &[f32], gradient: &[f32], out: &mut [f32], d: usize) {
    let mut scales = products(x, x, d);
    let mut along = products(x, gradient, d);
    for (square, along) in scales.iter_mut().zip(&mut along) {
        let norm = square.max(LEAST_SQUARE).sqrt();
        let scale = 1.0 / (norm + EPSILON);
        *along = if *square > LEAST_SQUARE {
            *along * scale * scale / norm
        } else {
            0.0
        };
        *square = scale;
    }
    let rows = x.chunks_exact(d).zip(gradient.chunks_exact(d));
    for (out, (x, g)) in out.chunks_exact_mut(d).zip(rows) {
        let columns = scales.iter().zip(&along);
        for (((out, x), g), (scale, along)) in out.iter_mut().zip(x).zip(g).zip(columns) {
            *out = g * scale - x * along;
        }
    }
}

/// `Σ a b` of every column.
#[inline(always)]
fn products(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0; d];
    for (a, b) in a.chunks_exact(d).zip(b.chunks_exact(d)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums
}
