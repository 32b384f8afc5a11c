//! Rows of an item exchanged by what they say about one another.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::items::{Items, split};
use super::{Array, Gradients, Operation, apply, is_fused};
use truepair_core::product::{Precision, Threads, View, Write, multiply};

/// `(Θ Φᵀ / m) G` of every item, `m` its number of rows.
///
/// # Shapes
/// - `theta`, `phi`, `value`: `[rows, d]`, an item's rows one after another; returns the same. Rows
///   beyond those of the items give 0.
/// # Panics
/// If there are fewer rows than the items have.
pub(crate) fn relation(
    theta: Tensor<2>,
    phi: Tensor<2>,
    value: Tensor<2>,
    items: &Items,
    precision: Precision,
) -> Tensor<2> {
    if !is_fused(&theta.device()) {
        return twin(theta, phi, value, items);
    }
    let operation = Relation {
        items: items.clone(),
        precision,
    };
    apply(operation, [theta.into(), phi.into(), value.into()])
}

fn twin(theta: Tensor<2>, phi: Tensor<2>, value: Tensor<2>, items: &Items) -> Tensor<2> {
    let [theta, phi, value] = [theta, phi, value].map(|rows| items.spread(rows));
    let counts: Vec<f32> = items.lengths().iter().map(|&m| m.max(1) as f32).collect();
    let counts = Tensor::<1>::from_floats(&counts[..], &theta.device());
    let counts = counts.reshape([items.lengths().len(), 1, 1]);
    items.pack((theta.matmul(phi.transpose()) / counts).matmul(value))
}

#[derive(Debug)]
struct Relation {
    items: Items,
    precision: Precision,
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
        let ranges = self.items.ranges().into_iter();
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
        split(values, self.items.lengths().iter().map(|m| m * d))
    }
}

impl Operation for Relation {
    /// `Θ Φᵀ / m` of every item, `[m, m]`.
    type Saved = Vec<Vec<f32>>;

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved) {
        let [_, d] = inputs[0].dims();
        let mut out = vec![0.0; inputs[0].values.len()];
        let relations = (self.rows(inputs).into_par_iter())
            .zip(self.parts(&mut out, d))
            .map(|(rows, out)| rows.exchange(out))
            .collect();
        (out, inputs[0].shape.to_vec(), relations)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        relations: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let [_, d] = inputs[0].dims();
        let wanted = [0, 1, 2].map(|input| gradients.wants(input));
        let mut buffers = [0, 1, 2].map(|input| {
            let unwanted = || vec![0.0; inputs[input].values.len()];
            gradients.take(input).unwrap_or_else(unwanted)
        });
        let [theta, phi, value] = (buffers.each_mut()).map(|values| self.parts(values, d));
        let outputs = theta.into_par_iter().zip(phi).zip(value);
        (self.rows(inputs).into_par_iter())
            .zip(relations)
            .zip(self.items.ranges())
            .zip(outputs)
            .for_each(|(((rows, relations), range), ((theta, phi), value))| {
                let upstream = View::rows(&gradient[range.start * d..range.end * d], d);
                rows.exchange_back(relations, upstream, [theta, phi, value]);
            });
        for (input, (values, wanted)) in buffers.into_iter().zip(wanted).enumerate() {
            gradients.put(input, wanted.then_some(values));
        }
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
        multiply(
            self.precision,
            Threads::One,
            left,
            right,
            &mut out,
            m,
            Write::Replace,
        );
        let share = 1.0 / m.max(1) as f32;
        out.iter_mut().for_each(|x| *x *= share);
        out
    }

    fn product(self, left: View<'_>, right: View<'_>, out: &mut [f32]) {
        multiply(
            self.precision,
            Threads::One,
            left,
            right,
            out,
            self.d,
            Write::Replace,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin, check_threads};

    fn inputs(rows: usize) -> [Input; 3] {
        [0, 1, 2].map(|salt| Input::normal(&[rows, 5]).salted(salt))
    }

    #[test]
    fn equals_its_twin() {
        for lengths in [vec![3, 3], vec![2, 0, 4, 1]] {
            let items = Items::new(lengths.clone(), 4);
            check_against_twin(
                &inputs(lengths.iter().sum()),
                |x| {
                    relation(
                        x[0].rank(),
                        x[1].rank(),
                        x[2].rank(),
                        &items,
                        Precision::F32,
                    )
                },
                |x| twin(x[0].rank(), x[1].rank(), x[2].rank(), &items),
            );
        }
    }

    #[test]
    fn items_without_rows_give_zero() {
        let items = Items::new(vec![0, 0], 2);
        check_against_twin(
            &inputs(1),
            |x| {
                relation(
                    x[0].rank(),
                    x[1].rank(),
                    x[2].rank(),
                    &items,
                    Precision::F32,
                )
            },
            |x| twin(x[0].rank(), x[1].rank(), x[2].rank(), &items),
        );
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let items = Items::new(vec![7, 0, 9, 4], 9);
        check_threads(&inputs(20), |x| {
            relation(
                x[0].rank(),
                x[1].rank(),
                x[2].rank(),
                &items,
                Precision::F32,
            )
        });
    }
}
