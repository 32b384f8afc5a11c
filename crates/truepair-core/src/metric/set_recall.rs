//! Share of the relevant items found within the first K: the set form of recall.

use super::recall::Cutoff;
use super::{Metric, Unit};
use crate::ranking::Placed;

/// Set-Recall@K of a query with relevant items `G`: `|top K ∩ G| / |G|`.
///
/// Equal to [`Recall`](super::Recall) where a query has one relevant item; with five captions an
/// image's Set-Recall@1 is at most 0.2.
///
/// # Source
/// Textbook recall; the image-text literature calls the hit form recall instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetRecall {
    cutoff: Cutoff,
}

impl SetRecall {
    /// Set-Recall@1.
    pub const AT_1: Self = Self {
        cutoff: Cutoff::One,
    };
    /// Set-Recall@5.
    pub const AT_5: Self = Self {
        cutoff: Cutoff::Five,
    };
    /// Set-Recall@10.
    pub const AT_10: Self = Self {
        cutoff: Cutoff::Ten,
    };
}

impl Metric for SetRecall {
    fn name(&self) -> &'static str {
        match self.cutoff {
            Cutoff::One => "set-recall@1",
            Cutoff::Five => "set-recall@5",
            Cutoff::Ten => "set-recall@10",
        }
    }

    fn unit(&self) -> Unit {
        Unit::Fraction
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn summary(&self) -> &'static str {
        match self.cutoff {
            Cutoff::One => "Share of the relevant items that are found in the first place.",
            Cutoff::Five => "Share of the relevant items found among the first 5.",
            Cutoff::Ten => "Share of the relevant items found among the first 10.",
        }
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let level = placed.strict();
        f64::from(level.within(self.cutoff.k())) / f64::from(level.n_relevant)
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.cutoff.k().min(placed.last_needed())
    }
}
