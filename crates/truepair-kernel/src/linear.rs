//! A dense layer with bias as one operation: no transposed copy, no broadcast bias.

use rayon::prelude::*;

use super::vector::{add, collect, wide};
use super::{Array, Gradients, Operation, Output};
use crate::product::{Precision, Threads, View};

/// `x Wᵀ + b`.
///
/// ```
/// use truepair_kernel::product::Precision;
/// use truepair_kernel::{Array, Gradients, Linear, Operation};
///
/// let inputs = [
///     Array { values: &[1.0, 2.0], shape: &[1, 2] },
///     Array { values: &[3.0, 4.0], shape: &[1, 2] },
///     Array { values: &[0.5], shape: &[1] },
/// ];
/// let layer = Linear(Precision::F32);
/// let (out, saved) = layer.forward(&inputs);
/// assert_eq!(out.values, [3.0 + 8.0 + 0.5]);
///
/// // Only the weight wants its gradient, which is `x`.
/// let mut gradients = Gradients::zero([None, Some(2), None]);
/// layer.backward(&inputs, &saved, &[1.0], &mut gradients);
/// assert_eq!(gradients.get(1), Some(&mut [1.0, 2.0][..]));
/// ```
///
/// # Shapes
/// - inputs: `x` `[n, in]`, weight `W` `[out, in]`, bias `b` `[out]`; output: `[n, out]`
#[derive(Debug, Clone, Copy)]
pub struct Linear(pub Precision);

impl Operation for Linear {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let [n, d_in] = inputs[0].dims();
        let [d_out, _] = inputs[1].dims();
        let bias = inputs[2].values;
        let mut out = collect(n * d_out, |first, out| cycle(bias, first, out));
        let x = View::rows(inputs[0].values, d_in);
        let weight = View::rows(inputs[1].values, d_in).t();
        x.times(weight)
            .with(self.0)
            .on(Threads::All)
            .add(&mut out, d_out);
        (Output::new(out, [n, d_out]), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let d_in = inputs[0].dims::<2>()[1];
        let d_out = inputs[1].dims::<2>()[0];
        let upstream = View::rows(gradient, d_out);
        let (x, weight) = (inputs[0].values, inputs[1].values);
        if let Some(out) = gradients.get(0) {
            let weight = View::rows(weight, d_in);
            upstream
                .times(weight)
                .with(self.0)
                .on(Threads::All)
                .write(out, d_in);
        }
        if let Some(out) = gradients.get(1) {
            let x = View::rows(x, d_in);
            upstream
                .t()
                .times(x)
                .with(self.0)
                .on(Threads::All)
                .write(out, d_in);
        }
        if let Some(out) = gradients.get(2) {
            add_rows(out, gradient);
        }
    }
}

/// Fills `out` with `row` over and over, starting inside it `first` values after a row's start.
fn cycle(row: &[f32], first: usize, mut out: &mut [f32]) {
    let mut at = first % row.len();
    while !out.is_empty() {
        let len = out.len().min(row.len() - at);
        let (head, rest) = std::mem::take(&mut out).split_at_mut(len);
        head.copy_from_slice(&row[at..at + len]);
        (out, at) = (rest, 0);
    }
}

/// Rows that one task adds up; fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 128;

/// Adds every row of `rows` `[n, d]` to `sum` `[d]`.
fn add_rows(sum: &mut [f32], rows: &[f32]) {
    let d = sum.len();
    let parts: Vec<Vec<f32>> = (rows.par_chunks(ROWS * d))
        .map(|rows| {
            let mut part = vec![0.0; d];
            wide(
                #[inline(always)]
                || rows.chunks_exact(d).for_each(|row| add(&mut part, row)),
            );
            part
        })
        .collect();
    parts.iter().for_each(|part| add(sum, part));
}
