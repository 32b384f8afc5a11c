//! The folder of pictures that a caller names: it is used, or refused.

use std::path::Path;

use truepair_core::dataset::{Dataset, Picture};
use truepair_core::error::{Error, Place, Result};

use super::pictures::{files_named, files_with_ids};
use super::{Pictures, ReadOptions};

/// The data with the pictures of the folder that `options` name: as its images already, or beside its
/// features, to be shown.
///
/// # Errors
/// If the data holds its pictures itself, or none of its images is found in the folder by its name.
pub(super) fn with_pictures(
    mut dataset: Dataset,
    path: &Path,
    options: &ReadOptions,
) -> Result<Dataset> {
    let Pictures::In(folder) = &options.pictures else {
        return Ok(dataset);
    };
    let images = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
    let (mut n_files, mut n_within) = (0, 0);
    for picture in images {
        match picture {
            Picture::File(_) | Picture::Missing { .. } => n_files += 1,
            _ => n_within += 1,
        }
    }
    if n_files > 0 {
        return Ok(dataset);
    }
    let refuse = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    if n_within > 0 {
        return Err(refuse(
            format!(
                "its pictures stand in the data itself, so those in {} would not be read",
                folder.display()
            ),
            "leave out the folder of pictures",
        ));
    }
    let is_there = |file: &Path| file.starts_with(folder);
    if !dataset
        .image_files
        .iter()
        .flatten()
        .any(|file| is_there(file))
    {
        let mut found = files_named(folder, &dataset.image_ids);
        if found.is_empty() {
            found = files_with_ids(folder, &dataset.image_ids);
        }
        if found.is_empty() {
            return Err(refuse(
                format!(
                    "none of its {} images is a picture in {} by its name, such as {}",
                    dataset.n_images(),
                    folder.display(),
                    dataset.image_ids.first().map_or("", String::as_str)
                ),
                "name the folder from which the images are named, or leave it out",
            ));
        }
        dataset.image_files = found;
    }
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::open;
    use truepair_core::npy::header_bytes;

    #[test]
    fn a_named_folder_is_shown_or_refused() {
        let home = tempfile::tempdir().unwrap();
        let photos = home.path().join("photos");
        std::fs::create_dir(&photos).unwrap();
        let mut rows = header_bytes("<f4", &[2, 2]);
        rows.extend([1.0f32, 0.0, 0.0, 1.0].iter().flat_map(|x| x.to_le_bytes()));
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("train_ims.npy"), rows).unwrap();
        std::fs::write(data.join("train_caps.txt"), "a\nb\n").unwrap();
        std::fs::write(data.join("train_ids.txt"), "one\ntwo\n").unwrap();
        let options = ReadOptions {
            pictures: Pictures::In(photos.clone()),
            ..ReadOptions::default()
        };
        let error = open(&data, &options).unwrap_err().to_string();
        assert!(error.contains("such as one"), "{error}");
        std::fs::write(photos.join("two.jpg"), b"x").unwrap();
        let found = open(&data, &options).unwrap();
        assert_eq!(found.image_files, [None, Some(photos.join("two.jpg"))]);
    }
}
