//! From posteriors to a clean and a noisy group, neither of which is ever empty by accident.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which pairs a method trains on as clean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// Whether each pair is considered clean, `[n_pairs]`.
    pub clean: Vec<bool>,
    /// The posterior at which the groups were separated.
    pub threshold: f32,
    /// Why the threshold differs from the requested one.
    pub fallback: Option<Fallback>,
}

/// A threshold that would have left a group empty, and what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// All posteriors were above the threshold; the lowest one percent was considered noisy.
    NoNoisyPair,
    /// No posterior was above the threshold; the highest one percent was considered clean.
    NoCleanPair,
    /// All posteriors that the fallback would separate are equal; every pair was considered clean.
    Indistinguishable,
}

impl std::fmt::Display for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoNoisyPair => "no pair looked noisy; the lowest one percent is held noisy",
            Self::NoCleanPair => "no pair looked clean; the highest one percent is held clean",
            Self::Indistinguishable => "all posteriors are equal; every pair is held clean",
        })
    }
}

impl Division {
    /// Number of pairs considered clean.
    pub fn n_clean(&self) -> usize {
        self.clean.iter().filter(|&&clean| clean).count()
    }
}

/// Considers a pair clean when its posterior is above `threshold`.
///
/// When every posterior is above it, the threshold moves up to the posterior of rank `⌊n / 100⌋` from
/// below, so about one percent is considered noisy. When none is, it moves down so that the highest one
/// percent (at least one pair) is considered clean. Pairs with equal posteriors are never separated.
///
/// ```
/// use truepair_core::mixture::divide;
///
/// let division = divide(&[0.9, 0.2, 0.7], 0.5)?;
/// assert_eq!(division.clean, [true, false, true]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If a posterior is outside [0, 1] or NaN (the pair is named).
///
/// # Source
/// Code read at XLearning-SCU/2021-NeurIPS-NCR@60256ba (`split_prob`).
///
/// # Deviations
/// 1. The release has no rule for the case that no pair is above the threshold.
/// 2. Where posteriors tie at the moved threshold, the release can end with no clean pair; here
///    every pair is then considered clean.
pub fn divide(posterior: &[f32], threshold: f32) -> Result<Division> {
    if let Some(pair) = posterior.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::argument(
            format!("the clean posterior of pair {pair} is {}", posterior[pair]),
            "posteriors are probabilities in [0, 1]",
        ));
    }
    let n_above = posterior.iter().filter(|&&p| p > threshold).count();
    if posterior.is_empty() || (0 < n_above && n_above < posterior.len()) {
        let clean = posterior.iter().map(|&p| p > threshold).collect();
        return Ok(Division {
            clean,
            threshold,
            fallback: None,
        });
    }
    let mut sorted = posterior.to_vec();
    sorted.sort_by(f32::total_cmp);
    let one_percent = sorted.len() / 100;
    let (threshold, fallback) = if n_above == 0 {
        let lowest_clean = sorted[sorted.len() - one_percent.max(1)];
        let below = sorted.iter().rev().find(|&&p| p < lowest_clean);
        (below.copied(), Fallback::NoCleanPair)
    } else {
        (Some(sorted[one_percent]), Fallback::NoNoisyPair)
    };
    // The largest value cannot be the threshold: nothing is above it.
    let usable = threshold.filter(|&threshold| threshold < sorted[sorted.len() - 1]);
    Ok(match usable {
        Some(threshold) => Division {
            clean: posterior.iter().map(|&p| p > threshold).collect(),
            threshold,
            fallback: Some(fallback),
        },
        None => Division {
            clean: vec![true; posterior.len()],
            threshold: 0.0,
            fallback: Some(Fallback::Indistinguishable),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_parts_the_pairs() {
        let division = divide(&[0.9, 0.5, 0.51, 0.0], 0.5).unwrap();
        assert_eq!(division.clean, [true, false, true, false]);
        assert_eq!((division.n_clean(), division.fallback), (2, None));
    }

    #[test]
    fn without_a_noisy_pair_about_one_percent_becomes_noisy() {
        let posterior: Vec<f32> = (0..250).map(|n| 0.6 + n as f32 * 1e-3).collect();
        let division = divide(&posterior, 0.5).unwrap();
        assert_eq!(division.fallback, Some(Fallback::NoNoisyPair));
        assert_eq!(division.n_clean(), 250 - 3);
        assert!(!division.clean[2] && division.clean[3]);
    }

    #[test]
    fn without_a_clean_pair_the_highest_percent_becomes_clean() {
        let posterior: Vec<f32> = (0..250).map(|n| n as f32 * 1e-3).collect();
        let division = divide(&posterior, 0.5).unwrap();
        assert_eq!(
            (division.n_clean(), division.fallback),
            (2, Some(Fallback::NoCleanPair))
        );
        assert!(division.clean[248] && division.clean[249]);
        assert_eq!(
            divide(&[0.1, 0.2, 0.3], 0.5).unwrap().clean,
            [false, false, true]
        );
    }

    #[test]
    fn equal_posteriors_are_never_parted() {
        for posterior in [vec![1.0f32; 300], vec![0.0; 300], vec![0.2; 1]] {
            let division = divide(&posterior, 0.5).unwrap();
            assert_eq!(division.fallback, Some(Fallback::Indistinguishable));
            assert_eq!(division.n_clean(), posterior.len());
        }
        let tied_low = [vec![0.6f32; 50], vec![0.9; 50]].concat();
        assert_eq!(divide(&tied_low, 0.5).unwrap().n_clean(), 50);
    }

    #[test]
    fn what_is_not_a_probability_is_named_and_having_no_pair_is_fine() {
        let error = divide(&[0.5, f32::NAN], 0.5).unwrap_err().to_string();
        assert!(error.contains("pair 1"), "{error}");
        assert!(divide(&[1.5], 0.5).is_err());
        assert!(divide(&[], 0.5).unwrap().clean.is_empty());
    }
}
