//! What an audit concludes, of pairs or of labels, as every summary states it.

use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::audit::Outcome;
use truepair_core::labeled::LabelOutcome;

/// The verdict on a whole data set, with its reasons.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Conclusion {
    /// `mismatched-pairs` (or `wrong-labels`), `no-evidence`, `cannot-be-told`,
    /// `beliefs` (of a run, not calibrated) or `refused`.
    pub(crate) verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused_because: Option<String>,
    /// Why it cannot be told whether anything is wrong, and what would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) open_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would_help: Option<String>,
    /// What was looked for, in words.
    #[serde(skip)]
    sought: &'static str,
}

const NO_EVIDENCE: &str = "no-evidence";
const BELIEFS: &str = "beliefs";

impl Conclusion {
    fn plain(verdict: &'static str, sought: &'static str) -> Self {
        Self {
            verdict,
            refused_because: None,
            open_because: None,
            would_help: None,
            sought,
        }
    }

    fn refused(reason: &str, sought: &'static str) -> Self {
        Self {
            refused_because: Some(reason.to_owned()),
            ..Self::plain("refused", sought)
        }
    }

    fn open(reason: &str, help: &str, sought: &'static str) -> Self {
        Self {
            open_because: Some(reason.to_owned()),
            would_help: Some(help.to_owned()),
            ..Self::plain("cannot-be-told", sought)
        }
    }

    /// Whether the probabilities are calibrated, so that a rate can be given and a gate can look at it.
    pub(crate) fn is_calibrated(&self) -> bool {
        !self.is_refused() && self.verdict != BELIEFS
    }

    /// Whether the audit gave no verdicts at all.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused_because.is_some()
    }

    /// The verdict and, where it needs one, the remedy: lines for people.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let verdict = match (&self.refused_because, &self.open_because) {
            (Some(reason), _) => format!("none: {reason}"),
            (None, Some(reason)) => format!("cannot be told: {reason}"),
            (None, None) if self.verdict == NO_EVIDENCE => {
                format!("no evidence of {}", self.sought)
            }
            (None, None) if self.verdict == BELIEFS => {
                "none: beliefs of a run about its own training pairs, which are not calibrated"
                    .to_owned()
            }
            (None, None) => format!("{} found", self.sought),
        };
        let help = self.would_help.clone();
        let help = help.map(|help| ("what would help", help));
        [("verdict", verdict)].into_iter().chain(help).collect()
    }
}

impl From<&Outcome> for Conclusion {
    fn from(outcome: &Outcome) -> Self {
        const SOUGHT: &str = "mismatched pairs";
        match outcome {
            Outcome::MismatchedPairs => Self::plain("mismatched-pairs", SOUGHT),
            Outcome::NoEvidence => Self::plain(NO_EVIDENCE, SOUGHT),
            Outcome::CannotBeTold { reason, help } => Self::open(reason, help, SOUGHT),
            Outcome::Beliefs => Self::plain(BELIEFS, SOUGHT),
            Outcome::Refused { reason } => Self::refused(reason, SOUGHT),
        }
    }
}

impl From<&LabelOutcome> for Conclusion {
    fn from(outcome: &LabelOutcome) -> Self {
        const SOUGHT: &str = "wrong labels";
        match outcome {
            LabelOutcome::WrongLabels => Self::plain("wrong-labels", SOUGHT),
            LabelOutcome::NoEvidence => Self::plain(NO_EVIDENCE, SOUGHT),
            LabelOutcome::CannotBeTold { reason, help } => Self::open(reason, help, SOUGHT),
            LabelOutcome::Refused { reason } => Self::refused(reason, SOUGHT),
        }
    }
}
