//! The fused nodes against their twin, numbers worked by hand and published code.

use super::*;
use crate::encoding::unit_length;
use crate::golden::Entry;
use crate::kernel::RawNorm;
use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};
use crate::numbers::floats;
use burn::tensor::{Device, TensorData};

const ATTENTION: Attention = Attention {
    norm: RawNorm::ClippedL2,
    smooth: 9.0,
};

/// Images with the given numbers of regions, of 4 places each, and captions with the given numbers
/// of words.
fn inputs(regions: &[usize], words: &[usize], d: usize, s: usize) -> Vec<Input> {
    let mask = |counts: &[usize], m: usize| {
        let values = counts
            .iter()
            .flat_map(|&k| (0..m).map(move |at| f32::from(at < k)));
        Input::constant(&[counts.len(), m], values.collect())
    };
    let (n, r, c) = (regions.len(), 4, words.len());
    let t = words.iter().copied().max().unwrap();
    vec![
        Input::normal(&[n, r, d]),
        mask(regions, r),
        Input::normal(&[c, t, d]).salted(1),
        mask(words, t),
        Input::normal(&[n, d]).salted(2),
        Input::normal(&[c, d]).salted(3),
        Input::normal(&[s, d]).salted(4),
        Input::normal(&[s]).salted(5),
        Input::normal(&[s, d]).salted(6),
        Input::normal(&[s]).salted(7),
    ]
}

fn given(x: &[Given]) -> PairInputs {
    let side = |at: usize, whole: usize| Side {
        vectors: x[at].rank(),
        mask: x[at + 1].rank(),
        whole: x[whole].rank(),
    };
    let layer = |at: usize| NodeProjection {
        weight: x[at].rank(),
        bias: x[at + 1].rank(),
    };
    PairInputs {
        images: side(0, 4),
        captions: side(2, 5),
        local: layer(6),
        global: layer(8),
    }
}

fn fused(x: &[Given]) -> Tensor<3> {
    pair_nodes(given(x), ATTENTION, Precision::F32)
}

#[test]
fn equals_its_twin_with_padding_and_with_empty_items() {
    let inputs = inputs(&[4, 2, 0], &[3, 0, 1, 4], 5, 6);
    check_against_twin(&inputs, fused, |x| twin::pair_nodes(given(x), ATTENTION));
}

#[test]
fn equals_its_twin_over_several_tiles_and_parts() {
    let mut words: Vec<usize> = (0..24).map(|j| 9 + j % 5).collect();
    // More words than a tile has.
    words[7] = 230;
    let inputs = inputs(&[4; 19], &words, 6, 3);
    check_against_twin(&inputs, fused, |x| twin::pair_nodes(given(x), ATTENTION));
}

/// Keeps the nodes of one pair in seven, so that tiles have to be gathered.
fn thinned(nodes: Tensor<3>, words: &[usize]) -> Tensor<3> {
    let [n, total, _] = nodes.dims();
    let mut kept = Vec::new();
    for image in 0..n {
        for (caption, &length) in words.iter().enumerate() {
            let keep = f32::from((image + 3 * caption) % 7 == 0);
            kept.extend(vec![keep; length + 1]);
        }
    }
    let kept: Tensor<3> = Tensor::from_data(TensorData::new(kept, [n, total, 1]), &nodes.device());
    nodes * kept
}

#[test]
fn pairs_without_a_gradient_are_left_out() {
    let words: Vec<usize> = (0..24).map(|j| (j * 5) % 11).collect();
    let inputs = inputs(&[4, 3, 2, 4, 1, 4, 0, 4, 4], &words, 5, 4);
    check_against_twin(
        &inputs,
        |x| thinned(fused(x), &words),
        |x| thinned(twin::pair_nodes(given(x), ATTENTION), &words),
    );
}

/// The worked example of the attention over three regions, one image and one caption of two words.
#[test]
fn local_nodes_equal_numbers_worked_by_hand() {
    let device = Device::flex();
    let vectors = |values: &[f32], m: usize| {
        Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, m, 2]), &device)
    };
    let ones = |m: usize| Tensor::<2>::ones([1, m], &device);
    let zeros = || Tensor::<2>::zeros([1, 2], &device);
    let weight = TensorData::new(vec![1f32, 2., 3., -1., 0., 1.], [3, 2]);
    let layer = NodeProjection {
        weight: Tensor::from_data(weight, &device),
        bias: Tensor::zeros([3], &device),
    };
    let inputs = PairInputs {
        images: Side {
            vectors: vectors(&[1., 0., 0., 1., 0.6, 0.8], 3),
            mask: ones(3),
            whole: zeros(),
        },
        captions: Side {
            vectors: vectors(&[0.8, 0.6, 1., 0.], 2),
            mask: ones(2),
            whole: zeros(),
        },
        local: layer.clone(),
        global: layer,
    };
    let expected = [
        [0.0, 0.0, 0.0],
        [0.542_58, 0.832_282, 0.113_637],
        [0.817_353, -0.406_422, 0.408_355],
    ];
    for nodes in [
        pair_nodes(inputs.clone(), ATTENTION, Precision::F32),
        twin::pair_nodes(inputs, ATTENTION),
    ] {
        let found: Vec<f32> = nodes.into_data().try_into_vec().unwrap();
        for (a, b) in found.iter().zip(expected.as_flattened()) {
            assert!((a - b).abs() < 2e-5, "{found:?}");
        }
    }
}

/// Tensors `[n, m, d]` of a fixture file; see `fixtures/golden/README.md`.
struct Golden(Entry);

impl Golden {
    fn open(name: &str) -> Self {
        Self(Entry::open(name))
    }

    fn read(&self, name: &str) -> (Vec<f32>, [usize; 3]) {
        let tensors = safetensors::SafeTensors::deserialize(&self.0.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(4);
        let values = values.map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        (values.collect(), tensor.shape().try_into().unwrap())
    }

    fn tensor(&self, name: &str) -> Tensor<3> {
        let (values, shape) = self.read(name);
        let device = Device::flex().autodiff();
        Tensor::from_data(TensorData::new(values, shape), &device).require_grad()
    }
}

fn assert_close(found: &[f32], expected: &[f32], relative: f32) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= relative * largest, "[{at}]: {a} {b}");
    }
}

/// Item by item, as the source pairs them: the twin with its gradients, and a tile's contexts.
#[test]
fn golden_attended_contexts() {
    let golden = Golden::open("u01_sgraf_cross_attention.safetensors");
    let (words, regions) = (golden.tensor("in.query"), golden.tensor("in.context"));
    let [n, t, d] = words.dims();
    let device = words.device();
    let attention = Attention {
        smooth: golden.0.number("smooth") as f32,
        ..ATTENTION
    };
    let side = |vectors: &Tensor<3>, at: usize| Side {
        vectors: vectors.clone().narrow(0, at, 1),
        mask: Tensor::ones([1, vectors.dims()[1]], &device),
        whole: Tensor::zeros([1, d], &device),
    };
    let contexts = (0..n).map(|at| {
        let words = words.clone().narrow(0, at, 1);
        let attended = twin::contexts(&side(&regions, at), words, attention.smooth.into());
        unit_length(attended)
    });
    let contexts = Tensor::cat(contexts.collect(), 0);
    let (expected, _) = golden.read("out.context");
    assert_close(&floats(contexts.clone()), &expected, 1e-5);
    let cotangent = Tensor::from_data(golden.tensor("in.cotangent").into_data(), &device);
    let tape = (contexts * cotangent).sum().backward();
    for (name, input) in [("in.query", &words), ("in.context", &regions)] {
        let (expected, _) = golden.read(&format!("grad.{name}"));
        assert_close(&floats(input.grad(&tape).unwrap()), &expected, 1e-4);
    }
    for at in 0..n {
        let of = |values: &Tensor<3>| floats(values.clone().narrow(0, at, 1));
        let words = of(&words);
        let found = unit_squares(&of(&regions), &words, d, attention);
        let contexts = expected[at * t * d..][..t * d].chunks_exact(d);
        let expected = contexts.zip(words.chunks_exact(d)).flat_map(|(c, w)| {
            let squares: Vec<f32> = c.iter().zip(w).map(|(c, w)| (c - w) * (c - w)).collect();
            let norm = squares.iter().map(|x| x * x).sum::<f32>().sqrt() + 1e-8;
            squares.into_iter().map(move |x| x / norm)
        });
        assert_close(&found, &expected.collect::<Vec<_>>(), 1e-5);
    }
}

/// `l2((c − w)²)` of one image and one caption: the local nodes under a projection that is the
/// identity, from which contexts `c` of length 1 can be told.
fn unit_squares(regions: &[f32], words: &[f32], d: usize, attention: Attention) -> Vec<f32> {
    let device = Device::flex();
    let side = |values: &[f32]| {
        let n = values.len() / d;
        Side {
            vectors: Tensor::from_data(TensorData::new(values.to_vec(), [1, n, d]), &device),
            mask: Tensor::ones([1, n], &device),
            whole: Tensor::zeros([1, d], &device),
        }
    };
    let layer = NodeProjection {
        weight: Tensor::eye(d, &device),
        bias: Tensor::zeros([d], &device),
    };
    let inputs = PairInputs {
        images: side(regions),
        captions: side(words),
        local: layer.clone(),
        global: layer,
    };
    let mut nodes = floats(pair_nodes(inputs, attention, Precision::F32));
    // The global node comes first.
    nodes.split_off(d)
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let words: Vec<usize> = (0..12).map(|j| 5 + j % 7).collect();
    let inputs = inputs(&[4; 11], &words, 8, 4);
    check_threads(&inputs, fused);
}
