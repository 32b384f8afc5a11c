//! Paired data as users have it: what was read, from where, and what it is made of.
//!
//! A [`Dataset`] is one split. Reading never guesses silently: a [`Format`] is either named or
//! sniffed, and [`inspect`] says which one was found and what it holds.

mod features;

use std::path::{Path, PathBuf};

pub use features::Features;

use crate::error::Result;
use crate::pair::Pair;

/// One split of paired data.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the user would call it: the folder's or file's name.
    pub name: String,
    /// Name of the [`Format`] that read it.
    pub format: &'static str,
    /// Split that was read, for instance `train`.
    pub split: String,
    /// Image features, one row an image: `[n_images, d]` or `[n_images, regions, d]`.
    pub images: Features,
    /// The user's own name of each image, `[n_images]`.
    pub image_ids: Vec<String>,
    /// Where each picture lies, for the report's gallery; empty when the data has no pictures.
    pub image_files: Vec<Option<PathBuf>>,
    /// The captions' texts, `[n_captions]`; `None` when only embeddings were given.
    pub captions: Option<Vec<String>>,
    /// Caption embeddings `[n_captions, d]`, when the data has them and they were not declined.
    pub caption_features: Option<NamedFeatures>,
    /// The correspondences as given. In most formats pair `n` is caption `n` with its image.
    pub pairs: Vec<Pair>,
    /// Class of each image, `[n_images]`, -1 = unlabelled.
    pub labels: Option<Vec<i64>>,
    /// Every file that was read, for hashing and for writing the cleaned list.
    pub files: Vec<PathBuf>,
}

/// Features with the name under which the data carries them.
#[derive(Debug, Clone)]
pub struct NamedFeatures {
    /// For instance `minilm` for `train_caps_minilm.npy`.
    pub name: String,
    /// The vectors.
    pub features: Features,
}

impl Dataset {
    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.images.len()
    }

    /// Number of captions, with or without text.
    pub fn n_captions(&self) -> usize {
        match (&self.captions, &self.caption_features) {
            (Some(texts), _) => texts.len(),
            (None, Some(named)) => named.features.len(),
            (None, None) => 0,
        }
    }

    /// The same images and captions with only the pairs whose flag in `keep` `[n_pairs]` is set.
    ///
    /// # Panics
    /// If `keep` has another length than the pairs.
    pub fn with_pairs_kept(&self, keep: &[bool]) -> Dataset {
        assert_eq!(keep.len(), self.pairs.len(), "one flag per pair");
        let pairs = self.pairs.iter().zip(keep).filter(|(_, keep)| **keep).map(|(pair, _)| *pair);
        Dataset { pairs: pairs.collect(), ..self.clone() }
    }
}
