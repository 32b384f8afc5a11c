//! The registry of methods for labelled data.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;

use super::view::{ItemLoss, LabelView};
use super::{CrossEntropyConfig, LabelNetworks, MrlConfig, RonoConfig};
use crate::error::Result;

/// A method with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LabelMethodConfig {
    /// Robust clustering and multimodal contrast.
    Mrl(MrlConfig),
    /// Cross-entropy, alone or with contrast.
    CrossEntropy(CrossEntropyConfig),
    /// Discriminative centers, a bounded classifier loss and contrast.
    Rono(RonoConfig),
}

impl Default for LabelMethodConfig {
    fn default() -> Self {
        Self::Mrl(MrlConfig::default())
    }
}

impl LabelMethodConfig {
    /// Every method: name, one sentence, default settings.
    pub fn all() -> Vec<(&'static str, &'static str, Self)> {
        vec![
            (
                "mrl",
                "Robust clustering around shared class centers, and contrast between modalities.",
                Self::Mrl(MrlConfig::default()),
            ),
            (
                "cross-entropy",
                "Cross-entropy on shared class centers: no defense against wrong labels.",
                Self::CrossEntropy(CrossEntropyConfig::default()),
            ),
            (
                "rono",
                "Discriminative centers, a bounded loss of a shared classifier, and contrast.",
                Self::Rono(RonoConfig::default()),
            ),
        ]
    }

    /// The word by which a user names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mrl(_) => "mrl",
            Self::CrossEntropy(_) => "cross-entropy",
            Self::Rono(_) => "rono",
        }
    }

    /// One loss an item, `[b]`.
    pub fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        match self {
            Self::Mrl(config) => config.item_loss(view),
            Self::CrossEntropy(config) => config.item_loss(view),
            Self::Rono(config) => config.item_loss(view),
        }
    }

    /// Scores of embeddings `[b, d]` for every class, `[b, k]`, larger = more likely.
    pub fn class_scores(&self, networks: &LabelNetworks, embedding: Tensor<2>) -> Tensor<2> {
        match (self, &networks.head) {
            (Self::Rono(_), Some(head)) => head.forward(embedding),
            _ => embedding.matmul(networks.centers.val()),
        }
    }

    /// Whether centers are brought back to length 1 after every step.
    pub(super) fn keeps_unit_centers(&self) -> bool {
        !matches!(self, Self::Rono(_))
    }

    /// Whether there is a shared classifier beside the centers.
    pub fn has_head(&self) -> bool {
        matches!(self, Self::Rono(_))
    }

    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// If a temperature or scale is not positive or a share is outside [0, 1].
    pub fn check(&self) -> Result<()> {
        let positive: Vec<(&str, f64)> = match self {
            Self::Mrl(config) => vec![
                ("temperature", config.temperature),
                ("contrastive_temperature", config.contrastive_temperature),
            ],
            Self::CrossEntropy(config) => vec![
                ("temperature", config.temperature),
                ("contrastive_temperature", config.contrastive_temperature),
            ],
            Self::Rono(config) => vec![
                ("scale", config.scale),
                ("contrastive_temperature", config.contrastive_temperature),
            ],
        };
        let bad = positive
            .iter()
            .find(|(_, value)| *value <= 0.0 || value.is_nan());
        let beta = match self {
            Self::Mrl(config) => Some(("beta", config.beta)),
            Self::CrossEntropy(config) => Some(("beta", config.beta)),
            Self::Rono(_) => None,
        };
        let beta = beta.filter(|(_, share)| !(0.0..=1.0).contains(share));
        match bad.copied().or(beta) {
            None => Ok(()),
            Some((name, value)) => Err(CoreError::argument(
                format!("method `{}` cannot have {name} = {value}", self.name()),
                "temperatures and scales are above 0, beta is in [0, 1]",
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_sound_and_survives_toml() {
        for (name, _, config) in LabelMethodConfig::all() {
            assert_eq!(config.name(), name);
            config.check().unwrap();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<LabelMethodConfig>(&text).unwrap(), config);
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let config = LabelMethodConfig::Mrl(MrlConfig {
            beta: 1.5,
            ..MrlConfig::default()
        });
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("beta = 1.5"), "{error}");
        let config = LabelMethodConfig::CrossEntropy(CrossEntropyConfig {
            temperature: 0.0,
            ..CrossEntropyConfig::default()
        });
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("temperature = 0"), "{error}");
    }
}
