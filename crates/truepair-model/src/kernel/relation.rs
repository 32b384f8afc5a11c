//! Rows of an item exchanged by what they say about one another.

use burn::tensor::Tensor;
use truepair_kernel::Relation;
use truepair_kernel::product::Precision;

use super::{Items, apply, is_fused};

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
        lengths: items.lengths().to_vec(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};

    fn inputs(rows: usize) -> [Input; 3] {
        [0, 1, 2].map(|salt| Input::normal(&[rows, 5]).salted(salt))
    }

    fn related(x: &[Given], items: &Items) -> Tensor<2> {
        relation(x[0].rank(), x[1].rank(), x[2].rank(), items, Precision::F32)
    }

    fn check(inputs: &[Input], items: &Items) {
        check_against_twin(
            inputs,
            |x| related(x, items),
            |x| twin(x[0].rank(), x[1].rank(), x[2].rank(), items),
        );
    }

    #[test]
    fn equals_its_twin() {
        for lengths in [vec![3, 3], vec![2, 0, 4, 1]] {
            check(&inputs(lengths.iter().sum()), &Items::new(lengths, 4));
        }
    }

    #[test]
    fn items_without_rows_give_zero() {
        check(&inputs(1), &Items::new(vec![0, 0], 2));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let items = Items::new(vec![7, 0, 9, 4], 9);
        check_threads(&inputs(20), |x| related(x, &items));
    }
}
