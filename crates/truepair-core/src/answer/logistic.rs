//! Logistic regression on three features, by Newton's method.

use serde::{Deserialize, Serialize};

use crate::cholesky::solve;

/// Weight of the squared coefficients, so that groups that are told apart perfectly have finite ones.
const RIDGE: f64 = 0.01;

/// Newton steps at most; a step that no longer moves ends them.
const STEPS: usize = 50;

/// Numbers of a row.
pub(super) const FEATURES: usize = 3;

/// Coefficients: one for each of them, after that of a constant.
const WEIGHTS: usize = FEATURES + 1;

/// `P(yes | x) = σ(w_0 + w_1 x_1 + w_2 x_2 + w_3 x_3)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Logistic([f64; WEIGHTS]);

impl Logistic {
    /// The most likely coefficients for rows and their answers; all zero where there is no row.
    pub(super) fn fit(rows: &[([f64; FEATURES], bool)]) -> Self {
        let mut fitted = Self([0.0; WEIGHTS]);
        let mut loss = fitted.loss(rows);
        for _ in 0..STEPS {
            let step = fitted.step(rows);
            let moved = |share: f64| Self(std::array::from_fn(|k| fitted.0[k] + share * step[k]));
            // Newton's step overshoots where the sigmoid is flat.
            let halves = std::iter::successors(Some(1.0), |share| Some(share / 2.0)).take(30);
            let better = halves.map(moved).find_map(|next| {
                let of_next = next.loss(rows);
                (of_next < loss).then_some((next, of_next))
            });
            let Some((next, of_next)) = better else { break };
            let gain = loss - of_next;
            (fitted, loss) = (next, of_next);
            if gain < 1e-12 * (1.0 + loss) {
                break;
            }
        }
        fitted
    }

    pub(super) fn logit(&self, x: &[f64; FEATURES]) -> f64 {
        let products = self.0[1..].iter().zip(x).map(|(w, x)| w * x);
        self.0[0] + products.sum::<f64>()
    }

    pub(super) fn probability(&self, x: &[f64; FEATURES]) -> f64 {
        1.0 / (1.0 + (-self.logit(x)).exp())
    }

    /// Negative log likelihood with the ridge.
    pub(super) fn loss(&self, rows: &[([f64; FEATURES], bool)]) -> f64 {
        let of_rows = rows.iter().map(|(x, yes)| {
            let wrong = if *yes { -self.logit(x) } else { self.logit(x) };
            // ln(1 + e^x) without overflow.
            wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
        });
        let ridge: f64 = self.0[1..].iter().map(|w| w * w).sum();
        of_rows.sum::<f64>() + RIDGE / 2.0 * ridge
    }

    fn step(&self, rows: &[([f64; FEATURES], bool)]) -> [f64; WEIGHTS] {
        let mut curvature = [0.0; WEIGHTS * WEIGHTS];
        let mut downhill = [0.0; WEIGHTS];
        for (x, yes) in rows {
            let x1 = [1.0, x[0], x[1], x[2]];
            let p = self.probability(x);
            for row in 0..WEIGHTS {
                downhill[row] += (f64::from(u8::from(*yes)) - p) * x1[row];
                for column in 0..WEIGHTS {
                    curvature[row * WEIGHTS + column] += p * (1.0 - p) * x1[row] * x1[column];
                }
            }
        }
        curvature[0] += 1e-9;
        for k in 1..WEIGHTS {
            curvature[k * WEIGHTS + k] += RIDGE;
            downhill[k] -= RIDGE * self.0[k];
        }
        solve(&mut curvature, &mut downhill);
        downhill
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, normal, unit};

    #[test]
    fn known_coefficients_are_found() {
        let stream = &mut Seed(1).stream("logistic", &[]);
        let truth = Logistic([-1.0, 2.0, -0.5, 1.0]);
        let rows: Vec<([f64; FEATURES], bool)> = (0..20_000)
            .map(|_| {
                let x = [normal(stream), 3.0 * normal(stream), normal(stream)];
                (x, unit(stream) < truth.probability(&x))
            })
            .collect();
        let found = Logistic::fit(&rows);
        for (found, truth) in found.0.iter().zip(truth.0) {
            assert!((found - truth).abs() < 0.1, "{found} {truth}");
        }
    }

    #[test]
    fn groups_that_are_told_apart_perfectly_and_rows_that_are_alike_stay_finite() {
        let apart: Vec<([f64; FEATURES], bool)> = (0..100)
            .map(|n| ([f64::from(n) - 49.5, 0.0, 0.0], n >= 50))
            .collect();
        let found = Logistic::fit(&apart);
        assert!(found.0.iter().all(|w| w.is_finite()));
        assert!(
            found.probability(&[5.0, 0.0, 0.0]) > 0.99
                && found.probability(&[-5.0, 0.0, 0.0]) < 0.01
        );
        let alike: Vec<([f64; FEATURES], bool)> =
            (0..100).map(|n| ([7.0, -7.0, 0.0], n % 4 == 0)).collect();
        let p = Logistic::fit(&alike).probability(&[7.0, -7.0, 0.0]);
        assert!((p - 0.25).abs() < 1e-3, "{p}");
        assert_eq!(Logistic::fit(&[]).probability(&[1.0, 1.0, 1.0]), 0.5);
    }
}
