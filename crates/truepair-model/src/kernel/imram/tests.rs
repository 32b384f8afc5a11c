//! The operation against its twin, and what its layout must not change.

use burn::tensor::{Device, TensorData};

use super::*;
use crate::kernel::tests::{Given, Input, check_against_twin};
use crate::kernel::{Attention, Precision, RawNorm};

fn settings(steps: usize, normalize: bool) -> ImramSettings {
    ImramSettings {
        attention: Attention {
            norm: RawNorm::ClippedL2,
            smooth: 4.0,
        },
        steps,
        normalize,
        precision: Precision::F32,
    }
}

type Sides2 = [(Tensor<3>, Tensor<2>); 2];

fn sides(x: &[Given]) -> (Sides2, [Layer; 2]) {
    (
        [(x[0].rank(), x[1].rank()), (x[2].rank(), x[3].rank())],
        [(x[4].rank(), x[5].rank()), (x[6].rank(), x[7].rank())],
    )
}

fn check(items: [Input; 4], settings: ImramSettings) {
    let layers = [
        Input::scaled(&[8, 16], 0.5),
        Input::normal(&[8]),
        Input::scaled(&[8, 16], 0.5).salted(1),
        Input::normal(&[8]).salted(2),
    ];
    let inputs: Vec<Input> = items.into_iter().chain(layers).collect();
    check_against_twin(
        &inputs,
        |x| {
            let ([contexts, queries], [output, gate]) = sides(x);
            imram(contexts, queries, output, gate, settings)
        },
        |x| {
            let ([contexts, queries], [output, gate]) = sides(x);
            twin::imram(contexts, queries, output, gate, settings)
        },
    );
}

/// Three items of contexts, two of them padded, against four items of queries, one without any.
fn ragged() -> [Input; 4] {
    let contexts = vec![1., 1., 1., 1., 1., 0., 1., 1., 0., 0., 0., 0., 1., 1., 1.];
    let queries = vec![1., 1., 1., 1., 0., 0., 0., 0., 1., 1., 0., 0.];
    [
        Input::normal(&[3, 5, 8]),
        Input::constant(&[3, 5], contexts),
        Input::normal(&[4, 3, 8]),
        Input::constant(&[4, 3], queries),
    ]
}

#[test]
fn equals_its_twin_for_every_number_of_steps() {
    for steps in 1..=4 {
        for normalize in [false, true] {
            check(ragged(), settings(steps, normalize));
        }
    }
}

#[test]
fn equals_its_twin_with_several_blocks_and_single_vectors() {
    let dense = |n, m, k, l| {
        [
            Input::normal(&[n, m, 8]),
            Input::constant(&[n, m], vec![1.0; n * m]),
            Input::normal(&[k, l, 8]),
            Input::constant(&[k, l], vec![1.0; k * l]),
        ]
    };
    check(dense(2, 3, 9, 40), settings(3, false));
    check(dense(2, 1, 3, 1), settings(3, true));
}

fn tensor<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503)) as f32 / 2e9 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

/// Scores and all gradients of 19 items of contexts against 7 of queries.
fn run() -> Vec<Vec<f32>> {
    let (contexts, queries) = (
        tensor::<3>(1, [19, 6, 32]).require_grad(),
        tensor::<3>(2, [7, 5, 32]).require_grad(),
    );
    let layer = |seed| {
        let weight = tensor::<2>(seed, [32, 64]).require_grad();
        (weight, tensor::<1>(seed + 1, [32]).require_grad())
    };
    let (output, gate) = (layer(4), layer(6));
    let mask = |n, m| Tensor::<2>::ones([n, m], &Device::flex().autodiff());
    let scores = imram(
        (contexts.clone(), mask(19, 6)),
        (queries.clone(), mask(7, 5)),
        output.clone(),
        gate.clone(),
        settings(3, true),
    );
    let tape = (scores.clone() * tensor(3, [19, 7])).sum().backward();
    let floats = |data: TensorData| data.try_into_vec().unwrap();
    vec![
        floats(scores.into_data()),
        floats(contexts.grad(&tape).unwrap().into_data()),
        floats(queries.grad(&tape).unwrap().into_data()),
        floats(output.0.grad(&tape).unwrap().into_data()),
        floats(gate.1.grad(&tape).unwrap().into_data()),
    ]
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.unwrap().install(run)
    };
    assert_eq!(with(1), with(3));
}
