//! Probabilistic cross-modal embeddings: items are Gaussians, and every pair of a batch is a match
//! or a mismatch of draws.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::matcher::regularizer::{Divergence, DivergenceForm, Regularizers};
use truepair_model::objective::{Over, SoftContrastive};

/// Settings of `pcme`.
///
/// # Source
/// Chun et al., CVPR 2021; code read at naver-ai/pcme@4947684, `MCSoftContrastiveLoss`. Golden
/// `u09_pcme_loss`.
/// # Deviations
/// 1. The divergence is that of the Gaussians that are drawn from; the released code takes log σ for
///    log σ² there and the mean of the draws for the mean: `divergence = "released"`.
/// 2. `a` and `b` count in the gradient's norm; the released code clips without them.
/// 3. With `training.reduction = "sum"` the loss is the released one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PcmeStrategyConfig {
    /// Weight of the divergence from the standard Gaussian; 0 leaves it out.
    pub vib: f64,
    /// How the divergence is computed.
    pub divergence: DivergenceSetting,
    /// Weight of the uniformity of all draws; 0 leaves it out.
    pub uniformity: f64,
}

/// How a strategy computes the divergence from the standard Gaussian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DivergenceSetting {
    /// Of the Gaussians that are drawn from.
    Exact,
    /// As PCME's code does.
    Released,
}

impl Default for PcmeStrategyConfig {
    fn default() -> Self {
        Self {
            vib: 1e-5,
            divergence: DivergenceSetting::Exact,
            uniformity: 0.0,
        }
    }
}

#[derive(Debug)]
struct Pcme {
    objective: SoftContrastive,
    regularizers: Regularizers,
}

impl PcmeStrategyConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        weights(&[("vib", self.vib), ("uniformity", self.uniformity)])?;
        let form = match self.divergence {
            DivergenceSetting::Exact => DivergenceForm::Sum,
            DivergenceSetting::Released => DivergenceForm::Released,
        };
        Ok(Box::new(Pcme {
            objective: SoftContrastive {
                over: Over::Sum,
                pseudo: 0.0,
            },
            regularizers: Regularizers {
                divergence: divergence(self.vib, form),
                uniformity: self.uniformity,
                ..Regularizers::default()
            },
        }))
    }
}

impl Strategy for Pcme {
    fn regularizers(&self) -> Regularizers {
        self.regularizers
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        self.objective.pair_loss(view.scores).into()
    }
}

pub(super) fn divergence(weight: f64, form: DivergenceForm) -> Option<Divergence> {
    (weight > 0.0).then_some(Divergence { weight, form })
}

/// # Errors
/// If a weight is below 0 or not finite.
pub(super) fn weights(given: &[(&str, f64)]) -> Result<()> {
    match given
        .iter()
        .find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite()))
    {
        None => Ok(()),
        Some((name, weight)) => Err(Error::argument(
            format!("strategy.{name} = {weight} is no weight"),
            "weights are at least 0; 0 leaves a term out",
        )
        .into()),
    }
}
