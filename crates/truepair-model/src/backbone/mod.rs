//! Backbones: one modality's encoder, from features or tokens to vectors an item.
//!
//! A new backbone is one file, its `mod` line and one row of the table below.

mod bag_of_words;
mod gru;
mod gru_gpo;
mod gru_pcme;
mod gru_pie;
mod mlp;
mod pcme;
mod pie;
mod projection;
mod region_gpo;
mod region_graph;
mod region_linear;
mod residual;
mod resnet;
mod resnet_pcme;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use truepair_core::Result;
use truepair_core::linear::{self, Pooling};

pub use bag_of_words::{BagOfWords, BagOfWordsConfig};
pub use gru::{Gru, GruConfig, GruDirections, GruOutput};
pub use gru_gpo::{GruGpo, GruGpoConfig};
pub use gru_pcme::{GruPcme, GruPcmeConfig};
pub use gru_pie::{GruPie, GruPieConfig};
pub use mlp::{InputScale, Mlp, MlpConfig};
pub use pcme::{Deviation, Pcme, PcmeConfig};
pub use pie::{Pie, PieConfig};
pub use projection::{Projection, ProjectionConfig};
pub use region_gpo::{RegionGpo, RegionGpoConfig};
pub use region_graph::{RegionGraph, RegionGraphConfig};
pub use region_linear::{RegionLinear, RegionLinearConfig};
pub use residual::{Residual, ResidualConfig};
pub use resnet::{Resnet, ResnetConfig, Stem};
pub use resnet_pcme::{ResnetPcme, ResnetPcmeConfig};

use crate::encoding::{Encoding, Input};
use crate::layer::{Init, Mode};

/// The sizes of the data that a backbone is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputShape {
    /// Feature vectors.
    Features {
        /// Numbers in a vector.
        width: usize,
        /// Vectors an item; items may have fewer.
        regions: usize,
    },
    /// Token ids below this vocabulary size.
    Tokens(usize),
}

/// What a row of the table below reads.
#[derive(PartialEq)]
enum Reads {
    Features,
    Tokens,
}

/// What a row of the table below makes of an item.
#[derive(PartialEq)]
enum Gives {
    /// One vector, or one for each region or token.
    Vectors,
    /// A vector, and the regions that it was read from.
    Regions,
    /// Several vectors with residuals.
    Several,
    /// A mean and a deviation.
    Gaussians,
}

/// What a row of the table below begins with.
#[derive(PartialEq)]
enum Begins {
    /// Drawn weights.
    Drawn,
    /// Drawn weights, or those of a file that its settings name.
    Loaded,
    /// The closed form, which gradient steps then leave.
    Fitted,
    /// The closed form, and nothing is left for gradient steps.
    Solved,
}

/// Rows name the config and the module, what is read, what is given and what it begins with.
macro_rules! backbones {
    (@pooling Drawn $config:ident) => {{ let _ = $config; None }};
    (@pooling Loaded $config:ident) => {{ let _ = $config; None }};
    (@pooling Fitted $config:ident) => { Some($config.pooling) };
    (@pooling Solved $config:ident) => { Some($config.pooling) };
    (@fitted Drawn $module:ident $side:ident) => { $module };
    (@fitted Loaded $module:ident $side:ident) => { $module };
    (@fitted Fitted $module:ident $side:ident) => { $module.fitted($side) };
    (@fitted Solved $module:ident $side:ident) => { $module.fitted($side) };
    (@pretrained Drawn $config:ident $module:ident) => {{ let _ = $config; $module }};
    (@pretrained Loaded $config:ident $module:ident) => { $config.pretrained($module)? };
    (@pretrained Fitted $config:ident $module:ident) => {{ let _ = $config; $module }};
    (@pretrained Solved $config:ident $module:ident) => {{ let _ = $config; $module }};
    ($($variant:ident($config:ty => $module:ty) = $name:literal reads $kind:ident gives $gives:ident begins $begins:ident, $summary:literal;)*) => {
        /// Which backbone to build, with its settings.
        ///
        /// ```
        /// use truepair_model::backbone::BackboneConfig;
        ///
        /// let config: BackboneConfig = toml::from_str("kind = \"gru\"\ndim = 512\n").unwrap();
        /// assert_eq!((config.name(), config.dim()), ("gru", 512));
        /// assert!(config.reads_tokens());
        /// assert!(toml::from_str::<BackboneConfig>("kind = \"gru\"\nwidth = 512\n").is_err());
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum BackboneConfig {
            $(#[doc = concat!("`", $name, "`.")] #[serde(rename = $name)] $variant($config),)*
        }

        /// A built backbone.
        #[allow(clippy::large_enum_variant, reason = "a matcher holds two of them")]
        #[derive(Module, Debug)]
        pub enum Backbone {
            $(#[doc = concat!("`", $name, "`.")] $variant($module),)*
        }

        impl BackboneConfig {
            /// Every backbone's name, one-line summary and default settings.
            pub fn all() -> Vec<(&'static str, &'static str, BackboneConfig)> {
                vec![$(($name, $summary, BackboneConfig::$variant(<$config>::default())),)*]
            }

            /// The name in configs and on the command line.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Width of the joint space.
            pub fn dim(&self) -> usize {
                match self { $(Self::$variant(config) => config.dim,)* }
            }

            /// The same with a joint space of another width.
            pub fn with_dim(mut self, dim: usize) -> Self {
                match &mut self { $(Self::$variant(config) => config.dim = dim,)* }
                self
            }

            /// Whether the backbone reads token ids instead of feature vectors.
            pub fn reads_tokens(&self) -> bool {
                match self { $(Self::$variant(_) => Reads::$kind == Reads::Tokens,)* }
            }

            fn gives(&self) -> Gives {
                match self { $(Self::$variant(_) => Gives::$gives,)* }
            }

            fn begins(&self) -> Begins {
                match self { $(Self::$variant(_) => Begins::$begins,)* }
            }

            /// How regions are pooled for the closed form, where the backbone begins with it.
            pub fn closed_form(&self) -> Option<Pooling> {
                match self { $(Self::$variant(config) => backbones!(@pooling $begins config),)* }
            }

            /// The backbone with the weights that its settings name, before its first step.
            ///
            /// # Errors
            /// If their file cannot be read or does not fit.
            pub fn pretrained(&self, backbone: Backbone) -> Result<Backbone> {
                Ok(match (self, backbone) {
                    $((Self::$variant(config), Backbone::$variant(module)) => {
                        Backbone::$variant(backbones!(@pretrained $begins config module))
                    })*
                    (_, backbone) => backbone,
                })
            }

            /// Builds the backbone for data of this shape.
            ///
            /// # Errors
            /// If the backbone does not read this kind of data or a setting is out of range.
            pub fn build(&self, shape: InputShape, init: &mut Init) -> Result<Backbone> {
                match self { $(Self::$variant(config) => Ok(Backbone::$variant(config.build(shape, init)?)),)* }
            }
        }

        impl Backbone {
            /// Takes from a sample of the training data what the backbone measures instead of
            /// training, for instance the mean of its inputs.
            pub fn measure(self, sample: &Input) -> Self {
                match self { $(Self::$variant(module) => Self::$variant(module.measure(sample)),)* }
            }

            /// The backbone with one side of a fitted closed form, where it begins with one.
            pub fn fitted(self, side: &linear::Projection) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(backbones!(@fitted $begins module side)),)*
                }
            }

            /// Encodes a batch.
            ///
            /// # Panics
            /// If the batch is of another kind or width than the backbone was built for.
            pub fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
                match self { $(Self::$variant(module) => module.encode(input, mode),)* }
            }
        }
    };
}

impl BackboneConfig {
    /// Whether items become Gaussians: a mean and a deviation.
    pub fn is_gaussian(&self) -> bool {
        self.gives() == Gives::Gaussians
    }

    /// Whether items become several vectors with residuals.
    pub(crate) fn has_residuals(&self) -> bool {
        self.gives() == Gives::Several
    }

    /// Whether a describer can read an item's regions.
    pub(crate) fn hands_out_regions(&self) -> bool {
        self.gives() == Gives::Regions
    }

    /// Whether the closed form is all of the backbone: nothing is left for gradient steps.
    pub fn is_closed_form(&self) -> bool {
        self.begins() == Begins::Solved
    }
}

backbones! {
    BagOfWords(BagOfWordsConfig => BagOfWords) = "bag_of_words" reads Tokens gives Vectors begins Drawn, "A bag of token embeddings under two dense layers; one vector a caption.";
    Gru(GruConfig => Gru) = "gru" reads Tokens gives Vectors begins Drawn, "Token embedding and a GRU, by default both directions averaged; one vector a token or a caption.";
    GruGpo(GruGpoConfig => GruGpo) = "gru_gpo" reads Tokens gives Vectors begins Drawn, "Token embedding, a bidirectional GRU and generalized pooling; one vector a caption.";
    GruPcme(GruPcmeConfig => GruPcme) = "gru_pcme" reads Tokens gives Gaussians begins Drawn, "Token embedding, a GRU and attention over words; a Gaussian a caption.";
    GruPie(GruPieConfig => GruPie) = "gru_pie" reads Tokens gives Several begins Drawn, "Token embedding, a GRU and attention over words; several vectors a caption.";
    Mlp(MlpConfig => Mlp) = "mlp" reads Features gives Vectors begins Drawn, "Two dense layers on precomputed embeddings; one vector an item.";
    Pcme(PcmeConfig => Pcme) = "pcme" reads Features gives Gaussians begins Drawn, "Mean and attention over vectors, two branches; a Gaussian an item.";
    Pie(PieConfig => Pie) = "pie" reads Features gives Several begins Drawn, "Mean and attention of several heads over vectors; several vectors an item.";
    Projection(ProjectionConfig => Projection) = "projection" reads Features gives Gaussians begins Solved, "The linear map of canonical correlation, fitted in closed form; one vector an item.";
    RegionGpo(RegionGpoConfig => RegionGpo) = "region_gpo" reads Features gives Vectors begins Drawn, "Regions under a residual perceptron and generalized pooling; one vector an image.";
    RegionGraph(RegionGraphConfig => RegionGraph) = "region_graph" reads Features gives Regions begins Drawn, "Regions related by graph layers and read by a GRU; one vector an image.";
    RegionLinear(RegionLinearConfig => RegionLinear) = "region_linear" reads Features gives Vectors begins Drawn, "One linear projection of every region; one vector a region.";
    Residual(ResidualConfig => Residual) = "residual" reads Features gives Vectors begins Fitted, "The closed form's linear map under an identity and a perceptron; one vector an item.";
    Resnet(ResnetConfig => Resnet) = "resnet" reads Features gives Vectors begins Loaded, "A residual network on pixels; one vector an image.";
    ResnetPcme(ResnetPcmeConfig => ResnetPcme) = "resnet_pcme" reads Features gives Gaussians begins Loaded, "A residual network on pixels, mean and attention over its last planes; a Gaussian an image.";
}
