//! A column: values of one type, and which rows have one.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Bytes;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::bitmap::Bitmap;
use crate::catalog::{ColumnEntry, PartEntry};
use crate::item::{Side, Value, ValueKind};
use crate::stored_file::{RESTORE, StoredFile, check_numbers, numbers};

/// A column on the disk.
#[derive(Debug)]
pub(crate) struct StoredColumn {
    pub(crate) name: String,
    pub(crate) kind: ValueKind,
    present: Bytes,
    /// A byte, a number or the start of a text for each row.
    values: Bytes,
    texts: Bytes,
    path: PathBuf,
}

/// The values of a column, row by row; where none is present there is a zero or an empty text.
pub(crate) enum Cells<'a> {
    Bool(&'a [u8]),
    Int(&'a [i64]),
    Float(&'a [f64]),
    Text(Texts<'a>),
}

/// Texts of a column.
pub(crate) struct Texts<'a> {
    starts: &'a [u64],
    bytes: &'a [u8],
}

impl<'a> Texts<'a> {
    /// The bytes of the text of a row.
    pub(crate) fn get(&self, row: usize) -> &'a [u8] {
        let range = self.starts[row] as usize..self.starts[row + 1] as usize;
        self.bytes.get(range).unwrap_or_default()
    }
}

impl StoredColumn {
    pub(super) fn open(folder: &Path, side: Side, part: &PartEntry, at: usize) -> Result<Self> {
        let ColumnEntry { name, kind } = part.columns[at].clone();
        let file = |ending: &str| part.file(folder, side, &format!("column-{at:03}.{ending}"));
        let map = |ending: &str| file(ending)?.map(folder);
        let path = folder.join(format!("{}-column-{at:03}.values", side.name()));
        let texts = match kind {
            ValueKind::Text => map("text")?,
            _ => Bytes::from(Vec::new()),
        };
        let column = Self {
            name,
            kind,
            present: map("present")?,
            values: map("values")?,
            texts,
            path,
        };
        check_numbers::<u64>(&column.present, part.n.div_ceil(64), &column.path)?;
        match kind {
            ValueKind::Bool => check_numbers::<u8>(&column.values, part.n, &column.path)?,
            ValueKind::Int => check_numbers::<i64>(&column.values, part.n, &column.path)?,
            ValueKind::Float => check_numbers::<f64>(&column.values, part.n, &column.path)?,
            ValueKind::Text => check_numbers::<u64>(&column.values, part.n + 1, &column.path)?,
        }
        Ok(column)
    }

    /// The rows that have a value, of `n`.
    pub(crate) fn present(&self, n: usize) -> Bitmap {
        Bitmap::from_words(numbers(&self.present), n)
    }

    /// All values.
    pub(crate) fn cells(&self) -> Cells<'_> {
        match self.kind {
            ValueKind::Bool => Cells::Bool(numbers(&self.values)),
            ValueKind::Int => Cells::Int(numbers(&self.values)),
            ValueKind::Float => Cells::Float(numbers(&self.values)),
            ValueKind::Text => Cells::Text(Texts {
                starts: numbers(&self.values),
                bytes: &self.texts,
            }),
        }
    }

    /// The value of a row, if it has one.
    pub(super) fn value(&self, row: usize) -> Result<Option<Value>> {
        if numbers::<u64>(&self.present)[row / 64] >> (row % 64) & 1 == 0 {
            return Ok(None);
        }
        let value = match self.cells() {
            Cells::Bool(values) => Value::Bool(values[row] != 0),
            Cells::Int(values) => Value::Int(values[row]),
            Cells::Float(values) => Value::Float(values[row]),
            Cells::Text(texts) => match std::str::from_utf8(texts.get(row)) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => {
                    let problem = "the text of this row was changed or damaged";
                    return Err(Error::data(
                        &self.path,
                        Place::Row(row as u64),
                        problem,
                        RESTORE,
                    ));
                }
            },
        };
        Ok(Some(value))
    }
}

/// A column that is being written: the rows that have a value, ascending.
#[derive(Debug)]
pub(super) struct ColumnValues {
    pub(super) kind: ValueKind,
    pub(super) cells: Vec<(usize, Value)>,
}

impl ColumnValues {
    /// Writes column `at` of `n` rows.
    pub(super) fn write(
        &self,
        folder: &Path,
        side: Side,
        at: usize,
        n: usize,
    ) -> Result<Vec<StoredFile>> {
        let name = |ending| format!("{}-column-{at:03}.{ending}", side.name());
        let mut present = Bitmap::new(n);
        self.cells.iter().for_each(|(row, _)| present.insert(*row));
        let mut files = vec![
            StoredFile::write(folder, name("present"), |out| {
                out.put(bytemuck::cast_slice(present.words()))
            })?,
            StoredFile::write(folder, name("values"), |out| out.put(&self.values(n)))?,
        ];
        if self.kind == ValueKind::Text {
            files.push(StoredFile::write(folder, name("text"), |out| {
                self.cells.iter().try_for_each(|(_, value)| match value {
                    Value::Text(text) => out.put(text.as_bytes()),
                    _ => Ok(()),
                })
            })?);
        }
        Ok(files)
    }

    /// The bytes of the values of all rows.
    fn values(&self, n: usize) -> Vec<u8> {
        match self.kind {
            ValueKind::Bool => self.dense(n, |value| u8::from(*value == Value::Bool(true))),
            ValueKind::Int => self.dense(n, |value| match value {
                Value::Int(value) => *value,
                _ => 0,
            }),
            ValueKind::Float => self.dense(n, |value| match value {
                Value::Float(value) => *value,
                Value::Int(value) => *value as f64,
                _ => 0.0,
            }),
            ValueKind::Text => self.starts(n),
        }
    }

    fn dense<T: bytemuck::Pod + Default>(&self, n: usize, number: impl Fn(&Value) -> T) -> Vec<u8> {
        let mut values = vec![T::default(); n];
        for (row, value) in &self.cells {
            values[*row] = number(value);
        }
        bytemuck::cast_slice(&values).to_vec()
    }

    fn starts(&self, n: usize) -> Vec<u8> {
        let mut starts = vec![0u64; n + 1];
        for (row, value) in &self.cells {
            if let Value::Text(text) = value {
                starts[row + 1] = text.len() as u64;
            }
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        bytemuck::cast_slice(&starts).to_vec()
    }
}
