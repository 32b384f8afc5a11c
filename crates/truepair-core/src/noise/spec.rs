//! How noise is requested in words: `none`, `caption:0.4`, `image:0.4` or a path.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::{Words, as_word};
use super::{NOISES, NoiseModel};
use crate::error::{Error, Result};

/// Which noise to plant; written and read as one word.
///
/// ```
/// use truepair_core::noise::NoiseSpec;
///
/// let spec: NoiseSpec = "image:0.2".parse()?;
/// assert_eq!(spec, NoiseSpec::Rate { model: "image".into(), rate: 0.2 });
/// assert_eq!(spec.to_string(), "image:0.2");
/// assert!("capton:0.2".parse::<NoiseSpec>().is_err());
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum NoiseSpec {
    /// No noise.
    #[default]
    None,
    /// A noise model with its rate.
    Rate {
        /// Name of the model, for instance `caption`.
        model: String,
        /// Share that is shuffled, [0, 1].
        rate: f64,
    },
    /// A published noise file.
    File(PathBuf),
}

impl FromStr for NoiseSpec {
    type Err = Error;

    /// Reads `none`, `NAME:RATE` or a path. A word that looks like a rate but names no known model is
    /// refused, not taken for a file.
    fn from_str(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(NoiseSpec::None);
        }
        Ok(match WORDS.split(text)? {
            Some((name, rate)) => NoiseSpec::Rate {
                model: name.into(),
                rate,
            },
            None => NoiseSpec::File(text.into()),
        })
    }
}

impl std::fmt::Display for NoiseSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoiseSpec::None => write!(f, "none"),
            NoiseSpec::Rate { model, rate } => write!(f, "{model}:{rate}"),
            NoiseSpec::File(path) => write!(f, "{}", path.display()),
        }
    }
}

as_word!(NoiseSpec);

pub(super) const WORDS: Words<dyn NoiseModel> = Words {
    kind: "noise",
    models: NOISES,
    name: |model| model.name(),
    others: " or the path of a noise file",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written_alike() {
        for text in [
            "none",
            "caption:0.4",
            "image:0.25",
            "noise/f30k_0.2.npy",
            "C:\\noise.npy",
        ] {
            let spec: NoiseSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<NoiseSpec>(&json).unwrap(), spec);
        }
        let spec = NoiseSpec::Rate {
            model: "caption".into(),
            rate: 0.4,
        };
        assert_eq!("caption:0.4".parse::<NoiseSpec>().unwrap(), spec);
        assert!(matches!("a.npy".parse().unwrap(), NoiseSpec::File(_)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_choices() {
        for text in ["captoin:0.4", "caption:many", "caption", "caption:", ""] {
            let error = text.parse::<NoiseSpec>().unwrap_err().to_string();
            assert!(
                error.contains("caption:RATE, image:RATE"),
                "{text}: {error}"
            );
        }
        for text in ["caption:40", "image:-0.1", "caption:NaN"] {
            let error = text.parse::<NoiseSpec>().unwrap_err().to_string();
            assert!(error.contains("0.4"), "{text}: {error}");
        }
    }
}
