//! How labels come about: the true class from the scores, the given label from the true class.
//!
//! ```text
//! P(y | x) = softmax over y of Σᵥ wᵥ sᵥ(x, y) + bᵧ          (the pool: scores on one scale)
//! P(ỹₐ | y) = Tₐ[y, ỹₐ]                                      (the confusion of witness a)
//! P(y | x, ỹ) ∝ P(y | x) Πₐ Tₐ[y, ỹₐ]
//! ```
//! `w`, `b` and `T` maximize the likelihood of the given labels, by EM with one Newton step of the
//! pool in every round. With a symmetric `T` the rate is the floor under every class that no item
//! reaches by its scores; a `T` by class is taken when the Bayesian information criterion asks for
//! it.
//!
//! # Source
//! Dawid and Skene, Applied Statistics 1979, with the classifier as the prior; the criterion is
//! Schwarz, Annals of Statistics 1978.

use rayon::prelude::*;

use super::data::{Data, normalize};
use super::pool::{Moments, Pool};

/// Most EM rounds of a fit.
const MAX_STEPS: usize = 400;
/// Gain in log-likelihood per item below which a fit is done.
const TOLERANCE: f64 = 1e-9;
/// The noise rate that a fit starts from.
const START: f64 = 0.3;
/// How much sharper the first pools are than the pool that predicts the given labels: that one mistakes
/// noise for doubt, and a climb from it can end where some of the noise is still taken for doubt.
const STARTS: [f64; 3] = [1.0, 3.0, 10.0];
/// Items per chunk; chunks are summed in order, so that results do not depend on the threads.
const CHUNK: usize = 512;
/// Share of a Newton step below which no shorter step is tried.
const SHORTEST: f64 = 1.0 / 64.0;
/// Labels that the confusion of a class holds before any are seen, spread as by symmetric noise.
const PRIOR_COUNT: f64 = 5.0;

/// How wrong labels are spread over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Symmetric,
    ByClass,
}

/// The fitted model.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) shape: Shape,
    pub(super) pool: Pool,
    /// Per witness `[k, k]`, rows are true classes.
    pub(super) confusions: Vec<Vec<f64>>,
    /// Per witness the share of wrong labels.
    pub(super) rates: Vec<f64>,
    /// Whether the criterion prefers this fit to one without noise.
    pub(super) beats_no_noise: bool,
}

/// What one pass over the items collects.
struct Pass {
    log_likelihood: f64,
    moments: Moments,
    /// Per witness `[k, k]`: expected number of items by true class and label.
    counts: Vec<Vec<f64>>,
}

impl Fit {
    /// The better of the two shapes.
    pub(super) fn best(data: &Data<'_>) -> Self {
        let pool = Pool::fitted_to_labels(data);
        let witnesses = data.labels.len() as f64;
        let log_n = (data.n as f64).ln();
        let clean = Self::run(
            data,
            pool.clone(),
            Shape::Symmetric,
            Some(1.0 / data.n as f64),
        );
        let climbs =
            STARTS.map(|factor| Self::run(data, pool.sharper(factor), Shape::Symmetric, None));
        let symmetric = (climbs.into_iter())
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("there are starts");
        let mut by_class = symmetric.0.clone();
        by_class.shape = Shape::ByClass;
        let by_class = by_class.climb(data, None);
        let k = data.k as f64;
        let extra = witnesses * (k * (k - 1.0) - 1.0);
        let better = by_class.1 - 0.5 * extra * log_n > symmetric.1;
        let (mut fit, value) = if better { by_class } else { symmetric };
        fit.beats_no_noise = value - 0.5 * witnesses * log_n > clean.1;
        fit
    }

    fn run(data: &Data<'_>, pool: Pool, shape: Shape, fixed: Option<f64>) -> (Self, f64) {
        let rate = fixed.unwrap_or(START);
        let fit = Self {
            shape,
            pool,
            confusions: vec![symmetric(rate, data.k); data.labels.len()],
            rates: vec![rate; data.labels.len()],
            beats_no_noise: true,
        };
        fit.climb(data, fixed)
    }

    /// Runs EM until the likelihood no longer grows; with `fixed`, only the pool moves. A Newton step
    /// that lowers the likelihood went too far and is replaced by half of it. Returns the
    /// log-likelihood.
    fn climb(mut self, data: &Data<'_>, fixed: Option<f64>) -> (Self, f64) {
        let mut pass = self.pass(data, None);
        let mut share = 1.0;
        for _ in 0..MAX_STEPS {
            let mut next = self.clone();
            next.maximize(&pass, data, data.n as f64, share);
            if fixed.is_some() {
                next.confusions.clone_from(&self.confusions);
            }
            let found = next.pass(data, None);
            let gain = found.log_likelihood - pass.log_likelihood;
            if gain < 0.0 && share > SHORTEST {
                share /= 2.0;
                continue;
            }
            if gain < TOLERANCE * data.n as f64 {
                break;
            }
            share = (2.0 * share).min(1.0);
            (self, pass) = (next, found);
        }
        (self, pass.log_likelihood)
    }

    /// One round on items with these weights, from where the likelihood is nearly largest.
    pub(super) fn step(&mut self, data: &Data<'_>, weights: &[f64]) {
        let pass = self.pass(data, Some(weights));
        self.maximize(&pass, data, weights.iter().sum(), 1.0);
    }

    /// Moves toward what explains the beliefs of `pass` best: the confusions all the way, the pool by a
    /// share of a Newton step.
    fn maximize(&mut self, pass: &Pass, data: &Data<'_>, total: f64, share: f64) {
        self.pool.newton(&pass.moments, share);
        for (witness, counts) in pass.counts.iter().enumerate() {
            let right: f64 = (0..data.k)
                .map(|class| counts[class * data.k + class])
                .sum();
            let rate = (1.0 - right / total).clamp(0.5 / total, 1.0 - 0.5 / total);
            self.rates[witness] = rate;
            let even = symmetric(rate, data.k);
            self.confusions[witness] = match self.shape {
                Shape::Symmetric => even,
                Shape::ByClass => by_class(counts, &even, data.k),
            };
        }
    }

    /// P(true class | everything) of every item, `[n, k]`.
    pub(super) fn beliefs(&self, data: &Data<'_>) -> Vec<f64> {
        self.believe(data, &self.log_confusions())
    }

    /// P(true class | everything but the labels of `witness`) of every item, `[n, k]`.
    pub(super) fn beliefs_without(&self, data: &Data<'_>, witness: usize) -> Vec<f64> {
        let mut logs = self.log_confusions();
        // A witness whose labels are equally likely under every class says nothing.
        logs[witness].fill(0.0);
        self.believe(data, &logs)
    }

    fn believe(&self, data: &Data<'_>, logs: &[Vec<f64>]) -> Vec<f64> {
        let mut beliefs = vec![0.0; data.n * data.k];
        beliefs
            .par_chunks_mut(data.k)
            .enumerate()
            .for_each(|(item, belief)| {
                self.pool.probabilities(data, item, belief);
                joint(data, logs, item, belief);
            });
        beliefs
    }

    fn pass(&self, data: &Data<'_>, weights: Option<&[f64]>) -> Pass {
        let logs = self.log_confusions();
        let starts: Vec<usize> = (0..data.n).step_by(CHUNK).collect();
        let parts: Vec<Pass> = (starts.par_iter())
            .map(|&first| self.chunk(data, weights, first, &logs))
            .collect();
        let empty = Pass {
            log_likelihood: 0.0,
            moments: Moments::new(data),
            counts: vec![vec![0.0; data.k * data.k]; data.labels.len()],
        };
        parts.into_iter().fold(empty, |mut sum, part| {
            sum.log_likelihood += part.log_likelihood;
            sum.moments.add(&part.moments);
            for (sum, part) in sum.counts.iter_mut().zip(&part.counts) {
                sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
            sum
        })
    }

    fn chunk(
        &self,
        data: &Data<'_>,
        weights: Option<&[f64]>,
        first: usize,
        logs: &[Vec<f64>],
    ) -> Pass {
        let mut pass = Pass {
            log_likelihood: 0.0,
            moments: Moments::new(data),
            counts: vec![vec![0.0; data.k * data.k]; data.labels.len()],
        };
        let (mut prior, mut belief) = (vec![0.0; data.k], vec![0.0; data.k]);
        for item in first..(first + CHUNK).min(data.n) {
            let weight = weights.map_or(1.0, |weights| weights[item]);
            if weight == 0.0 {
                continue;
            }
            self.pool.probabilities(data, item, &mut prior);
            belief.copy_from_slice(&prior);
            pass.log_likelihood += weight * joint(data, logs, item, &mut belief);
            pass.moments.take(data, item, weight, &prior, &belief);
            for (counts, labels) in pass.counts.iter_mut().zip(data.labels) {
                for (class, &p) in belief.iter().enumerate() {
                    counts[class * data.k + labels[item] as usize] += weight * p;
                }
            }
        }
        pass
    }

    fn log_confusions(&self) -> Vec<Vec<f64>> {
        let log = |table: &Vec<f64>| table.iter().map(|p| p.max(1e-300).ln()).collect();
        self.confusions.iter().map(log).collect()
    }
}

/// Turns the prior of an item into its belief given its labels; returns their log-likelihood.
fn joint(data: &Data<'_>, logs: &[Vec<f64>], item: usize, belief: &mut [f64]) -> f64 {
    for (class, p) in belief.iter_mut().enumerate() {
        let witnesses = logs.iter().zip(data.labels);
        let log: f64 = witnesses
            .map(|(log, labels)| log[class * data.k + labels[item] as usize])
            .sum();
        *p = p.max(1e-300).ln() + log;
    }
    normalize(belief)
}

/// The confusion of symmetric noise.
fn symmetric(rate: f64, k: usize) -> Vec<f64> {
    let other = rate / (k - 1) as f64;
    let value = |at: usize| if at / k == at % k { 1.0 - rate } else { other };
    (0..k * k).map(value).collect()
}

fn by_class(counts: &[f64], even: &[f64], k: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(k * k);
    for (counts, even) in counts.chunks_exact(k).zip(even.chunks_exact(k)) {
        let total = counts.iter().sum::<f64>() + PRIOR_COUNT;
        out.extend(
            (counts.iter().zip(even)).map(|(count, even)| (count + PRIOR_COUNT * even) / total),
        );
    }
    out
}
