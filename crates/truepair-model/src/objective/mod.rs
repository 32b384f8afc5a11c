//! Objectives: pure functions from a batch's scores to one loss per pair.
//!
//! Nothing here reduces over pairs; only the trainer does. Scores are `[b, b]` with images as rows,
//! captions as columns and the given pairs on the diagonal.

mod active;
mod biased;
pub mod check;
mod complementary;
mod consistency;
mod dirichlet;
mod dynamic_hinge;
mod early_learning;
mod evidential;
mod info_nce;
mod negative_triplet;
mod rince;
mod soft_contrastive;
mod soft_match;
mod softmax;
mod square;
mod structural;
mod tal;
mod transport;
mod triplet;
mod weighted_hinge;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

pub use active::ActiveComplementary;
pub use biased::BiasedComplementary;
pub use complementary::{ComplementForm, Complementary, negative_log};
pub use consistency::{asymmetry, equivariance, modality_gap};
pub use dynamic_hinge::dynamic_hinge;
pub use early_learning::{accumulate, beats_hardest, early_learning};
pub use evidential::Evidential;
pub use info_nce::InfoNce;
pub use negative_triplet::{NegativeDirection, NegativeForm, NegativeTriplet};
pub use rince::Rince;
pub use soft_contrastive::{Over, SoftContrastive};
pub use soft_match::{soft_cross_entropy, symmetric_cross_entropy, symmetric_divergence};
pub use softmax::{log_probabilities, per_entry, per_pair};
pub(crate) use square::diagonal;
pub use square::off_diagonal;
pub use structural::{StructureDirection, neighborhood_agreement, structural};
pub use tal::Tal;
pub use transport::PartialTransport;
pub use triplet::{Margins, Negatives, Triplet, triplet};
pub use weighted_hinge::{swapped_certainty, weighted_hinge};

/// One loss per pair, `[b]`.
#[derive(Debug, Clone)]
pub struct PairLoss(pub Tensor<1>);

/// An objective that needs nothing but scores.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use truepair_model::objective::{Negatives, ObjectiveConfig, Triplet};
///
/// // Two pairs, the second of which a wrong caption and a wrong image come near.
/// let scores = Tensor::<2>::from_data([[0.9, 0.1], [0.1, 0.2]], &Device::flex());
/// let triplet = Triplet { margin: 0.2, negatives: Negatives::Hardest };
/// let losses = ObjectiveConfig::Triplet(triplet).pair_loss(&scores).0;
/// let losses: Vec<f32> = losses.into_data().try_into_vec().unwrap();
/// // max(0, 0.2 - 0.2 + 0.1) in both directions.
/// assert!(losses[0] == 0.0 && (losses[1] - 0.2).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ObjectiveConfig {
    /// Softmax over the batch in both directions.
    InfoNce(InfoNce),
    /// Hinge on a soft maximum of score differences.
    Tal(Tal),
    /// Hinge on score differences.
    Triplet(Triplet),
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self::InfoNce(InfoNce::default())
    }
}

impl ObjectiveConfig {
    /// One loss per pair of scores `[b, b]`.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        match self {
            Self::InfoNce(objective) => objective.pair_loss(scores),
            Self::Tal(objective) => objective.pair_loss(scores, None),
            Self::Triplet(objective) => objective.pair_loss(scores),
        }
    }

    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// If a temperature or margin is not positive.
    pub fn check(&self) -> Result<(), truepair_core::Error> {
        match self {
            Self::InfoNce(objective) => positive("temperature", objective.temperature),
            Self::Tal(objective) => {
                positive("margin", objective.margin)?;
                positive("temperature", objective.temperature)
            }
            Self::Triplet(objective) => positive("margin", objective.margin),
        }
    }
}

/// Refuses a setting that must be above 0.
pub fn positive(name: &str, value: f64) -> Result<(), truepair_core::Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(truepair_core::Error::argument(
        format!("{name} = {value} is not a positive number"),
        format!("set {name} above 0"),
    ))
}

/// Of scores `[b, b]` the hardest wrong caption's score per image and the hardest wrong image's per
/// caption, `[b]` each; about −1e30 where there is none.
pub(crate) fn hardest_others(scores: &Tensor<2>) -> [Tensor<1>; 2] {
    let b = scores.dims()[0];
    let others = scores.clone() - Tensor::eye(b, &scores.device()) * 1e30;
    [
        others.clone().max_dim(1).reshape([b]),
        others.max_dim(0).reshape([b]),
    ]
}
