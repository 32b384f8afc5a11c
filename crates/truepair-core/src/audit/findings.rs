//! What an audit reports, in one serializable place; the program and the report only render it.

use serde::{Deserialize, Serialize};

use super::{Ambiguity, DuplicateCounts, InjectionKind, Judgment};

/// The result of one audit over the pairs of a data set, in the data set's pair order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Findings {
    /// Whether verdicts could be given at all.
    pub outcome: Outcome,
    /// Share of mismatched pairs with its interval.
    pub noise_rate: NoiseRate,
    /// Evidence that the scores are informative: held-out ranking against chance.
    pub competence: Competence,
    /// How well the matcher reads the pairs; the bounds of the rate rest on this.
    #[serde(default)]
    pub reading: Reading,
    /// The rates of near misses and of other mismatches, where near misses were looked for.
    #[serde(default)]
    pub kinds: Option<Kinds>,
    /// One verdict per pair; empty when the outcome is [`Outcome::Refused`].
    pub verdicts: Vec<Verdict>,
    /// The fitted two-groups model, for plots.
    pub fit: Fit,
    /// Captions left out of null comparisons because they repeat the pair's own caption.
    pub duplicates: DuplicateCounts,
    /// Unreadable pairs whose scores hardly change the probability: whether they are mismatched cannot
    /// be told.
    #[serde(default)]
    pub illegible: u64,
    /// How uncertain a pair must be to be ambiguous.
    #[serde(default)]
    pub ambiguity: Ambiguity,
    /// Comparison with injected noise, when some was injected.
    pub truth: Option<Truth>,
    /// The self-check of `--inject`, when it ran.
    pub self_check: Option<SelfCheck>,
    /// Sentences that the reader must know, for instance what the audit cannot see.
    pub notes: Vec<String>,
}

/// What the audit concludes about the data set as a whole.
///
/// ```
/// use truepair_core::audit::Outcome;
///
/// let outcome = Outcome::Refused { reason: "the scores rank no better than chance".into() };
/// let json = serde_json::to_string(&outcome)?;
/// assert_eq!(json, r#"{"kind":"refused","reason":"the scores rank no better than chance"}"#);
/// assert!(!outcome.is_found(), "nothing may be dropped");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// Mismatched pairs were found.
    MismatchedPairs,
    /// The p-values show no excess of bad ranks beyond chance.
    NoEvidence,
    /// The data may hold no mismatched pair or many; the scores do not show which.
    CannotBeTold {
        /// Why, in one sentence.
        reason: String,
        /// What would help to tell, in one sentence.
        help: String,
    },
    /// The posteriors are what a trained method believes of its own training pairs. They are not
    /// calibrated, so nothing is found by them and nothing is dropped.
    Beliefs,
    /// The scores do not rank held-out pairs better than chance, so no verdict is given.
    Refused {
        /// Why, in one sentence.
        reason: String,
    },
}

impl Outcome {
    /// Whether single pairs may be called mismatched, and dropped.
    pub fn is_found(&self) -> bool {
        matches!(self, Outcome::MismatchedPairs)
    }
}

/// Share of mismatched pairs, fractions in [0, 1]. The scores bound it; a point estimate needs an
/// assumption as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoiseRate {
    /// The share if mismatches fall evenly over readable and unreadable pairs.
    pub estimate: f64,
    /// Lower end of the lower bound's 95 % interval: no unreadable pair is mismatched.
    pub low: f64,
    /// Upper end of the upper bound's 95 % interval: every pair that may be mismatched is mismatched.
    pub high: f64,
}

impl NoiseRate {
    /// The rate of two kinds together.
    pub(super) fn plus(self, other: NoiseRate) -> NoiseRate {
        NoiseRate {
            estimate: (self.estimate + other.estimate).min(1.0),
            low: (self.low + other.low).min(1.0),
            high: (self.high + other.high).min(1.0),
        }
    }
}

/// The noise rate by kind of mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kinds {
    /// Pairs whose image and caption fit no better than those of two different pairs.
    pub far: NoiseRate,
    /// Pairs of the right scene with a wrong detail, as far as they are like the planted ones: a caption
    /// with an image that looks like its own, or with that of a caption that reads like it. Part of the
    /// noise rate only where `is_found`.
    pub near: NoiseRate,
    /// Whether many pairs clearly differ from planted near misses; where hardly any do, the share of
    /// near misses cannot be determined.
    pub is_told_apart: bool,
    /// Whether there certainly are near misses.
    pub is_found: bool,
}

/// How the matcher reads the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reading {
    /// Share of the pairs whose image and caption the matcher reads, [0, 1].
    pub readable: f64,
    /// Whether some images or captions rank worse than others by more than chance: the matcher reads
    /// them worse, or more of them are mismatched.
    pub is_uneven: bool,
    /// Whether readable pairs rank neither as matched nor as mismatched ones: matched pairs of poor
    /// rank stand among them, or near misses.
    pub is_sloped: bool,
}

impl Default for Reading {
    /// The value for files that were written before it was measured.
    fn default() -> Self {
        Self {
            readable: 1.0,
            is_uneven: false,
            is_sloped: false,
        }
    }
}

/// How well the held-out scores rank, compared with chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Competence {
    /// Share of the readable pairs with a null-calibrated p-value of at most 0.05.
    pub share_below_5_percent: f64,
    /// Upper bound on that share if the scores were uninformative (0.05 and its sampling error).
    pub chance: f64,
}

/// What the audit says about one pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// Index of the pair in the data set.
    pub pair: u32,
    /// Index of its image.
    pub image: u32,
    /// Index of its caption.
    pub caption: u32,
    /// Rank p-value of the caption among null captions for this image, (0, 1].
    pub p_i2t: f64,
    /// Rank p-value of the image among null images for this caption, (0, 1].
    pub p_t2i: f64,
    /// Null-calibrated p-value of the surprisal among re-pairings that are as readable, (0, 1].
    pub p: f64,
    /// Probability that the pair is mismatched, [0, 1].
    pub posterior: f64,
    /// The part of it that is the probability of a near miss; the rest is the probability that the pair
    /// is far off.
    #[serde(default)]
    pub near: f64,
    /// 1-based rank of the caption among the captions compared with (ties against the pair).
    pub rank_i2t: u32,
    /// 1-based rank of the image among the images compared with.
    pub rank_t2i: u32,
    /// The best-scoring other caption for this image, when one scores above the given one.
    pub better_caption: Option<u32>,
    /// The best-scoring other image for this caption, when one scores above the given one.
    pub better_image: Option<u32>,
    /// How uncertain the pair's items are; [`Ambiguity::uncertainty`] says what is measured. Absent in
    /// files written before it was measured.
    #[serde(default)]
    pub uncertainty: Option<f64>,
    /// What the pair is called.
    #[serde(default)]
    pub judgment: Judgment,
    /// One phrase a person can act on.
    pub reason: String,
}

/// The two-groups model as fitted, for plots and for checking. p-values are those of the readable
/// pairs, from which the noise rate is read; often these are all the pairs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fit {
    /// Counts of null-calibrated p-values in equal bins over [0, 1].
    pub p_histogram: Vec<u64>,
    /// Counts of posteriors in equal bins over [0, 1].
    pub posterior_histogram: Vec<u64>,
    /// Storey's estimate over a grid of lambda: pairs of (lambda, noise rate).
    pub storey_curve: Vec<(f64, f64)>,
    /// Lambda at which the point estimate was read.
    pub lambda: f64,
    /// Knots of the Grenander density of p: pairs of (right end of the step, density).
    pub density: Vec<(f64, f64)>,
    /// Mean posterior; close to the noise rate when the model fits.
    pub mean_posterior: f64,
}

/// The posterior compared with known truth; recorded only when noise was injected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Truth {
    /// Share of pairs that are truly mismatched.
    pub realized: f64,
    /// Area under the ROC curve of the posterior (ties count one half).
    pub auc: f64,
    /// Expected calibration error over ten equal-width bins.
    pub ece: f64,
    /// Mean squared error of the posterior.
    pub brier: f64,
    /// Share of truly mismatched among pairs with posterior above 0.5.
    pub precision: f64,
    /// Share of truly mismatched pairs with posterior above 0.5.
    pub recall: f64,
    /// The reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReliabilityBin {
    /// Pairs in the bin.
    pub count: u64,
    /// Their mean posterior.
    pub mean_posterior: f64,
    /// Their share of truly mismatched pairs.
    pub share_mismatched: f64,
}

/// How the pairs of one kind of injection were judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InjectedKind {
    /// What was done to them.
    pub kind: InjectionKind,
    /// Share of all pairs.
    pub injected: f64,
    /// Area under the ROC curve against pairs that were left unchanged and that the first audit
    /// considered clean.
    pub auc: f64,
    /// Share of them with a posterior above 0.5: the recall, or the false alarms for illegible ones.
    pub called_mismatched: f64,
    /// Their mean posterior.
    pub mean_posterior: f64,
}

/// Result of changing a further share of the pairs and auditing again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SelfCheck {
    /// Share of the pairs that was mismatched in addition to what the data holds.
    pub injected: f64,
    /// Noise rate that the first audit and the injection imply together.
    pub expected_rate: f64,
    /// Noise rate that the second audit found.
    pub recovered_rate: NoiseRate,
    /// Area under the ROC curve of injected pairs against pairs that the first audit considered clean
    /// (posterior < 0.1).
    pub auc: f64,
    /// Precision at posterior 0.5 on the same pairs.
    pub precision: f64,
    /// Recall at posterior 0.5 on the same pairs.
    pub recall: f64,
    /// Expected calibration error with the first audit's posterior as base rate elsewhere.
    pub ece: f64,
    /// The reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
    /// Every kind of injection separately.
    #[serde(default)]
    pub kinds: Vec<InjectedKind>,
}
