//! The recurrent unit as ordinary tensor operations.

use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Tensor, TensorData};

use super::{GruWeights, States};

/// Which end of an item a direction starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// First token first.
    Forward,
    /// Last token first.
    Backward,
}

/// See [`gru`](super::gru).
pub(super) fn twin(
    words: Tensor<3>,
    lengths: &[usize],
    directions: Vec<(Order, GruWeights)>,
    states: States,
) -> Tensor<3> {
    let [n, t, _] = words.dims();
    let valid: Vec<f32> = (lengths.iter())
        .flat_map(|&length| (0..t).map(move |token| f32::from(token < length)))
        .collect();
    let mask: Tensor<2> = Tensor::from_data(TensorData::new(valid, [n, t]), &words.device());
    let share = 1.0 / directions.len() as f64;
    let runs = directions.into_iter().map(|(order, weights)| {
        let steps: Vec<usize> = match order {
            Order::Forward => (0..t).collect(),
            Order::Backward => (0..t).rev().collect(),
        };
        let (all, last) = run(words.clone(), &weights, &mask, &steps);
        match states {
            States::EveryToken => all * share,
            States::Last => last.unsqueeze_dim(1) * share,
        }
    });
    let mean = runs.reduce(|sum, run| sum + run).expect("a direction");
    match states {
        States::EveryToken => mean * mask.unsqueeze_dim(2),
        States::Last => mean,
    }
}

/// The states after every step `[n, t, d]`, at their tokens, and after the last one `[n, d]`. A
/// padded token leaves the state as it is. The input projection of all steps is one product.
fn run(
    words: Tensor<3>,
    weights: &GruWeights,
    mask: &Tensor<2>,
    steps: &[usize],
) -> (Tensor<3>, Tensor<2>) {
    let [n, t, w] = words.dims();
    let d = weights.weight_hh.dims()[1];
    let inputs = words
        .reshape([n * t, w])
        .matmul(weights.weight_ih.clone().transpose())
        + weights.bias_ih.clone().unsqueeze();
    let inputs = inputs.reshape([n, t, 3 * d]);
    let recurrent = weights.weight_hh.clone().transpose();
    let mut state: Tensor<2> = Tensor::zeros([n, d], &mask.device());
    let mut states: Vec<Option<Tensor<3>>> = vec![None; t];
    for &step in steps {
        let x = inputs.clone().narrow(1, step, 1).reshape([n, 3 * d]);
        let h = state.clone().matmul(recurrent.clone()) + weights.bias_hh.clone().unsqueeze();
        let gates = sigmoid(x.clone().narrow(1, 0, 2 * d) + h.clone().narrow(1, 0, 2 * d));
        let reset = gates.clone().narrow(1, 0, d);
        let update = gates.narrow(1, d, d);
        let fresh = tanh(x.narrow(1, 2 * d, d) + reset * h.narrow(1, 2 * d, d));
        let valid = mask.clone().narrow(1, step, 1);
        // h + m (1 − z)(n − h): one blend for the gate and for padding.
        let change = (fresh - state.clone()) * (update.neg() + 1.0) * valid;
        state = state + change;
        states[step] = Some(state.clone().unsqueeze_dim(1));
    }
    (
        Tensor::cat(states.into_iter().flatten().collect(), 1),
        state,
    )
}
