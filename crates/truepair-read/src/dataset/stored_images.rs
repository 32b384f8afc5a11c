//! Images that are stored once per caption, as the features of VSE++ and its descendants are.
//!
//! Read as they stand, every image would have one caption and four copies whose captions count as wrong.

use truepair_core::dataset::{Dataset, RowContents};
use truepair_core::diagnosis::run_length;
use truepair_core::error::Result;

/// Rows that are compared before all are.
const GLANCE: usize = 2;

/// The data with one row an image, where every image stands equally often in a run of equal rows; noted in
/// its account.
///
/// # Errors
/// If a row cannot be read.
pub(super) fn one_row_an_image(mut dataset: Dataset) -> Result<Dataset> {
    let images = &dataset.images;
    if images.are_pictures() || images.len() < 2 * GLANCE {
        return Ok(dataset);
    }
    // Most data is told by its first two rows.
    let first: Vec<u32> = (0..GLANCE as u32).collect();
    let glance = RowContents::of(&images.select(&first))?;
    if glance.hashes()[0] != glance.hashes()[1] {
        return Ok(dataset);
    }
    let Some(run) = run_length(RowContents::of(images)?.hashes()) else {
        return Ok(dataset);
    };
    let kept: Vec<u32> = (0..images.len() as u32).step_by(run).collect();
    dataset.images = images.select(&kept);
    dataset.image_ids = every(run, std::mem::take(&mut dataset.image_ids));
    let numbered = dataset.image_ids.iter().all(|id| id.ends_with("#0"));
    if numbered {
        for id in &mut dataset.image_ids {
            id.truncate(id.len() - "#0".len());
        }
    }
    dataset.image_files = every(run, std::mem::take(&mut dataset.image_files));
    dataset.labels = dataset.labels.map(|labels| every(run, labels));
    for pair in &mut dataset.pairs {
        pair.image /= run as u32;
    }
    dataset.account.chose(format!(
        "every image stands {run} times in a row, to the bit, and is read as one image with the captions \
         of all {run} rows ({} images)",
        dataset.images.len()
    ));
    Ok(dataset)
}

fn every<T>(run: usize, items: Vec<T>) -> Vec<T> {
    items.into_iter().step_by(run).collect()
}

/// One id for each row of the features as they are stored: where images stand several times, the copies'
/// ids are numbered.
pub(super) fn ids_of_rows(dataset: &Dataset) -> Vec<String> {
    let (ids, n) = (&dataset.image_ids, dataset.images.n_stored());
    let run = n / ids.len().max(1);
    if run < 2 || run * ids.len() != n {
        return ids.clone();
    }
    let of_image = |id: &String| -> Vec<String> {
        let copies = (1..run).map(|copy| format!("{id}#{copy}"));
        std::iter::once(id.clone()).chain(copies).collect()
    };
    ids.iter().flat_map(of_image).collect()
}
