//! Noise from published index files.
//!
//! Two kinds are in circulation under similar names: the image of every caption (NCR, and L2RM, whose
//! files repeat an image-level shuffle per caption), and a permutation of the images (DECL, RCL). Their
//! length tells them apart. Both are checked against the data, because a file for another data set
//! would silently plant more noise than it says.

use std::path::Path;

use super::manifest::moves_whole_images;
use crate::dataset::Dataset;
use crate::error::{Error, Place, Result};
use crate::npy;

const REMEDY: &str =
    "use the noise file made for this data set and split, or plant noise with caption:RATE";

const AMBIGUOUS: &str = "the data has as many captions as images, so the noise file could also be a \
    permutation of images; it was read as the image of each caption";

const WHOLE_IMAGES: &str = "the file names an image for each caption, but all captions of an image \
    moved together: compare results with image-level noise, not with caption-level noise";

/// The image of every pair `[n_pairs]` according to the file, with notes for the manifest.
pub(super) fn images(dataset: &Dataset, path: &Path) -> Result<(Vec<u32>, Vec<String>)> {
    let (values, shape) = npy::read_ints(path)?;
    if shape.iter().product::<usize>() != shape[0] {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("a noise file is one list of image indices, but this has shape {shape:?}"),
            REMEDY,
        ));
    }
    let (n_images, n_captions) = (dataset.n_images(), dataset.n_captions());
    let per_pair = values.len() == dataset.pairs.len();
    if !per_pair && values.len() != n_captions && values.len() != n_images {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "{} entries, but {} ({}) has {} pairs, {n_captions} captions and {n_images} images",
                values.len(),
                dataset.name,
                dataset.split,
                dataset.pairs.len(),
            ),
            REMEDY,
        ));
    }
    let index = in_range(&values, n_images, path)?;
    if !per_pair && index.len() != n_captions {
        check_permutation(&index, path)?;
        let images = dataset.pairs.iter().map(|pair| index[pair.image as usize]);
        return Ok((images.collect(), Vec::new()));
    }
    let ambiguous = index.len() == n_images;
    let images = match per_pair {
        true => index,
        false => dataset
            .pairs
            .iter()
            .map(|pair| index[pair.caption as usize])
            .collect(),
    };
    check_multiset(dataset, &images, path)?;
    let notes = if ambiguous {
        vec![AMBIGUOUS.to_string()]
    } else if moves_whole_images(dataset, &images) {
        vec![WHOLE_IMAGES.to_string()]
    } else {
        Vec::new()
    };
    Ok((images, notes))
}

fn in_range(values: &[i64], n_images: usize, path: &Path) -> Result<Vec<u32>> {
    let check = |(row, &value): (usize, &i64)| {
        let image = u32::try_from(value)
            .ok()
            .filter(|&image| (image as usize) < n_images);
        image.ok_or_else(|| {
            Error::data(
                path,
                Place::Row(row as u64),
                format!("image {value}, but the data has {n_images} images, counted from 0"),
                REMEDY,
            )
        })
    };
    values.iter().enumerate().map(check).collect()
}

/// Shuffling moves images between captions: each must appear as often as in the data.
fn check_multiset(dataset: &Dataset, images: &[u32], path: &Path) -> Result<()> {
    let mut surplus = vec![0i64; dataset.n_images()];
    for (pair, &image) in dataset.pairs.iter().zip(images) {
        surplus[pair.image as usize] -= 1;
        surplus[image as usize] += 1;
    }
    let Some(image) = surplus.iter().position(|&surplus| surplus > 0) else {
        return Ok(());
    };
    let row = images
        .iter()
        .rposition(|&given| given as usize == image)
        .unwrap_or(0);
    let expected = dataset
        .pairs
        .iter()
        .filter(|pair| pair.image as usize == image)
        .count();
    Err(Error::data(
        path,
        Place::Row(row as u64),
        format!(
            "image {image} appears {} times, but the data gives it {expected} captions",
            expected as i64 + surplus[image]
        ),
        REMEDY,
    ))
}

fn check_permutation(index: &[u32], path: &Path) -> Result<()> {
    let mut first_row = vec![usize::MAX; index.len()];
    for (row, &image) in index.iter().enumerate() {
        let first = std::mem::replace(&mut first_row[image as usize], row);
        if first != usize::MAX {
            return Err(Error::data(
                path,
                Place::Row(row as u64),
                format!(
                    "image {image} appears here and in row {first}, so this is not a permutation"
                ),
                REMEDY,
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::shuffle_captions::tests::dataset;
    use crate::noise::{NoiseSpec, corrupt};
    use crate::rng::Seed;

    fn file(values: &[i64], shape: &[usize]) -> (tempfile::TempDir, NoiseSpec) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.npy");
        let mut bytes = npy::header_bytes("<i8", shape);
        values
            .iter()
            .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        (folder, NoiseSpec::File(path))
    }

    fn error(values: &[i64], data: &Dataset) -> String {
        let (_folder, spec) = file(values, &[values.len()]);
        corrupt(data, &spec, Seed(0)).unwrap_err().to_string()
    }

    #[test]
    fn one_number_per_caption_is_its_image() {
        let (_folder, spec) = file(&[1, 0, 0, 1, 2, 2], &[6]);
        let (noisy, manifest) = corrupt(&dataset(3, 2), &spec, Seed(0)).unwrap();
        let images: Vec<u32> = noisy.pairs.iter().map(|pair| pair.image).collect();
        assert_eq!(images, [1, 0, 0, 1, 2, 2]);
        assert_eq!(
            manifest.mismatched,
            [true, false, true, false, false, false]
        );
        assert_eq!(
            (manifest.protocol.as_str(), manifest.requested),
            ("file", None)
        );
        assert!(manifest.notes.is_empty() && manifest.file.unwrap().ends_with("noise.npy"));
    }

    #[test]
    fn one_number_per_image_moves_all_its_captions() {
        let (_folder, spec) = file(&[2, 1, 0], &[3]);
        let (noisy, manifest) = corrupt(&dataset(3, 2), &spec, Seed(0)).unwrap();
        let images: Vec<u32> = noisy.pairs.iter().map(|pair| pair.image).collect();
        assert_eq!(images, [2, 2, 1, 1, 0, 0]);
        assert!((manifest.realized - 4.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn an_image_level_shuffle_written_per_caption_is_noted() {
        let (_folder, spec) = file(&[2, 2, 1, 1, 0, 0], &[6]);
        let (_, manifest) = corrupt(&dataset(3, 2), &spec, Seed(0)).unwrap();
        assert!(
            manifest.notes[0].contains("image-level"),
            "{:?}",
            manifest.notes
        );
        let (_folder, spec) = file(&[0, 0, 1, 1, 2, 2], &[6]);
        assert!(
            corrupt(&dataset(3, 2), &spec, Seed(0))
                .unwrap()
                .1
                .notes
                .is_empty()
        );
    }

    #[test]
    fn with_one_caption_an_image_the_reading_is_noted() {
        let (_folder, spec) = file(&[2, 1, 0], &[3]);
        let (_, manifest) = corrupt(&dataset(3, 1), &spec, Seed(0)).unwrap();
        assert_eq!(manifest.notes.len(), 1);
    }

    #[test]
    fn a_file_of_another_data_set_is_refused_with_both_lengths() {
        let error = error(&[0, 1, 2, 3], &dataset(3, 2));
        assert!(error.contains("noise.npy: 4 entries"), "{error}");
        assert!(
            error.contains("6 pairs, 6 captions and 3 images"),
            "{error}"
        );
    }

    #[test]
    fn bad_entries_are_named_by_row() {
        let data = dataset(3, 2);
        let cases: [(&[i64], &str); 5] = [
            (
                &[0, 0, 1, 3, 2, 2],
                "row 3: image 3, but the data has 3 images",
            ),
            (&[0, 0, -1, 1, 2, 2], "row 2: image -1"),
            (
                &[0, 0, 0, 1, 2, 2],
                "row 2: image 0 appears 3 times, but the data gives it 2",
            ),
            (&[0, 2, 2], "row 2: image 2 appears here and in row 1"),
            (&[0, 1, 7], "row 2: image 7"),
        ];
        for (values, expected) in cases {
            let error = error(values, &data);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_table_is_not_a_noise_file() {
        let (_folder, spec) = file(&[0, 0, 1, 1, 2, 2], &[3, 2]);
        let error = corrupt(&dataset(3, 2), &spec, Seed(0))
            .unwrap_err()
            .to_string();
        assert!(error.contains("shape [3, 2]"), "{error}");
    }

    #[test]
    fn an_empty_or_missing_file_is_refused() {
        assert!(error(&[], &dataset(3, 2)).contains("0 entries"));
        let missing = NoiseSpec::File("no/such/noise.npy".into());
        let error = corrupt(&dataset(3, 2), &missing, Seed(0))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no/such/noise.npy"), "{error}");
    }
}
