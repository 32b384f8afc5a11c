//! The one number by which published tables order methods.

use super::{Metric, Recall, Unit};
use crate::ranking::{Placed, Ranks};

/// Sum of Recall@1, 5 and 10 over both directions, in [0, 6].
///
/// # Source
/// Every table of the noisy-correspondence literature, for instance Huang et al., NeurIPS 2021,
/// which prints it in percent (at most 600).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RSum;

impl RSum {
    /// The sum of the six recalls.
    ///
    /// # Panics
    /// If a direction has no rank.
    pub fn of(self, ranks: &Ranks) -> f64 {
        let directions = [&ranks.image_to_text, &ranks.text_to_image];
        directions
            .iter()
            .flat_map(|ranks| Recall::ALL.map(|recall| recall.of(ranks)))
            .sum()
    }
}

impl Metric for RSum {
    fn name(&self) -> &'static str {
        "rsum"
    }

    fn unit(&self) -> Unit {
        Unit::SumOfFractions
    }

    fn summary(&self) -> &'static str {
        "Sum of the six recalls (1, 5, 10 in both directions), at most 6 (600 %)."
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let cutoffs = Recall::ALL.iter();
        cutoffs.map(|recall| recall.of_query(placed)).sum()
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        Recall::AT_10.depth(placed)
    }

    fn is_joint(&self) -> bool {
        true
    }

    fn is_standard(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_shares_are_added() {
        let ranks = Ranks {
            image_to_text: vec![1, 7],
            text_to_image: vec![1, 2, 11, 30],
            ..Ranks::default()
        };
        let expected = (0.5 + 0.5 + 1.0) + (0.25 + 0.5 + 0.5);
        assert!((RSum.of(&ranks) - expected).abs() < 1e-12);
    }
}
