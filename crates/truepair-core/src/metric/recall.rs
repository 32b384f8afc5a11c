//! Share of queries answered within the first K items: the hit form of recall.

use super::cutoff::{AtCutoff, Cutoff};
use crate::ranking::Placed;

/// Recall@K in hit form: the share of queries whose best relevant item has rank K or better.
///
/// The set form, a share of the relevant items, is [`SetRecall`](super::SetRecall).
///
/// # Source
/// Faghri et al., BMVC 2018, section 4.1, for K = 1, 5, 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall(Cutoff);

impl Recall {
    /// Recall@1.
    pub const AT_1: Self = Self(Cutoff::One);
    /// Recall@5.
    pub const AT_5: Self = Self(Cutoff::Five);
    /// Recall@10.
    pub const AT_10: Self = Self(Cutoff::Ten);

    /// The three cutoffs of every published table.
    pub const ALL: [Self; 3] = [Self::AT_1, Self::AT_5, Self::AT_10];

    /// The largest rank that counts as found.
    pub fn k(self) -> u32 {
        self.0.k()
    }

    /// The share of ranks up to K.
    ///
    /// # Panics
    /// If there is no rank.
    pub fn of(self, ranks: &[u32]) -> f64 {
        assert!(!ranks.is_empty(), "recall of no query");
        ranks.iter().filter(|&&rank| rank <= self.k()).count() as f64 / ranks.len() as f64
    }
}

impl AtCutoff for Recall {
    const NAMES: [&'static str; 3] = ["recall@1", "recall@5", "recall@10"];
    const SUMMARIES: [&'static str; 3] = [
        "Share of queries whose first item is relevant.",
        "Share of queries with a relevant item among the first 5.",
        "Share of queries with a relevant item among the first 10.",
    ];
    const IS_STANDARD: bool = true;

    fn cutoff(&self) -> Cutoff {
        self.0
    }

    fn share(placed: &Placed<'_>, k: u32) -> f64 {
        f64::from(u8::from(placed.first_rank() <= k))
    }

    fn last_needed(placed: &Placed<'_>) -> u32 {
        placed.first_rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_up_to_k_count() {
        let ranks = [1, 2, 5, 6, 10, 11, 400, 1];
        let shares = Recall::ALL.map(|recall| recall.of(&ranks));
        assert_eq!(shares, [2.0 / 8.0, 4.0 / 8.0, 6.0 / 8.0]);
    }
}
