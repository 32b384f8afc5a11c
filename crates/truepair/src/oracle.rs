//! Bounds that are told the truth about planted noise: plain training on data that the program
//! corrects first. The training crate never learns of it.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::noise::Manifest;

/// What an oracle does with the planted mismatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Oracle {
    /// Leaves them out.
    CleanOnly,
    /// Gives every caption its own image again.
    CleanRematched,
}

/// The strategy that an oracle trains; its settings are those of a run that knows nothing.
pub(crate) const STRATEGY: &str = "plain";

impl Oracle {
    pub(crate) const ALL: [Oracle; 2] = [Oracle::CleanOnly, Oracle::CleanRematched];

    /// The name beside those of strategies.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Oracle::CleanOnly => "clean-only",
            Oracle::CleanRematched => "clean-rematched",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Oracle::ALL.into_iter().find(|oracle| oracle.name() == name)
    }

    /// The training pairs that the oracle sees, of `noisy` pairs and the `clean` ones that they were
    /// made of.
    ///
    /// # Errors
    /// If no pair is left.
    pub(crate) fn corrected(
        self,
        clean: &Dataset,
        noisy: Dataset,
        manifest: Option<&Manifest>,
    ) -> Result<Dataset> {
        let Some(manifest) = manifest else {
            return Ok(noisy);
        };
        let corrected = match self {
            Oracle::CleanOnly => {
                let keep: Vec<bool> = manifest.mismatched.iter().map(|wrong| !wrong).collect();
                noisy.with_pairs_kept(&keep)
            }
            Oracle::CleanRematched => clean.clone(),
        };
        if corrected.pairs.is_empty() {
            bail!(
                "{}: all pairs are mismatched, so the oracle has none to train on",
                noisy.name
            )
        }
        Ok(corrected)
    }
}
