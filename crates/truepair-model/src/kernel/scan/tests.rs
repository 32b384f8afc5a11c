//! The operation against its twin, and what its layout must not change.

use burn::tensor::{Device, TensorData};

use super::*;
use crate::kernel::tests::{Given, Input, check_against_twin};
use crate::kernel::{Attention, Pool, Pooling, Precision, RawNorm};

pub(super) const ALL: [RawNorm; 7] = [
    RawNorm::ClippedL2,
    RawNorm::L2,
    RawNorm::ClippedL1,
    RawNorm::L1,
    RawNorm::Clipped,
    RawNorm::Softmax,
    RawNorm::Plain,
];

fn settings(norm: RawNorm, pooling: Pooling) -> ScanSettings {
    ScanSettings {
        attention: Attention { norm, smooth: 4.0 },
        pool: Pool {
            pooling,
            lambda: 5.0,
        },
        precision: Precision::F32,
    }
}

fn sides(x: &[Given]) -> [(Tensor<3>, Tensor<2>); 2] {
    [(x[0].rank(), x[1].rank()), (x[2].rank(), x[3].rank())]
}

fn check(inputs: &[Input], settings: ScanSettings) {
    check_against_twin(
        inputs,
        |x| {
            let [contexts, queries] = sides(x);
            scan(contexts, queries, settings)
        },
        |x| {
            let [contexts, queries] = sides(x);
            twin::scan(contexts, queries, settings)
        },
    );
}

fn ones(n: usize, m: usize) -> Input {
    Input::constant(&[n, m], vec![1.0; n * m])
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
fn equals_its_twin_for_every_norm() {
    for norm in ALL {
        check(&ragged(), settings(norm, Pooling::LogSumExp));
    }
}

#[test]
fn equals_its_twin_for_every_pooling_and_without_padding() {
    for pooling in [
        Pooling::LogSumExp,
        Pooling::Mean,
        Pooling::Sum,
        Pooling::Max,
    ] {
        let settings = settings(RawNorm::ClippedL2, pooling);
        check(&ragged(), settings);
        let dense = [
            Input::normal(&[2, 4, 8]),
            ones(2, 4),
            Input::normal(&[3, 17, 8]),
            ones(3, 17),
        ];
        check(&dense, settings);
        let single = [
            Input::normal(&[3, 1, 8]),
            ones(3, 1),
            Input::normal(&[2, 1, 8]),
            ones(2, 1),
        ];
        check(&single, settings);
    }
}

fn tensor<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503)) as f32 / 2e9 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

/// Scores and both gradients of 19 items of contexts against 7 of queries, in bands of so many
/// numbers.
fn run(band: Option<usize>) -> Vec<Vec<f32>> {
    let (contexts, queries) = (
        tensor::<3>(1, [19, 6, 32]).require_grad(),
        tensor::<3>(2, [7, 5, 32]).require_grad(),
    );
    let scan = Scan::new(settings(RawNorm::ClippedL2, Pooling::LogSumExp));
    let operation = band.map_or(scan, |numbers| scan.with_band(numbers));
    let mask = |n, m| Tensor::<2>::ones([n, m], &Device::flex().autodiff());
    let scores: Tensor<2> = apply(
        operation,
        [
            contexts.clone().into(),
            mask(19, 6).into(),
            queries.clone().into(),
            mask(7, 5).into(),
        ],
    );
    let tape = (scores.clone() * tensor(3, [19, 7])).sum().backward();
    let floats = |data: TensorData| data.try_into_vec().unwrap();
    vec![
        floats(scores.into_data()),
        floats(contexts.grad(&tape).unwrap().into_data()),
        floats(queries.grad(&tape).unwrap().into_data()),
    ]
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.unwrap().install(|| run(None))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn bands_change_nothing_but_rounding() {
    for (whole, banded) in run(None).iter().zip(run(Some(1000))) {
        for (a, b) in whole.iter().zip(banded) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
