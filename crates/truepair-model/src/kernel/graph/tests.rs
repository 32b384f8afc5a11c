//! Worked numbers, the twin, the equations in `f64`, and the same bits on any number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Seed, normal};

use super::*;
use crate::kernel::tests::{Given, Input, check_against_twin, check_threads};

/// `nodes` and the weights of `steps` steps of width `s`; key biases are constant, because their
/// gradient is 0 and the twin's is rounding.
fn inputs(n: usize, lengths: &[usize], s: usize, steps: u64) -> Vec<Input> {
    let total = lengths.iter().sum();
    let mut inputs = vec![Input::normal(&[n, total, s])];
    for step in 0..steps {
        for part in 0..3 {
            inputs.push(Input::scaled(&[s, s], 0.5).salted(step * 10 + part));
            inputs.push(match part {
                1 => Input::constant(&[s], vec![0.3; s]),
                _ => Input::scaled(&[s], 0.3).salted(step * 10 + part + 5),
            });
        }
    }
    inputs
}

fn steps(given: &[Given]) -> Vec<GraphStep> {
    let layer = |at: &[Given]| (at[0].rank(), at[1].rank());
    (given[1..].chunks_exact(6))
        .map(|step| GraphStep {
            query: layer(&step[..2]),
            key: layer(&step[2..4]),
            reason: layer(&step[4..]),
        })
        .collect()
}

#[test]
fn equals_its_twin() {
    let cases: [(usize, &[usize], usize, u64); 5] = [
        (2, &[3, 1, 4, 3], 5, 2),
        (1, &[4, 2], 6, 2),
        (3, &[5], 4, 1),
        (1, &[1], 3, 2),
        (40, &[2, 3], 3, 2),
    ];
    for (n, lengths, s, count) in cases {
        check_against_twin(
            &inputs(n, lengths, s, count),
            |x| graph(x[0].rank(), lengths, steps(x), Precision::F32),
            |x| twin(x[0].rank(), lengths, &steps(x)),
        );
    }
}

/// Under a loss that looks at some pairs only, fused and plain agree, on any number of threads.
#[test]
fn pairs_without_a_gradient_are_left_out() {
    // The loss looks at half of the pairs, one, none, and two of three over several parts.
    let lengths: [&[usize]; 4] = [&[3, 1, 4, 2], &[4, 5], &[2], &[7, 3, 12]];
    let looked_at: [fn(usize) -> bool; 4] =
        [|at| at % 4 < 2, |at| at == 4, |_| false, |at| at % 3 != 1];
    for ((n, lengths), looked_at) in [5, 3, 2, 60].into_iter().zip(lengths).zip(looked_at) {
        let s = 5;
        let look = (0..n * lengths.len()).map(|at| f32::from(looked_at(at)));
        let mut inputs = inputs(n, lengths, s, 2);
        // Shorter nodes, because the gradient through a saturated softmax is mostly rounding.
        inputs[0] = Input::scaled(&[n, lengths.iter().sum(), s], 0.5);
        inputs.push(Input::constant(&[n, lengths.len(), 1], look.collect()));
        let look = inputs.len() - 1;
        check_against_twin(
            &inputs,
            |x| graph(x[0].rank(), lengths, steps(&x[..look]), Precision::F32) * x[look].rank(),
            |x| twin(x[0].rank(), lengths, &steps(&x[..look])) * x[look].rank(),
        );
        check_threads(&inputs, |x| {
            graph(x[0].rank(), lengths, steps(&x[..look]), Precision::F32) * x[look].rank()
        });
    }
}

/// Nodes of pairs that the loss does not look at get 0, those of the others what they get where the
/// loss is the same sum over all pairs.
#[test]
fn a_gradient_of_some_pairs_is_a_part_of_that_of_all() {
    let (n, lengths, s) = (30, [9, 4], 8);
    let total: usize = lengths.iter().sum();
    let wave = |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32 * 0.7).sin()).collect() };
    let by_nodes = |look: &dyn Fn(usize) -> bool| {
        let nodes = tensor([n, total, s], &wave(n * total * s));
        let layer = || (tensor([s, s], &wave(s * s)), tensor([s], &wave(s)));
        let step = || GraphStep {
            query: layer(),
            key: layer(),
            reason: layer(),
        };
        let output = graph(
            nodes.clone(),
            &lengths,
            vec![step(), step()],
            Precision::F32,
        );
        let look: Vec<f32> = (0..n * 2).map(|at| f32::from(look(at))).collect();
        let looked = output * tensor([n, 2, 1], &look).detach();
        floats(nodes.grad(&looked.sum().backward()).unwrap())
    };
    let (all, some) = (by_nodes(&|_| true), by_nodes(&|at| at % 2 == 1));
    for (all, some) in all
        .chunks_exact(total * s)
        .zip(some.chunks_exact(total * s))
    {
        let second = lengths[0] * s;
        assert!(some[..second].iter().all(|g| *g == 0.0));
        assert!(all[..second].iter().any(|g| *g != 0.0));
        for (all, some) in all[second..].iter().zip(&some[second..]) {
            assert!((all - some).abs() < 1e-5, "{all} {some}");
        }
    }
}

fn gather(layers: &[(Tensor<2>, Tensor<1>)]) -> Vec<GraphStep> {
    (layers.chunks_exact(3))
        .map(|step| GraphStep {
            query: step[0].clone(),
            key: step[1].clone(),
            reason: step[2].clone(),
        })
        .collect()
}

fn tensor<const D: usize>(shape: [usize; D], values: &[f32]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// A step in which each node in turn comes first.
#[test]
fn one_step_gives_the_worked_numbers() {
    let nodes = [[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]];
    let expected = [
        [0.082_142_84, 0.478_436_9],
        [0.0, 0.474_885_84],
        [0.344_361_04, 0.465_775_7],
    ];
    for (front, expected) in expected.into_iter().enumerate() {
        let order = [front, (front + 1) % 3, (front + 2) % 3];
        let values: Vec<f32> = order.iter().flat_map(|&node| nodes[node]).collect();
        let zeros = || tensor([2], &[0.0; 2]);
        let step = GraphStep {
            query: (tensor([2, 2], &[1.0, 0.0, 0.0, 1.0]), zeros()),
            key: (tensor([2, 2], &[0.0, 1.0, 1.0, 0.0]), zeros()),
            reason: (
                tensor([2, 2], &[1.0, -1.0, 0.5, 0.5]),
                tensor([2], &[0.1, -0.1]),
            ),
        };
        let found = graph(tensor([1, 3, 2], &values), &[3], vec![step], Precision::F32);
        for (a, b) in floats(found).iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

struct Ran {
    output: Vec<u32>,
    gradients: Vec<Vec<u32>>,
}

/// Output and gradients by the nodes and every weight, as bits.
fn run_on(threads: usize) -> Ran {
    let (n, lengths, s) = (9, [5, 1, 17, 8, 30, 2, 11], 32);
    let total: usize = lengths.iter().sum();
    let wave = |count: usize, phase: f32| -> Vec<f32> {
        (0..count)
            .map(|i| (i as f32 * 0.37 + phase).sin() * 0.3)
            .collect()
    };
    let layer = |phase: f32| {
        (
            tensor([s, s], &wave(s * s, phase)),
            tensor([s], &wave(s, -phase)),
        )
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let nodes = tensor([n, total, s], &wave(n * total * s, 0.1));
        let steps: Vec<GraphStep> = (0..3)
            .map(|step| GraphStep {
                query: layer(step as f32 + 0.2),
                key: layer(step as f32 + 0.5),
                reason: layer(step as f32 + 0.9),
            })
            .collect();
        let output = graph(nodes.clone(), &lengths, steps.clone(), Precision::F32);
        let cotangent = tensor([n, lengths.len(), s], &wave(n * lengths.len() * s, 1.0));
        let graph = (output.clone() * cotangent.detach()).sum().backward();
        let bits = |values: Vec<f32>| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let mut gradients = vec![bits(floats(nodes.grad(&graph).unwrap()))];
        for step in steps {
            for (weight, bias) in [step.query, step.key, step.reason] {
                gradients.push(bits(floats(weight.grad(&graph).unwrap())));
                gradients.push(bits(floats(bias.grad(&graph).unwrap())));
            }
        }
        Ran {
            output: bits(floats(output)),
            gradients,
        }
    })
}

#[test]
fn the_number_of_threads_changes_no_bit_and_key_biases_get_no_gradient() {
    let (one, two) = (run_on(1), run_on(2));
    assert!(one.output == two.output && one.gradients == two.gradients);
    for step in 0..3 {
        let [query, key] = [2, 4].map(|at| &one.gradients[step * 6 + at]);
        assert!(key.iter().all(|bits| *bits == 0) && query.iter().any(|bits| *bits != 0));
    }
}

#[test]
fn an_untracked_graph_gives_the_same() {
    let nodes = tensor([2, 5, 2], &[0.3; 20]);
    let layer = || {
        (
            tensor([2, 2], &[0.5, -0.2, 0.1, 0.9]),
            tensor([2], &[0.1, 0.2]),
        )
    };
    let step = GraphStep {
        query: layer(),
        key: layer(),
        reason: layer(),
    };
    let plain = |(weight, bias): (Tensor<2>, Tensor<1>)| (weight.inner(), bias.inner());
    let inner = GraphStep {
        query: plain(step.query.clone()),
        key: plain(step.key.clone()),
        reason: plain(step.reason.clone()),
    };
    let tracked = graph(nodes.clone(), &[2, 3], vec![step; 3], Precision::F32);
    let untracked = graph(nodes.inner(), &[2, 3], vec![inner; 3], Precision::F32);
    assert_eq!(floats(tracked), floats(untracked));
}

/// `relu(y W^T + b)` and the like, one number at a time.
fn affine(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let s = bias.len();
    let row = |x: &[f64], o: usize| (0..s).map(|i| x[i] * weight[o * s + i]).sum::<f64>() + bias[o];
    x.chunks_exact(s)
        .flat_map(|x| (0..s).map(move |o| row(x, o)))
        .collect()
}

/// The equations in `f64` for the nodes and six weights a step, one pair at a time.
fn oracle(values: &[Vec<f64>], lengths: &[usize], s: usize) -> Vec<f64> {
    let mut rest = &values[0][..];
    let mut output = Vec::new();
    while !rest.is_empty() {
        for m in lengths {
            let (pair, after) = rest.split_at(m * s);
            rest = after;
            let mut x = pair.to_vec();
            for step in values[1..].chunks_exact(6) {
                let (q, k) = (
                    affine(&x, &step[0], &step[1]),
                    affine(&x, &step[2], &step[3]),
                );
                let mut mixed = vec![0.0; m * s];
                for i in 0..*m {
                    let logit = |j: usize| (0..s).map(|d| q[i * s + d] * k[j * s + d]).sum::<f64>();
                    let exps: Vec<f64> = (0..*m).map(|j| logit(j).exp()).collect();
                    let total: f64 = exps.iter().sum();
                    for j in 0..*m {
                        (0..s).for_each(|d| mixed[i * s + d] += exps[j] / total * x[j * s + d]);
                    }
                }
                x = affine(&mixed, &step[4], &step[5]);
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            output.extend(&x[..s]);
        }
    }
    output
}

#[test]
fn three_steps_and_their_gradients_equal_the_equations() {
    let (lengths, s) = ([3, 1, 4], 5);
    let mut rng = Seed(3).stream("graph", &[]);
    let mut draw = |count: usize, deviation: f64| -> Vec<f64> {
        (0..count)
            .map(|_| f64::from((normal(&mut rng) * deviation) as f32))
            .collect()
    };
    let mut values = vec![draw(2 * 8 * s, 1.0)];
    for _ in 0..9 {
        values.push(draw(s * s, 0.5));
        values.push(draw(s, 0.5));
    }
    let single = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<_>>();
    let nodes = tensor([2, 8, s], &single(&values[0]));
    let layer = |at: &[Vec<f64>]| {
        (
            tensor([s, s], &single(&at[0])),
            tensor([s], &single(&at[1])),
        )
    };
    let layers: Vec<_> = values[1..].chunks_exact(2).map(layer).collect();
    let output = graph(nodes.clone(), &lengths, gather(&layers), Precision::F32);
    for (a, b) in floats(output.clone())
        .iter()
        .zip(oracle(&values, &lengths, s))
    {
        assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
    }
    let graph = output.sum().backward();
    let mut gradients = vec![floats(nodes.grad(&graph).unwrap())];
    for (weight, bias) in &layers {
        gradients.push(floats(weight.grad(&graph).unwrap()));
        gradients.push(floats(bias.grad(&graph).unwrap()));
    }
    for (at, gradient) in gradients.iter().enumerate() {
        for (place, found) in gradient.iter().enumerate() {
            let moved = |step: f64| -> f64 {
                let mut values = values.clone();
                values[at][place] += step;
                oracle(&values, &lengths, s).iter().sum()
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let error = (f64::from(*found) - slope).abs();
            assert!(error < 5e-6, "{at}[{place}]: {found} {slope}");
        }
    }
}
