//! How many labels can be wrong at most, judging by the items whose class is surest.
//!
//! For every class those items are taken that most surely belong to it, by classifiers that never saw
//! them and by the labels of the other witnesses. The share of them that is labeled otherwise is the
//! share of wrong labels in the class plus what remains of the classifiers' doubt:
//!
//! ```text
//! P(ỹ ≠ y | x) = 1 - Σ_c P(c | x) T[c, y]  ≥  1 - T[y, y]     where T[y, y] is the largest T[c, y]
//! ```
//!
//! So it is an upper bound, whether classes look alike or their labels are swapped, as long as most
//! labels of a class are right and its surest items are labeled no better than the rest.
//!
//! # Source
//! Anchor points: Liu and Tao, TPAMI 2016; Patrini et al., CVPR 2017, who take the one surest item of
//! every class by the classifier's own probabilities.
//!
//! # Deviations
//! 1. A tenth of a class is taken, not one item; and the labels are counted instead of reading the
//!    probabilities, which need not be calibrated and give no interval.

use super::data::Data;
use super::model::Fit;
use crate::audit::clopper_pearson;

/// Share of a class that counts as its surest items.
const SHARE: f64 = 0.1;
/// The fewest items that are taken.
const FEWEST: usize = 10;

/// The bound with its 95 % interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchors {
    pub(super) rate: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The largest share of wrong labels that the surest items of every class allow.
pub(super) fn count(data: &Data<'_>, fit: &Fit, witness: usize) -> Anchors {
    let (k, labels) = (data.k, &data.labels[witness]);
    let sure = fit.beliefs_without(data, witness);
    let mut sizes = vec![0usize; k];
    for &label in labels {
        sizes[label as usize] += 1;
    }
    let mut order: Vec<usize> = (0..data.n).collect();
    // The share is a mean over classes; `spread` is its variance if half of the items were off, times four.
    let (mut rate, mut variance, mut spread) = (0.0, 0.0, 0.0);
    for (class, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
        let taken = ((SHARE * size as f64).round() as usize).max(FEWEST.min(size));
        let less = |a: &usize, b: &usize| {
            let [a_sure, b_sure] = [a, b].map(|item| sure[item * k + class]);
            b_sure.total_cmp(&a_sure).then(a.cmp(b))
        };
        order.select_nth_unstable_by(taken - 1, less);
        let off = (order[..taken].iter())
            .filter(|&&item| labels[item] as usize != class)
            .count();
        let (weight, share) = (size as f64 / data.n as f64, off as f64 / taken as f64);
        rate += weight * share;
        variance += weight * weight * share * (1.0 - share) / taken as f64;
        spread += weight * weight / taken as f64;
    }
    // The number of equally drawn items that would leave the rate as uncertain.
    let n = if variance > 0.0 {
        rate * (1.0 - rate) / variance
    } else {
        1.0 / spread
    };
    let [low, high] = clopper_pearson(rate * n, n);
    Anchors { rate, low, high }
}
