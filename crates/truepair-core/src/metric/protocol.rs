//! The conditions under which numbers were measured.
//!
//! A recall without its protocol is not a result: 1,000 and 5,000 images, one and two networks,
//! caption and image noise give incomparable numbers under the same name.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::relevance::Relevance;

/// Everything that two evaluations must share for their numbers to appear in one table.
///
/// ```
/// use truepair_core::metric::Protocol;
/// use truepair_core::pair::Pair;
/// use truepair_core::relevance::Relevance;
///
/// let relevance = Relevance::from_pairs(1, 1, &[Pair { image: 0, caption: 0 }]);
/// let alone = Protocol::new("f30k", "test", &relevance);
/// let ensemble = Protocol { ensemble: 2, ..alone.clone() };
/// let refused = alone.check_like(&ensemble).unwrap_err();
/// assert!(refused.to_string().contains("ensemble: 1, not 2"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Name of the data set.
    pub data: String,
    /// Split that was ranked.
    pub split: String,
    /// Images in the split.
    pub n_images: u64,
    /// Captions in the split.
    pub n_captions: u64,
    /// The fewest and the most captions of an image.
    pub captions_per_image: CaptionsPerImage,
    /// Who counts as right: `pairs`, or what the caller calls other judgments.
    #[serde(default = "pairs")]
    pub relevance: String,
    /// Number of equal parts that the split was cut into; 1 = the whole split at once.
    pub folds: u32,
    /// Networks whose scores were averaged; 1 = a single one.
    pub ensemble: u32,
    /// Noise planted in the training pairs; `None` when none was planted.
    pub noise: Option<TrainingNoise>,
    /// SHA-256 of the evaluated data, if the caller computed it.
    pub data_hash: Option<String>,
    /// How equal scores are ranked.
    pub ties: Ties,
}

/// The relevance of the data's own pairs.
fn pairs() -> String {
    "pairs".to_owned()
}

/// Range of the number of captions that an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaptionsPerImage {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// What identifies planted training noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrainingNoise {
    /// SHA-256 of the noisy image index, as in the manifest.
    pub sha256: String,
    /// `caption`, `image` or `file`.
    pub protocol: String,
    /// Share of pairs that really lost their own image, [0, 1].
    pub rate: f64,
}

/// How equal scores are ranked; there is only one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Ties {
    /// Non-relevant items with the same score come before the relevant one.
    #[default]
    Against,
}

impl Protocol {
    /// The protocol of one clean network on a whole split; change the fields that differ.
    pub fn new(data: impl Into<String>, split: impl Into<String>, relevance: &Relevance) -> Self {
        let (min, max) = relevance.captions_per_image();
        Self {
            data: data.into(),
            split: split.into(),
            n_images: relevance.n_images() as u64,
            n_captions: relevance.n_captions() as u64,
            captions_per_image: CaptionsPerImage { min, max },
            relevance: pairs(),
            folds: 1,
            ensemble: 1,
            noise: None,
            data_hash: None,
            ties: Ties::Against,
        }
    }

    /// Refuses to compare under two different protocols.
    ///
    /// # Errors
    /// If they differ; each field is named with both values.
    pub fn check_like(&self, other: &Protocol) -> Result<()> {
        let differences = self.differences(other);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "the reports follow different protocols: {}",
                differences.join("; ")
            ),
            "evaluate both on the same data, split, relevance, folds, ensemble size and training \
             noise",
        ))
    }

    /// The fields in which two protocols differ, as `name: this, not that`; empty when they are the same.
    ///
    /// A data hash that only one side has proves nothing and is ignored.
    pub fn differences(&self, other: &Protocol) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |name: &str, this: String, that: String| {
            if this != that {
                found.push(format!("{name}: {this}, not {that}"));
            }
        };
        check("data", self.data.clone(), other.data.clone());
        check("split", self.split.clone(), other.split.clone());
        check(
            "n_images",
            self.n_images.to_string(),
            other.n_images.to_string(),
        );
        check(
            "n_captions",
            self.n_captions.to_string(),
            other.n_captions.to_string(),
        );
        check(
            "captions_per_image",
            self.captions_per_image.to_string(),
            other.captions_per_image.to_string(),
        );
        check("relevance", self.relevance.clone(), other.relevance.clone());
        check("folds", self.folds.to_string(), other.folds.to_string());
        check(
            "ensemble",
            self.ensemble.to_string(),
            other.ensemble.to_string(),
        );
        check(
            "noise",
            describe(self.noise.as_ref()),
            describe(other.noise.as_ref()),
        );
        if let (Some(this), Some(that)) = (&self.data_hash, &other.data_hash) {
            check("data_hash", this.clone(), that.clone());
        }
        found
    }
}

impl std::fmt::Display for CaptionsPerImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.min == self.max {
            true => write!(f, "{}", self.min),
            false => write!(f, "{} to {}", self.min, self.max),
        }
    }
}

fn describe(noise: Option<&TrainingNoise>) -> String {
    match noise {
        None => "none".into(),
        Some(noise) => format!("{} {} ({})", noise.protocol, noise.rate, noise.sha256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;

    fn protocol() -> Protocol {
        let pairs: Vec<Pair> = (0..12)
            .map(|caption| Pair {
                image: caption / 4,
                caption,
            })
            .collect();
        Protocol::new("toy", "test", &Relevance::from_pairs(3, 12, &pairs))
    }

    #[test]
    fn counts_come_from_the_relevance() {
        let protocol = protocol();
        assert_eq!((protocol.n_images, protocol.n_captions), (3, 12));
        assert_eq!(
            protocol.captions_per_image,
            CaptionsPerImage { min: 4, max: 4 }
        );
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let noise = |sha256: &str| {
            Some(TrainingNoise {
                sha256: sha256.into(),
                protocol: "caption".into(),
                rate: 0.4,
            })
        };
        let mut changed = vec![("data", protocol()); 10];
        changed[0].1.data = "other".into();
        changed[1] = (
            "split",
            Protocol {
                split: "dev".into(),
                ..protocol()
            },
        );
        changed[2] = (
            "n_images",
            Protocol {
                n_images: 1,
                ..protocol()
            },
        );
        changed[3] = (
            "n_captions",
            Protocol {
                n_captions: 1,
                ..protocol()
            },
        );
        let one_to_five = CaptionsPerImage { min: 1, max: 5 };
        let other = Protocol {
            captions_per_image: one_to_five,
            ..protocol()
        };
        changed[4] = ("captions_per_image", other);
        changed[5] = (
            "folds",
            Protocol {
                folds: 5,
                ..protocol()
            },
        );
        changed[6] = (
            "ensemble",
            Protocol {
                ensemble: 2,
                ..protocol()
            },
        );
        changed[7] = (
            "noise",
            Protocol {
                noise: noise("aa"),
                ..protocol()
            },
        );
        changed[8] = (
            "noise",
            Protocol {
                noise: noise("bb"),
                ..protocol()
            },
        );
        changed[9] = (
            "relevance",
            Protocol {
                relevance: "cxc".into(),
                ..protocol()
            },
        );
        for (name, other) in &changed {
            let differences = protocol().differences(other);
            assert_eq!(differences.len(), 1, "{name}");
            assert!(
                differences[0].starts_with(&format!("{name}: ")),
                "{}",
                differences[0]
            );
        }
        assert_eq!(changed[7].1.differences(&changed[8].1).len(), 1);
        assert!(protocol().differences(&protocol()).is_empty());
    }

    #[test]
    fn protocols_stored_without_a_relevance_are_of_pairs() {
        let mut stored = serde_json::to_value(protocol()).unwrap();
        stored.as_object_mut().unwrap().remove("relevance");
        let read: Protocol = serde_json::from_value(stored).unwrap();
        assert_eq!(read, protocol());
    }

    #[test]
    fn a_hash_that_one_side_does_not_know_proves_nothing() {
        let hashed = |hash: &str| Protocol {
            data_hash: Some(hash.into()),
            ..protocol()
        };
        assert!(protocol().differences(&hashed("aa")).is_empty());
        assert_eq!(hashed("aa").differences(&hashed("bb")).len(), 1);
    }
}
