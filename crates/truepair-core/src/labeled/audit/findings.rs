//! What a label audit reports, in one serializable place.

use serde::{Deserialize, Serialize};

use crate::audit::{NoiseRate, Truth};

/// The result of a label audit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelFindings {
    /// Whether verdicts could be given at all.
    pub outcome: LabelOutcome,
    /// Whether every item has one label for all its modalities.
    pub shared: bool,
    /// Share of held-out labels that the classifiers predict.
    pub agreement: f64,
    /// Upper bound on that share if they were uninformative.
    pub chance: f64,
    /// The weight of the scores of each modality, per unit of score.
    pub weights: Vec<f64>,
    /// Rate and verdicts of each modality; empty when the outcome is [`LabelOutcome::Refused`].
    pub modalities: Vec<ModalityFindings>,
    /// Comparison with planted noise, one per modality; empty if none was planted.
    pub truth: Vec<Truth>,
    /// Sentences that the reader must know.
    pub notes: Vec<String>,
}

/// What the audit concludes about the labels as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LabelOutcome {
    /// Wrong labels were found.
    WrongLabels,
    /// Labels that are all right explain the scores as well, and few can be wrong.
    NoEvidence,
    /// Wrong labels and classes that look alike explain the labels equally well.
    CannotBeTold {
        /// Why, in one sentence.
        reason: String,
        /// What would help to tell, in one sentence.
        help: String,
    },
    /// The classifiers do not predict held-out labels better than chance.
    Refused {
        /// Why, in one sentence.
        reason: String,
    },
}

impl LabelOutcome {
    /// Whether single labels may be called wrong.
    pub fn is_found(&self) -> bool {
        matches!(self, LabelOutcome::WrongLabels)
    }
}

/// What a label is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelJudgment {
    /// More likely right than wrong, or there is no evidence of wrong labels.
    Right,
    /// More likely wrong than right.
    Wrong,
    /// It cannot be told whether labels are wrong.
    Unknown,
}

impl LabelJudgment {
    /// The judgment as one word.
    pub const fn name(self) -> &'static str {
        match self {
            LabelJudgment::Right => "right",
            LabelJudgment::Wrong => "wrong",
            LabelJudgment::Unknown => "unknown",
        }
    }
}

/// How wrong labels are spread over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NoiseShape {
    /// Every other class is as likely.
    Symmetric,
    /// Every class has its own confusion.
    ByClass,
}

/// The labels of one modality.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModalityFindings {
    /// Name of the modality.
    pub name: String,
    /// Share of wrong labels. The estimate is that of the fitted model, in which classes that are hard
    /// to tell apart do not make labels wrong; the interval also covers what they hide: from the labels
    /// that the model and the predictions both reject to the most that the surest items of every class
    /// allow.
    pub noise_rate: NoiseRate,
    /// Which shape of noise explains the labels best.
    pub shape: NoiseShape,
    /// `[k, k]` row-major: probability of each given label for each true class.
    pub confusion: Vec<f64>,
    /// Share of wrong labels by counting confident disagreements, as a check.
    pub confident_rate: f64,
    /// Share of the surest items of every class that are labeled otherwise: a bound from above.
    pub anchor_rate: f64,
    /// One verdict per item.
    pub verdicts: Vec<LabelVerdict>,
}

/// What the audit says about one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelVerdict {
    /// Index of the item.
    pub item: u32,
    /// The label as given, from 0.
    pub given: u32,
    /// Probability that it is wrong, [0, 1].
    pub posterior: f64,
    /// The most likely class, from 0.
    pub suggested: u32,
    /// Probability of that class, [0, 1].
    pub support: f64,
}

impl LabelFindings {
    /// What a label is called.
    pub fn judgment(&self, verdict: &LabelVerdict) -> LabelJudgment {
        match self.outcome {
            LabelOutcome::WrongLabels if verdict.posterior > 0.5 => LabelJudgment::Wrong,
            LabelOutcome::WrongLabels | LabelOutcome::NoEvidence => LabelJudgment::Right,
            LabelOutcome::CannotBeTold { .. } | LabelOutcome::Refused { .. } => {
                LabelJudgment::Unknown
            }
        }
    }

    /// Compares the posteriors with planted noise; `wrong` holds a flag per modality and item. Does
    /// nothing when there are no verdicts.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn measure(&mut self, wrong: &[Vec<bool>]) {
        self.truth = (self.modalities.iter().zip(wrong))
            .map(|(modality, wrong)| {
                let posteriors: Vec<f64> = (modality.verdicts.iter())
                    .map(|verdict| verdict.posterior)
                    .collect();
                Truth::measure(&posteriors, wrong)
            })
            .collect();
    }
}
