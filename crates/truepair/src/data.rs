//! From reading options to a data set that is fit to work with.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use truepair_core::dataset::Dataset;
use truepair_core::watch::Watch;
use truepair_image::{PixelReader, Preprocessing};
use truepair_read::dataset::{self, ReadOptions};

use crate::progress::Bars;
use crate::remote;

/// Reads one split and makes sure that every feature is a finite number.
///
/// # Errors
/// If the data cannot be fetched or read, or a feature is NaN or infinite; the message names the row.
pub(crate) fn open(path: &Path, options: &ReadOptions, bars: &mut Bars) -> Result<Dataset> {
    let (path, options) = remote::fetched(path, options, bars)?;
    let dataset = dataset::open(path, &options)?;
    bars.tell(&dataset.account);
    if let Some(side) = options.pixels {
        return decoded(dataset, side, bars);
    }
    check_finite(&dataset, bars)?;
    Ok(dataset)
}

/// Pictures that are named when they are skipped.
const NAMED: usize = 5;

/// The pictures of a data set, decoded to squares of `side` pixels whenever they are read; those that
/// cannot be decoded are named and left out.
fn decoded(dataset: Dataset, side: u16, bars: &mut Bars) -> Result<Dataset> {
    let preprocessing = Preprocessing {
        size: side.into(),
        ..Preprocessing::default()
    };
    preprocessing.check()?;
    let mut dataset = dataset.with_pictures()?;
    let reader = PixelReader { preprocessing };
    dataset.images = dataset.images.with_reader(Arc::new(reader));
    let (dataset, broken) = dataset.without_broken_pictures(bars)?;
    let broken = broken.iter().map(|b| format!("{}: {}", b.place, b.problem));
    tell_skipped(&broken.collect::<Vec<_>>(), "skipped", bars);
    Ok(dataset)
}

/// Warns of pictures, where there are any: `what` became of them, and each with its problem.
pub(crate) fn tell_skipped(pictures: &[String], what: &str, bars: &mut Bars) {
    if pictures.is_empty() {
        return;
    }
    let named = &pictures[..pictures.len().min(NAMED)];
    let more = pictures.len() - named.len();
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    bars.warn(&format!(
        "{} {what}: {}{more}",
        crate::render::count(pictures.len(), "picture"),
        named.join("; ")
    ));
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

/// One line that says what is being worked on.
pub(crate) fn describe(dataset: &Dataset) -> String {
    use crate::render::count;
    format!(
        "{}, split {}: {} of {} and {} ({})",
        remote::name_of(dataset),
        dataset.split,
        count(dataset.pairs.len(), "pair"),
        count(dataset.n_images(), "image"),
        count(dataset.n_captions(), "caption"),
        dataset.format,
    )
}
