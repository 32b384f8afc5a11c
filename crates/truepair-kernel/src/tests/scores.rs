//! Scores of images against captions: equations in `f64`.

use super::{Input, check, check_threads, run};
use crate::attention::tests::{ALL, oracle};
use crate::product::Precision;
use crate::{
    Attention, Distance, Imram, ImramSettings, MatchForm, MatchOdds, Pool, Pooling, RawNorm, Scan,
    ScanSettings,
};

const D: usize = 4;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The vectors of every item that its mask keeps.
fn items<'a>(values: &'a [f64], mask: &[f64], n: usize) -> Vec<Vec<&'a [f64]>> {
    let m = mask.len() / n;
    let kept = |item: usize| {
        let rows = (item * m..(item + 1) * m).filter(|&row| mask[row] != 0.0);
        rows.map(|row| &values[row * D..][..D]).collect()
    };
    (0..n).map(kept).collect()
}

/// `Σ_c w_cq c` of every query.
fn contexts(contexts: &[&[f64]], queries: &[Vec<f64>], attention: Attention) -> Vec<Vec<f64>> {
    let raw: Vec<f64> = (contexts.iter())
        .flat_map(|c| queries.iter().map(|q| dot(c, q)))
        .collect();
    let (n, smooth) = (queries.len(), f64::from(attention.smooth));
    let weights = oracle(attention.norm, smooth, &raw, n);
    let sum = |q: usize, k: usize| -> f64 {
        let terms = contexts.iter().enumerate();
        terms.map(|(at, c)| weights[at * n + q] * c[k]).sum()
    };
    (0..n)
        .map(|q| (0..D).map(|k| sum(q, k)).collect())
        .collect()
}

fn pooled(relevances: &[f64], pool: Pool) -> f64 {
    let (n, lambda) = (relevances.len() as f64, f64::from(pool.lambda));
    match pool.pooling {
        Pooling::LogSumExp => {
            relevances
                .iter()
                .map(|r| (lambda * r).exp())
                .sum::<f64>()
                .ln()
                / lambda
        }
        Pooling::Mean => relevances.iter().sum::<f64>() / n,
        Pooling::Sum => relevances.iter().sum(),
        Pooling::Max => relevances.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Scores of every item of contexts against every item of queries.
fn every_pair(
    x: &[Vec<f64>],
    [n, k]: [usize; 2],
    score: impl Fn(&[&[f64]], &[Vec<f64>]) -> f64,
) -> Vec<f64> {
    let (contexts, queries) = (items(&x[0], &x[1], n), items(&x[2], &x[3], k));
    let mut out = Vec::new();
    for contexts in &contexts {
        for queries in &queries {
            let queries: Vec<Vec<f64>> = queries.iter().map(|q| q.to_vec()).collect();
            let some = !contexts.is_empty() && !queries.is_empty();
            out.push(if some { score(contexts, &queries) } else { 0.0 });
        }
    }
    out
}

/// Two items of contexts, one of them padded, against three of queries, one without any.
fn ragged() -> [Input; 4] {
    [
        Input::normal("contexts", &[2, 3, D], 1.0),
        Input::mask(&[3, 2], 3),
        Input::normal("queries", &[3, 3, D], 1.0),
        Input::mask(&[3, 0, 2], 3),
    ]
}

#[test]
fn scan_equals_its_equation() {
    let pool = |pooling| Pool {
        pooling,
        lambda: 5.0,
    };
    let all = [
        Pooling::LogSumExp,
        Pooling::Mean,
        Pooling::Sum,
        Pooling::Max,
    ];
    let cases = (ALL.map(|norm| (norm, all[0])).into_iter())
        .chain(all.map(|pooling| (RawNorm::ClippedL2, pooling)));
    for (norm, pooling) in cases {
        let settings = ScanSettings {
            attention: Attention { norm, smooth: 4.0 },
            pool: pool(pooling),
            precision: Precision::F32,
        };
        // All at once, and one item of contexts at a time.
        for operation in [Scan::new(settings), Scan::new(settings).with_band(1)] {
            check(&operation, &ragged(), |x| {
                every_pair(x, [2, 3], |c, queries| {
                    let attended = contexts(c, queries, settings.attention);
                    let cosines = attended.iter().zip(queries).map(|(c, q)| cosine(c, q));
                    pooled(&cosines.collect::<Vec<_>>(), settings.pool)
                })
            });
        }
    }
}

#[test]
fn imram_equals_its_equation() {
    let layer = |name: &str| {
        [
            Input::normal(&format!("{name} weight"), &[D, 2 * D], 0.5),
            Input::normal(&format!("{name} bias"), &[D], 1.0),
        ]
    };
    let without = {
        let [contexts, _, queries, mask] = ragged();
        [contexts, Input::mask(&[3, 0], 3), queries, mask]
    };
    let cases = [
        (ragged(), 1, false),
        (ragged(), 2, true),
        (ragged(), 3, false),
        // The second item of contexts has none: an image all of whose regions are 0.
        (without, 2, false),
    ];
    for (items, steps, normalize) in cases {
        let layers = layer("output").into_iter().chain(layer("gate"));
        let inputs: Vec<Input> = items.into_iter().chain(layers).collect();
        let settings = ImramSettings {
            attention: Attention {
                norm: RawNorm::ClippedL2,
                smooth: 4.0,
            },
            steps,
            normalize,
            precision: Precision::F32,
        };
        check(&Imram(settings), &inputs, |x| {
            let row = |layer: usize, both: &[f64], k: usize| {
                dot(&x[layer][k * 2 * D..][..2 * D], both) + x[layer + 1][k]
            };
            let updated = |q: &[f64], c: &[f64]| -> Vec<f64> {
                let both = [q, c].concat();
                let blend = |k: usize| {
                    let o = row(4, &both, k).tanh();
                    let g = 1.0 / (1.0 + (-row(6, &both, k)).exp());
                    g * q[k] + (1.0 - g) * o
                };
                let next: Vec<f64> = (0..D).map(blend).collect();
                let length = dot(&next, &next).sqrt() + 1e-8;
                let scale = if normalize { 1.0 / length } else { 1.0 };
                next.iter().map(|x| x * scale).collect()
            };
            every_pair(x, [2, 3], |c, first| {
                if c.is_empty() {
                    return 0.0;
                }
                let (mut q, mut score) = (first.to_vec(), 0.0);
                for _ in 0..steps {
                    let attended = contexts(c, &q, settings.attention);
                    let cosines = attended.iter().zip(first).map(|(c, q)| cosine(c, q));
                    score += cosines.sum::<f64>() / first.len() as f64;
                    q = q
                        .iter()
                        .zip(&attended)
                        .map(|(q, c)| updated(q, c))
                        .collect();
                }
                score
            })
        });
    }
}

#[test]
fn match_odds_equal_their_equation() {
    let form = |distance, guard, factor| MatchForm {
        distance,
        guard,
        factor,
    };
    let forms = [
        form(Distance::Euclidean, 1e-6, 2.0),
        form(Distance::Euclidean, 1e-6, 1.0),
        form(Distance::Squared, 0.0, 1.0),
    ];
    let inputs = |n, m, j, d| {
        [
            Input::normal("x", &[n, j, d], 0.4),
            Input::normal("y", &[m, j, d], 0.4),
            Input::of(&[1], vec![2.0]),
            Input::of(&[1], vec![3.0]),
        ]
    };
    let (n, m, j) = (2, 3, 2);
    for form in forms {
        check(&MatchOdds(form), &inputs(n, m, j, D), |x| {
            let draws = |values: &[f64]| -> Vec<Vec<f64>> {
                values.chunks(j * D).map(<[f64]>::to_vec).collect()
            };
            let probability = |a: &[f64], b: &[f64]| {
                let square =
                    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() + form.guard;
                let distance = match form.distance {
                    Distance::Euclidean => square.sqrt(),
                    Distance::Squared => square,
                };
                1.0 / (1.0 + (-form.factor * (x[3][0] - x[2][0] * distance)).exp())
            };
            let odds = |a: &[f64], b: &[f64]| {
                let all = a.chunks(D).flat_map(|a| b.chunks(D).map(move |b| (a, b)));
                let p = all.map(|(a, b)| probability(a, b)).sum::<f64>() / (j * j) as f64;
                (p / (1.0 - p)).ln()
            };
            let (x, y) = (draws(&x[0]), draws(&x[1]));
            x.iter()
                .flat_map(|a| y.iter().map(|b| odds(a, b)))
                .collect()
        });
    }
    // Several blocks.
    check_threads(&MatchOdds(forms[0]), &inputs(60, 90, 7, 12));
}

#[test]
fn far_draws_give_finite_odds_and_slopes() {
    let place = |at: f32| Input::of(&[1, 2, 2], vec![at, at + 0.1, at, at]);
    let form = MatchForm {
        distance: Distance::Euclidean,
        guard: 1e-6,
        factor: 2.0,
    };
    for (distance, shift) in [(60.0, 15.0), (0.0, 500.0)] {
        let one = |x: f32| Input::of(&[1], vec![x]);
        let inputs = [place(0.0), place(distance), one(15.0), one(shift)];
        let found = run(&MatchOdds(form), &inputs);
        let odds = found.output.values[0];
        assert!(odds.is_finite() && odds.abs() > 900.0, "{odds}");
        let slope = found.gradients[0].as_ref().expect("a gradient");
        assert!(slope.iter().all(|g| g.is_finite()), "{slope:?}");
        assert!(slope.iter().any(|g| g.abs() > 0.1), "{slope:?}");
    }
}
