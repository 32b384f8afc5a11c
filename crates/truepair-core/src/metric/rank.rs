//! Median and mean of the ranks.

use super::{Metric, Pool, Unit};
use crate::ranking::Placed;

/// The median rank as published tables count it: `⌊median of 0-based ranks⌋ + 1`.
///
/// # Source
/// Code read at kuanghuei/SCAN@8063557 and XLearning-SCU/2021-NeurIPS-NCR@60256ba.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MedianRank;

impl MedianRank {
    /// The median of 1-based ranks.
    ///
    /// # Panics
    /// If there is no rank.
    pub fn of(self, ranks: &[u32]) -> f64 {
        assert!(!ranks.is_empty(), "median of no query");
        let mut sorted = ranks.to_vec();
        sorted.sort_unstable();
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        f64::from(low + (high - low) / 2)
    }
}

impl Metric for MedianRank {
    fn name(&self) -> &'static str {
        "median-rank"
    }

    fn unit(&self) -> Unit {
        Unit::Rank
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn summary(&self) -> &'static str {
        "Middle rank; of two middle ranks their mean, rounded down."
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        placed.first_rank().into()
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        placed.first_rank().min(placed.n_gallery)
    }

    fn pool(&self) -> Pool {
        Pool::Median
    }

    fn is_standard(&self) -> bool {
        true
    }
}

/// The arithmetic mean of the ranks.
///
/// # Source
/// As for [`MedianRank`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeanRank;

impl MeanRank {
    /// The mean of 1-based ranks.
    ///
    /// # Panics
    /// If there is no rank.
    pub fn of(self, ranks: &[u32]) -> f64 {
        assert!(!ranks.is_empty(), "mean of no query");
        ranks.iter().map(|&rank| u64::from(rank)).sum::<u64>() as f64 / ranks.len() as f64
    }
}

impl Metric for MeanRank {
    fn name(&self) -> &'static str {
        "mean-rank"
    }

    fn unit(&self) -> Unit {
        Unit::Rank
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn summary(&self) -> &'static str {
        "Mean rank; a few queries that fail entirely change it a lot."
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        placed.first_rank().into()
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        placed.first_rank().min(placed.n_gallery)
    }

    fn is_standard(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `⌊(a + b) / 2⌋ + 1` on 0-based ranks, in floating point as the equation reads.
    fn oracle(ranks: &[u32]) -> f64 {
        let mut zero_based: Vec<f64> = ranks.iter().map(|&rank| f64::from(rank) - 1.0).collect();
        zero_based.sort_by(f64::total_cmp);
        let n = zero_based.len();
        let median = if n % 2 == 1 {
            zero_based[n / 2]
        } else {
            (zero_based[n / 2 - 1] + zero_based[n / 2]) / 2.0
        };
        median.floor() + 1.0
    }

    #[test]
    fn the_median_rounds_down() {
        for ranks in [
            &[4][..],
            &[1, 2],
            &[2, 3],
            &[9, 1, 4],
            &[1, 4, 2, 8],
            &[7, 7, 1, 2, 3, 90],
        ] {
            assert_eq!(MedianRank.of(ranks), oracle(ranks), "{ranks:?}");
        }
    }

    #[test]
    fn the_mean_is_exact_for_large_ranks() {
        assert_eq!(
            MeanRank.of(&[u32::MAX, u32::MAX - 2]),
            f64::from(u32::MAX - 1)
        );
    }
}
