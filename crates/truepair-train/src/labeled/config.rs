//! A run's settings.

use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;

use super::method::LabelMethodConfig;
use super::network::NetworkConfig;
use crate::config::check_sizes;
use crate::error::Result;
use truepair_model::kernel::Precision;
use truepair_model::optimizer::{AdamConfig, OptimizerConfig, Schedule};

/// Settings of training on labeled data.
///
/// ```
/// use truepair_train::labeled::LabelConfig;
///
/// let config: LabelConfig = toml::from_str("[training]\nepochs = 20\n").unwrap();
/// assert_eq!(config.training.epochs, 20);
/// assert!(config.check().is_ok());
/// let config: LabelConfig = toml::from_str("[training]\nbatch = 1\n").unwrap();
/// assert!(config.check().unwrap_err().to_string().contains("training.batch is at least 2"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelConfig {
    /// What is minimized.
    pub method: LabelMethodConfig,
    /// The networks.
    pub network: NetworkConfig,
    /// How weights move.
    pub optimizer: OptimizerConfig,
    /// How the rate falls.
    pub schedule: Schedule,
    /// The loop.
    pub training: LabelTrainingConfig,
}

/// Settings of the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelTrainingConfig {
    /// Passes over the items, at least 1.
    pub epochs: usize,
    /// Items in a batch, at least 2.
    pub batch: usize,
    /// Which epoch's weights are kept.
    pub select: LabelSelect,
    /// Share of the training items held out by `select = "held-out"`, (0, 1).
    pub held_out: f64,
    /// Number format of the factors of matrix products.
    pub precision: Precision,
}

/// Which epoch's weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSelect {
    /// The one that retrieves best among training items held out with their labels as given, wrong
    /// ones included: needs no clean label.
    HeldOut,
    /// The one that retrieves best on the dev split with its own labels, as the literature does.
    Dev,
    /// The last.
    Last,
}

impl Default for LabelConfig {
    fn default() -> Self {
        Self {
            method: LabelMethodConfig::default(),
            network: NetworkConfig::default(),
            optimizer: OptimizerConfig::Adam(AdamConfig {
                rate: 5e-4,
                beta1: 0.5,
                weight_decay: 0.0,
                ..AdamConfig::default()
            }),
            schedule: Schedule::default(),
            training: LabelTrainingConfig::default(),
        }
    }
}

impl Default for LabelTrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 128,
            select: LabelSelect::HeldOut,
            held_out: 0.1,
            precision: Precision::default(),
        }
    }
}

impl LabelConfig {
    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain numbers and words are TOML")
    }

    /// Checks every range.
    ///
    /// # Errors
    /// If a setting is out of range; the message names it.
    pub fn check(&self) -> Result<()> {
        check_sizes(self)?;
        self.method.check()?;
        let (network, training) = (&self.network, &self.training);
        let problems = [
            (
                network.hidden == 0 || network.dim == 0,
                "network.hidden and network.dim are at least 1",
            ),
            (
                !(0.0..1.0).contains(&network.dropout),
                "network.dropout is in [0, 1)",
            ),
            (training.epochs == 0, "training.epochs is at least 1"),
            (training.batch < 2, "training.batch is at least 2"),
            (
                !(training.held_out > 0.0 && training.held_out < 1.0),
                "training.held_out is between 0 and 1",
            ),
        ];
        match problems.iter().find(|(wrong, _)| *wrong) {
            None => Ok(()),
            Some((_, rule)) => Err(CoreError::argument("a setting is out of range", *rule).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_survive_toml_and_ranges_are_checked() {
        let config = LabelConfig::default();
        assert_eq!(
            toml::from_str::<LabelConfig>(&config.to_toml()).unwrap(),
            config
        );
        assert_eq!(toml::from_str::<LabelConfig>("").unwrap(), config);
        for bad in [
            "network.dropout = 1.0",
            "training.epochs = 0",
            "training.held_out = 0.0",
            "network.hidden = 9223372036854775807",
        ] {
            let config: LabelConfig = toml::from_str(bad).unwrap();
            assert!(config.check().is_err(), "{bad}");
        }
    }
}
