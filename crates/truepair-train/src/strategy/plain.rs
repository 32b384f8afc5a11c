//! No strategy: one objective on every pair, as if every pair were right.

use serde::{Deserialize, Serialize};

use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use crate::objective::{Negatives, ObjectiveConfig};

/// Settings of `plain`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlainConfig {
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// Epochs that a hardest-negative triplet starts with the mean over negatives instead, in
    /// addition to `training.epochs` (the literature's SGR* variant); 0 for other objectives.
    pub warm_up: usize,
}

#[derive(Debug)]
struct Plain {
    config: PlainConfig,
    warm_up: ObjectiveConfig,
}

impl PlainConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        let warm_up = match &self.objective {
            ObjectiveConfig::Triplet(triplet) => {
                let mut mean = triplet.clone();
                mean.negatives = Negatives::Mean;
                ObjectiveConfig::Triplet(mean)
            }
            ObjectiveConfig::InfoNce(_) if self.warm_up > 0 => {
                return Err(truepair_core::Error::argument(
                    format!(
                        "strategy.warm_up = {} has no meaning for `info_nce`",
                        self.warm_up
                    ),
                    "set it to 0, or choose the `triplet` objective",
                )
                .into());
            }
            other => other.clone(),
        };
        Ok(Box::new(Plain {
            config: self.clone(),
            warm_up,
        }))
    }
}

impl Strategy for Plain {
    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn pair_loss(&self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let objective = if epoch.is_warm_up() {
            &self.warm_up
        } else {
            &self.config.objective
        };
        objective.pair_loss(view.scores).into()
    }
}
