//! What the images of a table are called.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use truepair_core::dataset::{Account, PictureColumn};
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::picture_column::ParquetPictures;
use super::records;
use super::selector::Selector;

/// How the record of an image gives its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Naming {
    /// By the cell of the image column.
    #[default]
    Cell,
    /// By that cell, or by the number of the record where it holds no name.
    CellOrNumber,
    /// By the number of the record, from 0.
    Number,
}

impl Naming {
    /// The name of the image of record `record`; `None` when it has none.
    ///
    /// # Errors
    /// The names, when there are several.
    pub(super) fn name(self, record: u32, cell: Cell) -> Result<Option<String>, Vec<String>> {
        let number = || record.to_string();
        match self {
            Naming::Cell => cell.only(),
            Naming::CellOrNumber => {
                let named = cell.only()?.filter(|name| !name.trim().is_empty());
                Ok(named.or_else(|| Some(number())))
            }
            Naming::Number => Ok(Some(number())),
        }
    }
}

/// Decides how images are called whose bytes stand in `columns`, one for each of `files`, beside
/// names at `place`.
///
/// A name that stands at several records is one picture, of which the data has several captions. When
/// it is several pictures, names say nothing, and numbers do.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn of_pictures(
    files: &[PathBuf],
    columns: &[Arc<ParquetPictures>],
    place: &Selector,
    account: &mut Account,
) -> Result<Naming> {
    let repeated = repeated_names(files, place)?;
    if repeated.is_empty() {
        return Ok(Naming::CellOrNumber);
    }
    let mut hashes: HashMap<String, u64> = HashMap::new();
    for (path, column) in files.iter().zip(columns) {
        let mut number = 0;
        let mut other = None;
        records::for_each_at(path, std::slice::from_ref(place), |place, mut cells| {
            let record = number;
            number += 1;
            let name = cells.pop().and_then(|cell| cell.only().ok().flatten());
            let Some(name) = name.filter(|name| other.is_none() && repeated.contains(name)) else {
                return Ok(());
            };
            let bytes = column
                .bytes(record)
                .map_err(|cause| unreadable(column, place, cause))?;
            // A list of pairs may hold the bytes of a picture once.
            let Some(bytes) = bytes else { return Ok(()) };
            let mut hash = DefaultHasher::new();
            bytes.data().hash(&mut hash);
            let hash = hash.finish();
            if *hashes.entry(name.clone()).or_insert(hash) != hash {
                other = Some(name);
            }
            Ok(())
        })?;
        if let Some(name) = other {
            account.chose(format!(
                "several pictures are called '{name}', so images are called by the number of their \
                 record"
            ));
            return Ok(Naming::Number);
        }
    }
    Ok(Naming::CellOrNumber)
}

fn unreadable(column: &ParquetPictures, place: Place, cause: String) -> Error {
    Error::data(column.path(), place, cause, "write the table again")
}

fn repeated_names(files: &[PathBuf], place: &Selector) -> Result<HashSet<String>> {
    let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
    for path in files {
        records::for_each_at(path, std::slice::from_ref(place), |_, mut cells| {
            let name = cells.pop().and_then(|cell| cell.only().ok().flatten());
            if let Some(name) = name.filter(|name| !name.is_empty())
                && !seen.insert(name.clone())
            {
                repeated.insert(name);
            }
            Ok(())
        })?;
    }
    Ok(repeated)
}
