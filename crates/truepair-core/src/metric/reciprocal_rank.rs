//! One divided by the rank of the best relevant item.

use super::Metric;
use crate::ranking::Placed;

/// Mean reciprocal rank: `1 / rank` of the best relevant item, 0 when none is in the gallery.
///
/// # Source
/// Voorhees, TREC-8, 1999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReciprocalRank;

impl Metric for ReciprocalRank {
    fn name(&self) -> &'static str {
        "mrr"
    }

    fn summary(&self) -> &'static str {
        "Mean of one divided by the rank of the best relevant item."
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let first = placed.strict().ranks.first();
        first.map_or(0.0, |&rank| 1.0 / f64::from(rank))
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        placed.first_rank().min(placed.n_gallery)
    }
}
