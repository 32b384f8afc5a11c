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
use crate::error::Result;
use crate::init::Init;
use crate::mode::Mode;

/// The joint space that a similarity is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Width of every vector, the same on both sides.
    pub dim: usize,
    /// Vectors an image; images may have fewer.
    pub regions: usize,
}

macro_rules! similarities {
    ($($variant:ident($config:ty => $module:ty) = $name:literal, $summary:literal;)*) => {
        /// Which similarity to build, with its settings.
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

            /// Bytes that one image against one caption takes while it is scored without gradients.
            pub fn pair_bytes(&self, images: &Encoding, captions: &Encoding) -> usize {
                match self { $(Self::$variant(module) => module.pair_bytes(images, captions),)* }
            }

            /// Vectors `[n, d]` whose inner products are the scores, when there are such vectors.
            pub fn embeddings(&self, items: &Encoding) -> Option<Tensor<2>> {
                match self { $(Self::$variant(module) => module.embeddings(items),)* }
            }
        }
    };
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

impl Similarity {
    /// `items` with the draws that their scores will compare, so that something else can read the
    /// same draws; as they are where nothing is drawn.
    pub fn drawn(&self, items: Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Encoding {
        match self {
            Self::MatchProbability(module) => module.drawn(items, side, mode),
            _ => items,
        }
    }
}

impl SimilarityConfig {
    /// Whether items must be Gaussians.
    pub(crate) fn reads_gaussians(&self) -> bool {
        self.gives_log_odds() || matches!(self, Self::Gaussian(_))
    }

    /// Whether a score is the logarithm of the odds of a match.
    pub fn gives_log_odds(&self) -> bool {
        matches!(self, Self::MatchProbability(_) | Self::ClosedForm(_))
    }

    /// Whether weights belong to an image's places, so that images cannot have more of them.
    pub(crate) fn has_region_slots(&self) -> bool {
        matches!(self, Self::Saf(_) | Self::Sgr(_) | Self::Sgraf(_))
    }
}

similarities! {
    ClosedForm(ClosedFormConfig => ClosedForm) = "closed_form", "Log odds of a match from the expected squared distance of two Gaussians' draws.";
    Cosine(CosineConfig => Cosine) = "cosine", "Cosine of mean-pooled vectors; searchable by an index.";
    Gaussian(GaussianDistanceConfig => GaussianDistance) = "gaussian", "A distance or divergence of two Gaussians, for ranking with trained ones.";
    Imram(ImramConfig => Imram) = "imram", "Iterative matching: cross attention in steps, between which queries take up what they saw.";
    MatchProbability(MatchProbabilityConfig => MatchProbability) = "match_probability", "Log odds of a match of two Gaussians, estimated from draws.";
    MultipleInstance(MultipleInstanceConfig => MultipleInstance) = "multiple_instance", "The best cosine among all pairs of an image's and a caption's vectors.";
    Order(OrderConfig => Order) = "order", "How little a caption says that its image does not show; not an inner product.";
    Saf(SafConfig => Saf) = "saf", "Similarity attention filtration over word and global similarities.";
    Sgr(SgrConfig => Sgr) = "sgr", "Similarity graph reasoning over word and global similarities.";
    Sgraf(SgrafConfig => Sgraf) = "sgraf", "Mean of an SGR and an SAF head that learn together.";
    Scan(ScanConfig => Scan) = "scan", "Stacked cross attention: words attend to regions or regions to words.";
}
