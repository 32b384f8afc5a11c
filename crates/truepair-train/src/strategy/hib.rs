//! Hedged instance embeddings: Gaussians under a soft contrastive loss and an information
//! bottleneck.

use serde::{Deserialize, Serialize};

use super::pcme::{divergence, weights};
use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::matcher::regularizer::{DivergenceForm, Regularizers};
use truepair_model::objective::SoftContrastive;

/// Settings of `hib`.
///
/// # Source
/// Oh et al., ICLR 2019; formulas recalled, not read in the paper, and cross-checked against PCME's
/// code.
/// # Deviations
/// 1. HIB embeds one modality with class labels. Here image and caption are the two items; `within`
///    adds the same loss inside either modality, where an item matches a second draw of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HibConfig {
    /// Weight of the divergence from the standard Gaussian; 0 leaves it out.
    pub vib: f64,
    /// Weight of the loss inside either modality; 0 leaves it out.
    pub within: f64,
}

impl Default for HibConfig {
    fn default() -> Self {
        Self {
            vib: 1e-4,
            within: 0.0,
        }
    }
}

#[derive(Debug)]
struct Hib {
    regularizers: Regularizers,
}

impl HibConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        weights(&[("vib", self.vib), ("within", self.within)])?;
        Ok(Box::new(Hib {
            regularizers: Regularizers {
                divergence: divergence(self.vib, DivergenceForm::Sum),
                within: self.within,
                ..Regularizers::default()
            },
        }))
    }
}

impl Strategy for Hib {
    fn regularizers(&self) -> Regularizers {
        self.regularizers
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        SoftContrastive::default().pair_loss(view.scores).into()
    }
}
