//! Nodes of pairs: equations in `f64`.

use super::{Input, check, check_threads, run};
use crate::attention::tests::oracle;
use crate::product::Precision;
use crate::{Attention, Graph, PairNodes, RawNorm, SafPool};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// `x / (‖x‖ + 1e-8)`
fn unit(x: Vec<f64>) -> Vec<f64> {
    let length = dot(&x, &x).sqrt() + 1e-8;
    x.iter().map(|x| x / length).collect()
}

/// `W x + b`
fn affine(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let rows = weight.chunks(x.len()).zip(bias);
    rows.map(|(row, bias)| dot(row, x) + bias).collect()
}

#[test]
fn saf_pool_equals_its_equation() {
    let (n, lengths, s) = (3, vec![3, 1, 2], 4);
    let operation = SafPool {
        lengths: lengths.clone(),
    };
    let inputs = [
        Input::normal("nodes", &[n, 6, s], 1.0),
        Input::normal("attention", &[n, 6], 1.0),
    ];
    check(&operation, &inputs, |x| {
        let mut out = Vec::new();
        let mut first = 0;
        for m in lengths.iter().cycle().take(n * lengths.len()) {
            let own = first..first + m;
            let size = x[1][own.clone()].iter().map(|a| a.abs()).sum::<f64>() + 1e-8;
            let sum = |k: usize| {
                own.clone()
                    .map(|at| x[1][at] * x[0][at * s + k])
                    .sum::<f64>()
            };
            out.extend(unit((0..s).map(|k| sum(k) / size).collect()));
            first += m;
        }
        out
    });
}

#[test]
fn attention_of_zero_gives_zero_and_a_finite_gradient() {
    let operation = SafPool { lengths: vec![2] };
    let inputs = [
        Input::of(&[1, 2, 2], vec![0.3; 4]),
        Input::of(&[1, 2], vec![0.0; 2]),
    ];
    let found = run(&operation, &inputs);
    assert_eq!(found.output.values, [0.0; 2]);
    assert!(
        found
            .gradients
            .iter()
            .flatten()
            .flatten()
            .all(|g| g.is_finite())
    );
}

#[test]
fn three_nodes_give_the_worked_numbers() {
    let raw = [0.6f32 - 0.8, 1.0, -1.0];
    // Normalized with mean 0 and variance 1 as a trained batch norm does.
    let attention = raw.map(|x| 1.0 / (1.0 + (-x / 1.00001f32.sqrt()).exp()));
    let inputs = [
        Input::of(&[1, 3, 2], vec![0.6, 0.8, 1.0, 0.0, 0.0, 1.0]),
        Input::of(&[1, 3], attention.to_vec()),
    ];
    let found = run(&SafPool { lengths: vec![3] }, &inputs).output.values;
    for (a, b) in found.iter().zip([0.846_721_7, 0.532_036_04]) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

const ATTENTION: Attention = Attention {
    norm: RawNorm::ClippedL2,
    smooth: 9.0,
};

/// Images of so many of 3 regions, captions of so many words.
fn pairs(regions: &[usize], words: &[usize], d: usize, s: usize) -> Vec<Input> {
    let t = words.iter().copied().max().expect("a caption");
    let (n, c) = (regions.len(), words.len());
    vec![
        Input::normal("regions", &[n, 3, d], 1.0),
        Input::mask(regions, 3),
        Input::normal("words", &[c, t, d], 1.0),
        Input::mask(words, t),
        Input::normal("images", &[n, d], 1.0),
        Input::normal("captions", &[c, d], 1.0),
        Input::normal("local", &[s, d], 1.0),
        Input::normal("local bias", &[s], 1.0),
        Input::normal("global", &[s, d], 1.0),
        Input::normal("global bias", &[s], 1.0),
    ]
}

#[test]
fn pair_nodes_equal_their_equation() {
    let (regions, words, d, s) = ([3, 2, 0], [2, 0, 3], 4, 3);
    let operation = PairNodes {
        attention: ATTENTION,
        precision: Precision::F32,
    };
    check(&operation, &pairs(&regions, &words, d, s), |x| {
        let squares = |a: &[f64], b: &[f64]| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).collect()
        };
        let mut out = Vec::new();
        for (image, &r) in regions.iter().enumerate() {
            let regions: Vec<&[f64]> = x[0][image * 3 * d..][..r * d].chunks(d).collect();
            for (caption, &t) in words.iter().enumerate() {
                let whole = squares(&x[4][image * d..][..d], &x[5][caption * d..][..d]);
                out.extend(unit(affine(&whole, &x[8], &x[9])));
                let words: Vec<&[f64]> = x[2][caption * 3 * d..][..t * d].chunks(d).collect();
                let raw: Vec<f64> = (regions.iter())
                    .flat_map(|v| words.iter().map(|w| dot(v, w)))
                    .collect();
                let weights = match t {
                    0 => Vec::new(),
                    _ => oracle(ATTENTION.norm, 9.0, &raw, t),
                };
                for (at, word) in words.iter().enumerate() {
                    let sum = |k: usize| (0..r).map(|v| weights[v * t + at] * regions[v][k]).sum();
                    let context = unit((0..d).map(sum).collect());
                    out.extend(unit(affine(&squares(&context, word), &x[6], &x[7])));
                }
            }
        }
        out
    });
}

#[test]
fn tiles_of_pair_nodes_do_not_depend_on_threads() {
    let words: Vec<usize> = (0..24)
        .map(|j| if j == 7 { 230 } else { 9 + j % 5 })
        .collect();
    let operation = PairNodes {
        attention: ATTENTION,
        precision: Precision::F32,
    };
    check_threads(&operation, &pairs(&[3; 11], &words, 5, 4));
}

/// Nodes and the weights of so many steps.
fn graph(n: usize, total: usize, s: usize, steps: usize) -> Vec<Input> {
    let mut inputs = vec![Input::normal("nodes", &[n, total, s], 0.7)];
    for part in ["query", "key", "reason"] {
        inputs.push(Input::normal(part, &[steps, s, s], 0.5));
        inputs.push(Input::normal(&format!("{part} bias"), &[steps, s], 0.5));
    }
    inputs
}

#[test]
fn graph_equals_its_equation() {
    let (n, lengths, s, steps) = (2, vec![3, 1, 4], 4, 2);
    let operation = Graph {
        lengths: lengths.clone(),
        precision: Precision::F32,
    };
    check(&operation, &graph(n, 8, s, steps), |x| {
        let mut out = Vec::new();
        let mut first = 0;
        for m in lengths.iter().cycle().take(n * lengths.len()) {
            let mut nodes: Vec<Vec<f64>> = x[0][first * s..][..m * s]
                .chunks(s)
                .map(<[f64]>::to_vec)
                .collect();
            first += m;
            for step in 0..steps {
                let layer = |part: usize, node: &[f64]| {
                    let weight = &x[part][step * s * s..][..s * s];
                    affine(node, weight, &x[part + 1][step * s..][..s])
                };
                let keys: Vec<Vec<f64>> = nodes.iter().map(|node| layer(3, node)).collect();
                let next = nodes.iter().map(|node| {
                    let query = layer(1, node);
                    let exps: Vec<f64> = keys.iter().map(|key| dot(&query, key).exp()).collect();
                    let total: f64 = exps.iter().sum();
                    let sum = |k: usize| (0..*m).map(|j| exps[j] / total * nodes[j][k]).sum();
                    let mixed: Vec<f64> = (0..s).map(sum).collect();
                    layer(5, &mixed).iter().map(|x| x.max(0.0)).collect()
                });
                nodes = next.collect();
            }
            out.extend(&nodes[0]);
        }
        out
    });
}

#[test]
fn key_biases_of_a_graph_get_no_gradient_and_threads_change_no_bit() {
    let operation = Graph {
        lengths: vec![5, 1, 17, 8, 30, 2, 11],
        precision: Precision::F32,
    };
    let found = check_threads(&operation, &graph(9, 74, 32, 3));
    let gradient = |input: usize| found.gradients[input].as_ref().expect("a gradient");
    assert!(gradient(4).iter().all(|g| *g == 0.0) && gradient(2).iter().any(|g| *g != 0.0));
}
