//! Clean and noisy pairs of an epoch by a beta mixture on their losses.

use truepair_core::Error;
use truepair_core::mixture::{self, BetaConfig};

use super::setting::check_share;
use crate::error::Result;

/// A division that can be trained on.
#[derive(Debug)]
pub(super) struct Divided {
    /// Indices of pairs held clean, at least 2 where there are 2 pairs.
    pub(super) clean: Vec<u32>,
    /// Indices of the others.
    pub(super) noisy: Vec<u32>,
    /// What the reader of the log should know.
    pub(super) note: Option<String>,
}

/// P(pair is clean) of every pair, `[n_pairs]`, from one loss each.
pub(super) fn posterior(losses: &[f32], config: &BetaConfig) -> Result<Vec<f32>> {
    Ok(mixture::beta_clean_posterior(losses, config)?.posterior)
}

/// Divides pairs by their posterior; a group of one pair, which could be compared with nothing,
/// becomes one of the two likeliest.
pub(super) fn divide(posterior: &[f32], threshold: f64) -> Result<Divided> {
    let division = mixture::divide(posterior, threshold as f32)?;
    let mut note = division.fallback.map(|fallback| fallback.to_string());
    let mut is_clean = division.clean;
    if is_clean.iter().filter(|&&clean| clean).count() < 2 {
        let mut order: Vec<usize> = (0..posterior.len()).collect();
        order.sort_by(|&a, &b| posterior[b].total_cmp(&posterior[a]));
        order.iter().take(2).for_each(|&pair| is_clean[pair] = true);
        note = Some("fewer than two pairs looked clean; the two likeliest are held clean".into());
    }
    let (clean, noisy) = (0..posterior.len() as u32).partition(|&pair| is_clean[pair as usize]);
    Ok(Divided { clean, noisy, note })
}

/// Checks the settings that every strategy with such a division has.
pub(super) fn check(threshold: f64, config: &BetaConfig) -> Result<()> {
    check_share("threshold", threshold, "the paper uses 0.5")?;
    if !(config.clip > 0.0 && config.clip < 0.5) {
        return Err(Error::argument(
            format!("strategy.mixture.clip = {} is not in (0, 0.5)", config.clip),
            "the released code uses 1e-4",
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pairs_are_always_clean() {
        let divided = divide(&[0.1, 0.4, 0.9, 0.3], 0.5).unwrap();
        assert_eq!(divided.clean, [1, 2]);
        assert_eq!(divided.noisy, [0, 3]);
        assert!(divided.note.unwrap().contains("two likeliest"));
        let divided = divide(&[0.6, 0.4, 0.9, 0.3], 0.5).unwrap();
        assert_eq!(divided.clean, [0, 2]);
        assert!(divided.note.is_none());
        assert_eq!(divide(&[1.0; 5], 0.5).unwrap().clean.len(), 5);
    }
}
