//! One look of a decoder at the vectors of an item.

use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Tensor, TensorData};
use truepair_kernel::AdditiveAttention;

use super::{apply, is_fused};

/// `Σᵣ aᵣ xᵣ` with `aᵣ = softmaxᵣ(u · tanh(kᵣ + q))` over an item's valid vectors; 0 for an item
/// without any.
///
/// # Shapes
/// - `values` `x`: `[n, r, d]`, `keys` `k`: `[n, r, h]`, `queries` `q`: `[n, h]`, `score` `u`:
///   `[1, h]`, `lengths`: `n`, valid vectors of each item, which come first; returns `[n, d]`
/// # Panics
/// If there is not one length of at most `r` an item.
pub(crate) fn additive_attention(
    values: Tensor<3>,
    keys: Tensor<3>,
    queries: Tensor<2>,
    score: Tensor<2>,
    lengths: &[usize],
) -> Tensor<2> {
    if !is_fused(&values.device()) {
        return twin(values, keys, queries, score, lengths);
    }
    let operation = AdditiveAttention {
        lengths: lengths.to_vec(),
    };
    apply(
        operation,
        [values.into(), keys.into(), queries.into(), score.into()],
    )
}

/// Score of a vector that is not there.
const ABSENT: f64 = -1e4;

fn twin(
    values: Tensor<3>,
    keys: Tensor<3>,
    queries: Tensor<2>,
    score: Tensor<2>,
    lengths: &[usize],
) -> Tensor<2> {
    let ([n, r, h], d) = (keys.dims(), values.dims()[2]);
    let present = (lengths.iter()).flat_map(|&m| (0..r).map(move |at| f32::from(at < m)));
    let present = TensorData::new(present.collect::<Vec<_>>(), [n, r]);
    let present: Tensor<2> = Tensor::from_data(present, &keys.device());
    let mixed = tanh(keys + queries.unsqueeze_dim(1)).reshape([n * r, h]);
    let scores = mixed.matmul(score.transpose()).reshape([n, r]);
    let scores = scores + (present.clone().neg() + 1.0) * ABSENT;
    let shares: Tensor<3> = (softmax(scores, 1) * present).unsqueeze_dim(1);
    shares.matmul(values).reshape([n, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};

    const LENGTHS: [usize; 4] = [3, 0, 1, 2];

    fn inputs() -> [Input; 4] {
        [
            Input::normal(&[4, 3, 5]),
            Input::normal(&[4, 3, 37]),
            Input::normal(&[4, 37]),
            Input::normal(&[1, 37]),
        ]
    }

    fn looked(x: &[Given]) -> Tensor<2> {
        additive_attention(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), &LENGTHS)
    }

    #[test]
    fn equals_its_twin() {
        check_against_twin(&inputs(), looked, |x| {
            twin(x[0].rank(), x[1].rank(), x[2].rank(), x[3].rank(), &LENGTHS)
        });
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        check_threads(&inputs(), looked);
    }
}
