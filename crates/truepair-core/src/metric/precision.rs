//! Share of the first K items that are relevant.

use super::recall::Cutoff;
use super::{Metric, Unit};
use crate::ranking::Placed;

/// Precision@K of a query with relevant items `G`: `|top K ∩ G| / K`, also where the gallery holds
/// fewer than K items.
///
/// # Source
/// Textbook; code read at naver-ai/pcme@4947684.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    cutoff: Cutoff,
}

impl Precision {
    /// Precision@1.
    pub const AT_1: Self = Self {
        cutoff: Cutoff::One,
    };
    /// Precision@5.
    pub const AT_5: Self = Self {
        cutoff: Cutoff::Five,
    };
    /// Precision@10.
    pub const AT_10: Self = Self {
        cutoff: Cutoff::Ten,
    };
}

impl Metric for Precision {
    fn name(&self) -> &'static str {
        match self.cutoff {
            Cutoff::One => "precision@1",
            Cutoff::Five => "precision@5",
            Cutoff::Ten => "precision@10",
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
            Cutoff::One => "Share of first items that are relevant; equal to recall@1.",
            Cutoff::Five => "Share of the first 5 items that are relevant.",
            Cutoff::Ten => "Share of the first 10 items that are relevant.",
        }
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let k = self.cutoff.k();
        f64::from(placed.strict().within(k)) / f64::from(k)
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.cutoff.k().min(placed.last_needed())
    }
}
