//! The matcher: both backbones and the similarity, which is what the optimizer steps.

pub mod describer;
pub mod esc;
pub mod regularizer;
pub mod sps;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use truepair_core::linear::{LinearConfig, LinearMatcher};
use truepair_core::rng::Seed;
use truepair_core::text::LatentSemanticsConfig;
use truepair_core::{Error, Result};

use self::describer::{Describer, DescriberConfig};
use self::regularizer::{Regularizers, Terms};
use crate::backbone::{Backbone, BackboneConfig, InputShape};
use crate::encoding::{Encoding, Gaussian, Input, Structure, unit_length};
use crate::kernel::Precision;
use crate::layer::{Init, Mode};
use crate::objective::SoftContrastive;
use crate::similarity::{Compares, ItemSide, Similarity, SimilarityConfig, Space};

/// Which backbones and which similarity.
///
/// ```
/// use burn::tensor::Device;
/// use truepair_core::rng::Seed;
/// use truepair_model::backbone::{BackboneConfig, InputShape, MlpConfig};
/// use truepair_model::kernel::Precision;
/// use truepair_model::matcher::MatcherConfig;
/// use truepair_model::parameters;
/// use truepair_model::similarity::{CosineConfig, SimilarityConfig};
///
/// let mlp = || BackboneConfig::Mlp(MlpConfig::default());
/// let cosine = SimilarityConfig::Cosine(CosineConfig::default());
/// let config = MatcherConfig::new(mlp(), mlp(), cosine);
/// let shape = InputShape::Features { width: 8, regions: 1 };
/// let build = |seed| config.build(shape, shape, Seed(seed), &Device::flex(), Precision::F32);
/// // The same seed, the same weights; their names are those of the file.
/// let (first, again) = (build(1)?, build(1)?);
/// assert_eq!(parameters::export(&first), parameters::export(&again));
/// assert!(parameters::names(&first).iter().all(|name| name.starts_with("image.") || name.starts_with("caption.")));
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatcherConfig {
    /// The images' encoder.
    pub image: BackboneConfig,
    /// The captions' encoder.
    pub caption: BackboneConfig,
    /// How encoded items are scored.
    pub similarity: SimilarityConfig,
    /// An auxiliary loss of writing captions from regions; needs `region_graph` and tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describer: Option<DescriberConfig>,
    /// The closed form that backbones begin with, where some do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<LinearConfig>,
    /// How vectors are made of captions' texts, where a backbone reads vectors and the data has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<LatentSemanticsConfig>,
}

/// Backbones that go together, by one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedMatcher {
    /// The word by which a user names them.
    pub name: &'static str,
    /// The backbone of images and of captions.
    pub backbone: &'static str,
}

impl NamedMatcher {
    /// All of them.
    pub const ALL: [NamedMatcher; 2] = [
        NamedMatcher {
            name: "linear",
            backbone: "projection",
        },
        NamedMatcher {
            name: "residual",
            backbone: "residual",
        },
    ];
}

/// Two backbones and a similarity.
#[derive(Module, Debug)]
pub struct Matcher {
    /// The images' encoder.
    pub image: Backbone,
    /// The captions' encoder.
    pub caption: Backbone,
    /// How encoded items are scored.
    pub similarity: Similarity,
    /// The auxiliary loss; scores do not depend on it.
    pub describer: Option<Describer>,
}

/// What one training pass of a [`Matcher`] gives.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Scores `[n_images, n_captions]`, larger = more similar.
    pub scores: Tensor<2>,
    /// Likeness inside each modality, where asked for.
    pub structure: Option<Structure>,
    /// A loss `[1]` beside that of the scores, with its weight; `None` without a describer.
    pub auxiliary: Option<Tensor<1>>,
    /// What [`Regularizers`] gave.
    pub terms: Terms,
    /// How uncertain every pair's image and caption are, `[b]` in [0, 1), their mean; `None` unless
    /// both are Gaussians.
    pub uncertainty: Option<Tensor<1>>,
    /// The share of Gaussians' log σ that is at its limit, in [0, 1]; 0 without Gaussians.
    pub at_limit: f64,
}

/// What a training pass gives beside scores.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Wanted {
    /// Likeness inside each modality.
    pub structure: bool,
    /// Terms that read encodings.
    pub regularizers: Regularizers,
}

impl MatcherConfig {
    /// Backbones and a similarity, and nothing that is optional.
    pub fn new(
        image: BackboneConfig,
        caption: BackboneConfig,
        similarity: SimilarityConfig,
    ) -> Self {
        Self {
            image,
            caption,
            similarity,
            describer: None,
            linear: None,
            text: None,
        }
    }

    /// Builds a matcher with weights drawn from `seed`'s stream `init`.
    ///
    /// # Errors
    /// If a backbone does not read its side's data, a setting is out of range, or a describer has no
    /// regions or no tokens to read.
    pub fn build(
        &self,
        image: InputShape,
        caption: InputShape,
        seed: Seed,
        device: &Device,
        precision: Precision,
    ) -> Result<Matcher> {
        let draw = |name| Init::new(seed.stream(name, &[]), device.clone(), precision);
        let space = Space {
            dim: self.image.dim(),
            regions: match image {
                InputShape::Features { regions, .. } => regions,
                InputShape::Tokens(_) => 1,
            },
        };
        self.check_parts()?;
        Ok(Matcher {
            image: self.image.build(image, &mut draw("init/image"))?,
            caption: self.caption.build(caption, &mut draw("init/caption"))?,
            similarity: self.similarity.build(space, &mut draw("init/similarity"))?,
            describer: self.describer(caption, &mut draw("init/describer"))?,
        })
    }

    /// # Errors
    /// If the joint space has another width on either side.
    pub fn check_widths(&self) -> Result<()> {
        let (image, caption) = (self.image.dim(), self.caption.dim());
        if image == caption || self.is_closed_form() {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "matcher.image.dim = {image} and matcher.caption.dim = {caption}: both are the width of one space"
            ),
            "give both the same width",
        ))
    }

    /// # Errors
    /// If the similarity compares Gaussians and a backbone gives none.
    pub fn check_parts(&self) -> Result<()> {
        if self.similarity.compares() != Compares::Gaussians {
            return Ok(());
        }
        match [&self.image, &self.caption]
            .iter()
            .find(|part| !part.is_gaussian())
        {
            None => Ok(()),
            Some(part) => Err(Error::argument(
                format!(
                    "similarity `{}` compares Gaussians, backbone `{}` gives none",
                    self.similarity.name(),
                    part.name()
                ),
                "use `pcme` for features and `gru_pcme` for texts",
            )),
        }
    }

    /// # Errors
    /// If a term reads what a backbone does not give.
    pub fn check_regularizers(&self, regularizers: &Regularizers) -> Result<()> {
        let sides = [&self.image, &self.caption];
        match sides.into_iter().find(|part| !part.has_residuals()) {
            Some(part) if regularizers.diversity > 0.0 => Err(Error::argument(
                format!(
                    "strategy.diversity keeps an item's vectors apart, backbone `{}` gives no \
                     residuals",
                    part.name()
                ),
                "use `pie` for features and `gru_pie` for texts, or set strategy.diversity = 0",
            )),
            _ => Ok(()),
        }
    }

    fn describer(&self, caption: InputShape, init: &mut Init) -> Result<Option<Describer>> {
        let Some(config) = &self.describer else {
            return Ok(None);
        };
        if !self.image.hands_out_regions() {
            return Err(Error::argument(
                format!(
                    "the describer reads regions, image backbone `{}` hands out none",
                    self.image.name()
                ),
                "use `region_graph`, or leave out [matcher.describer]",
            ));
        }
        match caption {
            InputShape::Tokens(vocabulary) => {
                Ok(Some(config.build(self.image.dim(), vocabulary, init)?))
            }
            InputShape::Features { .. } => Err(Error::argument(
                "the describer writes captions, the data has caption features",
                "decline caption features, or leave out [matcher.describer]",
            )),
        }
    }
}

impl MatcherConfig {
    /// The matcher with the weights that its settings name, before its first step.
    ///
    /// # Errors
    /// If a file of weights cannot be read or does not fit.
    pub fn pretrained(&self, matcher: Matcher) -> Result<Matcher> {
        Ok(Matcher {
            image: self.image.pretrained(matcher.image)?,
            caption: self.caption.pretrained(matcher.caption)?,
            ..matcher
        })
    }
}

impl MatcherConfig {
    /// Whether nothing of the matcher is left for gradient steps.
    pub fn is_closed_form(&self) -> bool {
        self.image.is_closed_form() && self.caption.is_closed_form()
    }
}

impl Matcher {
    /// The matcher with a fitted closed form in the backbones that begin with one.
    pub fn fitted(self, linear: &LinearMatcher) -> Self {
        Self {
            image: self.image.fitted(&linear.image),
            caption: self.caption.fitted(&linear.caption),
            ..self
        }
    }

    /// Lets both backbones measure a sample of the training data; see [`Backbone::measure`].
    pub fn measure(self, images: &Input, captions: &Input) -> Self {
        Self {
            image: self.image.measure(images),
            caption: self.caption.measure(captions),
            similarity: self.similarity,
            describer: self.describer,
        }
    }

    /// [`compare`](Self::compare) and, with a describer, its loss, both from the same encodings.
    /// Image `i` and caption `i` are a pair.
    pub fn forward(
        &self,
        images: &Input,
        captions: &Input,
        wanted: &Wanted,
        mode: &mut Mode<'_>,
    ) -> Forward {
        let encoded = self.image.encode(images, mode);
        let texts = self.caption.encode(captions, mode);
        let encoded = self.similarity.drawn(encoded, ItemSide::Image, mode);
        let texts = self.similarity.drawn(texts, ItemSide::Caption, mode);
        let auxiliary = match (&self.describer, &encoded.regions) {
            (Some(describer), Some(regions)) => Some(describer.loss(regions, captions, mode)),
            _ => None,
        };
        let mut terms = wanted.regularizers.terms(&encoded, &texts, mode);
        if wanted.regularizers.within > 0.0 {
            for (items, side) in [(&encoded, ItemSide::Image), (&texts, ItemSide::Caption)] {
                let loss = self.within(items, side, mode);
                terms.add_pairs(loss * wanted.regularizers.within);
            }
        }
        let uncertainty = match (encoded.uncertainty(), texts.uncertainty()) {
            (Some(images), Some(captions)) => Some((images + captions).detach() / 2.0),
            _ => None,
        };
        let gaussians = [&encoded.gaussian, &texts.gaussian].into_iter().flatten();
        let shares: Vec<f64> = gaussians.map(Gaussian::at_limit).collect();
        Forward {
            auxiliary,
            terms,
            uncertainty,
            at_limit: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            ..self.compare_encoded(&encoded, &texts, wanted.structure, mode)
        }
    }

    /// The soft contrastive loss `[n]` of a modality's items against themselves: an item matches its
    /// own second draw and nothing else.
    fn within(&self, items: &Encoding, side: ItemSide, mode: &mut Mode<'_>) -> Tensor<1> {
        let again = Encoding {
            gaussian: items.gaussian.clone().map(|gaussian| Gaussian {
                samples: None,
                ..gaussian
            }),
            ..items.clone()
        };
        let again = self.similarity.drawn(again, side, mode);
        let scores = self.similarity.scores(items, &again, mode);
        SoftContrastive::default().pair_loss(&scores).0
    }

    /// Scores and, where asked for, likeness inside each modality.
    pub fn compare(
        &self,
        images: &Input,
        captions: &Input,
        structure: bool,
        mode: &mut Mode<'_>,
    ) -> Forward {
        let images = self.image.encode(images, mode);
        let captions = self.caption.encode(captions, mode);
        self.compare_encoded(&images, &captions, structure, mode)
    }

    fn compare_encoded(
        &self,
        images: &Encoding,
        captions: &Encoding,
        structure: bool,
        mode: &mut Mode<'_>,
    ) -> Forward {
        let cosines = |items: &Encoding| {
            let unit = unit_length(items.pooled());
            unit.clone().matmul(unit.transpose())
        };
        Forward {
            scores: self.similarity.scores(images, captions, mode),
            structure: structure.then(|| Structure {
                images: cosines(images),
                captions: cosines(captions),
            }),
            auxiliary: None,
            terms: Terms::default(),
            uncertainty: None,
            at_limit: 0.0,
        }
    }

    /// Scores `[n_images, n_captions]` of a batch, larger = more similar.
    pub fn scores(&self, images: &Input, captions: &Input, mode: &mut Mode<'_>) -> Tensor<2> {
        let images = self.image.encode(images, mode);
        let captions = self.caption.encode(captions, mode);
        self.similarity.scores(&images, &captions, mode)
    }
}
