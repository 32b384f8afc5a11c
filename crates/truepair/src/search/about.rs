//! What an index remembers of how it was made.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use truepair_core::answer::AnswerModel;
use truepair_index::{Index, Measure};
use truepair_model::encode::SearchMeasure;

use super::source::DataSource;
use crate::embedder::EmbedderSource;

/// Version of this record; an index with another one was made by another program.
const FORMAT: u32 = 1;

/// What an index remembers besides its vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexAbout {
    format: u32,
    /// What people call it.
    pub(crate) name: String,
    /// What embeds queries.
    pub(crate) embedder: EmbedderSource,
    /// How vectors find, and whether what they find must be scored anew.
    pub(crate) compared: Compared,
    /// Where items came from, in the order in which they were added.
    pub(crate) sources: Vec<DataSource>,
    /// What scores mean.
    pub(crate) answers: Answers,
}

/// How hits come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Compared {
    /// Inner products of vectors.
    InnerProduct,
    /// Squared distances of vectors.
    SquaredDistance,
    /// Vectors find candidates, which the run's similarity scores anew.
    Rescored,
}

/// What scores mean, by direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// A text asks for images.
    pub(crate) text_to_image: Option<AnswerModel>,
    /// An image asks for captions.
    pub(crate) image_to_text: Option<AnswerModel>,
    /// Images and captions that were there when it was learned.
    pub(crate) n_images: usize,
    pub(crate) n_captions: usize,
}

impl Compared {
    /// How the index itself compares.
    pub(crate) fn measure(self) -> Measure {
        match self {
            Compared::InnerProduct | Compared::Rescored => Measure::InnerProduct,
            Compared::SquaredDistance => Measure::SquaredDistance,
        }
    }
}

impl From<SearchMeasure> for Compared {
    fn from(measure: SearchMeasure) -> Self {
        match measure {
            SearchMeasure::InnerProduct => Self::InnerProduct,
            SearchMeasure::SquaredDistance => Self::SquaredDistance,
            SearchMeasure::Candidates => Self::Rescored,
        }
    }
}

impl IndexAbout {
    pub(crate) fn new(name: String, embedder: EmbedderSource, compared: Compared) -> Self {
        Self {
            format: FORMAT,
            name,
            embedder,
            compared,
            sources: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// # Errors
    /// If the index was made by another program.
    pub(crate) fn of(index: &Index) -> Result<Self> {
        let stored = index.about();
        if stored.get("format").and_then(serde_json::Value::as_u64) != Some(FORMAT.into()) {
            bail!(
                "the index was not made by `truepair index`, or by another version of it (make it again)"
            )
        }
        serde_json::from_value(stored.clone()).context(
            "what the index says of itself is damaged (make it again with `truepair index`)",
        )
    }

    pub(crate) fn to_value(&self) -> Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }
}
