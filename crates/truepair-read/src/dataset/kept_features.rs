//! The features of a cleaned list, in a file beside it: those of its images, and its captions'
//! embeddings where the data has them.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Dataset, Features};
use truepair_core::durable;
use truepair_core::error::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::write::{write_features, write_rows};

/// Writes the features of `pairs`, which are pairs of `dataset` in the order of the list at `list`:
/// one row for every image in the order in which it is named first, in a `.npy`; and one for every
/// caption, with the images in one `.npz`.
///
/// # Errors
/// If a row cannot be read, or the file not written.
pub(super) fn write_beside(list: &Path, dataset: &Dataset, pairs: &[usize]) -> Result<PathBuf> {
    let mut seen = HashSet::new();
    let images = pairs.iter().map(|pair| dataset.pairs[*pair].image);
    let images: Vec<u32> = images.filter(|image| seen.insert(*image)).collect();
    let Some(named) = &dataset.caption_features else {
        return write_features(&list.with_extension("npy"), &dataset.images, &images);
    };
    let captions = pairs.iter().map(|pair| dataset.pairs[*pair].caption);
    let captions: Vec<u32> = captions.collect();
    let path = list.with_extension("npz");
    let arrays = [
        ("images", &dataset.images, &images),
        ("captions", &named.features, &captions),
    ];
    // The zip format needs to go back to what it wrote, so it is written aside.
    durable::write_with(&path, |file| {
        let mut zip = ZipWriter::new_stream(file);
        let stored = CompressionMethod::Stored;
        let options = SimpleFileOptions::default()
            .compression_method(stored)
            .large_file(true);
        for (name, features, rows) in arrays {
            zip.start_file(format!("{name}.npy"), options)?;
            write_array(&mut zip, features, rows)?;
        }
        zip.finish()?;
        Ok(())
    })?;
    Ok(path)
}

fn write_array(out: &mut dyn Write, features: &Features, rows: &[u32]) -> std::io::Result<()> {
    write_rows(out, features, rows).map_err(|cause| std::io::Error::other(cause.to_string()))
}
