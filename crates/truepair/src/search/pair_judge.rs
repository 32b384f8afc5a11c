//! Single pairs, judged by what an audit kept.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use truepair_core::audit::NewVerdict;
use truepair_core::dataset::{Dataset, Features};
use truepair_core::linear::ReadyMatchers;
use truepair_index::Index;

use super::build::caption_names;
use crate::audit::KeptAudit;
use crate::embedder::{Embedder, EmbedderSource};
use crate::progress::Bars;
use crate::render;

/// The matchers of an audit, with the data that it audited and what embeds anything else.
pub(crate) struct PairJudge {
    matchers: ReadyMatchers,
    dataset: Dataset,
    /// Rows of the audited images and captions by their ids.
    images: HashMap<String, u32>,
    captions: HashMap<String, u32>,
    embedder: Embedder,
}

/// A caption to be judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedCaption<'a> {
    /// Its id in the index, where it has one.
    pub(crate) id: Option<&'a str>,
    /// Its words, where they are known.
    pub(crate) text: Option<&'a str>,
}

impl PairJudge {
    /// Opens an audit of the data that the index was made of.
    ///
    /// # Errors
    /// If the audit kept nothing, its data cannot be read, or it has none of the index's images.
    pub(crate) fn open(audit: &Path, index: &Index, bars: &mut Bars) -> Result<Self> {
        let kept = KeptAudit::open(audit)?;
        let dataset = kept.source.open(bars)?;
        let embedder = Embedder::open(&EmbedderSource {
            encoders: kept.source.encoders.clone(),
            ..EmbedderSource::default()
        })?;
        let images: HashMap<String, u32> = dataset.image_ids.iter().cloned().zip(0..).collect();
        let mut of_index = index.images().rows();
        let id = |row| index.images().item(row).map(|item| item.id);
        let is_known = |row| id(row).is_ok_and(|id| images.contains_key(&id));
        if !embedder.reads_pictures() && !of_index.any(is_known) {
            bail!(
                "{}: audited none of the images of the index (name the audit of its data)",
                audit.display()
            )
        }
        let captions = caption_names(&dataset).into_iter().zip(0..).collect();
        let matchers = kept.ready()?;
        if let Some(reason) = matchers.open() {
            render::note(&format!(
                "{}: pairs are scored, and whether they match is left open: {reason}",
                audit.display()
            ));
        }
        Ok(Self {
            matchers,
            dataset,
            images,
            captions,
            embedder,
        })
    }

    /// The audited image of this id as the audit read it.
    pub(crate) fn image(&self, id: &str) -> Option<Features> {
        let row = self.images.get(id)?;
        Some(self.dataset.images.select(&[*row]))
    }

    /// A picture as the audit would read it; `None` where the audit was given images as features.
    ///
    /// # Errors
    /// If the bytes are no picture or the encoder fails.
    pub(crate) fn picture(&self, bytes: Vec<u8>) -> Result<Option<Features>> {
        let can = self.embedder.reads_pictures();
        can.then(|| self.embedder.picture_features(bytes))
            .transpose()
    }

    /// What is said of an image with a caption; `None` where the caption is nothing that the audit can read.
    ///
    /// # Errors
    /// If an encoder fails, or vectors have another width than the audit's.
    pub(crate) fn judge(
        &self,
        image: &Features,
        caption: AskedCaption<'_>,
    ) -> Result<Option<NewVerdict>> {
        let Some(features) = self.caption(caption)? else {
            return Ok(None);
        };
        Ok(Some(self.matchers.judge(image, &features)?))
    }

    fn caption(&self, AskedCaption { id, text }: AskedCaption<'_>) -> Result<Option<Features>> {
        let audited = id.and_then(|id| self.captions.get(id));
        if let (Some(row), Some(named)) = (audited, &self.dataset.caption_features) {
            return Ok(Some(named.features.select(&[*row])));
        }
        let Some(text) = text else {
            return Ok(None);
        };
        let kept = self.matchers.kept();
        if !kept.knows(text) {
            return Ok(None);
        }
        let texts = [text.to_owned()];
        if let Some(vectors) = kept.caption_vectors(&texts) {
            return Ok(Some(vectors));
        }
        if !self.embedder.reads_texts() {
            return Ok(None);
        }
        let vectors = self.embedder.text_features(&texts);
        vectors.context("the audit's text encoder failed").map(Some)
    }
}
