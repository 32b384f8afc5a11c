//! Share of queries answered within the first K items: the hit form of recall.

use super::{Metric, Unit};
use crate::ranking::Placed;

/// Recall@K in hit form: the share of queries whose best relevant item stands at rank K or better.
///
/// The set form, a share of the relevant items, is [`SetRecall`](super::SetRecall).
///
/// # Source
/// Faghri et al., BMVC 2018, section 4.1, for K = 1, 5, 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall {
    cutoff: Cutoff,
}

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
}

impl Recall {
    /// Recall@1.
    pub const AT_1: Recall = Recall {
        cutoff: Cutoff::One,
    };
    /// Recall@5.
    pub const AT_5: Recall = Recall {
        cutoff: Cutoff::Five,
    };
    /// Recall@10.
    pub const AT_10: Recall = Recall {
        cutoff: Cutoff::Ten,
    };

    /// The three cutoffs of every published table.
    pub const ALL: [Recall; 3] = [Self::AT_1, Self::AT_5, Self::AT_10];

    /// The largest rank that counts as found.
    pub fn k(self) -> u32 {
        self.cutoff.k()
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

impl Metric for Recall {
    fn name(&self) -> &'static str {
        match self.cutoff {
            Cutoff::One => "recall@1",
            Cutoff::Five => "recall@5",
            Cutoff::Ten => "recall@10",
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
            Cutoff::One => "Share of queries whose first item is relevant.",
            Cutoff::Five => "Share of queries with a relevant item among the first 5.",
            Cutoff::Ten => "Share of queries with a relevant item among the first 10.",
        }
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        f64::from(u8::from(placed.first_rank() <= self.k()))
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.k().min(placed.first_rank())
    }

    fn is_standard(&self) -> bool {
        true
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
