//! Gain discounted by the logarithm of the rank.

use super::Metric;
use crate::ranking::Placed;

/// Normalized discounted cumulative gain with gain 1 for relevant items.
///
/// ```text
/// nDCG = Σ_{i : rank_i <= K} 1 / log2(1 + rank_i)  /  Σ_{r = 1..min(R, K)} 1 / log2(1 + r)
/// ```
///
/// # Source
/// Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, with the logarithm of base 2 of rank + 1 that is
/// usual since Burges et al., ICML 2005.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ndcg {
    cutoff: Option<u32>,
}

impl Ndcg {
    /// Over the whole ranking.
    pub const ALL: Self = Self { cutoff: None };
    /// Over the first 10 items.
    pub const AT_10: Self = Self { cutoff: Some(10) };

    fn k(self) -> u32 {
        self.cutoff.unwrap_or(u32::MAX)
    }
}

fn discount(rank: u32) -> f64 {
    1.0 / (1.0 + f64::from(rank)).log2()
}

impl Metric for Ndcg {
    fn name(&self) -> &'static str {
        match self.cutoff {
            None => "ndcg",
            Some(_) => "ndcg@10",
        }
    }

    fn summary(&self) -> &'static str {
        match self.cutoff {
            None => {
                "Relevant items discounted by the logarithm of their rank, against the best order."
            }
            Some(_) => "The same with only the first 10 ranks counting.",
        }
    }

    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        let level = placed.strict();
        let found = &level.ranks[..level.within(self.k()) as usize];
        let ideal = 1..=level.n_relevant.min(self.k());
        found.iter().copied().map(discount).sum::<f64>() / ideal.map(discount).sum::<f64>()
    }

    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.k().min(placed.last_needed())
    }
}
