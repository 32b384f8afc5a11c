//! Paired data: one split with its images, captions and pairs, wherever it was read from.
//!
//! A [`Dataset`] is one split. Which files it came from is up to whoever made it; the crate
//! `truepair-read` knows the formats of the field. Feature files stay on disk until their rows are
//! needed, and pictures stay undecoded.

mod account;
mod apart;
mod features;
mod picture;
mod row_content;
mod row_order;

use std::path::PathBuf;

pub use account::{Account, AccountEntry, SourceEntry, UsedEntry};
pub use apart::Apart;
pub use features::{
    Augmentation, BrokenPicture, Bytes, Features, PictureReader, Scale, check_single_precision,
};
pub use picture::{Picture, PictureColumn};
pub use row_content::{RowContent, RowContents};
pub(crate) use row_order::ImageRows;
pub use row_order::{Repaired, RowOrder, TextSide, is_row_order};

use crate::digest::Digest;
use crate::error::{Error, Place, Result};
use crate::pair::Pair;
use crate::source_file;
use crate::watch::Watch;

/// One split of paired data.
///
/// ```
/// use truepair_core::dataset::{Dataset, Features};
/// use truepair_core::pair::Pair;
///
/// // Two images with one caption each, as a reader would give them.
/// let data = Dataset {
///     name: "toy".into(),
///     format: "memory",
///     split: "train".into(),
///     images: Features::from_rows(vec![1.0, 0.0, 0.0, 1.0], 2),
///     image_ids: vec!["a".into(), "b".into()],
///     image_files: Vec::new(),
///     captions: Some(vec!["a dog".into(), "a boat".into()]),
///     caption_features: None,
///     pairs: vec![Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }],
///     labels: None,
///     files: Vec::new(),
///     account: Default::default(),
/// };
/// let cleaned = data.with_pairs_kept(&[true, false]);
/// assert_eq!((cleaned.n_images(), cleaned.pairs.len()), (2, 1));
/// ```
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the user would call it: the folder's or file's name.
    pub name: String,
    /// Name of the format that it was read from, for instance `precomp`.
    pub format: &'static str,
    /// Split that was read, for instance `train`.
    pub split: String,
    /// Image features, one row per image: `[n_images, d]` or `[n_images, regions, d]`.
    pub images: Features,
    /// The user's own name for each image, `[n_images]`.
    pub image_ids: Vec<String>,
    /// Where each picture lies, for the report's gallery; empty when the data has no pictures.
    pub image_files: Vec<Option<PathBuf>>,
    /// The captions' texts, `[n_captions]`; `None` when only embeddings were given.
    pub captions: Option<Vec<String>>,
    /// Caption embeddings `[n_captions, d]`, if the data has them and they were not declined.
    pub caption_features: Option<NamedFeatures>,
    /// The correspondences as given. In most formats pair `n` is caption `n` with its image.
    pub pairs: Vec<Pair>,
    /// Class of each image, `[n_images]`, -1 = unlabeled.
    pub labels: Option<Vec<i64>>,
    /// Every file that was read, for hashing and for writing the cleaned list.
    pub files: Vec<PathBuf>,
    /// What the reader used, passed over and chose.
    pub account: Account,
}

/// Features and the name that the data gives them.
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

    /// The captions' texts `[n_captions]`.
    ///
    /// # Errors
    /// If the data holds embeddings only.
    pub fn require_captions(&self) -> Result<&[String]> {
        self.captions.as_deref().ok_or_else(|| {
            Error::argument(
                format!("'{}' holds caption embeddings but no text", self.name),
                "put captions.txt next to the embeddings, one caption per line",
            )
        })
    }

    /// The same images and captions with only the pairs whose flag in `keep` `[n_pairs]` is set.
    ///
    /// # Panics
    /// If `keep` is not as long as the pairs.
    pub fn with_pairs_kept(&self, keep: &[bool]) -> Dataset {
        Dataset {
            pairs: self.kept(keep).collect(),
            ..self.clone()
        }
    }

    /// SHA-256 over the names and contents of every file that was read, in hexadecimal.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut digest = Digest::new();
        for path in &self.files {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            let failed = |source| Error::io(path, "read", source);
            let mut file = source_file::open(path).map_err(failed)?;
            digest.add(&(name.len() as u64).to_le_bytes());
            digest.add(name);
            digest.add(&file.metadata().map_err(failed)?.len().to_le_bytes());
            digest.add_all(&mut file).map_err(failed)?;
        }
        Ok(digest.hex())
    }

    /// The pairs whose flag in `keep` `[n_pairs]` is set.
    ///
    /// # Panics
    /// If `keep` is not as long as the pairs.
    pub fn kept(&self, keep: &[bool]) -> impl Iterator<Item = Pair> {
        assert_eq!(keep.len(), self.pairs.len(), "one flag per pair");
        self.pairs
            .iter()
            .zip(keep)
            .filter(|(_, keep)| **keep)
            .map(|(pair, _)| *pair)
    }

    /// The same data with its pictures as images, instead of features.
    ///
    /// # Errors
    /// If an image has no picture.
    pub fn with_pictures(self) -> Result<Dataset> {
        if self.images.are_pictures() {
            return Ok(self);
        }
        let files: Option<Vec<PathBuf>> = self.image_files.iter().cloned().collect();
        match files.filter(|files| !files.is_empty()) {
            Some(files) => Ok(Dataset {
                images: Features::from_pictures(files.into_iter().map(Picture::File).collect()),
                ..self
            }),
            None => Err(Error::argument(
                format!(
                    "`{}` has features but not a picture of every image",
                    self.name
                ),
                "give the list or the folder of the pictures, and where they lie",
            )),
        }
    }

    /// Decodes every picture and leaves out the images whose picture cannot be decoded, with their
    /// captions and pairs; returns what was left out. Data whose images are features stays as it is.
    ///
    /// # Errors
    /// If no image is left.
    ///
    /// # Panics
    /// If the pictures have no reader.
    pub fn without_broken_pictures(
        self,
        watch: &mut dyn Watch,
    ) -> Result<(Dataset, Vec<BrokenPicture>)> {
        let broken = self.images.broken_pictures(watch);
        let mut keep = vec![true; self.n_images()];
        for picture in &broken {
            keep[picture.row as usize] = false;
        }
        if !broken.is_empty() && broken.len() == keep.len() {
            return Err(Error::data(
                &broken[0].place,
                Place::Whole,
                format!(
                    "{}, and none of the other pictures can be used either",
                    broken[0].problem
                ),
                "check where the pictures lie and that they were copied whole",
            ));
        }
        let kept = if broken.is_empty() {
            self
        } else {
            self.with_images_kept(&keep).0
        };
        Ok((kept, broken))
    }

    /// Only the images whose flag in `keep` `[n_images]` is set, with their captions and pairs; and
    /// the old rows of these captions.
    ///
    /// # Panics
    /// If `keep` is not as long as the images.
    pub fn with_images_kept(mut self, keep: &[bool]) -> (Dataset, Vec<u32>) {
        assert_eq!(keep.len(), self.n_images(), "one flag per image");
        let kept: Vec<u32> = (0..keep.len() as u32)
            .filter(|row| keep[*row as usize])
            .collect();
        let mut new_index = vec![None; keep.len()];
        for (new, &old) in kept.iter().enumerate() {
            new_index[old as usize] = Some(new as u32);
        }
        let paired = |dataset: &Dataset| {
            let mut paired = vec![false; dataset.n_captions()];
            dataset
                .pairs
                .iter()
                .for_each(|pair| paired[pair.caption as usize] = true);
            paired
        };
        let before = paired(&self);
        self.pairs = (self.pairs.iter())
            .filter_map(|pair| {
                let image = new_index[pair.image as usize]?;
                Some(Pair { image, ..*pair })
            })
            .collect();
        let after = paired(&self);
        let captions: Vec<u32> = (0..self.n_captions() as u32)
            .filter(|row| after[*row as usize] || !before[*row as usize])
            .collect();
        self.select_captions(&captions);
        self.images = self.images.select(&kept);
        self.image_ids = pick(&self.image_ids, keep);
        self.image_files = match self.image_files.is_empty() {
            true => Vec::new(),
            false => pick(&self.image_files, keep),
        };
        self.labels = self.labels.map(|labels| pick(&labels, keep));
        (self, captions)
    }

    /// These images and these captions alone, in this order, without pairs: what a matcher needs to
    /// score them.
    ///
    /// # Panics
    /// If one of them does not exist.
    pub fn items(&self, images: &[u32], captions: &[u32]) -> Dataset {
        let texts = self.captions.as_ref();
        let named = self.caption_features.as_ref();
        Dataset {
            images: self.images.select(images),
            image_ids: (images.iter())
                .map(|&row| self.image_ids[row as usize].clone())
                .collect(),
            image_files: Vec::new(),
            captions: texts.map(|texts| {
                let kept = captions.iter().map(|&row| texts[row as usize].clone());
                kept.collect()
            }),
            caption_features: named.map(|named| NamedFeatures {
                name: named.name.clone(),
                features: named.features.select(captions),
            }),
            pairs: Vec::new(),
            labels: None,
            name: self.name.clone(),
            format: self.format,
            split: self.split.clone(),
            files: Vec::new(),
            account: Account::default(),
        }
    }

    /// Keeps only the captions `kept` (sorted), and the pairs that have one of them.
    ///
    /// # Panics
    /// If one of them does not exist.
    pub fn select_captions(&mut self, kept: &[u32]) {
        let mut new_index = vec![None; self.n_captions()];
        for (new, &old) in kept.iter().enumerate() {
            new_index[old as usize] = Some(new as u32);
        }
        if let Some(texts) = &mut self.captions {
            *texts = kept
                .iter()
                .map(|&old| std::mem::take(&mut texts[old as usize]))
                .collect();
        }
        if let Some(named) = &mut self.caption_features {
            named.features = named.features.select(kept);
        }
        self.pairs = std::mem::take(&mut self.pairs)
            .into_iter()
            .filter_map(|pair| {
                Some(Pair {
                    caption: new_index[pair.caption as usize]?,
                    ..pair
                })
            })
            .collect();
    }
}

/// The items whose flag is set.
fn pick<T: Clone>(items: &[T], keep: &[bool]) -> Vec<T> {
    let kept = items.iter().zip(keep).filter(|(_, keep)| **keep);
    kept.map(|(item, _)| item.clone()).collect()
}
