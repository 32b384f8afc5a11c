//! What a data set holds, counted without refusing what training would refuse.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;
use truepair_core::dataset::{Account, Dataset, RowContent, RowContents};
use truepair_core::diagnosis::{Diagnosis, Subject, diagnose};
use truepair_core::error::{Error, Result};
use truepair_core::rng::Seed;
use truepair_core::text::is_blank;

use super::named_folder::with_pictures;
use super::out_of_step::in_order;
use super::shown::only_inside;
use super::{Format, OnEmpty, ReadOptions, recognize, refuse_passing_over};

/// What [`inspect`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inspection {
    /// Name of the format.
    pub format: String,
    /// Why this format was chosen.
    pub why: String,
    /// Every split, sorted by name.
    pub splits: Vec<SplitInspection>,
}

/// What one split holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SplitInspection {
    /// Name of the split.
    pub split: String,
    /// Why the split cannot be read; everything else is then empty.
    pub problem: Option<String>,
    /// Number of images.
    pub images: usize,
    /// Number of captions.
    pub captions: usize,
    /// Number of pairs.
    pub pairs: usize,
    /// Smallest and largest number of captions that one image has.
    pub captions_per_image: Option<CaptionsPerImage>,
    /// Regions per image; 1 when an image is one vector.
    pub regions: usize,
    /// Numbers per region.
    pub dim: usize,
    /// Type of the stored image features.
    pub dtype: String,
    /// Caption embeddings that were found.
    pub caption_features: Vec<CaptionFeaturesFound>,
    /// Captions whose text, without case and spacing, occurred before.
    pub duplicate_captions: usize,
    /// Images whose features occurred before, to the bit.
    pub duplicate_images: usize,
    /// Captions without text.
    pub empty_captions: usize,
    /// Rows of image features with a NaN or an infinite number.
    pub non_finite_images: NonFinite,
    /// Rows of the used caption embeddings with a NaN or an infinite number.
    pub non_finite_captions: NonFinite,
    /// Labeled images and distinct classes, when there are labels.
    pub labels: Option<Labels>,
    /// Images whose picture was found.
    pub pictures: usize,
    /// What stands out, such as rows out of step or images that stand in a split before it.
    pub diagnoses: Vec<Diagnosis>,
    /// What was used, passed over and chosen.
    pub account: Account,
}

/// Smallest and largest number of captions that one image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaptionsPerImage {
    /// Smallest.
    pub min: usize,
    /// Largest.
    pub max: usize,
}

/// Rows with a NaN or an infinite number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NonFinite {
    /// How many.
    pub count: usize,
    /// The first one, from 0.
    pub first_row: Option<usize>,
}

/// Caption embeddings beside the captions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaptionFeaturesFound {
    /// By which they are chosen.
    pub name: String,
    /// Whether these options choose them.
    pub used: bool,
    /// Numbers per caption, of the chosen ones.
    pub dim: Option<usize>,
}

/// Classes of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Labels {
    /// Images with a class.
    pub labeled: usize,
    /// Distinct classes.
    pub classes: usize,
}

/// Says what `path` holds, all splits.
///
/// # Errors
/// If no format recognizes `path` or its splits cannot be listed. A split that cannot be read is
/// no error: its [`SplitInspection::problem`] says why.
pub fn inspect(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Inspection> {
    let path = path.as_ref();
    let (format, why) = recognize(path, options)?;
    let mut names = format.splits(path, options)?;
    // Training comes first: what is measured elsewhere must not stand in it.
    names.sort_by_key(|name| (name != &ReadOptions::default().split, name.clone()));
    let read = names
        .iter()
        .map(|split| read_split(format, path, split, options));
    let read: Vec<Result<Dataset>> = read.collect();
    let looked = read.iter().map(|data| {
        let data = data.as_ref().map_err(Error::to_string)?;
        Subject::new(data, SEED).map_err(|error| error.to_string())
    });
    let looked: Vec<Result<Subject<'_>, String>> = looked.collect();
    let mut splits: Vec<SplitInspection> = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let found = looked[at].clone().and_then(|subject| {
            let subject = subject.beside(looked[..at].iter().flatten().collect());
            inspect_split(format, path, &subject).map_err(|error| error.to_string())
        });
        splits.push(found.unwrap_or_else(|problem| SplitInspection {
            split: name,
            problem: Some(problem),
            ..SplitInspection::default()
        }));
    }
    splits.sort_by(|a, b| a.split.cmp(&b.split));
    Ok(Inspection {
        format: format.name().into(),
        why,
        splits,
    })
}

/// Where a part is drawn to be looked at, always the same.
const SEED: Seed = Seed(0);

fn read_split(
    format: &dyn Format,
    path: &Path,
    split: &str,
    options: &ReadOptions,
) -> Result<Dataset> {
    let options = ReadOptions {
        split: split.to_owned(),
        on_empty: OnEmpty::Keep,
        ..options.clone()
    };
    let data = in_order(format.read(path, &options)?, path, &options)?;
    let data = only_inside(with_pictures(data, path, &options)?, path, &options);
    if options.strict {
        refuse_passing_over(path, &data.account)?;
    }
    Ok(data)
}

fn inspect_split(
    format: &dyn Format,
    path: &Path,
    subject: &Subject<'_>,
) -> Result<SplitInspection> {
    let data = subject.dataset;
    let texts = data.captions.as_deref().unwrap_or_default();
    Ok(SplitInspection {
        split: data.split.clone(),
        problem: None,
        images: data.n_images(),
        captions: data.n_captions(),
        pairs: data.pairs.len(),
        captions_per_image: captions_per_image(data),
        regions: data.images.regions(),
        dim: data.images.dim(),
        dtype: data.images.dtype(),
        caption_features: caption_features(format, path, data),
        duplicate_captions: duplicate_texts(texts),
        duplicate_images: n_repeated(&subject.images),
        empty_captions: texts.iter().filter(|text| is_blank(text)).count(),
        non_finite_images: NonFinite::among(&subject.images),
        non_finite_captions: NonFinite::among(&subject.captions),
        labels: data.labels.as_deref().map(labels),
        pictures: data.image_files.iter().flatten().count(),
        diagnoses: diagnose(subject)?,
        account: data.account.clone(),
    })
}

fn captions_per_image(data: &Dataset) -> Option<CaptionsPerImage> {
    let mut counts = vec![0; data.n_images()];
    for pair in &data.pairs {
        counts[pair.image as usize] += 1;
    }
    let (min, max) = (counts.iter().min()?, counts.iter().max()?);
    Some(CaptionsPerImage {
        min: *min,
        max: *max,
    })
}

fn caption_features(format: &dyn Format, path: &Path, data: &Dataset) -> Vec<CaptionFeaturesFound> {
    let used = data.caption_features.as_ref();
    let mut names = format.caption_feature_names(path, &data.split);
    names.extend(used.map(|used| used.name.clone()));
    names.sort();
    names.dedup();
    let found = |name: String| {
        let used = used.filter(|used| used.name == name);
        let dim = used.map(|used| used.features.dim());
        CaptionFeaturesFound {
            name,
            used: used.is_some(),
            dim,
        }
    };
    names.into_iter().map(found).collect()
}

fn duplicate_texts(texts: &[String]) -> usize {
    let normal = |text: &String| {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase()
    };
    let distinct: HashSet<String> = texts.iter().map(normal).collect();
    texts.len() - distinct.len()
}

fn labels(labels: &[i64]) -> Labels {
    let known: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0).collect();
    let classes: HashSet<i64> = known.iter().copied().collect();
    Labels {
        labeled: known.len(),
        classes: classes.len(),
    }
}

fn n_repeated(rows: &RowContents) -> usize {
    let distinct: HashSet<u64> = rows.hashes().iter().copied().collect();
    rows.len() - distinct.len()
}

impl NonFinite {
    fn among(rows: &RowContents) -> Self {
        let bad = (0..rows.len()).filter(|&row| rows.content(row) == RowContent::NotFinite);
        let bad: Vec<usize> = bad.collect();
        Self {
            count: bad.len(),
            first_row: bad.first().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::write::{write_features, write_ints};
    use super::*;

    #[test]
    fn bad_things_are_counted_and_not_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let nan = f32::NAN;
        let images = Features::from_rows(vec![1.0, 2.0, nan, 0.0, 1.0, 2.0], 2);
        write_features(&folder.join("train_ims.npy"), &images, &[0, 1, 2]).unwrap();
        std::fs::write(folder.join("train_caps.txt"), "A dog\na  DOG\n\n").unwrap();
        write_ints(&folder.join("train_labels.npy"), &[[3], [-1], [3]]).unwrap();
        let words = Features::from_rows(vec![1.0; 6], 2);
        write_features(&folder.join("train_caps_b.npy"), &words, &[0, 1, 2]).unwrap();
        write_features(&folder.join("train_caps_a.npy"), &words, &[0, 1, 2]).unwrap();
        write_features(&folder.join("dev_ims.npy"), &images, &[0, 1]).unwrap();
        std::fs::write(folder.join("dev_caps.txt"), "x\ny\nz\n").unwrap();

        let found = inspect(folder, &ReadOptions::default()).unwrap();
        assert_eq!(found.format, "precomp");
        let [dev, train] = &found.splits[..] else {
            panic!("{found:?}")
        };
        assert!(
            dev.problem
                .as_ref()
                .unwrap()
                .contains("3 captions cannot be shared")
        );
        assert_eq!((train.images, train.captions, train.pairs), (3, 3, 3));
        assert_eq!(
            (train.regions, train.dim, train.dtype.as_str()),
            (1, 2, "f32")
        );
        assert_eq!((train.duplicate_captions, train.duplicate_images), (1, 1));
        assert_eq!(train.empty_captions, 1);
        assert_eq!(
            train.non_finite_images,
            NonFinite {
                count: 1,
                first_row: Some(1)
            }
        );
        assert_eq!(
            train.labels,
            Some(Labels {
                labeled: 2,
                classes: 1
            })
        );
        let names: Vec<(&str, bool)> = train
            .caption_features
            .iter()
            .map(|f| (f.name.as_str(), f.used))
            .collect();
        assert_eq!(names, [("a", true), ("b", false)]);
        assert!(
            serde_json::to_string(&found)
                .unwrap()
                .contains("\"first_row\":1")
        );
    }
}
