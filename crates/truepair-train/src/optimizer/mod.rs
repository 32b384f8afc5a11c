//! Optimizers and rate schedules.
//!
//! The framework ships Adam and AdamW; these are our own because a run must resume to the bit from
//! a state that has names and that Python reads, and because one fused pass over weights, gradient
//! and moments moves a quarter of the memory that tensor operations would.

mod adam;
mod schedule;

pub(crate) use adam::floats;
pub use adam::{Adam, AdamConfig, Decay, Moments, clip_scale, global_norm};
pub use schedule::{CosineSchedule, Schedule, StepSchedule};

use serde::{Deserialize, Serialize};

/// Which optimizer, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Weight decay is added to the gradient.
    Adam(AdamConfig),
    /// Weight decay shrinks the weights directly.
    AdamW(AdamConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamConfig::default())
    }
}

impl OptimizerConfig {
    /// The settings shared by both.
    pub fn settings(&self) -> &AdamConfig {
        match self {
            Self::Adam(config) | Self::AdamW(config) => config,
        }
    }

    /// A fresh state.
    pub fn build(&self) -> Adam {
        match self {
            Self::Adam(config) => Adam::new(config.clone(), Decay::Coupled),
            Self::AdamW(config) => Adam::new(config.clone(), Decay::Decoupled),
        }
    }
}
