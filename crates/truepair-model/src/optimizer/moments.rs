//! What every optimizer of the family of Adam has: its settings, and two moments a parameter.

use serde::{Deserialize, Serialize};

/// Settings of Adam and AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Learning rate before the schedule.
    pub rate: f64,
    /// Decay of the first moment, [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, [0, 1).
    pub beta2: f64,
    /// Guard added to the root of the second moment.
    pub epsilon: f64,
    /// Strength of the decay towards 0.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// First and second moment of one parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of the squared gradient.
    pub second: Vec<f32>,
}
