//! Precision at the number of relevant items.

use super::Metric;
use crate::ranking::{Level, Placed};

/// R-Precision of a query with relevant items `G`, `R = |G|`: `|top R ∩ G| / R`.
///
/// # Source
/// Code read at naver-ai/pcme@4947684 and naver-ai/eccv-caption@b51f56c.
///
/// # Deviations
/// 1. The `eccv_caption` evaluator divides by the number of distinct items in the first R, which is
///    R unless a list is shorter or repeats items; such lists are refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RPrecision;

impl RPrecision {
    /// R-Precision of one level of relevance.
    pub fn of(self, level: Level<'_>) -> f64 {
        f64::from(level.within(level.n_relevant)) / f64::from(level.n_relevant)
    }
}

impl Metric for RPrecision {
    fn name(&self) -> &'static str {
        "r-precision"
    }

    fn summary(&self) -> &'static str {
        "Share of relevant items among the first R, R being the number of relevant items."
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        self.of(placed.strict())
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        placed.strict().n_relevant.min(placed.last_needed())
    }
}
