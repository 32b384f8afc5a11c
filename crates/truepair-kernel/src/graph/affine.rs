//! `x W + b` on rows that lie in a cache, with its gradients.

use crate::product::{Precision, View, Write};
use crate::vector::{add, wide};

/// A square layer. It keeps its weight in both orientations, because products are fastest when
/// both factors are laid out by rows.
#[derive(Debug)]
pub(super) struct Affine {
    /// `W`, `[s, s]`, from rows to columns.
    weight: Vec<f32>,
    /// `Wᵀ`
    transposed: Vec<f32>,
    /// `b`, `[s]`.
    bias: Vec<f32>,
    precision: Precision,
}

impl Affine {
    pub(super) fn new(weight: Vec<f32>, bias: Vec<f32>, precision: Precision) -> Self {
        Self {
            transposed: transposed(&weight, bias.len()),
            weight,
            bias,
            precision,
        }
    }

    /// Width of a row.
    pub(super) fn width(&self) -> usize {
        self.bias.len()
    }

    /// `out = x W + b`
    pub(super) fn forward(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, &self.weight, out, Write::Replace);
        wide(
            #[inline(always)]
            || {
                for row in out.chunks_exact_mut(self.width()) {
                    add(row, &self.bias);
                }
            },
        );
    }

    /// `out = max(x W + b, 0)`
    pub(super) fn forward_relu(&self, x: &[f32], out: &mut [f32]) {
        self.product(x, &self.weight, out, Write::Replace);
        wide(
            #[inline(always)]
            || {
                for row in out.chunks_exact_mut(self.width()) {
                    let sums = row.iter_mut().zip(&self.bias);
                    sums.for_each(|(x, b)| *x = positive(*x + b));
                }
            },
        );
    }

    /// The gradient by `x` from the one by the output.
    pub(super) fn backward(&self, upstream: &[f32], out: &mut [f32], write: Write) {
        self.product(upstream, &self.transposed, out, write);
    }

    fn product(&self, rows: &[f32], weight: &[f32], out: &mut [f32], write: Write) {
        let s = self.width();
        let (rows, weight) = (View::rows(rows, s), View::rows(weight, s));
        rows.times(weight).with(self.precision).put(write, out, s);
    }
}

/// Gradients by a layer's weight and bias.
#[derive(Debug)]
pub(super) struct AffineGradient {
    /// `[s, s]`, from rows to columns.
    pub(super) weight: Vec<f32>,
    /// `[s]`
    pub(super) bias: Vec<f32>,
}

impl AffineGradient {
    pub(super) fn zeros(s: usize) -> Self {
        Self {
            weight: vec![0.0; s * s],
            bias: vec![0.0; s],
        }
    }

    /// Adds what the rows `x` contribute.
    pub(super) fn gather(&mut self, precision: Precision, x: &[f32], upstream: &[f32]) {
        let s = self.bias.len();
        wide(
            #[inline(always)]
            || {
                for row in upstream.chunks_exact(s) {
                    add(&mut self.bias, row);
                }
            },
        );
        let (x, upstream) = (View::rows(x, s).t(), View::rows(upstream, s));
        x.times(upstream).with(precision).add(&mut self.weight, s);
    }

    /// Adds what other rows contributed.
    pub(super) fn merge(&mut self, other: &Self) {
        add(&mut self.weight, &other.weight);
        add(&mut self.bias, &other.bias);
    }
}

/// `max(x, 0)`, but NaN where `x` is, so that a diverged network does not look like a dead one.
#[inline(always)]
fn positive(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `[s, s]` with rows and columns exchanged.
pub(super) fn transposed(matrix: &[f32], s: usize) -> Vec<f32> {
    let column = |at: usize| matrix[at..].iter().step_by(s).copied();
    (0..s).flat_map(column).collect()
}
