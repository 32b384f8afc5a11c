//! Layers and pooling: equations in `f64`.

use super::{Draws, Input, check, check_threads, run};
use crate::product::Precision;
use crate::{
    AdditiveAttention, BatchNorm, ColumnMoments, Convolution, Directions, Embedding, Gelu, Gru,
    InnerProducts, Linear, Moments, Operation, Relation, SlotMoments, SlotNorm, SortPool, States,
    Window,
};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[test]
fn linear_equals_its_equation() {
    // The second is the work of several tasks.
    for n in [3, 261] {
        let inputs = [
            Input::normal("x", &[n, 4], 1.0),
            Input::normal("weight", &[2, 4], 1.0),
            Input::normal("bias", &[2], 1.0),
        ];
        check_threads(&Linear(Precision::F32), &inputs);
        if n > 3 {
            continue;
        }
        check(&Linear(Precision::F32), &inputs, |x| {
            let row = |row| (0..2).map(move |o| dot(row, &x[1][o * 4..][..4]) + x[2][o]);
            x[0].chunks(4).flat_map(row).collect()
        });
    }
}

#[test]
fn inner_products_equal_their_equation() {
    let inputs = [
        Input::normal("a", &[3, 7], 1.0),
        Input::normal("b", &[4, 7], 1.0),
    ];
    check(&InnerProducts(Precision::F32), &inputs, |x| {
        let row = |a| x[1].chunks(7).map(move |b| dot(a, b));
        x[0].chunks(7).flat_map(row).collect()
    });
}

#[test]
fn gelu_equals_its_equation() {
    /// `∫ φ` from 0 to `x` by Simpson's rule.
    fn half_normal(x: f64) -> f64 {
        let n = 400;
        let step = x / f64::from(n);
        let weight = |at| match at {
            0 => 1.0,
            _ if at == n => 1.0,
            _ => f64::from(2 + 2 * (at % 2)),
        };
        let term = |at: i32| weight(at) * (-0.5 * (f64::from(at) * step).powi(2)).exp();
        (0..=n).map(term).sum::<f64>() * step / 3.0 / std::f64::consts::TAU.sqrt()
    }
    check(&Gelu, &[Input::normal("x", &[4, 6], 2.0)], |x| {
        x[0].iter().map(|x| x * (0.5 + half_normal(*x))).collect()
    });
}

#[test]
fn embedding_equals_its_equation() {
    let ids = vec![3, 0, 3, 1, 0, 0];
    let operation = Embedding {
        ids: ids.clone(),
        shape: [2, 3],
    };
    check(&operation, &[Input::normal("table", &[5, 4], 1.0)], |x| {
        let rows = ids.iter().flat_map(|id| &x[0][id * 4..][..4]);
        rows.copied().collect()
    });
}

#[test]
fn convolution_equals_its_equation() {
    let (n, c, h, w, f) = (9, 2, 5, 4, 2);
    for (side, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0)] {
        let window = Window {
            side,
            stride,
            padding,
        };
        let operation = Convolution {
            window,
            precision: Precision::F32,
        };
        let inputs = [
            Input::normal("x", &[n, c, h, w], 1.0),
            Input::normal("weight", &[f, c, side, side], 1.0),
        ];
        let steps = |size: usize| (size + 2 * padding - side) / stride + 1;
        check(&operation, &inputs, |x| {
            let pixel = |i: usize, k: usize, y: usize, z: usize| {
                let (y, z) = (y.wrapping_sub(padding), z.wrapping_sub(padding));
                let inside = y < h && z < w;
                if inside {
                    x[0][((i * c + k) * h + y) * w + z]
                } else {
                    0.0
                }
            };
            let mut out = Vec::new();
            for (i, o) in (0..n).flat_map(|i| (0..f).map(move |o| (i, o))) {
                for (y, z) in (0..steps(h)).flat_map(|y| (0..steps(w)).map(move |z| (y, z))) {
                    let taps = (0..c * side * side).map(|tap| {
                        let (k, dy, dz) = (tap / (side * side), tap / side % side, tap % side);
                        let weight = x[1][o * c * side * side + tap];
                        weight * pixel(i, k, y * stride + dy, z * stride + dz)
                    });
                    out.push(taps.sum());
                }
            }
            out
        });
    }
}

/// Mean and biased variance of some numbers.
fn moments(numbers: &[f64]) -> [f64; 2] {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    [mean, variance]
}

/// Runs the operation of moments and checks it; `channel` is the channel of a number by its place.
fn check_moments(
    operation: &impl Operation,
    x: &Input,
    channels: usize,
    channel: impl Fn(usize) -> usize,
) -> Vec<f32> {
    let found = operation.output(&[x.array()]).values;
    assert_eq!(found.len(), 2 * channels);
    for k in 0..channels {
        let places = (0..x.values.len()).filter(|&at| channel(at) == k);
        let numbers: Vec<f64> = places.map(|at| f64::from(x.values[at])).collect();
        let [mean, variance] = moments(&numbers);
        assert!((f64::from(found[k]) - mean).abs() < 1e-6);
        assert!((f64::from(found[channels + k]) - variance).abs() < 2e-6);
    }
    found
}

/// The weight, the bias and the moments beside `x`.
fn norm_inputs(x: Input, found: Vec<f32>) -> Vec<Input> {
    let channels = found.len() / 2;
    vec![
        x,
        Input::normal("weight", &[channels], 1.0),
        Input::normal("bias", &[channels], 1.0),
        Input::of(&[2, channels], found).constant(),
    ]
}

/// `x` normalized by its own moments.
fn normed(x: &[Vec<f64>], channels: usize, channel: impl Fn(usize) -> usize) -> Vec<f64> {
    let moments: Vec<[f64; 2]> = (0..channels)
        .map(|k| {
            let places = (0..x[0].len()).filter(|&at| channel(at) == k);
            moments(&places.map(|at| x[0][at]).collect::<Vec<_>>())
        })
        .collect();
    let entry = |(at, value): (usize, &f64)| {
        let k = channel(at);
        let [mean, variance] = moments[k];
        x[1][k] * (value - mean) / (variance + f64::from(1e-5f32)).sqrt() + x[2][k]
    };
    x[0].iter().enumerate().map(entry).collect()
}

#[test]
fn batch_norm_and_its_moments_equal_their_equations() {
    let (n, d) = (7, 3);
    let rows = Input::normal("x", &[n, d], 1.0);
    let found = check_moments(&ColumnMoments, &rows, d, |at| at % d);
    let operation = BatchNorm { epsilon: 1e-5 };
    check(&operation, &norm_inputs(rows, found), |x| {
        normed(x, d, |at| at % d)
    });
}

#[test]
fn slot_norm_and_its_moments_equal_their_equations() {
    // The second kind of slot is longer than a block of the threads' work.
    for (n, m, d) in [(3, 4, 5), (2, 2, 600)] {
        let slot = |at: usize| at / d % m;
        let x = || Input::normal("x", &[n, m, d], 1.0);
        let found = check_moments(&SlotMoments, &x(), m, slot);
        let mut operation = SlotNorm {
            epsilon: 1e-5,
            moments: Moments::OfBatch,
            rectify: false,
        };
        let mut inputs = norm_inputs(x(), found);
        check(&operation, &inputs, |x| normed(x, m, slot));
        if d > 5 {
            // Of so many results some are too near to 0 to have a slope.
            continue;
        }

        operation.rectify = true;
        let rectified = |x: &[Vec<f64>]| normed(x, m, slot).into_iter().map(|y| y.max(0.0));
        check(&operation, &inputs, |x| rectified(x).collect());

        inputs.push(Input::normal("kept", &[n, m, d], 1.0));
        check(&operation, &inputs, |x| {
            let sums = normed(x, m, slot).into_iter().zip(&x[4]);
            sums.map(|(y, kept)| (y + kept).max(0.0)).collect()
        });
    }
}

#[test]
fn given_moments_are_constants() {
    let (n, m, d) = (3, 2, 5);
    let operation = SlotNorm {
        epsilon: 1e-5,
        moments: Moments::Given,
        rectify: true,
    };
    let x = Input::normal("x", &[n, m, d], 1.0);
    let inputs = norm_inputs(x, vec![0.5, -0.5, 2.0, 0.25]);
    check(&operation, &inputs, |x| {
        let entry = |(at, value): (usize, &f64)| {
            let slot = at / d % m;
            let deviation = (x[3][m + slot] + f64::from(1e-5f32)).sqrt();
            (x[1][slot] * (value - x[3][slot]) / deviation + x[2][slot]).max(0.0)
        };
        x[0].iter().enumerate().map(entry).collect()
    });
}

#[test]
fn relation_equals_its_equation() {
    let (lengths, d) = (vec![2, 0, 3], 4);
    let operation = Relation {
        lengths: lengths.clone(),
        precision: Precision::F32,
    };
    // The last row belongs to no item.
    let inputs = ["theta", "phi", "value"].map(|name| Input::normal(name, &[6, d], 1.0));
    check(&operation, &inputs, |x| {
        let mut out = vec![0.0; 6 * d];
        let mut first = 0;
        for &m in &lengths {
            for (i, j) in (first..first + m).flat_map(|i| (first..first + m).map(move |j| (i, j))) {
                let share = dot(&x[0][i * d..][..d], &x[1][j * d..][..d]) / m as f64;
                (0..d).for_each(|k| out[i * d + k] += share * x[2][j * d + k]);
            }
            first += m;
        }
        out
    });
}

#[test]
fn additive_attention_equals_its_equation() {
    let (lengths, r, d, h) = (vec![3, 0, 2], 3, 4, 5);
    let operation = AdditiveAttention {
        lengths: lengths.clone(),
    };
    let inputs = [
        Input::normal("values", &[3, r, d], 1.0),
        Input::normal("keys", &[3, r, h], 1.0),
        Input::normal("queries", &[3, h], 1.0),
        Input::normal("score", &[1, h], 1.0),
    ];
    check(&operation, &inputs, |x| {
        let mut out = vec![0.0; 3 * d];
        for (item, &m) in lengths.iter().enumerate() {
            let score = |at: usize| -> f64 {
                let term = |k: usize| {
                    x[3][k] * (x[1][(item * r + at) * h + k] + x[2][item * h + k]).tanh()
                };
                (0..h).map(term).sum()
            };
            let total: f64 = (0..m).map(|at| score(at).exp()).sum();
            for (at, k) in (0..m).flat_map(|at| (0..d).map(move |k| (at, k))) {
                out[item * d + k] += score(at).exp() / total * x[0][(item * r + at) * d + k];
            }
        }
        out
    });
}

#[test]
fn sort_pool_equals_its_equation() {
    let (n, m, d) = (4, 5, 70);
    // All there, a gap inside, padding behind, and nothing at all.
    let mask = (0..n * m).map(|at| f32::from([true, at % m != 1, at % m < 2, false][at / m]));
    let inputs = [
        Input::normal("features", &[n, m, d], 1.0),
        Input::of(&[n, m], mask.collect()).constant(),
        Input::normal("weights", &[n, m], 1.0),
    ];
    check(&SortPool, &inputs, |x| {
        let value = |i: usize, k: usize| -> f64 {
            let valid = (0..m).filter(|p| x[1][i * m + p] != 0.0);
            let mut sorted: Vec<f64> = valid.map(|p| x[0][(i * m + p) * d + k]).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            dot(&sorted, &x[2][i * m..])
        };
        let places = (0..n).flat_map(|i| (0..d).map(move |k| (i, k)));
        places.map(|(i, k)| value(i, k)).collect()
    });
}

/// One direction of the recurrence over one item's words in the order given; every state.
fn states(words: &[&[f64]], weights: &[Vec<f64>], d: usize) -> Vec<Vec<f64>> {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut state = vec![0.0; d];
    let mut all = Vec::new();
    for x in words {
        let w = x.len();
        let by_words = |row: usize| dot(x, &weights[0][row * w..][..w]) + weights[2][row];
        let by_state = |row: usize| dot(&state, &weights[1][row * d..][..d]) + weights[3][row];
        let next = (0..d).map(|k| {
            let reset = sigmoid(by_words(k) + by_state(k));
            let update = sigmoid(by_words(d + k) + by_state(d + k));
            let fresh = (by_words(2 * d + k) + reset * by_state(2 * d + k)).tanh();
            (1.0 - update) * fresh + update * state[k]
        });
        state = next.collect();
        all.push(state.clone());
    }
    all
}

#[test]
fn gru_equals_its_equation() {
    let (lengths, t, w, d) = ([3, 0, 1, 2], 3, 2, 3);
    for directions in [Directions::Forward, Directions::Both] {
        let count = if directions == Directions::Both { 2 } else { 1 };
        let mut inputs = vec![Input::normal("words", &[4, t, w], 1.0)];
        for direction in 0..count {
            for (part, shape) in [&[3 * d, w][..], &[3 * d, d], &[3 * d], &[3 * d]]
                .iter()
                .enumerate()
            {
                inputs.push(Input::normal(&format!("{direction} {part}"), shape, 0.5));
            }
        }
        for handed_out in [States::EveryToken, States::Last] {
            let operation = Gru::new(&lengths, t, directions, handed_out, Precision::F32);
            check(&operation, &inputs, |x| {
                let places = if handed_out == States::Last { 1 } else { t };
                let mut out = vec![0.0; lengths.len() * places * d];
                for (item, &length) in lengths.iter().enumerate() {
                    let words = x[0][item * t * w..][..length * w]
                        .chunks(w)
                        .collect::<Vec<_>>();
                    for direction in 0..count {
                        let mut order: Vec<usize> = (0..length).collect();
                        if direction == 1 {
                            order.reverse();
                        }
                        let read: Vec<&[f64]> = order.iter().map(|&at| words[at]).collect();
                        let all = states(&read, &x[1 + 4 * direction..][..4], d);
                        for (step, state) in all.iter().enumerate() {
                            let place = match handed_out {
                                States::EveryToken => order[step],
                                States::Last if step + 1 == length => 0,
                                States::Last => continue,
                            };
                            let row = &mut out[(item * places + place) * d..][..d];
                            let share = 1.0 / count as f64;
                            row.iter_mut().zip(state).for_each(|(x, s)| *x += share * s);
                        }
                    }
                }
                out
            });
        }
    }
}

#[test]
fn groups_of_recurrent_items_do_not_depend_on_threads() {
    let lengths: Vec<usize> = (0..259).map(|at| (at * 5) % 4).collect();
    let mut inputs = vec![Input::normal("words", &[259, 3, 2], 1.0)];
    for shape in [&[9, 2][..], &[9, 3], &[9], &[9]] {
        inputs.push(Input::normal("weights", shape, 0.5));
    }
    let operation = |states| Gru::new(&lengths, 3, Directions::Forward, states, Precision::F32);
    check_threads(&operation(States::EveryToken), &inputs);
    let last = run(&operation(States::Last), &inputs);
    assert_eq!(last.output.shape, [259, 1, 3]);
}

#[test]
fn draws_repeat_by_name() {
    let first = |name| Draws::new(name).normal();
    assert_eq!(first("a"), first("a"));
    assert_ne!(first("a"), first("b"));
}
