//! Optimizers and rate schedules.
//!
//! The framework ships Adam and AdamW; these are our own because a run must resume to the bit from
//! a state that has names and that Python reads, and because one fused pass over weights, gradient
//! and moments moves a quarter of the memory that tensor operations would.

mod adam;
mod adamp;
pub mod groups;
mod moments;
mod schedule;

pub use adam::{Adam, Decay, clip_scale, global_norm};
pub use adamp::AdamPConfig;
pub use moments::{AdamConfig, Moments};
pub use schedule::{CosineSchedule, Schedule, StepSchedule};

use serde::{Deserialize, Serialize};

/// Which optimizer, with its settings.
///
/// ```
/// use truepair_model::optimizer::{AdamConfig, OptimizerConfig};
///
/// let config = OptimizerConfig::AdamW(AdamConfig { rate: 0.001, ..AdamConfig::default() });
/// assert_eq!(config.settings().rate, 0.001);
/// let text = toml::to_string(&config)?;
/// assert!(text.starts_with("kind = \"adamw\""));
/// assert_eq!(toml::from_str::<OptimizerConfig>(&text).unwrap(), config);
/// # Ok::<(), toml::ser::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Weight decay is added to the gradient.
    Adam(AdamConfig),
    /// Weight decay shrinks the weights directly.
    AdamW(AdamConfig),
    /// AdamW whose steps do not only lengthen weights.
    AdamP(AdamPConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamConfig::default())
    }
}

impl OptimizerConfig {
    /// The settings that all have.
    pub fn settings(&self) -> AdamConfig {
        match self {
            Self::Adam(config) | Self::AdamW(config) => config.clone(),
            Self::AdamP(config) => config.adam(),
        }
    }

    /// A fresh state.
    pub fn build(&self) -> Adam {
        let decay = match self {
            Self::Adam(_) => Decay::Coupled,
            Self::AdamW(_) | Self::AdamP(_) => Decay::Decoupled,
        };
        let adam = Adam::new(self.settings(), decay);
        match self {
            Self::Adam(_) | Self::AdamW(_) => adam,
            Self::AdamP(config) => adam.projected(config.projection()),
        }
    }
}
