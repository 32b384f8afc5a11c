//! What all metrics of the first K items have in common, so that each says only what it counts.

use super::Metric;
use crate::ranking::Placed;

/// The ranks at which published tables cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cutoff {
    One,
    Five,
    Ten,
}

impl Cutoff {
    pub(super) fn k(self) -> u32 {
        match self {
            Cutoff::One => 1,
            Cutoff::Five => 5,
            Cutoff::Ten => 10,
        }
    }

    /// The one of three things that belongs to this cutoff.
    fn of<T>(self, [one, five, ten]: [T; 3]) -> T {
        match self {
            Cutoff::One => one,
            Cutoff::Five => five,
            Cutoff::Ten => ten,
        }
    }
}

/// A share that is read off the first K items; every implementor is a [`Metric`].
pub(super) trait AtCutoff: Sync {
    /// Names at the three cutoffs.
    const NAMES: [&'static str; 3];
    /// Summaries at the three cutoffs.
    const SUMMARIES: [&'static str; 3];
    /// See [`Metric::is_standard`].
    const IS_STANDARD: bool = false;

    fn cutoff(&self) -> Cutoff;

    /// The value of one query at K.
    fn share(placed: &Placed<'_>, k: u32) -> f64;

    /// The last rank that needs to be known, however large K is.
    fn last_needed(placed: &Placed<'_>) -> u32 {
        placed.last_needed()
    }
}

impl<M: AtCutoff> Metric for M {
    fn name(&self) -> &'static str {
        self.cutoff().of(M::NAMES)
    }

    fn summary(&self) -> &'static str {
        self.cutoff().of(M::SUMMARIES)
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        M::share(placed, self.cutoff().k())
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.cutoff().k().min(M::last_needed(placed))
    }

    fn is_standard(&self) -> bool {
        M::IS_STANDARD
    }
}
