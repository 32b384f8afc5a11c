//! An additive logistic regression whose parts can only rise: how much two groups differ, in logits.
//!
//! ```text
//! ln P(a | x) / P(b | x) = w_0 + Σ_j Σ_k w_jk clip((x_j - q_jk) / (q_j,k+1 - q_jk), 0, 1),   w_jk >= 0
//! ```
//!
//! with `q_j` quantiles of feature `j`. A feature that speaks for a group may do so at any strength but
//! never against it, so the model cannot learn peculiarities of the examples of `b` that point the other way.

use rayon::prelude::*;

/// Ramps per feature.
const RAMPS: usize = 8;

/// Weight of half the squared length of the coefficients.
const RIDGE: f64 = 1.0;

/// Accelerated gradient steps (Beck and Teboulle, 2009).
const STEPS: usize = 150;

/// Power iterations for the steepest direction.
const POWER: usize = 15;

/// A fitted model over `N` features.
#[derive(Debug, Clone)]
pub(super) struct Monotone<const N: usize> {
    intercept: f64,
    knots: Vec<[f64; RAMPS + 1]>,
    /// `[features, RAMPS]`, at least 0.
    weights: Vec<[f64; RAMPS]>,
}

/// Where a value lies on a feature's ramps: past all of those before `ramp`, and part of the way up that one.
#[derive(Debug, Clone, Copy)]
struct Position {
    ramp: u32,
    part: f32,
}

impl<const N: usize> Monotone<N> {
    /// Fits the weighted rows of group `a` and of group `b`; both groups count the same.
    pub(super) fn fit(a: &[([f64; N], f64)], b: &[([f64; N], f64)]) -> Self {
        let knots: Vec<[f64; RAMPS + 1]> = (0..N).map(|j| quantiles(a, b, j)).collect();
        let total = |rows: &[([f64; N], f64)]| rows.iter().map(|(_, weight)| weight).sum::<f64>();
        let (of_a, of_b) = (total(a), total(b));
        // The smaller group stays as it is, so that the ridge weighs as much as its examples allow.
        let each = of_a.min(of_b);
        let rows: Vec<Row<N>> = (a.iter().map(|row| (row, 1.0, each / of_a.max(1e-12))))
            .chain(b.iter().map(|row| (row, 0.0, each / of_b.max(1e-12))))
            .map(|((x, weight), target, scale)| Row {
                positions: std::array::from_fn(|j| position(&knots[j], x[j])),
                weight: weight * scale,
                target,
            })
            .collect();
        let (intercept, weights) = climb(&rows);
        Self {
            intercept,
            knots,
            weights,
        }
    }

    /// The logit of `a` against `b`.
    pub(super) fn logit(&self, x: &[f64; N]) -> f64 {
        let parts = (0..N).map(|j| {
            let position = position(&self.knots[j], x[j]);
            let whole = &self.weights[j][..position.ramp as usize];
            let part = self.weights[j].get(position.ramp as usize).unwrap_or(&0.0);
            whole.iter().sum::<f64>() + part * f64::from(position.part)
        });
        self.intercept + parts.sum::<f64>()
    }
}

/// Quantiles of feature `j` over both groups, each group counting as one half.
fn quantiles<const N: usize>(
    a: &[([f64; N], f64)],
    b: &[([f64; N], f64)],
    j: usize,
) -> [f64; RAMPS + 1] {
    let sorted = |rows: &[([f64; N], f64)]| {
        let mut values: Vec<f64> = rows.iter().map(|(x, _)| x[j]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let at = |values: &[f64], q: f64| {
        values
            .get((q * values.len().saturating_sub(1) as f64).round() as usize)
            .copied()
    };
    let mut knots = [0.0; RAMPS + 1];
    for (k, knot) in knots.iter_mut().enumerate() {
        let q = k as f64 / RAMPS as f64;
        let (of_a, of_b) = (at(&a, q), at(&b, q));
        *knot = match (of_a, of_b) {
            (Some(x), Some(y)) => (x + y) / 2.0,
            (x, y) => x.or(y).unwrap_or(0.0),
        };
    }
    knots
}

fn position(knots: &[f64; RAMPS + 1], value: f64) -> Position {
    let ramp = knots[1..].partition_point(|knot| *knot <= value);
    if ramp == RAMPS {
        return Position {
            ramp: RAMPS as u32,
            part: 0.0,
        };
    }
    let (low, high) = (knots[ramp], knots[ramp + 1]);
    let part = if high > low {
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    } else {
        0.0
    };
    Position {
        ramp: ramp as u32,
        part: part as f32,
    }
}

struct Row<const N: usize> {
    positions: [Position; N],
    weight: f64,
    target: f64,
}

/// Intercept and coefficients, `[1 + N * RAMPS]`.
type Coefficients = Vec<f64>;

/// Sums before every ramp of every feature, so that a row's logit takes two look-ups per feature.
fn sums<const N: usize>(w: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; N * (RAMPS + 1)];
    for j in 0..N {
        for k in 0..RAMPS {
            sums[j * (RAMPS + 1) + k + 1] = sums[j * (RAMPS + 1) + k] + w[1 + j * RAMPS + k];
        }
    }
    sums
}

fn value<const N: usize>(row: &Row<N>, w: &[f64], sums: &[f64]) -> f64 {
    let mut value = w[0];
    for (j, position) in row.positions.iter().enumerate() {
        let ramp = position.ramp as usize;
        value += sums[j * (RAMPS + 1) + ramp];
        if ramp < RAMPS {
            value += f64::from(position.part) * w[1 + j * RAMPS + ramp];
        }
    }
    value
}

/// `Σ_n r_n x_n` over all rows.
fn gather<const N: usize>(
    rows: &[Row<N>],
    residual: impl Fn(&Row<N>) -> f64 + Sync,
) -> Coefficients {
    const CHUNK: usize = 4096;
    let parts = rows.par_chunks(CHUNK).map(|rows| {
        // Whole ramps are recorded where they end and summed up afterwards.
        let mut ends = vec![0.0; N * (RAMPS + 1)];
        let mut sum = vec![0.0; 1 + N * RAMPS];
        for row in rows {
            let r = residual(row);
            sum[0] += r;
            for (j, position) in row.positions.iter().enumerate() {
                let ramp = position.ramp as usize;
                ends[j * (RAMPS + 1) + ramp] += r;
                if ramp < RAMPS {
                    sum[1 + j * RAMPS + ramp] += r * f64::from(position.part);
                }
            }
        }
        for j in 0..N {
            let mut above = 0.0;
            for k in (0..RAMPS).rev() {
                above += ends[j * (RAMPS + 1) + k + 1];
                sum[1 + j * RAMPS + k] += above;
            }
        }
        sum
    });
    let parts: Vec<Coefficients> = parts.collect();
    let mut total = vec![0.0; 1 + N * RAMPS];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    total
}

fn climb<const N: usize>(rows: &[Row<N>]) -> (f64, Vec<[f64; RAMPS]>) {
    let n = 1 + N * RAMPS;
    let mut direction = vec![1.0; n];
    let mut steepest = 1.0;
    for _ in 0..POWER {
        let sums = sums::<N>(&direction);
        let next = gather(rows, |row| row.weight * value(row, &direction, &sums));
        steepest = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        direction = next.iter().map(|x| x / steepest.max(1e-300)).collect();
    }
    // The curvature of the logistic loss is at most one quarter; the power iterations err downward.
    let step = 1.0 / (1.1 * steepest / 4.0 + RIDGE);
    let mut w = vec![0.0; n];
    let (mut ahead, mut momentum) = (w.clone(), 1.0f64);
    for _ in 0..STEPS {
        let sums = sums::<N>(&ahead);
        let gradient = gather(rows, |row| {
            let p = 1.0 / (1.0 + (-value(row, &ahead, &sums)).exp());
            row.weight * (p - row.target)
        });
        let mut next: Coefficients = (ahead.iter().zip(&gradient).enumerate())
            .map(|(at, (w, slope))| {
                let ridge = if at == 0 { 0.0 } else { RIDGE * w };
                w - step * (slope + ridge)
            })
            .collect();
        next[1..].iter_mut().for_each(|w| *w = w.max(0.0));
        let grown = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
        let carried = (momentum - 1.0) / grown;
        ahead = next
            .iter()
            .zip(&w)
            .map(|(next, last)| next + carried * (next - last))
            .collect();
        (w, momentum) = (next, grown);
    }
    let weights = w[1..].chunks_exact(RAMPS).map(|ramps| {
        let mut weights = [0.0; RAMPS];
        weights.copy_from_slice(ramps);
        weights
    });
    (w[0], weights.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, normal};

    type Rows = Vec<([f64; 3], f64)>;

    /// Feature 0 is larger in `a`, feature 1 is larger in `b`, feature 2 says nothing.
    fn groups(n: usize) -> (Rows, Rows) {
        let stream = &mut Seed(6).stream("monotone", &[]);
        let mut draw = |shift: f64| {
            let x = [
                normal(stream) + shift,
                normal(stream) - shift,
                normal(stream),
            ];
            (x, 1.0)
        };
        let a = (0..n).map(|_| draw(0.75)).collect();
        let b = (0..n).map(|_| draw(-0.75)).collect();
        (a, b)
    }

    #[test]
    fn logits_follow_what_rises_and_nothing_else() {
        let (a, b) = groups(3000);
        let model = Monotone::fit(&a, &b);
        // The truth for feature 0 alone: 1.5 x.
        for x in [-1.5, -0.5, 0.5, 1.5] {
            let logit = model.logit(&[x, 0.0, 0.0]);
            assert!((logit - 1.5 * x).abs() < 0.4, "{x}: {logit}");
        }
        let at = |x: f64| model.logit(&[0.3, x, 0.0]);
        assert!(
            (at(2.0) - at(-2.0)).abs() < 1e-9,
            "feature 1 points the other way"
        );
        let third = model.logit(&[0.3, 0.0, 2.0]) - model.logit(&[0.3, 0.0, -2.0]);
        assert!((0.0..0.4).contains(&third), "{third}");
    }

    #[test]
    fn groups_count_alike_and_so_do_weights() {
        let (a, b) = groups(2000);
        let few: Rows = b.iter().take(200).copied().collect();
        let logit = Monotone::fit(&a, &few).logit(&[0.0; 3]);
        assert!(logit.abs() < 0.5, "{logit}");
        let halved: Rows = a.iter().map(|(x, _)| (*x, 0.5)).collect();
        let (one, other) = (Monotone::fit(&a, &b), Monotone::fit(&halved, &b));
        assert!((one.logit(&[1.0, 0.0, 0.0]) - other.logit(&[1.0, 0.0, 0.0])).abs() < 0.1);
    }

    #[test]
    fn features_that_are_all_alike_say_nothing() {
        let rows = |n: usize| -> Rows { (0..n).map(|_| ([1.0; 3], 1.0)).collect() };
        let model = Monotone::fit(&rows(50), &rows(40));
        assert!(model.logit(&[1.0; 3]).abs() < 1e-6);
        assert!(model.logit(&[-5.0; 3]).is_finite());
    }
}
