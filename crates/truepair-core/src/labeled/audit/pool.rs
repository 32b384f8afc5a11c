//! Scores of several modalities on one scale: a logistic pool, moved by Newton steps.

use super::data::{Data, normalize};
use crate::cholesky::solve;

/// Newton steps of the first fit, including those taken back.
const FIRST_STEPS: usize = 24;
/// Strength of the ridge that keeps the bias of a class near 0, in items.
const BIAS_RIDGE: f64 = 1.0;
/// Strength of the ridge that keeps weights near 0; it only matters where scores say nothing.
const WEIGHT_RIDGE: f64 = 1e-3;
/// Largest change of a weight times the scores' deviation in one step.
const LONGEST: f64 = 4.0;

/// `P(y | x) = softmax over y of Σᵥ wᵥ sᵥ(x, y) + bᵧ`.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// One per modality.
    pub(super) weights: Vec<f64>,
    /// One per class.
    bias: Vec<f64>,
}

/// Gradient and curvature of the expected log-likelihood.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    m: usize,
    gradient: Vec<f64>,
    /// `[m + k, m + k]`, of the negative log-likelihood.
    curvature: Vec<f64>,
    row: Vec<f64>,
    /// Sum and sum of squares of all scores, and their number.
    spread: [f64; 3],
}

impl Pool {
    /// The pool that best predicts the given labels. A step after which it predicts them worse is
    /// replaced by half of it: on scores that tell classes apart well, a whole step from equal
    /// probabilities can end on the other side of the maximum.
    pub(super) fn fitted_to_labels(data: &Data<'_>) -> Self {
        let mut pool = Self {
            weights: vec![0.0; data.scores.len()],
            bias: vec![0.0; data.k],
        };
        let (mut value, mut moments) = pool.against_labels(data);
        let mut share = 1.0;
        for _ in 0..FIRST_STEPS {
            let mut next = pool.clone();
            next.newton(&moments, share);
            let found = next.against_labels(data);
            if found.0 < value {
                share /= 2.0;
                continue;
            }
            share = (2.0 * share).min(1.0);
            pool = next;
            (value, moments) = found;
        }
        pool
    }

    /// The same order of classes with larger differences.
    pub(super) fn sharper(&self, factor: f64) -> Self {
        let scaled = |values: &[f64]| values.iter().map(|x| factor * x).collect();
        Self {
            weights: scaled(&self.weights),
            bias: scaled(&self.bias),
        }
    }

    /// Log-likelihood of the given labels, and the direction in which it grows.
    fn against_labels(&self, data: &Data<'_>) -> (f64, Moments) {
        let (mut prior, mut target) = (vec![0.0; data.k], vec![0.0; data.k]);
        let (mut value, mut moments) = (0.0, Moments::new(data));
        let each = 1.0 / data.labels.len() as f64;
        for item in 0..data.n {
            self.probabilities(data, item, &mut prior);
            target.fill(0.0);
            for labels in data.labels {
                let label = labels[item] as usize;
                target[label] += each;
                value += each * prior[label].max(1e-300).ln();
            }
            moments.take(data, item, 1.0, &prior, &target);
        }
        (value, moments)
    }

    /// Probabilities of an item's classes `[k]`.
    pub(super) fn probabilities(&self, data: &Data<'_>, item: usize, out: &mut [f64]) {
        out.copy_from_slice(&self.bias);
        for (scores, weight) in data.scores.iter().zip(&self.weights) {
            for (out, &score) in out.iter_mut().zip(scores.row(item)) {
                *out += weight * f64::from(score);
            }
        }
        normalize(out);
    }

    /// Moves toward the maximum by a share of a Newton step; long steps are shortened.
    pub(super) fn newton(&mut self, moments: &Moments, share: f64) {
        let (m, size) = (moments.m, moments.gradient.len());
        let (mut matrix, mut step) = (moments.curvature.clone(), moments.gradient.clone());
        for at in 0..size {
            let (ridge, value) = match at.checked_sub(m) {
                None => (WEIGHT_RIDGE, self.weights[at]),
                Some(class) => (BIAS_RIDGE, self.bias[class]),
            };
            matrix[at * size + at] += ridge;
            step[at] -= ridge * value;
        }
        solve(&mut matrix, &mut step);
        let [sum, squares, count] = moments.spread;
        let deviation = (squares / count - (sum / count).powi(2)).max(0.0).sqrt();
        let longest = (step.iter().enumerate())
            .map(|(at, x)| x.abs() * if at < m { deviation } else { 1.0 })
            .fold(0.0, f64::max);
        let share = share * (LONGEST / longest).min(1.0);
        let values = self.weights.iter_mut().chain(&mut self.bias);
        values.zip(&step).for_each(|(value, x)| *value += share * x);
    }
}

impl Moments {
    pub(super) fn new(data: &Data<'_>) -> Self {
        let (m, size) = (data.scores.len(), data.scores.len() + data.k);
        Self {
            m,
            gradient: vec![0.0; size],
            curvature: vec![0.0; size * size],
            row: vec![0.0; m * data.k],
            spread: [0.0; 3],
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.gradient, &other.gradient);
        add(&mut self.curvature, &other.curvature);
        add(&mut self.spread, &other.spread);
    }

    /// Adds an item with prior and belief `[k]`.
    pub(super) fn take(
        &mut self,
        data: &Data<'_>,
        item: usize,
        weight: f64,
        prior: &[f64],
        belief: &[f64],
    ) {
        let (m, k, size) = (self.m, data.k, self.gradient.len());
        // Scores around their mean under the prior: the curvature is their covariance.
        for (scores, row) in data.scores.iter().zip(self.row.chunks_exact_mut(k)) {
            let scores = scores.row(item);
            let mean: f64 = scores
                .iter()
                .zip(prior)
                .map(|(&s, p)| f64::from(s) * p)
                .sum();
            for (row, &score) in row.iter_mut().zip(scores) {
                let score = f64::from(score);
                *row = score - mean;
                self.spread[0] += score;
                self.spread[1] += score * score;
            }
            self.spread[2] += k as f64;
        }
        for class in 0..k {
            let excess = weight * (belief[class] - prior[class]);
            let p = weight * prior[class];
            self.gradient[m + class] += excess;
            for a in 0..m {
                let value = self.row[a * k + class];
                self.gradient[a] += excess * value;
                let mixed = p * value;
                self.curvature[a * size + m + class] += mixed;
                self.curvature[(m + class) * size + a] += mixed;
                for b in 0..m {
                    self.curvature[a * size + b] += mixed * self.row[b * k + class];
                }
            }
            let row = &mut self.curvature[(m + class) * size + m..][..k];
            row.iter_mut()
                .zip(prior)
                .for_each(|(row, other)| *row -= p * other);
            row[class] += p;
        }
    }
}
