//! A trained matcher: what a run ends with, and what it is good for.

mod occlusion;

use burn::tensor::Device;
use truepair_core::Error as CoreError;
use truepair_core::dataset::{Dataset, Features};
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;
use truepair_core::scores::{Scorer, score_pairs};
use truepair_core::watch::Watch;

use crate::config::Config;
use crate::error::Result;
use crate::run::session::EpochRecord;
use truepair_model::backbone::InputShape;
use truepair_model::encode::{self, EncodedItems, Uncertainty};
use truepair_model::layer::Init;
use truepair_model::matcher::Matcher;
use truepair_model::reader::{CaptionReader, ImageReader, Texts, check_regions, check_width};
use truepair_model::similarity::{
    Compares, GaussianDistanceConfig, GaussianMeasure, ItemSide, SimilarityConfig, Space,
};

pub use occlusion::Erased;

/// The outcome of a run: the kept epoch's weights of every peer, and what was learned about pairs.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use truepair_core::rng::Seed;
/// use truepair_core::scores::Scorer;
/// use truepair_read::dataset::{ReadOptions, open};
/// use truepair_model::Accelerator;
/// use truepair_train::{Recipe, Session, train};
///
/// let data = open("data/f30k_precomp", &ReadOptions::default())?;
/// let config = Recipe::default().resolve(&data)?;
/// let (stop, watch) = (AtomicBool::new(false), &mut ());
/// let mut session = Session::unkept(Accelerator::Cpu, &stop, watch, || 0.0);
/// let trained = train(&data, None, &config, Seed(0), &mut session)?;
///
/// let scorer = trained.scorer(&data, &mut ())?;
/// assert_eq!(scorer.n_captions(), data.n_captions());
/// println!("epoch {} of {} was kept", trained.best_epoch, trained.history.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trained {
    /// The resolved config.
    pub config: Config,
    /// How captions are read, unless they are features that the data brings.
    pub texts: Option<Texts>,
    /// One matcher a peer; their scores are averaged.
    pub peers: Vec<Matcher>,
    /// Per peer the last beliefs about every given pair; empty when read from a directory.
    pub ledgers: Vec<Ledger>,
    /// One record an epoch.
    pub history: Vec<EpochRecord>,
    /// Epoch whose weights were kept, from 0.
    pub best_epoch: usize,
    /// The images and captions that the matchers were built for.
    pub inputs: (InputShape, InputShape),
    /// Where the matchers live.
    pub device: Device,
}

/// Captions as they come: texts, or vectors that another program made of them.
#[derive(Debug, Clone, Copy)]
pub enum GivenCaptions<'a> {
    /// Texts, for matchers that read texts.
    Texts(&'a [String]),
    /// Features, for matchers that were trained on such.
    Features(&'a Features),
}

/// The images and the captions of a split, encoded.
#[derive(Debug, Clone)]
pub struct EncodedSides {
    /// In the order of the data.
    pub images: EncodedItems,
    /// In the order of the data.
    pub captions: EncodedItems,
}

impl Trained {
    /// Scores every image of `dataset` against every caption.
    ///
    /// # Errors
    /// As [`encode`](Self::encode) and [`scorer_of`](Self::scorer_of).
    pub fn scorer(&self, dataset: &Dataset, watch: &mut dyn Watch) -> Result<Box<dyn Scorer>> {
        self.scorer_of(&self.encode(dataset, watch)?)
    }

    /// Scores every image against every caption.
    ///
    /// # Errors
    /// If one image against one caption needs more than `training.tile_mib`.
    pub fn scorer_of(&self, sides: &EncodedSides) -> Result<Box<dyn Scorer>> {
        let tile_mib = self.config.training.tile_mib;
        Ok(encode::scorer_of(&sides.images, &sides.captions, tile_mib)?)
    }

    /// The images and captions of a data set. What of them can be stored, indexed or compared elsewhere,
    /// [`EncodedItems`] hands out: embeddings where the similarity is an inner product, Gaussians where
    /// there are some.
    ///
    /// # Errors
    /// If the data set lacks what the backbones read, a feature has another width, or images have
    /// more regions than the similarity has places for.
    pub fn encode(&self, dataset: &Dataset, watch: &mut dyn Watch) -> Result<EncodedSides> {
        let given = match (&self.texts, &dataset.caption_features) {
            (Some(_), _) => GivenCaptions::Texts(dataset.require_captions()?),
            (None, Some(named)) => GivenCaptions::Features(&named.features),
            (None, None) => {
                return Err(CoreError::argument(
                    format!(
                        "`{}` has no caption features for this matcher",
                        dataset.name
                    ),
                    "give caption features as in the data that it was trained on",
                )
                .into());
            }
        };
        Ok(EncodedSides {
            images: self.encode_images(&dataset.images, watch)?,
            captions: self.encode_captions(given, watch)?,
        })
    }

    /// Images alone, of any number from one: a gallery, or one that asks.
    ///
    /// # Errors
    /// If a feature has another width, holds a value that is not finite or cannot be read, or images have
    /// more regions than the similarity has places for.
    pub fn encode_images(&self, images: &Features, watch: &mut dyn Watch) -> Result<EncodedItems> {
        check_width(images, ItemSide::Image, self.inputs.0)?;
        if self.config.matcher.similarity.compares() == Compares::Places {
            check_regions(images, self.inputs.0)?;
        }
        let reader = ImageReader::new(images, &self.device);
        Ok(EncodedItems::images(&self.peers, &reader, watch)?)
    }

    /// Captions alone, of any number from one.
    ///
    /// # Errors
    /// If texts are given to a matcher that reads features, or features to one that reads texts; if a
    /// feature has another width, holds a value that is not finite or cannot be read.
    pub fn encode_captions(
        &self,
        captions: GivenCaptions<'_>,
        watch: &mut dyn Watch,
    ) -> Result<EncodedItems> {
        let max_tokens = self.config.training.max_tokens;
        let reader = match (captions, &self.texts) {
            (GivenCaptions::Texts(captions), Some(texts)) => {
                CaptionReader::of_texts(captions, texts, max_tokens, &self.device)
            }
            (GivenCaptions::Features(features), None) => {
                check_width(features, ItemSide::Caption, self.inputs.1)?;
                CaptionReader::of_features(features, &self.device)
            }
            (GivenCaptions::Texts(_), None) => {
                return Err(CoreError::argument(
                    "the matcher reads caption features, not texts",
                    "embed the texts with the encoder of the data that it was trained on",
                )
                .into());
            }
            (GivenCaptions::Features(_), Some(_)) => {
                return Err(CoreError::argument(
                    "the matcher reads caption texts, not features",
                    "give the texts themselves",
                )
                .into());
            }
        };
        if let Some(warning) = reader.warning(max_tokens) {
            watch.warn(&warning);
        }
        Ok(EncodedItems::captions(&self.peers, &reader, watch)?)
    }

    /// The score of each pair of an image and a caption, by their places among the encoded items.
    ///
    /// # Errors
    /// As [`scorer_of`](Self::scorer_of), or if a score is not a finite number.
    ///
    /// # Panics
    /// If a pair is not of these items.
    pub fn score_pairs(&self, sides: &EncodedSides, pairs: &[Pair]) -> Result<Vec<f32>> {
        Ok(score_pairs(self.scorer_of(sides)?.as_ref(), pairs)?)
    }

    /// How uncertain every item of `dataset` is; `None` unless items are Gaussians.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn uncertainty(
        &self,
        dataset: &Dataset,
        watch: &mut dyn Watch,
    ) -> Result<Option<Uncertainty>> {
        let parts = [&self.config.matcher.image, &self.config.matcher.caption];
        if !parts.iter().all(|part| part.is_gaussian()) {
            return Ok(None);
        }
        let sides = self.encode(dataset, watch)?;
        Ok((sides.images.uncertainty())
            .zip(sides.captions.uncertainty())
            .map(|(images, captions)| Uncertainty { images, captions }))
    }

    /// The same matchers, ranking by another measure of their Gaussians.
    ///
    /// # Errors
    /// If items are no Gaussians.
    pub fn measured_by(mut self, measure: GaussianMeasure) -> Result<Self> {
        let config = GaussianDistanceConfig {
            measure,
            ..GaussianDistanceConfig::default()
        };
        self.config.matcher.similarity = SimilarityConfig::Gaussian(config);
        self.config.matcher.check_parts()?;
        for peer in &mut self.peers {
            let precision = self.config.training.precision;
            let similarity = self.config.matcher.similarity.build(
                Space {
                    dim: self.config.matcher.image.dim(),
                    regions: 1,
                },
                &mut Init::new(Seed(0).stream("init", &[]), self.device.clone(), precision),
            )?;
            peer.similarity = similarity;
        }
        Ok(self)
    }

    /// Networks whose scores are averaged.
    pub fn n_peers(&self) -> usize {
        self.peers.len()
    }
}
