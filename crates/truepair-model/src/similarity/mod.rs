//! Similarities: scores of every image of a batch against every caption, larger = more similar.
//!
//! A new similarity is one file, its `mod` line and one row of the table below. A similarity
//! whose score is an inner product says so through `embeddings`, and everything that searches or
//! streams then works on vectors; the others score encoded items tile by tile.

mod closed_form;
mod cosine;
mod draws;
mod gaussian;
mod imram;
mod match_probability;
mod multiple_instance;
mod order;
mod scan;
pub mod sgraf;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Result;

pub use closed_form::{ClosedDistance, ClosedForm, ClosedFormConfig};
pub use cosine::{Cosine, CosineConfig};
pub use gaussian::{GaussianDistance, GaussianDistanceConfig, GaussianMeasure};
pub use imram::{Imram, ImramConfig, ImramMode};
pub use match_probability::{Logistic, MatchProbability, MatchProbabilityConfig};
pub use multiple_instance::{MultipleInstance, MultipleInstanceConfig};
pub use order::{Order, OrderConfig};
pub use scan::{Direction, Scan, ScanConfig};
pub use sgraf::{Saf, SafConfig, Sgr, SgrConfig, Sgraf, SgrafConfig};

use crate::encoding::Encoding;
use crate::layer::{Init, Mode};

/// The joint space that a similarity is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Width of every vector, the same on both sides.
    pub dim: usize,
    /// Vectors an image; images may have fewer.
    pub regions: usize,
}

/// What a similarity compares of an image and a caption: a column of the table below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compares {
    /// Vectors, one or several that mean the same.
    Vectors,
    /// Vectors in places that weights belong to, so that images cannot have more of them.
    Places,
    /// Several vectors with residuals.
    Several,
    /// Gaussians: a mean and a deviation.
    Gaussians,
}

/// What a score is: a column of the table below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scores {
    /// A number that is larger for what is more alike.
    Likeness,
    /// The logarithm of the odds of a match.
    LogOdds,
}

/// What the module of a row does.
trait Head {
    /// Scores `[n_images, n_captions]`.
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2>;

    /// Bytes that one image against one caption takes while it is scored without gradients.
    fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize;

    /// Vectors `[n, d]` whose inner products are the scores, when there are such vectors.
    fn embeddings(&self, items: &Encoding) -> Option<Tensor<2>> {
        let _ = items;
        None
    }

    /// Points whose squared distances are the scores, when there are such points.
    fn points(&self, items: &Encoding, role: Role) -> Option<Points> {
        let _ = (items, role);
        None
    }

    /// `items` with the draws that their scores will compare; as they are where nothing is drawn.
    fn drawn(&self, items: Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Encoding {
        let _ = (side, mode);
        items
    }
}

/// Rows name the config and the module, what they compare and what their scores are.
macro_rules! similarities {
    ($($variant:ident($config:ty => $module:ty) = $name:literal compares $compares:ident scores $scores:ident, $summary:literal;)*) => {
        /// Which similarity to build, with its settings.
        ///
        /// ```
        /// use truepair_model::similarity::SimilarityConfig;
        ///
        /// let all = SimilarityConfig::all();
        /// let (.., scan) = all.iter().find(|(name, ..)| *name == "scan").unwrap();
        /// let text = toml::to_string(scan).unwrap();
        /// assert!(text.starts_with("kind = \"scan\""));
        /// assert_eq!(toml::from_str::<SimilarityConfig>(&text).unwrap(), *scan);
        /// // Scores that are log odds say so.
        /// assert!(!scan.gives_log_odds());
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum SimilarityConfig {
            $(#[doc = concat!("`", $name, "`.")] #[serde(rename = $name)] $variant($config),)*
        }

        /// A built similarity.
        #[expect(clippy::large_enum_variant, reason = "a matcher holds one of them")]
        #[derive(Module, Debug)]
        pub enum Similarity {
            $(#[doc = concat!("`", $name, "`.")] $variant($module),)*
        }

        impl SimilarityConfig {
            /// Every similarity's name, one-line summary and default settings.
            pub fn all() -> Vec<(&'static str, &'static str, SimilarityConfig)> {
                vec![$(($name, $summary, SimilarityConfig::$variant(<$config>::default())),)*]
            }

            /// The name in configs and on the command line.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// What is compared of an image and a caption.
            pub fn compares(&self) -> Compares {
                match self { $(Self::$variant(_) => Compares::$compares,)* }
            }

            /// Whether a score is the logarithm of the odds of a match.
            pub fn gives_log_odds(&self) -> bool {
                let scores = match self { $(Self::$variant(_) => Scores::$scores,)* };
                scores == Scores::LogOdds
            }

            /// Builds the similarity.
            ///
            /// # Errors
            /// If a setting is out of range or does not fit the space.
            pub fn build(&self, space: Space, init: &mut Init) -> Result<Similarity> {
                Ok(match self {
                    $(Self::$variant(config) => Similarity::$variant(config.build(space, init)?),)*
                })
            }
        }

        impl Similarity {
            /// Scores `[n_images, n_captions]`.
            pub fn scores(
                &self,
                images: &Encoding,
                captions: &Encoding,
                mode: &mut Mode<'_>,
            ) -> Tensor<2> {
                match self { $(Self::$variant(module) => module.scores(images, captions, mode),)* }
            }

            /// `items` with the draws that their scores will compare, so that something else can read
            /// the same draws; as they are where nothing is drawn.
            pub fn drawn(&self, items: Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Encoding {
                match self { $(Self::$variant(module) => module.drawn(items, side, mode),)* }
            }

            /// Bytes that one image against one caption takes while it is scored without gradients.
            pub fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
                match self { $(Self::$variant(module) => module.pair_bytes(images, captions),)* }
            }

            /// Vectors `[n, d]` whose inner products are the scores, when there are such vectors.
            pub fn embeddings(&self, items: &Encoding) -> Option<Tensor<2>> {
                match self { $(Self::$variant(module) => module.embeddings(items),)* }
            }

            /// Points whose squared distances are the scores, when there are such points.
            pub fn points(&self, items: &Encoding, role: Role) -> Option<Points> {
                match self { $(Self::$variant(module) => module.points(items, role),)* }
            }
        }
    };
}

/// What an item does in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is looked for.
    Found,
    /// It asks.
    Asking,
}

/// Items as points: the score of a found item is the asking item's offset minus the squared distance of their
/// points, so that any engine that knows squared distances ranks as the similarity does.
#[derive(Debug, Clone)]
pub struct Points {
    /// `[n, d]`.
    pub places: Tensor<2>,
    /// `[n]`; zero for items that are looked for.
    pub offsets: Tensor<1>,
    /// The total variance of each item in the units of the squared distance, `[n]`.
    pub variances: Tensor<1>,
}

/// Which modality an item is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemSide {
    /// An image.
    Image,
    /// A caption.
    Caption,
}

impl ItemSide {
    /// The name of the side's stream of draws.
    fn name(self) -> &'static str {
        match self {
            Self::Image => "draws/image",
            Self::Caption => "draws/caption",
        }
    }
}

similarities! {
    ClosedForm(ClosedFormConfig => ClosedForm) = "closed_form" compares Gaussians scores LogOdds, "Log odds of a match from the expected squared distance of two Gaussians' draws.";
    Cosine(CosineConfig => Cosine) = "cosine" compares Vectors scores Likeness, "Cosine of mean-pooled vectors; searchable by an index.";
    Gaussian(GaussianDistanceConfig => GaussianDistance) = "gaussian" compares Gaussians scores Likeness, "A distance or divergence of two Gaussians, for ranking with trained ones.";
    Imram(ImramConfig => Imram) = "imram" compares Vectors scores Likeness, "Iterative matching: cross attention in steps, between which queries take up what they saw.";
    MatchProbability(MatchProbabilityConfig => MatchProbability) = "match_probability" compares Gaussians scores LogOdds, "Log odds of a match of two Gaussians, estimated from draws.";
    MultipleInstance(MultipleInstanceConfig => MultipleInstance) = "multiple_instance" compares Several scores Likeness, "The best cosine among all pairs of an image's and a caption's vectors.";
    Order(OrderConfig => Order) = "order" compares Vectors scores Likeness, "How little a caption says that its image does not show; not an inner product.";
    Saf(SafConfig => Saf) = "saf" compares Places scores Likeness, "Similarity attention filtration over word and global similarities.";
    Sgr(SgrConfig => Sgr) = "sgr" compares Places scores Likeness, "Similarity graph reasoning over word and global similarities.";
    Sgraf(SgrafConfig => Sgraf) = "sgraf" compares Places scores Likeness, "Mean of an SGR and an SAF head that learn together.";
    Scan(ScanConfig => Scan) = "scan" compares Vectors scores Likeness, "Stacked cross attention: words attend to regions or regions to words.";
}
