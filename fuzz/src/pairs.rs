//! What must hold of every set of pairs, whatever it was read from.

use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_read::dataset::{
    CaptionFeatures, Pictures, ReadOptions, inspect, open, splits, write_kept,
};

use crate::scratch;

/// Rows that are looked at one by one.
const ROWS: usize = 64;
/// Numbers of such a row; longer ones are not copied.
const ROW_LENGTH: usize = 1 << 16;

/// Reads `path` as the program does: described, opened, cleaned, and the cleaned list opened.
pub(crate) fn open_all(path: &Path, options: &ReadOptions) {
    if let Ok(found) = inspect(path, options) {
        for split in &found.splits {
            assert!(split.problem.is_some() || split.pairs == 0 || split.captions > 0);
        }
    }
    for split in splits(path, options).unwrap_or_default().iter().take(4) {
        let options = ReadOptions {
            split: split.clone(),
            ..options.clone()
        };
        let Ok(data) = open(path, &options) else {
            continue;
        };
        check(&data);
        let again = open(path, &options).expect("what was read once is read again");
        assert_same(&data, &again);
        clean(path, &data, &options);
    }
}

/// The options under which a list needs no features.
pub(crate) fn with_pictures() -> ReadOptions {
    ReadOptions {
        pictures: Pictures::Beside,
        ..ReadOptions::default()
    }
}

/// The texts of captions alone, without vectors beside them.
pub(crate) fn of_texts() -> ReadOptions {
    ReadOptions {
        caption_features: CaptionFeatures::None,
        ..ReadOptions::default()
    }
}

/// Every part of `data` has as many rows as the others say, and pairs are of rows that are there.
pub(crate) fn check(data: &Dataset) {
    let (n_images, n_captions) = (data.n_images(), data.n_captions());
    assert!(!data.pairs.is_empty(), "data that is opened has pairs");
    for pair in &data.pairs {
        assert!((pair.image as usize) < n_images && (pair.caption as usize) < n_captions);
    }
    assert_eq!(data.image_ids.len(), n_images);
    assert!(data.image_files.is_empty() || data.image_files.len() == n_images);
    assert!(data.labels.as_ref().is_none_or(|all| all.len() == n_images));
    if let (Some(texts), Some(named)) = (&data.captions, &data.caption_features) {
        assert_eq!(texts.len(), named.features.len());
    }
    let named = data.caption_features.as_ref();
    for features in [Some(&data.images), named.map(|named| &named.features)] {
        features.into_iter().for_each(check_rows);
    }
    data.account.lines();
    // Files that were read are there to be hashed.
    let hash = data.content_hash().expect("the files of the data");
    assert_eq!(hash.len(), 64);
}

/// Rows can be read one by one.
pub(crate) fn check_rows(features: &truepair_core::dataset::Features) {
    if features.are_pictures() {
        for row in 0..features.len().min(ROWS) {
            if let Some(picture) = features.picture(row) {
                // Bytes that are gone or cut are an error in words.
                let _ = picture.read();
            }
        }
        return;
    }
    assert_eq!(features.row_len(), features.regions() * features.dim());
    if features.row_len() > ROW_LENGTH {
        return;
    }
    let mut row = vec![0.0; features.row_len()];
    for at in 0..features.len().min(ROWS) {
        features
            .copy_row(at, &mut row)
            .expect("a row of opened features");
    }
    let _ = features.check_finite(&mut ());
}

fn assert_same(one: &Dataset, other: &Dataset) {
    assert_eq!(one.format, other.format);
    assert_eq!(one.pairs, other.pairs);
    assert_eq!(one.captions, other.captions);
    assert_eq!(one.image_ids, other.image_ids);
    assert_eq!(one.labels, other.labels);
    assert_eq!(one.account.lines(), other.account.lines());
}

/// The cleaned list of all pairs but the last reads back as these pairs: how a list begins says what it is.
fn clean(path: &Path, data: &Dataset, options: &ReadOptions) {
    let mut keep = vec![true; data.pairs.len()];
    let last = keep.len() - 1;
    keep[last] = last == 0;
    let out = scratch::output();
    let Ok(files) = write_kept(data, &keep, &out) else {
        return;
    };
    assert!(!files.is_empty(), "a cleaned list is a file");
    for file in &files {
        assert!(file.starts_with(&out), "{} is elsewhere", file.display());
    }
    let name = path.file_name().expect("the input has a name");
    let written = out.join(name);
    if !written.exists() {
        return;
    }
    // Fewer lines may no longer show by themselves what they are.
    let mut named_format = ReadOptions {
        format: Some(data.format.to_owned()),
        ..options.clone()
    };
    // Where some records have a split, those without one are the split of no name; by themselves they are all there is.
    if data.split.is_empty() && splits(&written, &named_format).is_ok_and(|left| left == ["all"]) {
        named_format.split = "all".to_owned();
    }
    let cleaned = open(&written, &named_format).expect("a cleaned list opens");
    check(&cleaned);
    let kept = data.with_pairs_kept(&keep);
    assert_eq!(named(&cleaned), named(&kept), "of a cleaned list");
}

/// The pairs by what they are called, sorted.
fn named(data: &Dataset) -> Vec<(&str, Option<&str>)> {
    let text = |row: u32| Some(data.captions.as_ref()?[row as usize].as_str());
    let mut named: Vec<_> = (data.pairs.iter())
        .map(|pair| {
            (
                data.image_ids[pair.image as usize].as_str(),
                text(pair.caption),
            )
        })
        .collect();
    named.sort_unstable();
    named
}
