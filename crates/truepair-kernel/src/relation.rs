//! Rows of an item exchanged by what they say about one another.

use rayon::prelude::*;

use super::items::{row_ranges, split};
use super::{Array, Gradients, Operation, Output};
use crate::product::{Precision, View};

/// `(Θ Φᵀ / m) G` of every item, `m` its number of rows.
///
/// # Shapes
/// - inputs: `Θ`, `Φ` and `G`, each `[rows, d]`, an item's rows one after another; output: the same.
///   Rows beyond those of the items give 0.
/// # Panics
/// If there are fewer rows than the items have.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Rows of every item.
    pub lengths: Vec<usize>,
    /// Precision of the products.
    pub precision: Precision,
}

/// One item's rows of every input.
#[derive(Clone, Copy)]
struct Rows<'a> {
    theta: View<'a>,
    phi: View<'a>,
    value: View<'a>,
    d: usize,
    precision: Precision,
}

impl Relation {
    fn rows<'a>(&self, inputs: &[Array<'a>]) -> Vec<Rows<'a>> {
        let [_, d] = inputs[0].dims();
        let ranges = row_ranges(&self.lengths).into_iter();
        ranges
            .map(|range| {
                let view = |input: usize| {
                    let values: &'a [f32] = inputs[input].values;
                    View::rows(&values[range.start * d..range.end * d], d)
                };
                Rows {
                    theta: view(0),
                    phi: view(1),
                    value: view(2),
                    d,
                    precision: self.precision,
                }
            })
            .collect()
    }

    /// Every item's part of `[rows, d]`.
    fn parts<'a>(&self, values: &'a mut [f32], d: usize) -> Vec<&'a mut [f32]> {
        split(values, self.lengths.iter().map(|m| m * d))
    }
}

impl Operation for Relation {
    /// `Θ Φᵀ / m` of every item, `[m, m]`.
    type Saved = Vec<Vec<f32>>;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, Self::Saved) {
        let [_, d] = inputs[0].dims();
        let mut out = vec![0.0; inputs[0].values.len()];
        let relations = (self.rows(inputs).into_par_iter())
            .zip(self.parts(&mut out, d))
            .map(|(rows, out)| rows.exchange(out))
            .collect();
        (Output::new(out, inputs[0].shape), relations)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        relations: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let [_, d] = inputs[0].dims();
        gradients.with_first(inputs, |buffers| {
            let [theta, phi, value] = buffers.map(|values| self.parts(values, d));
            let outputs = theta.into_par_iter().zip(phi).zip(value);
            (self.rows(inputs).into_par_iter())
                .zip(relations)
                .zip(row_ranges(&self.lengths))
                .zip(outputs)
                .for_each(|(((rows, relations), range), ((theta, phi), value))| {
                    let upstream = View::rows(&gradient[range.start * d..range.end * d], d);
                    rows.exchange_back(relations, upstream, [theta, phi, value]);
                });
        });
    }
}

impl Rows<'_> {
    /// Writes the item's output and returns its relations `[m, m]`.
    fn exchange(self, out: &mut [f32]) -> Vec<f32> {
        let m = self.theta.n_rows();
        let relations = self.similarities(self.theta, self.phi.t());
        if m > 0 {
            let left = View::rows(&relations, m);
            self.product(left, self.value, out);
        }
        relations
    }

    /// Writes the item's gradients by `theta`, `phi` and `value`.
    fn exchange_back(self, relations: &[f32], upstream: View<'_>, out: [&mut [f32]; 3]) {
        let m = self.theta.n_rows();
        if m == 0 {
            return;
        }
        let [theta, phi, value] = out;
        self.product(View::rows(relations, m).t(), upstream, value);
        let slopes = self.similarities(upstream, self.value.t());
        let slopes = View::rows(&slopes, m);
        self.product(slopes, self.phi, theta);
        self.product(slopes.t(), self.theta, phi);
    }

    /// `left right / m`, `[m, m]`.
    fn similarities(self, left: View<'_>, right: View<'_>) -> Vec<f32> {
        let m = left.n_rows();
        let mut out = vec![0.0; m * m];
        left.times(right).with(self.precision).write(&mut out, m);
        let share = 1.0 / m.max(1) as f32;
        out.iter_mut().for_each(|x| *x *= share);
        out
    }

    fn product(self, left: View<'_>, right: View<'_>, out: &mut [f32]) {
        left.times(right).with(self.precision).write(out, self.d);
    }
}
