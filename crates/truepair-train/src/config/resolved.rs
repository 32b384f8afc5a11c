//! A run's settings with nothing left open, and how a recipe becomes them.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::dataset::Dataset;

use super::default_backbone::{caption_backbone, image_backbone};
use super::recipe::RecipeOf;
use super::sizes::check_sizes;
use super::training::{Keep, TrainingConfig, check_ranges};
use crate::error::Result;
use crate::strategy::StrategyConfig;
use truepair_model::matcher::MatcherConfig;
use truepair_model::matcher::esc::EscConfig;
use truepair_model::matcher::sps::SpsConfig;
use truepair_model::optimizer::groups::GroupConfig;
use truepair_model::optimizer::{OptimizerConfig, Schedule};

/// A run's settings as typed, with any strategy.
///
/// ```
/// use truepair_train::Recipe;
///
/// let recipe = Recipe::from_toml("[strategy]\nkind = \"ncr\"\n[training]\nepochs = 5\n")?;
/// assert_eq!(recipe.strategy.map(|strategy| strategy.name()), Some("ncr"));
/// assert_eq!(recipe.training.epochs, 5);
/// let refused = Recipe::from_toml("[training]\nepoch = 5\n").unwrap_err();
/// assert!(refused.to_string().contains("epochs"), "the known keys are listed");
/// # Ok::<(), toml::de::Error>(())
/// ```
pub type Recipe = RecipeOf<StrategyConfig>;

/// A run's settings, complete.
///
/// ```
/// # use truepair_core::dataset::{Dataset, Features, NamedFeatures};
/// # use truepair_core::pair::Pair;
/// # use truepair_core::rng::{normal, Seed};
/// # let stream = &mut Seed(1).stream("toy", &[]);
/// # let images: Vec<f32> = (0..64 * 4).map(|_| normal(stream) as f32).collect();
/// # let data = Dataset {
/// #     name: "toy".into(), format: "memory", split: "train".into(),
/// #     images: Features::from_rows(images.clone(), 4),
/// #     image_ids: (0..64).map(|n| n.to_string()).collect(), image_files: Vec::new(), captions: None,
/// #     caption_features: Some(NamedFeatures { name: "toy".into(), features: Features::from_rows(images, 4) }),
/// #     pairs: (0..64).map(|n| Pair { image: n, caption: n }).collect(), labels: None, files: Vec::new(), account: Default::default(),
/// # };
/// use truepair_train::Recipe;
///
/// // `data` brings vectors on both sides: the backbones follow from that.
/// let config = Recipe::default().resolve(&data)?;
/// assert_eq!((config.strategy.name(), config.matcher.similarity.name()), ("plain", "cosine"));
/// assert_eq!((config.matcher.image.name(), config.matcher.caption.name()), ("mlp", "mlp"));
/// // What a run directory keeps reads back as the same config.
/// let again = Recipe::from_toml(&config.to_toml()).unwrap().resolve(&data)?;
/// assert_eq!(again, config);
/// # Ok::<(), truepair_train::Error>(())
/// ```
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
    /// Equivariance of the scores, beside the method's own loss.
    #[serde(default, skip_serializing_if = "EscConfig::is_off")]
    pub esc: EscConfig,
    /// Parameters that move at another rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupConfig>,
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
    /// `region_linear` for regions and `gru` for texts; how pictures are varied; then checks ranges.
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
            esc: self.esc,
            groups: self.groups.clone(),
        };
        if dataset.images.are_pictures() {
            config.training.augmentation.get_or_insert_default();
        }
        if config.matcher.is_closed_form() {
            // A second epoch would fit the same again, and there is no epoch to choose.
            config.strategy = config.strategy.in_one_step();
            config.training.epochs = 1;
            config.training.keep = Keep::Last;
        }
        config.check()?;
        config.matcher.check_widths()?;
        Ok(config)
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
        check_sizes(self)?;
        self.training.check()?;
        let adam = self.optimizer.settings();
        let (schedule, factor) = match &self.schedule {
            Schedule::Constant {} => ("schedule", 1.0),
            Schedule::Step(step) => ("schedule.factor", step.factor),
            Schedule::Cosine(cosine) => ("schedule.floor", cosine.floor),
        };
        check_ranges(&[
            (schedule, factor, (0.0..=1.0).contains(&factor), "in [0, 1]"),
            (
                "optimizer.rate",
                adam.rate,
                adam.rate > 0.0 && adam.rate.is_finite(),
                "above 0",
            ),
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
        ])?;
        self.sps.check()?;
        self.esc.check()?;
        self.groups.iter().try_for_each(GroupConfig::check)?;
        let strategy = self.strategy.build(self.training.epochs)?;
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
        self.matcher.check_regularizers(&strategy.regularizers())?;
        Ok(self.matcher.check_parts()?)
    }
}
