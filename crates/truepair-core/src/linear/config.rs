//! The settings of a linear matcher.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::LatentSemanticsConfig;

/// Settings of [`LinearMatcher`](super::LinearMatcher). Where a list names several values, those under
/// which held-out pairs rank best are used; this needs no labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearConfig {
    /// Ridges, each at least 0, as multiples of the mean variance of a modality's numbers.
    pub ridge: Vec<f64>,
    /// How many directions are kept, each number at least 1; at most as many as the narrower modality
    /// has dimensions.
    pub width: Vec<usize>,
    /// Directions are scaled by their canonical correlation to one of these powers, each at least 0.
    pub power: Vec<f64>,
}

/// How items become vectors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VectorsConfig {
    /// How regions become one vector.
    pub pooling: Pooling,
    /// How texts without embeddings become vectors.
    pub text: LatentSemanticsConfig,
}

/// How the regions of an item become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// Their mean, followed by their standard deviation.
    MeanDeviation,
}

/// The settings that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Multiple of the mean variance that was added.
    pub ridge: f64,
    /// How many directions are kept.
    pub width: usize,
    /// Power of the canonical correlations.
    pub power: f64,
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            ridge,
            width,
            power,
        } = self;
        write!(f, "ridge {ridge}, {width} directions, power {power}")
    }
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self {
            ridge: vec![0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
            width: vec![64, 128, 256],
            power: vec![0.5, 1.0],
        }
    }
}

impl LinearConfig {
    /// # Errors
    /// If a list is empty or a value is out of range; the message names the setting.
    pub fn check(&self) -> Result<()> {
        let at_least_0 = |values: &[f64]| values.iter().all(|x| x.is_finite() && *x >= 0.0);
        let rules = [
            (
                "ridge",
                self.ridge.is_empty(),
                at_least_0(&self.ridge),
                "at least 0",
            ),
            (
                "width",
                self.width.is_empty(),
                !self.width.contains(&0),
                "at least 1",
            ),
            (
                "power",
                self.power.is_empty(),
                at_least_0(&self.power),
                "at least 0",
            ),
        ];
        for (name, empty, in_range, range) in rules {
            if empty || !in_range {
                let problem = if empty {
                    "is empty"
                } else {
                    "holds a value out of range"
                };
                return Err(Error::argument(
                    format!("linear.{name} {problem}"),
                    format!("name one value or several, each {range}"),
                ));
            }
        }
        Ok(())
    }

    /// Whether there is anything to choose.
    pub(super) fn is_open(&self) -> bool {
        self.ridge.len() * self.width.len() * self.power.len() > 1
    }

    /// Every combination.
    pub(super) fn grid(&self) -> Vec<Chosen> {
        let mut grid = Vec::new();
        for &ridge in &self.ridge {
            for &width in &self.width {
                for &power in &self.power {
                    grid.push(Chosen {
                        ridge,
                        width,
                        power,
                    });
                }
            }
        }
        grid
    }
}
