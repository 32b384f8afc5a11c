//! The pairs of a list, found in the data.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::dataset::{Dataset, Features, NamedFeatures};
use truepair_core::pair::Pair;
use truepair_core::scores::{InnerProduct, Scorer};
use truepair_core::watch::Watch;
use truepair_model::similarity::Role;
use truepair_read::dataset::PlainTable;

use crate::embedder::Embedder;
use crate::search::caption_names;

/// Pairs as a table lists them.
pub(super) struct AskedPairs {
    path: PathBuf,
    /// Image and caption of each.
    records: Vec<(String, String)>,
}

/// The data, its captions followed by new texts and its pairs by those of the list.
pub(super) struct Joined {
    pub(super) dataset: Dataset,
    /// Pairs of the data.
    pub(super) n_reference: usize,
}

impl AskedPairs {
    /// # Errors
    /// If the file is no table, or a record names no image or no caption.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let table = PlainTable::read(path, Some(&["image", "caption"]))?;
        let place = path.display();
        let record = |(at, cells): (usize, &Vec<Option<String>>)| match (&cells[0], &cells[1]) {
            (Some(image), Some(caption)) => Ok((image.clone(), caption.clone())),
            (None, _) => bail!("{place}: record {}: names no image", at + 1),
            (_, None) => bail!("{place}: record {}: has no caption", at + 1),
        };
        let records: Vec<(String, String)> = table
            .records
            .iter()
            .enumerate()
            .map(record)
            .collect::<Result<_>>()?;
        if records.is_empty() {
            bail!("{place}: lists no pair")
        }
        Ok(Self {
            path: path.to_path_buf(),
            records,
        })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.records
            .iter()
            .map(|(image, caption)| (image.as_str(), caption.as_str()))
    }

    /// Looks the pairs up in the data, and adds texts that are not there.
    ///
    /// # Errors
    /// If an image is not in the data, or a new text cannot be embedded.
    pub(super) fn join(
        &self,
        mut dataset: Dataset,
        embed: &dyn Fn(&[String]) -> Result<Features>,
    ) -> Result<Joined> {
        let n_reference = dataset.pairs.len();
        let images: HashMap<&str, u32> = dataset
            .image_ids
            .iter()
            .map(String::as_str)
            .zip(0..)
            .collect();
        let names: HashMap<String, u32> = caption_names(&dataset).into_iter().zip(0..).collect();
        let n_captions = dataset.n_captions() as u32;
        let mut texts: HashMap<&str, u32> = HashMap::new();
        for (text, row) in dataset.captions.iter().flatten().zip(0..) {
            texts.entry(text).or_insert(row);
        }
        let mut new: Vec<String> = Vec::new();
        let mut pairs = Vec::with_capacity(self.records.len());
        for (at, (image, caption)) in self.records.iter().enumerate() {
            let Some(&image) = images.get(image.as_str()) else {
                bail!(
                    "{}: record {}: the data has no image `{image}` in this split (its first one is `{}`)",
                    self.path.display(),
                    at + 1,
                    dataset.image_ids.first().map_or("", String::as_str)
                )
            };
            let row = || caption.parse::<u32>().ok().filter(|row| *row < n_captions);
            let found = texts.get(caption.as_str()).or(names.get(caption)).copied();
            let caption = found.or_else(row).unwrap_or_else(|| {
                let row = n_captions + new.len() as u32;
                new.push(caption.clone());
                texts.insert(caption, row);
                row
            });
            pairs.push(Pair { image, caption });
        }
        dataset.pairs.extend(pairs);
        add(&mut dataset, new, embed).with_context(|| {
            format!(
                "{}: has captions that are not in the data",
                self.path.display()
            )
        })?;
        Ok(Joined {
            dataset,
            n_reference,
        })
    }
}

/// Adds new texts to the captions.
fn add(
    dataset: &mut Dataset,
    new: Vec<String>,
    embed: &dyn Fn(&[String]) -> Result<Features>,
) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    if let Some(named) = &dataset.caption_features {
        let mut values = named.features.to_matrix()?.into_values();
        let dim = named.features.dim();
        let added = embed(&new)?;
        if added.dim() != dim {
            bail!(
                "the text encoder gives {} numbers, and the data's caption embeddings have {dim} (give the encoder \
                 that made them)",
                added.dim()
            )
        }
        values.extend(added.to_matrix()?.into_values());
        dataset.caption_features = Some(NamedFeatures {
            name: named.name.clone(),
            features: Features::from_rows(values, dim),
        });
    }
    if let Some(texts) = &mut dataset.captions {
        texts.extend(new);
    }
    Ok(())
}

impl Joined {
    /// Scores any of the images against any of the captions.
    ///
    /// # Errors
    /// If the data is not what the matcher reads.
    pub(super) fn scorer(
        &self,
        embedder: &Embedder,
        watch: &mut dyn Watch,
    ) -> Result<Box<dyn Scorer>> {
        if let Some(trained) = embedder.trained() {
            return Ok(trained.scorer(&self.dataset, watch)?);
        }
        let sides = embedder.sides(&self.dataset, Role::Asking, watch)?;
        let captions = sides.captions.context(
            "the captions have no embeddings to compare (add --run RUN, or lay the captions' embeddings beside the \
             images')",
        )?;
        Ok(Box::new(InnerProduct::new(
            sides.images.vectors,
            captions.vectors,
        )?))
    }
}
