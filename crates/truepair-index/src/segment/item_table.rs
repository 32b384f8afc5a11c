//! Id, text and picture of every row, read where they lie.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Bytes;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::catalog::PartEntry;
use crate::item::Side;
use crate::stored_file::{RESTORE, check_numbers, numbers};

pub(super) const TEXTS: &str = "items.bin";
pub(super) const STARTS: &str = "items.u64";
pub(super) const HAS: &str = "items.has";
/// Bit of an item that has a text.
pub(super) const HAS_TEXT: u8 = 1;
/// Bit of an item that has a picture.
pub(super) const HAS_PICTURE: u8 = 2;

/// The texts of a part's items.
#[derive(Debug)]
pub(crate) struct ItemTable {
    texts: Bytes,
    /// Where the id, the text and the picture of each row begin, and where the last one ends.
    starts: Bytes,
    has: Bytes,
    path: PathBuf,
}

impl ItemTable {
    pub(super) fn open(folder: &Path, side: Side, part: &PartEntry) -> Result<Self> {
        let map = |ending| part.file(folder, side, ending)?.map(folder);
        let table = Self {
            texts: map(TEXTS)?,
            starts: map(STARTS)?,
            has: map(HAS)?,
            path: folder.join(format!("{}-{TEXTS}", side.name())),
        };
        check_numbers::<u64>(&table.starts, 3 * part.n + 1, &table.path)?;
        check_numbers::<u8>(&table.has, part.n, &table.path)?;
        Ok(table)
    }

    /// The id of a row.
    pub(super) fn id(&self, row: usize) -> Result<&str> {
        self.field(row, 0)
    }

    /// The text of a row.
    pub(super) fn text(&self, row: usize) -> Result<Option<&str>> {
        self.optional(row, 1, HAS_TEXT)
    }

    /// Where the picture of a row is.
    pub(super) fn picture(&self, row: usize) -> Result<Option<&str>> {
        self.optional(row, 2, HAS_PICTURE)
    }

    fn optional(&self, row: usize, field: usize, bit: u8) -> Result<Option<&str>> {
        if self.has[row] & bit == 0 {
            return Ok(None);
        }
        self.field(row, field).map(Some)
    }

    fn field(&self, row: usize, field: usize) -> Result<&str> {
        let starts: &[u64] = numbers(&self.starts);
        let (first, end) = (
            starts[3 * row + field] as usize,
            starts[3 * row + field + 1] as usize,
        );
        let bytes = self.texts.get(first..end);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.ok_or_else(|| {
            let problem = "the text of this row was changed or damaged";
            Error::data(&self.path, Place::Row(row as u64), problem, RESTORE)
        })
    }
}
