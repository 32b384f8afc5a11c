//! What one file of arrays holds beside its two matrices: texts, names of images and pairs.

use std::path::{Path, PathBuf};

use truepair_core::error::{Error, Place, Result};
use truepair_core::npy;
use truepair_core::pair::Pair;

use super::kept_archive::PAIRS;
use super::matrices;
use super::sides::{CAPTION_NAMES, ID_NAMES, Side};
use crate::archive::Archive;
use crate::lines::read_lines;

/// Texts, one for each row of a matrix, and where they stand.
pub(super) struct Texts {
    pub(super) path: PathBuf,
    pub(super) texts: Vec<String>,
}

impl Texts {
    /// Those of the array or those of `file`, one for each of `n` rows.
    ///
    /// # Errors
    /// If both are there, or the number is another.
    pub(super) fn settled(within: Option<Self>, file: &Path, n: usize) -> Result<Option<Self>> {
        let found = match within {
            Some(found) if file.exists() => return Err(both_there(file, &found.path)),
            None if file.exists() => Some(Self {
                path: file.to_path_buf(),
                texts: read_lines(file)?,
            }),
            found => found,
        };
        if let Some(found) = &found {
            found.check_length(n)?;
        }
        Ok(found)
    }

    /// Whether they stand in a file of their own.
    pub(super) fn is_file(&self) -> bool {
        self.path.is_file()
    }

    fn check_length(&self, n: usize) -> Result<()> {
        if self.texts.len() == n {
            return Ok(());
        }
        Err(Error::data(
            &self.path,
            Place::Whole,
            format!("{} texts for {n} embeddings", self.texts.len()),
            "write one line or text per row of the embeddings",
        ))
    }
}

fn both_there(file: &Path, array: &Path) -> Error {
    Error::data(
        file,
        Place::Whole,
        format!("{} says the same, or something else", array.display()),
        "keep the file or the array",
    )
}

/// What one file of arrays holds beside the two matrices.
#[derive(Default)]
pub(super) struct Within {
    pub(super) texts: Option<Texts>,
    pub(super) ids: Option<Texts>,
    pub(super) pairs: Option<Rows>,
    /// The arrays that were read.
    pub(super) keys: Vec<String>,
}

/// Pairs of rows that are not yet held against the matrices.
pub(super) struct Rows {
    path: PathBuf,
    values: Vec<i64>,
    shape: Vec<usize>,
}

impl Rows {
    /// # Errors
    /// If a number is not a row.
    pub(super) fn of_rows(&self, of: [usize; 2]) -> Result<Vec<Pair>> {
        matrices::pairs_of_rows(&self.path, &self.values, &self.shape, of)
    }
}

impl Within {
    /// What stands in `file` beside the matrices of `images` and `captions`.
    ///
    /// # Errors
    /// If two arrays claim the same, or pairs are not whole numbers.
    pub(super) fn of(file: &Path, images: &Side, captions: &Side) -> Result<Self> {
        let mut archive = Archive::open(file)?;
        let mut names = archive.names();
        names.retain(|name| ![&images.key, &captions.key].contains(&&Some(name.clone())));
        let mut found = Self::default();
        for name in names {
            let is_id = ID_NAMES.contains(&name.as_str());
            if !is_id && name != PAIRS && !CAPTION_NAMES.contains(&name.as_str()) {
                continue;
            }
            // What cannot be read is passed over with the other arrays.
            let Ok(member) = archive.member(&name) else {
                continue;
            };
            if name == PAIRS {
                let (values, shape) = npy::ints(&member.path, &member.header, &member.bytes)?;
                let path = member.path;
                found.pairs = Some(Rows {
                    path,
                    values,
                    shape,
                });
            } else if member.is_of_texts() {
                let texts = member.texts()?;
                let path = member.path;
                let slot = if is_id {
                    &mut found.ids
                } else {
                    &mut found.texts
                };
                if let Some(other) = slot {
                    return Err(both_there(&path, &other.path));
                }
                *slot = Some(Texts { path, texts });
            } else {
                continue;
            }
            found.keys.push(name);
        }
        Ok(found)
    }
}
