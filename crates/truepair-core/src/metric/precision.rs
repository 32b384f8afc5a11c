//! Share of the first K items that are relevant.

use super::cutoff::{AtCutoff, Cutoff};
use crate::ranking::Placed;

/// Precision@K of a query with relevant items `G`: `|top K ∩ G| / K`, even if the gallery holds fewer
/// than K items.
///
/// # Source
/// Textbook; code read at naver-ai/pcme@4947684.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision(Cutoff);

impl Precision {
    /// Precision@1.
    pub const AT_1: Self = Self(Cutoff::One);
    /// Precision@5.
    pub const AT_5: Self = Self(Cutoff::Five);
    /// Precision@10.
    pub const AT_10: Self = Self(Cutoff::Ten);
}

impl AtCutoff for Precision {
    const NAMES: [&'static str; 3] = ["precision@1", "precision@5", "precision@10"];
    const SUMMARIES: [&'static str; 3] = [
        "Share of first items that are relevant; equal to recall@1.",
        "Share of the first 5 items that are relevant.",
        "Share of the first 10 items that are relevant.",
    ];

    fn cutoff(&self) -> Cutoff {
        self.0
    }

    fn share(placed: &Placed<'_>, k: u32) -> f64 {
        f64::from(placed.strict().within(k)) / f64::from(k)
    }
}
