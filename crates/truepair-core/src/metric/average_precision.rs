//! Mean average precision in the forms that papers call mAP.

use super::Metric;
use crate::ranking::{Level, Placed};

/// Average precision: the sum of the precisions at the ranks of relevant items, divided.
///
/// ```text
/// AP  = 1/R Σ_{i=1..R} i / rank_i                       over the whole ranking
/// AP@R = 1/R Σ_{i : rank_i <= R} i / rank_i             over the first R items
/// ```
///
/// # Source
/// Musgrave et al., ECCV 2020, for AP@R; code read at naver-ai/eccv-caption@b51f56c,
/// penghu-cs/MRL@e0f5c8f and penghu-cs/DSCMR@0e110b9.
///
/// # Deviations
/// 1. Queries without a relevant item are left out and counted. MRL counts them as 0 with single
///    labels and leaves them out with several.
/// 2. DSCMR's `k = 0` cuts the ranking at the number of queries; [`AveragePrecision::ALL`] never
///    cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePrecision {
    extent: Extent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    All,
    Relevant,
}

/// What the sum of precisions within the first K items is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divisor {
    /// The number of relevant items.
    Relevant,
    /// The number of relevant items among the first K; a query without one counts as 0.
    Found,
    /// The number of relevant items that the first K can hold.
    Reachable,
}

impl AveragePrecision {
    /// AP over the whole ranking.
    pub const ALL: Self = Self {
        extent: Extent::All,
    };
    /// AP@R.
    pub const AT_R: Self = Self {
        extent: Extent::Relevant,
    };

    /// Average precision within the first `k` items, divided in one of the ways that papers use.
    pub fn within(level: Level<'_>, k: u32, divisor: Divisor) -> f64 {
        let found = level.within(k);
        let divisor = match divisor {
            Divisor::Relevant => level.n_relevant,
            Divisor::Found => found.max(1),
            Divisor::Reachable => level.n_relevant.min(k),
        };
        let ranks = (1..).zip(&level.ranks[..found as usize]);
        let precisions = ranks.map(|(n, &rank): (u32, _)| f64::from(n) / f64::from(rank));
        precisions.sum::<f64>() / f64::from(divisor)
    }
}

impl Metric for AveragePrecision {
    fn name(&self) -> &'static str {
        match self.extent {
            Extent::All => "map",
            Extent::Relevant => "map@r",
        }
    }

    fn summary(&self) -> &'static str {
        match self.extent {
            Extent::All => "Mean over relevant items of the precision at their ranks.",
            Extent::Relevant => {
                "The same with only the first R ranks counting, R being the number of relevant items."
            }
        }
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let level = placed.strict();
        let k = match self.extent {
            Extent::All => u32::MAX,
            Extent::Relevant => level.n_relevant,
        };
        Self::within(level, k, Divisor::Relevant)
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        match self.extent {
            Extent::All => placed.last_needed(),
            Extent::Relevant => placed.strict().n_relevant.min(placed.last_needed()),
        }
    }
}
