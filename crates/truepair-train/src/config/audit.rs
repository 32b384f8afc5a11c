//! Settings of an audit by cross-fitting.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};
use truepair_core::audit::{AuditOptions, CrossFit};
use truepair_core::linear::{LinearConfig, VectorsConfig};

use super::recipe::RecipeOf;
use super::training::{Keep, TrainingConfig};

/// Settings of a cross-fitted audit; `S` is what the settings of its networks' method are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(
        serialize = "S: Serialize",
        deserialize = "S: Serialize + DeserializeOwned, AuditSettings<S>: Default"
    )
)]
pub struct AuditSettings<S> {
    /// Folds, at least 2.
    pub folds: usize,
    /// Times that the data is cut anew and judged by fresh matchers, at least 1; the statistics are
    /// averaged before they are calibrated.
    pub repeats: usize,
    /// Whether a first round finds pairs that look mismatched, so that the matchers that judge train
    /// without them.
    pub refit: bool,
    /// What judges; left open, the closed form where images are features and networks where they are
    /// pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<AuditMatcher>,
    /// The closed form.
    pub linear: LinearConfig,
    /// How the closed form reads items.
    pub vectors: VectorsConfig,
    /// How a network of the first round is trained; what is left out is the audit's own default.
    #[serde(deserialize_with = "over_default")]
    pub recipe: RecipeOf<S>,
    /// The statistics.
    pub audit: AuditOptions,
}

/// What judges the pairs of a cross-fitted audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMatcher {
    /// The closed form.
    Linear,
    /// Networks.
    Network,
    /// Both, their statistics averaged.
    Both,
}

impl AuditMatcher {
    /// All of them.
    pub const ALL: [AuditMatcher; 3] = [Self::Linear, Self::Network, Self::Both];

    /// The word by which a user names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Network => "network",
            Self::Both => "both",
        }
    }
}

impl<S> AuditSettings<S> {
    /// The defaults, and networks that this method trains: small heads, few epochs, the last epoch
    /// kept.
    pub(crate) fn with_networks_by(strategy: S) -> Self {
        let CrossFit {
            folds,
            repeats,
            refit,
        } = CrossFit::default();
        Self {
            folds,
            repeats,
            refit,
            matcher: None,
            linear: LinearConfig::default(),
            vectors: VectorsConfig::default(),
            recipe: RecipeOf {
                strategy: Some(strategy),
                training: TrainingConfig {
                    epochs: 12,
                    batch: 256,
                    keep: Keep::Last,
                    ..TrainingConfig::default()
                },
                ..RecipeOf::default()
            },
            audit: AuditOptions::default(),
        }
    }

    /// The same settings with a method of another kind.
    pub(crate) fn map_strategy<T>(self, map: impl FnOnce(S) -> T) -> AuditSettings<T> {
        AuditSettings {
            folds: self.folds,
            repeats: self.repeats,
            refit: self.refit,
            matcher: self.matcher,
            linear: self.linear,
            vectors: self.vectors,
            recipe: self.recipe.map_strategy(map),
            audit: self.audit,
        }
    }
}

/// What is written replaces that much of the audit's own recipe, and nothing else.
fn over_default<'de, D, S>(deserializer: D) -> std::result::Result<RecipeOf<S>, D::Error>
where
    D: Deserializer<'de>,
    S: Serialize + DeserializeOwned,
    AuditSettings<S>: Default,
{
    let given = Table::deserialize(deserializer)?;
    let own = AuditSettings::<S>::default().recipe;
    let mut table = Table::try_from(own).map_err(serde::de::Error::custom)?;
    put_over(&mut table, given);
    table
        .try_into()
        .map_err(|error: toml::de::Error| serde::de::Error::custom(error.message()))
}

/// Puts `over` on top of `table`, section by section; a section of another kind replaces the whole.
fn put_over(table: &mut Table, over: Table) {
    for (name, value) in over {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                let of_another_kind = above
                    .get("kind")
                    .is_some_and(|kind| below.get("kind") != Some(kind));
                if of_another_kind {
                    *below = above;
                } else {
                    put_over(below, above);
                }
            }
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}
