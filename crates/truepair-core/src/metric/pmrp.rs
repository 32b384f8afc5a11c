//! Plausible-match R-precision: what a ranking is worth when similar scenes count as right.

use super::{Metric, RPrecision};
use crate::ranking::Placed;

/// PMRP: R-Precision with every item relevant whose set of classes differs from the query's in at
/// most ζ classes, mean over ζ = 0, 1, 2.
///
/// # Source
/// Chun et al., CVPR 2021; code read at naver-ai/pcme@4947684. Captions have the classes of their
/// image; images without any are neither queries nor in the gallery.
///
/// # Deviations
/// 1. The released dump of rankings lacks each list's last item, which changes R-Precision for
///    queries whose matches end there (and gives 0/0 for a query whose only match does). Whole
///    rankings are measured here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlausibleMatch {
    /// One of the three distances, or their mean.
    level: Option<usize>,
}

impl PlausibleMatch {
    /// Mean over the three distances.
    pub const MEAN: Self = Self { level: None };
    /// ζ = 0: equal sets of classes.
    pub const STRICT: Self = Self { level: Some(0) };
    /// ζ = 1.
    pub const MIDDLE: Self = Self { level: Some(1) };
    /// ζ = 2.
    pub const LAX: Self = Self { level: Some(2) };
}

impl Metric for PlausibleMatch {
    fn name(&self) -> &'static str {
        match self.level {
            None => "pmrp",
            Some(0) => "pmrp@0",
            Some(1) => "pmrp@1",
            Some(_) => "pmrp@2",
        }
    }

    fn summary(&self) -> &'static str {
        match self.level {
            None => "R-precision with similar sets of classes as relevant, mean over ζ = 0, 1, 2.",
            Some(0) => "R-precision with equal sets of classes as relevant.",
            Some(1) => "R-precision with sets that differ in at most one class as relevant.",
            Some(_) => "R-precision with sets that differ in at most two classes as relevant.",
        }
    }

    fn applies(&self, n_levels: usize) -> bool {
        n_levels == 3
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        match self.level {
            Some(level) => RPrecision.of(placed.levels[level]),
            None => {
                let levels = placed.levels.iter();
                levels.map(|&level| RPrecision.of(level)).sum::<f64>() / placed.levels.len() as f64
            }
        }
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        let of = |level: usize| placed.levels[level].n_relevant;
        let needed = match self.level {
            Some(level) => of(level),
            None => (0..placed.levels.len()).map(of).max().unwrap_or(0),
        };
        needed.min(placed.n_gallery)
    }
}

/// Share of queries whose first item matches plausibly, mean over ζ = 0, 1, 2.
///
/// # Source
/// As for [`PlausibleMatch`], where the code calls it R@1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlausibleFirst;

impl Metric for PlausibleFirst {
    fn name(&self) -> &'static str {
        "pmr@1"
    }

    fn summary(&self) -> &'static str {
        "Share of first items with a similar set of classes, mean over ζ = 0, 1, 2."
    }

    fn applies(&self, n_levels: usize) -> bool {
        n_levels == 3
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let levels = placed.levels.iter();
        let hits = levels.filter(|level| level.ranks.first() == Some(&1));
        hits.count() as f64 / placed.levels.len() as f64
    }

    fn depth(&self, _placed: &Placed<'_>) -> u32 {
        1
    }
}
