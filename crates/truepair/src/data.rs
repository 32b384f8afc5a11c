//! From the arguments of the command line to a data set that is fit to work with.

use std::path::Path;

use anyhow::Result;
use truepair_core::dataset::{self, CaptionFeatures, Dataset, ReadOptions};

use crate::cli::ReadArgs;
use crate::progress::Bars;

/// Reads one split and makes sure that every feature is a finite number.
///
/// # Errors
/// If the data cannot be read, or a feature is NaN or infinite; the message names the row.
pub(crate) fn open(path: &Path, options: &ReadOptions, bars: &mut Bars) -> Result<Dataset> {
    let dataset = dataset::open(path, options)?;
    check_finite(&dataset, bars)?;
    Ok(dataset)
}

/// # Errors
/// If a feature is NaN or infinite; the message names the row.
pub(crate) fn check_finite(dataset: &Dataset, bars: &mut Bars) -> Result<()> {
    dataset.images.check_finite(bars)?;
    if let Some(named) = &dataset.caption_features {
        named.features.check_finite(bars)?;
    }
    Ok(())
}

impl ReadArgs {
    pub(crate) fn options(&self, split: &str) -> ReadOptions {
        ReadOptions {
            split: split.to_owned(),
            format: self.format.clone(),
            caption_features: match &self.caption_features {
                Some(name) => CaptionFeatures::from(name.clone()),
                None => CaptionFeatures::Auto,
            },
            features: self.features.clone(),
            pairs: self.pairs.clone(),
            image_column: self.image_column.clone(),
            caption_columns: self.caption_columns.clone(),
            id_column: self.id_column.clone(),
            on_empty: self.on_empty.into(),
        }
    }
}

/// One line that says what is being worked on.
pub(crate) fn describe(dataset: &Dataset) -> String {
    use crate::render::count;
    format!(
        "{}, split {}: {} of {} and {} ({})",
        dataset.name,
        dataset.split,
        count(dataset.pairs.len(), "pair"),
        count(dataset.n_images(), "image"),
        count(dataset.n_captions(), "caption"),
        dataset.format,
    )
}
