//! The registry of methods for labeled data.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;

use super::view::{ItemLoss, LabelMethod, LabelView};
use super::{CrossEntropyConfig, LabelNetworks, MrlConfig, RonoConfig};
use crate::error::Result;

/// What scores the classes: a column of the table below.
#[derive(PartialEq)]
enum Classes {
    /// The class centers, which are brought back to length 1 after every step.
    Centers,
    /// A shared classifier beside the centers.
    Head,
}

/// Rows name the config and what scores the classes.
macro_rules! label_methods {
    ($($variant:ident($config:ty) = $name:literal classes by $classes:ident, $summary:literal;)*) => {
        /// A method with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum LabelMethodConfig {
            $(#[doc = $summary] #[serde(rename = $name)] $variant($config),)*
        }

        impl LabelMethodConfig {
            /// Every method: name, one sentence, default settings.
            pub fn all() -> Vec<(&'static str, &'static str, Self)> {
                vec![$(($name, $summary, Self::$variant(<$config>::default())),)*]
            }

            /// The word by which a user names it.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn classes(&self) -> Classes {
                match self { $(Self::$variant(_) => Classes::$classes,)* }
            }

            fn method(&self) -> &dyn LabelMethod {
                match self { $(Self::$variant(config) => config,)* }
            }
        }
    };
}

label_methods! {
    Mrl(MrlConfig) = "mrl" classes by Centers, "Robust clustering around shared class centers, and contrast between modalities.";
    CrossEntropy(CrossEntropyConfig) = "cross-entropy" classes by Centers, "Cross-entropy on shared class centers: no defense against wrong labels.";
    Rono(RonoConfig) = "rono" classes by Head, "Discriminative centers, a bounded loss of a shared classifier, and contrast.";
}

impl Default for LabelMethodConfig {
    fn default() -> Self {
        Self::Mrl(MrlConfig::default())
    }
}

impl LabelMethodConfig {
    /// One loss an item, `[b]`.
    pub fn item_loss(&self, view: &LabelView<'_>) -> ItemLoss {
        self.method().item_loss(view)
    }

    /// Scores of embeddings `[b, d]` for every class, `[b, k]`, larger = more likely.
    pub fn class_scores(&self, networks: &LabelNetworks, embedding: Tensor<2>) -> Tensor<2> {
        match &networks.head {
            Some(head) if self.has_head() => head.forward(embedding),
            _ => embedding.matmul(networks.centers.val()),
        }
    }

    /// Whether centers are brought back to length 1 after every step.
    pub(super) fn keeps_unit_centers(&self) -> bool {
        self.classes() == Classes::Centers
    }

    /// Whether there is a shared classifier beside the centers.
    pub fn has_head(&self) -> bool {
        self.classes() == Classes::Head
    }

    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// If a temperature or scale is not positive or a share is outside [0, 1].
    pub fn check(&self) -> Result<()> {
        let method = self.method();
        let mut scales = method.scales().into_iter();
        let bad = scales.find(|(_, value)| *value <= 0.0 || value.is_nan());
        let beta = method.beta().filter(|share| !(0.0..=1.0).contains(share));
        match bad.or(beta.map(|share| ("beta", share))) {
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
