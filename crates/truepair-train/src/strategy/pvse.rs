//! Polysemous embeddings: several vectors an item, of which the best pair counts.

use serde::{Deserialize, Serialize};

use super::pcme::weights;
use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::matcher::regularizer::Regularizers;
use truepair_model::objective::{Negatives, Triplet, positive};

/// Settings of `pvse`.
///
/// # Source
/// Song and Soleymani, CVPR 2019; code read at yalesong/pvse@874aa16, `PVSELoss`. Golden
/// `u08_pvse_loss`.
/// # Deviations
/// 1. `training.reduction = "mean"` gives the released mean over rows and columns.
/// 2. The released code selects epochs on the test split; nothing here does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PvseConfig {
    /// In units of the cosine.
    pub margin: f64,
    /// Which of the batch's other pairs count.
    pub negatives: Negatives,
    /// Weight of what keeps an item's vectors apart; 0 leaves it out.
    pub diversity: f64,
    /// Weight of what makes the two modalities' vectors alike; 0 leaves it out.
    pub discrepancy: f64,
}

impl Default for PvseConfig {
    fn default() -> Self {
        Self {
            margin: 0.1,
            negatives: Negatives::Hardest,
            diversity: 0.1,
            discrepancy: 0.01,
        }
    }
}

#[derive(Debug)]
struct Pvse {
    objective: Triplet,
    regularizers: Regularizers,
}

impl PvseConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.margin", self.margin)?;
        weights(&[
            ("diversity", self.diversity),
            ("discrepancy", self.discrepancy),
        ])?;
        Ok(Box::new(Pvse {
            objective: Triplet {
                margin: self.margin,
                negatives: self.negatives,
            },
            regularizers: Regularizers {
                diversity: self.diversity,
                discrepancy: self.discrepancy,
                ..Regularizers::default()
            },
        }))
    }
}

impl Strategy for Pvse {
    fn regularizers(&self) -> Regularizers {
        self.regularizers
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        self.objective.pair_loss(view.scores).into()
    }
}
