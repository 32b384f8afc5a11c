//! The fused recurrence against its twin, over lengths of every kind.

use burn::tensor::{Device, TensorData};

use super::*;
use crate::kernel::tests::{Given, Input, check_against_twin};
use crate::numbers::floats;

const WORD_DIM: usize = 5;
const DIM: usize = 6;

fn inputs(n: usize, t: usize, n_directions: u64) -> Vec<Input> {
    let mut inputs = vec![Input::normal(&[n, t, WORD_DIM])];
    for direction in 0..n_directions {
        for shape in [&[3 * DIM, WORD_DIM][..], &[3 * DIM, DIM]] {
            inputs.push(Input::scaled(shape, 0.4).salted(direction));
        }
        for part in 2..4 {
            inputs.push(Input::scaled(&[3 * DIM], 0.4).salted(4 * direction + part));
        }
    }
    inputs
}

fn weights(x: &[Given]) -> GruWeights {
    GruWeights {
        weight_ih: x[0].rank(),
        weight_hh: x[1].rank(),
        bias_ih: x[2].rank(),
        bias_hh: x[3].rank(),
    }
}

fn check(lengths: &[usize], t: usize, n_directions: u64, states: States) {
    let backward = |x: &[Given]| (n_directions == 2).then(|| weights(&x[5..]));
    check_against_twin(
        &inputs(lengths.len(), t, n_directions),
        |x| {
            let (words, forward) = (x[0].rank(), weights(&x[1..]));
            gru(words, lengths, forward, backward(x), states, Precision::F32)
        },
        |x| {
            let backward = backward(x).map(|weights| (Order::Backward, weights));
            let directions = [(Order::Forward, weights(&x[1..]))]
                .into_iter()
                .chain(backward);
            twin::twin(x[0].rank(), lengths, directions.collect(), states)
        },
    );
}

#[test]
fn every_state_equals_its_twin() {
    for n_directions in [1, 2] {
        check(&[3, 1, 4, 0, 4, 2], 4, n_directions, States::EveryToken);
        check(&[1], 1, n_directions, States::EveryToken);
        check(&[2, 3], 5, n_directions, States::EveryToken);
    }
}

#[test]
fn last_states_equal_their_twin() {
    for n_directions in [1, 2] {
        check(&[3, 1, 4, 0, 4, 2], 4, n_directions, States::Last);
        check(&[1, 1], 3, n_directions, States::Last);
    }
}

#[test]
fn several_groups_equal_the_twin() {
    // Groups hold up to 128 items.
    let lengths: Vec<usize> = (0..259).map(|at| (at * 5) % 4).collect();
    check(&lengths, 3, 2, States::EveryToken);
    check(&lengths, 3, 1, States::Last);
}

#[test]
fn items_without_tokens_have_state_zero_and_finite_gradients() {
    for states in [States::EveryToken, States::Last] {
        check(&[0, 0], 2, 2, states);
    }
}

/// Values, and gradients by words and recurrent weights, of sizes at which products use threads.
fn differentiated() -> [Vec<f32>; 4] {
    const WIDE: usize = 64;
    let device = Device::flex().autodiff();
    let data = |n: usize| -> Vec<f32> {
        let value = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
        (0..n).map(value).collect()
    };
    let matrix = |rows: usize, columns: usize| -> Tensor<2> {
        let data = TensorData::new(data(rows * columns), [rows, columns]);
        Tensor::from_data(data, &device).require_grad()
    };
    let vector = |n: usize| -> Tensor<1> {
        Tensor::from_data(TensorData::new(data(n), [n]), &device).require_grad()
    };
    let weights = GruWeights {
        weight_ih: matrix(3 * WIDE, WORD_DIM),
        weight_hh: matrix(3 * WIDE, WIDE),
        bias_ih: vector(3 * WIDE),
        bias_hh: vector(3 * WIDE),
    };
    let (n, t) = (70, 5);
    let words = matrix(n * t, WORD_DIM);
    let lengths: Vec<usize> = (0..n).map(|at| 1 + at % t).collect();
    let out = gru(
        words.clone().reshape([n, t, WORD_DIM]),
        &lengths,
        weights.clone(),
        Some(weights.clone()),
        States::EveryToken,
        Precision::F32,
    );
    let tape = out.clone().square().sum().backward();
    [
        floats(out),
        floats(words.grad(&tape).unwrap()),
        floats(weights.weight_hh.grad(&tape).unwrap()),
        floats(weights.bias_hh.grad(&tape).unwrap()),
    ]
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let on = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
        pool.build().unwrap().install(differentiated)
    };
    let one = on(1);
    assert!(one == on(2) && one == on(5));
}
