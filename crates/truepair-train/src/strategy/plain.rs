//! No strategy: one objective on every pair, as if every pair were right.

use serde::{Deserialize, Serialize};

use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{Negatives, ObjectiveConfig};

/// Settings of `plain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlainConfig {
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// Networks, 1 or 2; they know nothing of each other, and their scores are averaged.
    pub peers: usize,
    /// Epochs that a triplet starts with `warm_up_negatives` instead of its own, in addition to
    /// `training.epochs`; 0 for other objectives.
    pub warm_up: usize,
    /// Which negatives the warm-up counts: their mean (the literature's SGR* variant) or their sum
    /// (VSE∞).
    pub warm_up_negatives: Negatives,
}

impl Default for PlainConfig {
    fn default() -> Self {
        Self {
            objective: ObjectiveConfig::default(),
            peers: 1,
            warm_up: 0,
            warm_up_negatives: Negatives::Mean,
        }
    }
}

#[derive(Debug)]
struct Plain {
    config: PlainConfig,
    warm_up: ObjectiveConfig,
}

impl PlainConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        if !(1..=2).contains(&self.peers) {
            return Err(truepair_core::Error::argument(
                format!("strategy.peers = {} is neither 1 nor 2", self.peers),
                "use 1, or 2 for an ensemble",
            )
            .into());
        }
        let warm_up = match &self.objective {
            ObjectiveConfig::Triplet(triplet) => {
                let mut warm_up = triplet.clone();
                warm_up.negatives = self.warm_up_negatives;
                ObjectiveConfig::Triplet(warm_up)
            }
            ObjectiveConfig::InfoNce(_) | ObjectiveConfig::Tal(_) if self.warm_up > 0 => {
                return Err(truepair_core::Error::argument(
                    format!(
                        "strategy.warm_up = {} has no meaning for `info_nce` and `tal`",
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
    fn n_peers(&self) -> usize {
        self.config.peers
    }

    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn takes_closed_form(&self) -> bool {
        true
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let objective = if epoch.is_warm_up() {
            &self.warm_up
        } else {
            &self.config.objective
        };
        objective.pair_loss(view.scores).into()
    }
}
