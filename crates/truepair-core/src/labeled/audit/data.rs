//! Scores and labels of one label audit.

use crate::scores::Matrix;

/// Scores and labels of one audit.
pub(super) struct Data<'a> {
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) scores: &'a [Matrix],
    /// One list per witness.
    pub(super) labels: &'a [Vec<u32>],
}

impl<'a> Data<'a> {
    pub(super) fn new(scores: &'a [Matrix], labels: &'a [Vec<u32>]) -> Self {
        Self {
            n: labels[0].len(),
            k: scores[0].dim(),
            scores,
            labels,
        }
    }
}

/// Exponentiates logarithms and scales the results to sum 1; returns the logarithm of their sum.
pub(super) fn normalize(logs: &mut [f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::MIN, f64::max);
    let mut sum = 0.0;
    for x in logs.iter_mut() {
        *x = (*x - largest).exp();
        sum += *x;
    }
    logs.iter_mut().for_each(|x| *x /= sum);
    largest + sum.ln()
}
