//! Image features in a file of their own, for the formats that list images without features.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Features};
use truepair_core::error::{Error, Place, Result};

use super::ReadOptions;
use super::embeddings::{CAPTION_NAMES, IMAGE_NAMES, account_for_arrays};
use crate::archive::Archive;
use crate::lines::{read_lines, refuse_duplicates};

/// Features in row order or by id.
#[derive(Debug)]
pub(super) struct GivenFeatures {
    pub(super) images: Features,
    /// Row of each id; `None` = the rows are in the order of the images.
    pub(super) rows: Option<HashMap<String, u32>>,
    /// Caption embeddings from the same file.
    pub(super) captions: Option<Features>,
    /// The features' own file first.
    pub(super) files: Vec<PathBuf>,
    pub(super) account: Account,
}

impl GivenFeatures {
    /// Opens the file that the caller named, or the one that lies beside `listing` under its name.
    ///
    /// # Errors
    /// If there is none, or it holds no features.
    pub(super) fn open(options: &ReadOptions, listing: &Path) -> Result<Self> {
        let path = match &options.features {
            Some(path) => path.clone(),
            None => find_beside(listing)?,
        };
        if Archive::has_ending(&path) {
            from_archive(&path)
        } else {
            from_npy(&path)
        }
    }
}

fn find_beside(listing: &Path) -> Result<PathBuf> {
    let stem = listing.file_stem().unwrap_or_default().to_string_lossy();
    let names = [".npy", "_ims.npy", ".npz", ".safetensors"].map(|end| format!("{stem}{end}"));
    let found = names
        .iter()
        .map(|name| listing.with_file_name(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::data(
            listing,
            Place::Whole,
            format!(
                "it names images but no features; looked beside it for {}",
                names.join(", ")
            ),
            "name the file of image features: rows in the order of the images, or keyed by id",
        )
    })
}

fn from_npy(path: &Path) -> Result<GivenFeatures> {
    let images = Features::open_npy(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ids_file = path.with_file_name(format!("{stem}_ids.txt"));
    let mut files = vec![path.to_path_buf()];
    let mut rows = None;
    if ids_file.is_file() {
        let ids = read_lines(&ids_file)?;
        refuse_duplicates(&ids_file, &ids, |n| Place::Line(n as u64 + 1))?;
        rows = Some(rows_of(&ids_file, ids, images.len())?);
        files.push(ids_file);
    }
    Ok(GivenFeatures {
        images,
        rows,
        captions: None,
        files,
        account: Account::default(),
    })
}

fn from_archive(path: &Path) -> Result<GivenFeatures> {
    let mut archive = Archive::open(path)?;
    let names = archive.names();
    let known = |wanted: &[&'static str]| {
        wanted
            .iter()
            .find(|name| names.iter().any(|found| found == *name))
            .copied()
    };
    let files = vec![path.to_path_buf()];
    let one = match names.as_slice() {
        [only] => Some(only.as_str()),
        _ => known(IMAGE_NAMES).or_else(|| known(&["features"])),
    };
    let Some(one) = one else {
        return keyed_members(archive, names, files);
    };
    let images = archive.features(one)?;
    let ids = known(&["ids", "image_ids"]);
    let of_captions = known(CAPTION_NAMES);
    let mut account = Account::default();
    let used: Vec<&str> = [Some(one), ids, of_captions]
        .into_iter()
        .flatten()
        .collect();
    account_for_arrays(&mut account, &names, &used);
    let rows = match ids {
        Some(ids) => {
            let ids = archive.member(ids)?.texts()?;
            refuse_duplicates(path, &ids, |n| Place::Row(n as u64))?;
            Some(rows_of(path, ids, images.len())?)
        }
        None => None,
    };
    let captions = of_captions.map(|name| archive.features(name)).transpose()?;
    Ok(GivenFeatures {
        images,
        rows,
        captions,
        files,
        account,
    })
}

/// A file with one array per image, called by its id.
fn keyed_members(
    mut archive: Archive,
    names: Vec<String>,
    files: Vec<PathBuf>,
) -> Result<GivenFeatures> {
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        let mut member = archive.member(name)?;
        // A vector [d] or regions [r, d] are one row.
        member.header.shape.insert(0, 1);
        rows.push(Features::from_encoded(
            &member.path,
            member.bytes,
            &member.header,
        )?);
    }
    let images = Features::concat(&rows)?;
    let rows = rows_of(&files[0], names, images.len())?;
    Ok(GivenFeatures {
        images,
        rows: Some(rows),
        captions: None,
        files,
        account: Account::default(),
    })
}

fn rows_of(path: &Path, ids: Vec<String>, n_rows: usize) -> Result<HashMap<String, u32>> {
    if ids.len() != n_rows {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("{} ids for {n_rows} rows of features", ids.len()),
            "write one id per row",
        ));
    }
    Ok(ids.into_iter().zip(0..).collect())
}
