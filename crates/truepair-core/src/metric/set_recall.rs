//! Share of the relevant items found within the first K: the set form of recall.

use super::cutoff::{AtCutoff, Cutoff};
use crate::ranking::Placed;

/// Set-Recall@K of a query with relevant items `G`: `|top K ∩ G| / |G|`.
///
/// Equal to [`Recall`](super::Recall) where a query has one relevant item; with five captions an
/// image's Set-Recall@1 is at most 0.2.
///
/// # Source
/// Textbook recall; the image-text literature calls the hit form recall instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetRecall(Cutoff);

impl SetRecall {
    /// Set-Recall@1.
    pub const AT_1: Self = Self(Cutoff::One);
    /// Set-Recall@5.
    pub const AT_5: Self = Self(Cutoff::Five);
    /// Set-Recall@10.
    pub const AT_10: Self = Self(Cutoff::Ten);
}

impl AtCutoff for SetRecall {
    const NAMES: [&'static str; 3] = ["set-recall@1", "set-recall@5", "set-recall@10"];
    const SUMMARIES: [&'static str; 3] = [
        "Share of the relevant items that are found in the first place.",
        "Share of the relevant items found among the first 5.",
        "Share of the relevant items found among the first 10.",
    ];

    fn cutoff(&self) -> Cutoff {
        self.0
    }

    fn share(placed: &Placed<'_>, k: u32) -> f64 {
        let level = placed.strict();
        f64::from(level.within(k)) / f64::from(level.n_relevant)
    }
}
