//! How label noise is requested in words: `none`, `symmetric:0.4`, `symmetric:0.4:shared` or a path.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{LABEL_NOISES, LabelNoiseModel};
use crate::error::{Error, Result};
use crate::noise::word::{Words, as_word};

/// Which label noise to plant; written and read as one word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LabelNoiseSpec {
    /// No noise.
    #[default]
    None,
    /// A noise model with its rate.
    Rate {
        /// Name of the model, for instance `symmetric`.
        model: String,
        /// Share of the items that are relabeled, [0, 1].
        rate: f64,
        /// Whether all modalities of an item share one label.
        shared: bool,
    },
    /// An `.npy` file of labels.
    File(PathBuf),
}

impl FromStr for LabelNoiseSpec {
    type Err = Error;

    /// Reads `none`, `NAME:RATE`, `NAME:RATE:shared` or a path. A word that looks like a rate but names
    /// no known model is refused, not taken for a file.
    fn from_str(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::None);
        }
        let (word, shared) = match text.strip_suffix(":shared") {
            Some(word) => (word, true),
            None => (text, false),
        };
        Ok(match WORDS.split(word)? {
            Some((name, rate)) => Self::Rate {
                model: name.into(),
                rate,
                shared,
            },
            None => Self::File(text.into()),
        })
    }
}

impl std::fmt::Display for LabelNoiseSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Rate {
                model,
                rate,
                shared,
            } => {
                let suffix = if *shared { ":shared" } else { "" };
                write!(f, "{model}:{rate}{suffix}")
            }
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

as_word!(LabelNoiseSpec);

pub(super) const WORDS: Words<dyn LabelNoiseModel> = Words {
    kind: "label noise",
    models: LABEL_NOISES,
    name: |model| model.name(),
    others: " (with :shared for one label per item) or the path of an .npy file of labels",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_alike() {
        for text in [
            "none",
            "symmetric:0.4",
            "asymmetric:0.25:shared",
            "noise/labels.npy",
        ] {
            let spec: LabelNoiseSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<LabelNoiseSpec>(&json).unwrap(), spec);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_choices() {
        for text in ["symetric:0.4", "symmetric:many", "symmetric", "", ":shared"] {
            let error = text.parse::<LabelNoiseSpec>().unwrap_err().to_string();
            assert!(
                error.contains("symmetric:RATE, asymmetric:RATE"),
                "{text}: {error}"
            );
        }
        let error = "symmetric:40"
            .parse::<LabelNoiseSpec>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("0.4"), "{error}");
    }
}
