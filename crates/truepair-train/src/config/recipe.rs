//! What a run is made of, as typed: whatever is left open, the data may fill in.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::dataset::Dataset;
use truepair_core::linear::LinearConfig;
use truepair_core::text::LatentSemanticsConfig;

use super::training::TrainingConfig;
use crate::error::Result;
use truepair_model::backbone::BackboneConfig;
use truepair_model::matcher::describer::DescriberConfig;
use truepair_model::matcher::esc::EscConfig;
use truepair_model::matcher::sps::SpsConfig;
use truepair_model::optimizer::groups::GroupConfig;
use truepair_model::optimizer::{OptimizerConfig, Schedule};
use truepair_model::similarity::SimilarityConfig;

/// A run's settings as typed. Backbones that are left out are chosen by the data.
///
/// `S` is what a method's settings are: a recipe of a run takes every strategy, that of an audit's
/// networks inside a strategy only those that ask for no audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecipeOf<S> {
    /// The method.
    pub strategy: Option<S>,
    /// Backbones and similarity.
    pub matcher: MatcherRecipe,
    /// How weights move.
    pub optimizer: OptimizerConfig,
    /// How the rate falls.
    pub schedule: Schedule,
    /// The loop.
    pub training: TrainingConfig,
    /// Regularizers beside the method's own loss.
    #[serde(default, skip_serializing_if = "SpsConfig::is_off")]
    pub sps: SpsConfig,
    /// Equivariance of the scores, beside the method's own loss.
    #[serde(default, skip_serializing_if = "EscConfig::is_off")]
    pub esc: EscConfig,
    /// Parameters that move at another rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
}

/// The matcher's part of a [`RecipeOf`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatcherRecipe {
    /// The images' encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<BackboneConfig>,
    /// The captions' encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<BackboneConfig>,
    /// How encoded items are scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<SimilarityConfig>,
    /// An auxiliary loss of writing captions from regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub describer: Option<DescriberConfig>,
    /// The closed form, for backbones that begin with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear: Option<LinearConfig>,
    /// How vectors are made of captions' texts; left out, they are made where a backbone reads vectors
    /// and the data has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<LatentSemanticsConfig>,
}

impl<S> Default for RecipeOf<S> {
    fn default() -> Self {
        Self {
            strategy: None,
            matcher: MatcherRecipe::default(),
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            training: TrainingConfig::default(),
            sps: SpsConfig::default(),
            esc: EscConfig::default(),
            groups: Vec::new(),
        }
    }
}

impl<S> RecipeOf<S> {
    /// The same recipe with a strategy of another kind.
    pub(crate) fn map_strategy<T>(self, map: impl FnOnce(S) -> T) -> RecipeOf<T> {
        RecipeOf {
            strategy: self.strategy.map(map),
            matcher: self.matcher,
            optimizer: self.optimizer,
            schedule: self.schedule,
            training: self.training,
            sps: self.sps,
            esc: self.esc,
            groups: self.groups,
        }
    }
}

impl MatcherRecipe {
    /// The settings of the closed form, where the backbones begin with it: its own defaults where it
    /// is all of the matcher; where a network follows, as many directions as the network reads, each
    /// scaled by its correlation.
    ///
    /// # Errors
    /// If it is given and no backbone begins with it, or one of two does.
    pub(super) fn closed_form(
        &self,
        image: &BackboneConfig,
        caption: &BackboneConfig,
    ) -> Result<Option<LinearConfig>> {
        let sides = [image, caption];
        let n = sides
            .iter()
            .filter(|side| side.closed_form().is_some())
            .count();
        if n == 1 || (n == 0 && self.linear.is_some()) {
            return Err(Error::argument(
                format!(
                    "the closed form joins both sides, but the backbones are `{}` and `{}`",
                    image.name(),
                    caption.name()
                ),
                "use `projection` or `residual` for both, or leave out [matcher.linear]",
            )
            .into());
        }
        if n == 0 {
            return Ok(None);
        }
        let dim = image.dim().min(caption.dim());
        if let Some(linear) = &self.linear {
            linear.check()?;
            if linear.width.iter().any(|width| *width > dim) {
                return Err(Error::argument(
                    format!(
                        "matcher.linear.width = {:?}, but the backbones have dim = {dim}",
                        linear.width
                    ),
                    "raise the backbones' dim, or take fewer directions",
                )
                .into());
            }
            return Ok(self.linear.clone());
        }
        let whole = sides.iter().all(|side| side.is_closed_form());
        let mut linear = LinearConfig::default();
        if whole {
            linear.width.retain(|width| *width < dim);
            linear.width.push(dim);
        } else {
            linear.width = vec![dim];
            linear.power = vec![1.0];
        }
        Ok(Some(linear))
    }

    /// How vectors are made of texts, where they are.
    ///
    /// # Errors
    /// If it is given and captions are read as tokens.
    pub(super) fn text(
        &self,
        caption: &BackboneConfig,
        dataset: &Dataset,
    ) -> Result<Option<LatentSemanticsConfig>> {
        if caption.reads_tokens() {
            return match &self.text {
                None => Ok(None),
                Some(_) => Err(Error::argument(
                    format!("backbone `{}` reads tokens, not vectors", caption.name()),
                    "use `projection`, `residual` or `mlp`, or leave out [matcher.text]",
                )
                .into()),
            };
        }
        let text = self.text.clone();
        Ok(match (&dataset.caption_features, &dataset.captions) {
            (None, Some(_)) => Some(text.unwrap_or_default()),
            _ => text,
        })
    }
}
