//! Which pairs to keep, from their posteriors.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How to choose the pairs that stay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Drop pairs with a posterior above 0.5: the fewest expected errors of both kinds together.
    FewestErrors,
    /// Drop as many as possible while losing at most this share of the good pairs, [0, 1].
    LoseAtMost(f64),
    /// Keep as many as possible while at most this share of what is kept is bad, [0, 1].
    KeepBadAtMost(f64),
}

/// Which pairs a [`Rule`] keeps, and what to expect of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// One flag per pair, `[n]`.
    pub keep: Vec<bool>,
    /// Number of pairs kept.
    pub n_kept: usize,
    /// Expected number of bad pairs among those kept.
    pub expected_bad_kept: f64,
    /// Expected number of good pairs among those dropped.
    pub expected_good_dropped: f64,
    /// Pairs with a posterior above this one are dropped; 1 when none is, below 0 when all are.
    pub threshold: f64,
}

/// Applies `rule` to posteriors `[n]` in [0, 1]. Pairs with equal posteriors are treated alike.
///
/// ```
/// use truepair_core::audit::{Rule, decide};
///
/// let decision = decide(&[0.01, 0.2, 0.7, 0.99], Rule::FewestErrors)?;
/// assert_eq!(decision.keep, [true, true, false, false]);
/// assert!((decision.expected_bad_kept - 0.21).abs() < 1e-12);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If the rule's share is not in [0, 1].
pub fn decide(posteriors: &[f64], rule: Rule) -> Result<Decision> {
    let threshold = match rule {
        Rule::FewestErrors => 0.5,
        Rule::LoseAtMost(share) => lose_at_most(posteriors, checked(share)?),
        Rule::KeepBadAtMost(share) => keep_bad_at_most(posteriors, checked(share)?),
    };
    let keep: Vec<bool> = posteriors
        .iter()
        .map(|&posterior| posterior <= threshold)
        .collect();
    let kept = || posteriors.iter().zip(&keep);
    Ok(Decision {
        n_kept: keep.iter().filter(|&&keep| keep).count(),
        expected_bad_kept: kept().filter(|(_, keep)| **keep).map(|(p, _)| p).sum(),
        expected_good_dropped: kept()
            .filter(|(_, keep)| !**keep)
            .map(|(p, _)| 1.0 - p)
            .sum(),
        threshold,
        keep,
    })
}

fn checked(share: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Error::argument(
        format!("a share of {share}, expected a fraction between 0 and 1"),
        "write 0.05 for 5 percent",
    ))
}

/// The lowest posterior whose strict exceeders hold at most `share` of the expected good pairs.
fn lose_at_most(posteriors: &[f64], share: f64) -> f64 {
    let mut sorted = posteriors.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = share * sorted.iter().map(|posterior| 1.0 - posterior).sum::<f64>();
    let (mut lost, mut threshold) = (0.0, 1.0);
    for tied in sorted.chunk_by(|a, b| a == b) {
        lost += (1.0 - tied[0]) * tied.len() as f64;
        // Sums of posteriors that ought to be equal may differ in the last bits.
        if lost > allowed * (1.0 + 1e-12) {
            return tied[0];
        }
        threshold = tied[0].next_down();
    }
    threshold
}

/// The highest posterior up to which the running mean of the sorted posteriors is at most `share`:
/// local false discovery rates averaged to the rate of the kept set (Efron, 2008).
fn keep_bad_at_most(posteriors: &[f64], share: f64) -> f64 {
    let mut sorted = posteriors.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (mut bad, mut n, mut threshold) = (0.0, 0, -1.0);
    for tied in sorted.chunk_by(|a, b| a == b) {
        bad += tied[0] * tied.len() as f64;
        n += tied.len();
        if bad > share * n as f64 * (1.0 + 1e-12) {
            return threshold;
        }
        threshold = tied[0];
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTERIORS: [f64; 6] = [0.0, 0.9, 0.1, 0.6, 0.1, 1.0];

    #[test]
    fn the_default_drops_what_is_more_likely_bad() {
        let decision = decide(&POSTERIORS, Rule::FewestErrors).unwrap();
        assert_eq!(decision.keep, [true, false, true, false, true, false]);
        assert!((decision.expected_bad_kept - 0.2).abs() < 1e-12);
        assert!((decision.expected_good_dropped - 0.5).abs() < 1e-12);
    }

    #[test]
    fn losing_few_good_pairs_drops_from_the_worst_down() {
        // 3.3 good pairs expected; dropping 1.0 and 0.9 loses 0.1, dropping 0.6 too loses 0.5.
        let flags = |share| decide(&POSTERIORS, Rule::LoseAtMost(share)).unwrap().keep;
        assert_eq!(flags(0.1), [true, false, true, true, true, false]);
        assert_eq!(flags(0.5 / 3.3), [true, false, true, false, true, false]);
        assert_eq!(flags(0.0), [true, true, true, true, true, false]);
        assert_eq!(flags(1.0), [false; 6]);
    }

    #[test]
    fn keeping_few_bad_pairs_takes_from_the_best_up_with_ties_together() {
        let flags = |share| {
            decide(&POSTERIORS, Rule::KeepBadAtMost(share))
                .unwrap()
                .keep
        };
        assert_eq!(flags(0.06), [true, false, false, false, false, false]);
        assert_eq!(flags(0.07), [true, false, true, false, true, false]);
        assert_eq!(flags(0.45), [true; 6]);
    }

    #[test]
    fn percentages_are_refused() {
        assert!(decide(&POSTERIORS, Rule::LoseAtMost(5.0)).is_err());
        assert!(decide(&POSTERIORS, Rule::KeepBadAtMost(f64::NAN)).is_err());
    }
}
