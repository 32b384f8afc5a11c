//! What a pair can be called, and by which uncertainty.

use serde::{Deserialize, Serialize};

/// What [`Verdict::uncertainty`](super::Verdict::uncertainty) measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UncertaintyKind {
    /// Effective number of items that fit the image, or the caption, as well as the best one does, at
    /// least 1: the exponential of the entropy of its sharpened scores, averaged over both.
    #[default]
    Candidates,
    /// Share of the variance in the mean squared length of the draws of image and caption, averaged
    /// over both, [0, 1); for matchers whose items are Gaussians.
    Variance,
}

/// What a pair is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Judgment {
    /// Probably matched, and little else fits as well.
    Matched,
    /// More likely matched than not, but the image or the caption fits others too.
    Ambiguous,
    /// More likely matched than not, with a probability of a mismatch above 0.1.
    Doubtful,
    /// More likely mismatched than not.
    Mismatched,
    /// Cannot be told: nothing to compare with, or the matcher reads image or caption too poorly.
    /// Also the value for files that were written before there were judgments.
    #[default]
    Unknown,
}

impl Judgment {
    /// All of them, the best first.
    pub const ALL: [Judgment; 5] = [
        Judgment::Matched,
        Judgment::Ambiguous,
        Judgment::Doubtful,
        Judgment::Mismatched,
        Judgment::Unknown,
    ];

    /// The word that stands for it in files.
    pub const fn name(self) -> &'static str {
        match self {
            Judgment::Matched => "matched",
            Judgment::Ambiguous => "ambiguous",
            Judgment::Doubtful => "doubtful",
            Judgment::Mismatched => "mismatched",
            Judgment::Unknown => "unknown",
        }
    }
}

/// How ambiguous the pairs of an audit are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ambiguity {
    /// What the uncertainties measure.
    pub uncertainty: UncertaintyKind,
    /// Uncertainty above which a pair is ambiguous: 90 % of the pairs that rank first both ways lie
    /// below it. `None` where there are too few such pairs to set a level; no pair is called ambiguous
    /// then.
    pub level: Option<f64>,
}
