//! What turns texts and pictures into the vectors of a search: encoders, a run, or a run on top of encoders.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use truepair_core::dataset::{Dataset, Features, Picture, PictureColumn};
use truepair_core::scores::Matrix;
use truepair_core::watch::Watch;
use truepair_image::{PixelReader, Preprocessing};
use truepair_model::encode::{EncodedItems, SearchMeasure, SearchVectors};
use truepair_model::similarity::Role;
use truepair_train::{GivenCaptions, Trained, run};

use crate::accelerator;
use crate::encoded::{Encoders, LoadedEncoders};
use crate::run_folder;

/// What an [`Embedder`] is made of, as an index remembers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedderSource {
    /// Run directory whose matcher embeds, as an absolute path.
    pub(crate) run: Option<PathBuf>,
    /// Encoders that embed, or that make what the run reads.
    pub(crate) encoders: Encoders,
    /// Side of the squares that the run reads, where it reads pixels.
    pub(crate) pixels: Option<u16>,
}

/// Ready to embed.
#[derive(Debug)]
pub(crate) struct Embedder {
    encoders: LoadedEncoders,
    trained: Option<Trained>,
    pixels: Option<u16>,
}

/// Both sides of a data set for a search; captions may be missing.
pub(crate) struct SearchSides {
    pub(crate) images: SearchVectors,
    pub(crate) captions: Option<SearchVectors>,
}

impl Embedder {
    /// # Errors
    /// If the run or an encoder cannot be loaded.
    pub(crate) fn open(source: &EmbedderSource) -> Result<Self> {
        let load =
            |path: &PathBuf| -> Result<Trained> { Ok(run::load(path, accelerator::chosen())?) };
        Ok(Self {
            encoders: LoadedEncoders::load(&source.encoders)?,
            trained: source.run.as_ref().map(load).transpose()?,
            pixels: source.pixels,
        })
    }

    /// The matcher, where a run embeds.
    pub(crate) fn trained(&self) -> Option<&Trained> {
        self.trained.as_ref()
    }

    /// Whether texts can be embedded, by the run's own text side or a text encoder.
    pub(crate) fn reads_texts(&self) -> bool {
        let by_run = |trained: &Trained| trained.texts.is_some();
        self.encoders.reads_texts() || self.trained.as_ref().is_some_and(by_run)
    }

    /// Whether a text holds anything that its reader has learned; encoders of other people are taken to know all words.
    pub(crate) fn knows(&self, text: &str) -> bool {
        let texts = self
            .trained
            .as_ref()
            .and_then(|trained| trained.texts.as_ref());
        texts.is_none_or(|texts| texts.know(text))
    }

    /// Whether pictures can be embedded.
    pub(crate) fn reads_pictures(&self) -> bool {
        self.encoders.reads_pictures() || (self.trained.is_some() && self.pixels.is_some())
    }

    /// Both sides of a data set as [`LoadedEncoders::open`] read it; without a run, as they are, of length 1.
    ///
    /// # Errors
    /// If the data is not what the matcher reads, or an embedding is missing.
    pub(crate) fn sides(
        &self,
        dataset: &Dataset,
        role: Role,
        watch: &mut dyn Watch,
    ) -> Result<SearchSides> {
        let Some(trained) = &self.trained else {
            let captions = dataset.caption_features.as_ref();
            return Ok(SearchSides {
                images: of_unit_length(&dataset.images)?,
                captions: captions
                    .map(|named| of_unit_length(&named.features))
                    .transpose()?,
            });
        };
        let images = trained.encode_images(&dataset.images, watch)?;
        let captions = match (&trained.texts, &dataset.captions, &dataset.caption_features) {
            (Some(_), Some(texts), _) => Some(GivenCaptions::Texts(texts)),
            (None, _, Some(named)) => Some(GivenCaptions::Features(&named.features)),
            _ => None,
        };
        let captions = captions
            .map(|given| trained.encode_captions(given, watch))
            .transpose()?;
        Ok(SearchSides {
            images: images.search_vectors(role),
            captions: captions.map(|captions| captions.search_vectors(role)),
        })
    }

    /// Texts, one vector each.
    ///
    /// # Errors
    /// If nothing here reads texts, or an encoder fails.
    pub(crate) fn texts(&self, texts: &[String], role: Role) -> Result<SearchVectors> {
        match self.encoded_texts(texts)? {
            Some(encoded) => Ok(encoded.search_vectors(role)),
            None => of_unit_length(&self.text_features(texts)?),
        }
    }

    /// Texts as a run encodes them; `None` without a run.
    ///
    /// # Errors
    /// As [`texts`](Self::texts).
    pub(crate) fn encoded_texts(&self, texts: &[String]) -> Result<Option<EncodedItems>> {
        let Some(trained) = &self.trained else {
            return Ok(None);
        };
        let encoded = if trained.texts.is_some() {
            trained.encode_captions(GivenCaptions::Texts(texts), &mut ())?
        } else {
            let features = self.text_features(texts)?;
            trained.encode_captions(GivenCaptions::Features(&features), &mut ())?
        };
        Ok(Some(encoded))
    }

    /// What a run reads of texts, or their embeddings, by the text encoder.
    ///
    /// # Errors
    /// As [`texts`](Self::texts).
    pub(crate) fn text_features(&self, texts: &[String]) -> Result<Features> {
        let Some(vectors) = self.encoders.texts(texts)? else {
            bail!(
                "nothing here turns a text into a vector: the matcher was trained on caption embeddings (add \
                 --text-encoder FILE with the encoder that made them)"
            )
        };
        let dim = vectors.len() / texts.len().max(1);
        Ok(Features::from_rows(vectors, dim))
    }

    /// One picture, from its bytes.
    ///
    /// # Errors
    /// If nothing here reads pictures, the bytes are no picture, or an encoder fails.
    pub(crate) fn picture(&self, bytes: Vec<u8>, role: Role) -> Result<SearchVectors> {
        let features = self.picture_features(bytes)?;
        match &self.trained {
            Some(trained) => {
                let encoded = trained.encode_images(&features, &mut ())?;
                Ok(encoded.search_vectors(role))
            }
            None => of_unit_length(&features),
        }
    }

    /// What a run reads of a picture, or the picture's embedding.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    pub(crate) fn picture_features(&self, bytes: Vec<u8>) -> Result<Features> {
        if let Some(vector) = self.encoders.picture(&bytes)? {
            let dim = vector.len();
            return Ok(Features::from_rows(vector, dim));
        }
        let Some(side) = self.pixels.filter(|_| self.trained.is_some()) else {
            bail!(
                "nothing here turns a picture into a vector: the images were given as features (add \
                 --image-encoder FILE with the encoder that made them)"
            )
        };
        // The same errors as for pictures that are read from files.
        truepair_image::decode(&bytes)?;
        let preprocessing = Preprocessing {
            size: side.into(),
            ..Preprocessing::default()
        };
        let column: Arc<dyn PictureColumn> = Arc::new(InMemory(bytes));
        let features = Features::from_pictures(vec![Picture::Value { column, record: 0 }]);
        Ok(features.with_reader(Arc::new(PixelReader { preprocessing })))
    }
}

impl EmbedderSource {
    /// A run with the encoders that it was trained behind, unless others are named; or encoders alone.
    ///
    /// # Errors
    /// If the run's job cannot be read.
    pub(crate) fn new(run: Option<&Path>, encoders: &Encoders) -> Result<Self> {
        let Some(run) = run else {
            return Ok(Self {
                encoders: encoders.full()?,
                ..Self::default()
            });
        };
        let (_, read, own) = run_folder::data_of(run, Some(Path::new("")))?;
        let place = run.display();
        let run = std::path::absolute(run).with_context(|| format!("{place}: cannot be found"))?;
        Ok(Self {
            run: Some(run),
            encoders: encoders.full()?.or(&own),
            pixels: read.pixels,
        })
    }
}

/// Embeddings as they were given, scaled to length 1, so that their inner product is their cosine.
fn of_unit_length(features: &Features) -> Result<SearchVectors> {
    if features.are_pictures() {
        bail!(
            "the images are pictures (add --image-encoder FILE, or --run RUN with a run that reads pixels)"
        )
    }
    let mut vectors: Matrix = features.pooled()?;
    vectors.normalize();
    Ok(SearchVectors {
        offsets: vec![0.0; vectors.len()],
        variances: vec![0.0; vectors.len()],
        vectors,
        measure: SearchMeasure::InnerProduct,
    })
}

/// The bytes of one picture that is in no file.
struct InMemory(Vec<u8>);

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a picture of {} bytes", self.0.len())
    }
}

impl PictureColumn for InMemory {
    fn path(&self) -> &Path {
        Path::new("the given picture")
    }

    fn name(&self, _record: u32) -> String {
        "bytes".to_owned()
    }

    fn read(&self, _record: u32) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
}
