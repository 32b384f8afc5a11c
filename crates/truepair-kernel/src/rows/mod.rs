//! Normalizations of rows, and of the columns of an item's rows.

mod layer_norm;
mod softmax;
mod unit;
mod unit_columns;

use rayon::prelude::*;

use super::vector::wide;
use super::{Array, Gradients, Output};

pub use layer_norm::LayerNormRows;
pub use softmax::SoftmaxRows;
pub use unit::UnitRows;
pub use unit_columns::UnitColumns;

/// Values that one task works on. Fixed, so that sums do not depend on the number of threads.
const TASK: usize = 1 << 15;
/// Partial sums of a reduction.
const LANES: usize = 16;

/// What becomes of `N` rows of the same width. Implementations are inlined into vector code.
trait Row<const N: usize>: Sync {
    fn write(&self, sources: [&[f32]; N], out: &mut [f32]);
}

/// Writes every row of `out` from the rows of `sources`, on all threads where that pays.
fn each_row<const N: usize>(rows: &impl Row<N>, sources: [&[f32]; N], out: &mut [f32], d: usize) {
    let per_task = rows_per_task(d) * d;
    let task = |(task, out): (usize, &mut [f32])| {
        wide(
            #[inline(always)]
            || {
                for (at, out) in out.chunks_exact_mut(d).enumerate() {
                    let first = task * per_task + at * d;
                    rows.write(sources.map(|source| &source[first..][..d]), out);
                }
            },
        );
    };
    if out.len() <= 2 * TASK {
        out.chunks_mut(per_task).enumerate().for_each(task)
    } else {
        out.par_chunks_mut(per_task).enumerate().for_each(task)
    }
}

/// What `rows` makes of every row of `x`.
fn rowwise(rows: &impl Row<1>, x: &Array<'_>) -> Output {
    let mut out = vec![0.0; x.values.len()];
    each_row(rows, [x.values], &mut out, width(x));
    Output::new(out, x.shape)
}

/// The gradient by `x`, input 0, if it wants one; `rows` makes it of `x` and the output's gradient.
fn rowwise_back(rows: &impl Row<2>, x: &Array<'_>, gradient: &[f32], gradients: &mut Gradients) {
    if let Some(out) = gradients.get(0) {
        each_row(rows, [x.values, gradient], out, width(x));
    }
}

fn rows_per_task(d: usize) -> usize {
    (TASK / d).max(1)
}

/// Width of the last axis.
///
/// # Panics
/// If it is 0.
fn width(x: &Array<'_>) -> usize {
    let d = x.shape.last().copied().expect("a last axis");
    assert!(d > 0, "vectors of at least one number");
    d
}

/// `Σ xᵢ`
#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    reduce(values, 0.0, |a, b| a + b)
}

/// The associative `op` over all values, in lanes.
#[inline(always)]
fn reduce(values: &[f32], start: f32, op: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = op(*lane, *value);
        }
    }
    let total = lanes.into_iter().fold(start, &op);
    rest.iter().fold(total, |total, value| op(total, *value))
}
