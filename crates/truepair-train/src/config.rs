//! What a run is made of: as typed ([`Recipe`], where the data may fill in what is left open) and
//! as run ([`Config`], complete, the form that a run directory keeps).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::dataset::Dataset;
use truepair_core::linear::LinearConfig;
use truepair_core::metric::{METRICS, Metric, RSum};
use truepair_core::text::LatentSemanticsConfig;

use crate::backbone::{
    BackboneConfig, GruConfig, GruPcmeConfig, GruPieConfig, MlpConfig, PcmeConfig, PieConfig,
    RegionLinearConfig, ResnetConfig, ResnetPcmeConfig, Stem,
};
use crate::describer::DescriberConfig;
use crate::error::Result;
use crate::groups::GroupConfig;
use crate::kernel::Precision;
use crate::matcher::MatcherConfig;
use crate::optimizer::{OptimizerConfig, Schedule};
use crate::similarity::SimilarityConfig;
use crate::sps::SpsConfig;
use crate::strategy::StrategyConfig;

/// A run's settings as typed. Backbones that are left out are chosen by the data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The method.
    pub strategy: Option<StrategyConfig>,
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
    /// Parameters that move at another rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
}

/// The matcher's part of a [`Recipe`].
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

/// A run's settings, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The method.
    pub strategy: StrategyConfig,
    /// Backbones and similarity.
    pub matcher: MatcherConfig,
    /// How weights move.
    pub optimizer: OptimizerConfig,
    /// How the rate falls.
    pub schedule: Schedule,
    /// The loop.
    pub training: TrainingConfig,
    /// Regularizers beside the method's own loss.
    #[serde(default, skip_serializing_if = "SpsConfig::is_off")]
    pub sps: SpsConfig,
    /// Parameters that move at another rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
}

/// Settings of the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Epochs after the strategy's warm-up.
    pub epochs: usize,
    /// Pairs in a batch, at least 2.
    pub batch: usize,
    /// Which pairs stand in a batch together.
    pub sampling: Sampling,
    /// Number format of the factors of matrix products; sums, losses and weights are `f32`.
    pub precision: Precision,
    /// Gradients are scaled down to this global norm; 0 turns clipping off.
    pub clip_norm: f64,
    /// How the losses of a batch's pairs become one number.
    pub reduction: Reduction,
    /// Longest caption in tokens, markers included; longer ones are cut, and counted in a warning.
    pub max_tokens: usize,
    /// Memory for one tile of scores while evaluating, in MiB; for similarities that compare
    /// vectors pair by pair.
    pub tile_mib: usize,
    /// Which epoch's weights a run keeps.
    pub keep: Keep,
    /// The metric by which epochs are compared on the dev split; of a metric with a number for each
    /// direction, the mean of both.
    pub select: String,
    /// Share of the training images held out to choose the epoch when there is no dev split, (0, 1).
    pub held_out: f64,
    /// Word vectors in GloVe's text format, the first weights of the captions' word embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word_vectors: Option<PathBuf>,
}

/// Which pairs stand in a batch together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// `batch` pairs at random, every pair once an epoch.
    #[default]
    Shuffled,
    /// One pair of every class of the data, `batch` is not read: an anchor, which follows a shuffled
    /// list of all pairs, and of every other class one pair drawn anew. An epoch has as many steps as
    /// there are pairs divided by classes, and two.
    OnePerClass,
}

/// How the losses of a batch's pairs become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Divided by the number of pairs.
    Mean,
    /// Summed, as in the NCR lineage; `clip_norm` then binds almost always.
    Sum,
}

/// Which epoch's weights a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The best on the dev split, or on held-out pairs when there is none.
    Best,
    /// The last.
    Last,
}

impl TrainingConfig {
    /// The metric that `select` names.
    ///
    /// # Errors
    /// If there is no such metric for pairs; the message lists those that there are.
    pub fn select_metric(&self) -> Result<&'static dyn Metric> {
        let for_pairs = || METRICS.iter().copied().filter(|metric| metric.applies(1));
        for_pairs()
            .find(|metric| metric.name() == self.select)
            .ok_or_else(|| {
                let names: Vec<&str> = for_pairs().map(Metric::name).collect();
                Error::argument(
                    format!(
                        "[training] select = {:?} is not a metric of pairs",
                        self.select
                    ),
                    format!("choose one of {}", names.join(", ")),
                )
                .into()
            })
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 128,
            sampling: Sampling::Shuffled,
            precision: Precision::F32,
            clip_norm: 2.0,
            reduction: Reduction::Mean,
            max_tokens: 128,
            tile_mib: 256,
            keep: Keep::Best,
            select: RSum.name().to_owned(),
            held_out: 0.1,
            word_vectors: None,
        }
    }
}

impl Recipe {
    /// Reads a recipe from TOML.
    ///
    /// # Errors
    /// If the text is no TOML, a key is unknown (the allowed ones are listed) or a value is of
    /// another type.
    pub fn from_toml(text: &str) -> std::result::Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Fills in what was left open: `plain`, the similarity that the strategy was made for, and
    /// backbones that give what the similarity compares: for `cosine`, `mlp` for feature vectors,
    /// `region_linear` for regions and `gru` for texts; then checks ranges.
    ///
    /// # Errors
    /// If a setting is out of range or the data has nothing that a caption backbone could read.
    pub fn resolve(&self, dataset: &Dataset) -> Result<Config> {
        let strategy = self
            .strategy
            .clone()
            .unwrap_or_else(|| StrategyConfig::Plain(Default::default()));
        let similarity = self.matcher.similarity.clone();
        let similarity = similarity.unwrap_or_else(|| strategy.similarity());
        let image = self.matcher.image.clone();
        let image = image.unwrap_or_else(|| image_backbone(dataset, &similarity));
        let caption = match &self.matcher.caption {
            Some(caption) => caption.clone(),
            None => caption_backbone(dataset, &image, &similarity)?,
        };
        let matcher = MatcherConfig {
            describer: self.matcher.describer.clone(),
            linear: self.matcher.closed_form(&image, &caption)?,
            text: self.matcher.text(&caption, dataset)?,
            image,
            caption,
            similarity,
        };
        let mut config = Config {
            strategy,
            matcher,
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            training: self.training.clone(),
            sps: self.sps,
            groups: self.groups.clone(),
        };
        if config.matcher.is_closed_form() {
            // A second epoch would fit the same again, and there is no epoch to choose.
            config.strategy = config.strategy.in_one_step();
            config.training.epochs = 1;
            config.training.keep = Keep::Last;
        }
        config.check()?;
        Ok(config)
    }
}

impl MatcherRecipe {
    /// The settings of the closed form, where the backbones begin with it: its own defaults where it
    /// is all of the matcher; where a network follows, as many directions as the network reads, each
    /// scaled by its correlation.
    ///
    /// # Errors
    /// If it is given and no backbone begins with it, or one of two does.
    fn closed_form(
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
    fn text(
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

impl Config {
    /// The config as TOML, which [`Recipe::from_toml`] reads back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is made of tables, numbers and strings")
    }

    /// # Errors
    /// If a setting is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let training = &self.training;
        training.select_metric()?;
        let adam = self.optimizer.settings();
        let rules: [(&str, f64, bool, &str); 10] = [
            (
                "training.epochs",
                training.epochs as f64,
                training.epochs > 0,
                "at least 1",
            ),
            (
                "training.batch",
                training.batch as f64,
                training.batch > 1,
                "at least 2",
            ),
            (
                "training.clip_norm",
                training.clip_norm,
                training.clip_norm >= 0.0,
                "at least 0 (0 turns clipping off)",
            ),
            (
                "training.max_tokens",
                training.max_tokens as f64,
                training.max_tokens > 2,
                "at least 3: two markers and a word",
            ),
            (
                "training.tile_mib",
                training.tile_mib as f64,
                training.tile_mib > 0,
                "at least 1",
            ),
            (
                "training.held_out",
                training.held_out,
                training.held_out > 0.0 && training.held_out < 1.0,
                "in (0, 1)",
            ),
            ("optimizer.rate", adam.rate, adam.rate > 0.0, "above 0"),
            (
                "optimizer.beta1",
                adam.beta1,
                (0.0..1.0).contains(&adam.beta1),
                "in [0, 1)",
            ),
            (
                "optimizer.beta2",
                adam.beta2,
                (0.0..1.0).contains(&adam.beta2),
                "in [0, 1)",
            ),
            (
                "optimizer.weight_decay",
                adam.weight_decay,
                adam.weight_decay >= 0.0,
                "at least 0",
            ),
        ];
        for (name, value, holds, range) in rules {
            if !holds {
                return Err(Error::argument(
                    format!("{name} = {value} is out of range"),
                    format!("it must be {range}"),
                )
                .into());
            }
        }
        self.sps.check()?;
        self.groups.iter().try_for_each(GroupConfig::check)?;
        let strategy = self.strategy.build(training.epochs)?;
        if self.matcher.is_closed_form() && !strategy.takes_closed_form() {
            return Err(Error::argument(
                format!(
                    "strategy `{}` is made of gradient steps, and a linear matcher has none",
                    self.strategy.name()
                ),
                "use `plain` or `truepair`, or `--matcher residual`: a network that begins at the \
                 linear map",
            )
            .into());
        }
        self.strategy.check_matcher(&self.matcher)?;
        self.matcher.check_parts()
    }
}

/// What the items of a similarity are: the kind of head that is chosen where none is given.
enum Items {
    /// Vectors.
    Points,
    /// Several vectors with residuals.
    Several,
    /// A mean and a deviation.
    Gaussians,
}

impl Items {
    fn of(similarity: &SimilarityConfig) -> Self {
        match similarity {
            SimilarityConfig::MultipleInstance(_) => Self::Several,
            other if other.reads_gaussians() => Self::Gaussians,
            _ => Self::Points,
        }
    }
}

fn image_backbone(dataset: &Dataset, similarity: &SimilarityConfig) -> BackboneConfig {
    /// Squares of at most this many pixels keep their size in the first layer.
    const SMALL: usize = 64 * 64;
    let stem = match dataset.images.dim() <= SMALL {
        true => Stem::Small,
        false => Stem::Large,
    };
    match Items::of(similarity) {
        Items::Several => BackboneConfig::Pie(PieConfig::default()),
        Items::Gaussians if dataset.images.are_pictures() => {
            BackboneConfig::ResnetPcme(ResnetPcmeConfig {
                depth: 10,
                width: 16,
                stem,
                dim: 256,
                ..ResnetPcmeConfig::default()
            })
        }
        Items::Gaussians => BackboneConfig::Pcme(PcmeConfig::default()),
        Items::Points if dataset.images.are_pictures() => BackboneConfig::Resnet(ResnetConfig {
            depth: 10,
            width: 16,
            stem,
            dim: 256,
            weights: None,
        }),
        Items::Points if dataset.images.regions() > 1 => {
            BackboneConfig::RegionLinear(RegionLinearConfig::default())
        }
        Items::Points => BackboneConfig::Mlp(MlpConfig::default()),
    }
}

/// The caption side's default joins the image side's space.
fn caption_backbone(
    dataset: &Dataset,
    image: &BackboneConfig,
    similarity: &SimilarityConfig,
) -> Result<BackboneConfig> {
    let dim = image.dim();
    let items = Items::of(similarity);
    if dataset.caption_features.is_some() {
        return Ok(match items {
            Items::Several => BackboneConfig::Pie(PieConfig {
                dim,
                ..PieConfig::default()
            }),
            Items::Gaussians => BackboneConfig::Pcme(PcmeConfig {
                dim,
                ..PcmeConfig::default()
            }),
            Items::Points => BackboneConfig::Mlp(MlpConfig {
                dim,
                ..MlpConfig::default()
            }),
        });
    }
    if dataset.captions.is_some() {
        return Ok(match items {
            Items::Several => BackboneConfig::GruPie(GruPieConfig {
                dim,
                ..GruPieConfig::default()
            }),
            Items::Gaussians => BackboneConfig::GruPcme(GruPcmeConfig {
                dim,
                ..GruPcmeConfig::default()
            }),
            Items::Points => BackboneConfig::Gru(GruConfig {
                dim,
                ..GruConfig::default()
            }),
        });
    }
    Err(Error::argument(
        format!(
            "`{}` has neither caption texts nor caption features",
            dataset.name
        ),
        "give at least one of them",
    )
    .into())
}
