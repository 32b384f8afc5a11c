//! Parquet files opened with care: they come from elsewhere, and the library that reads them panics
//! on some damaged ones and reads on for hours behind the end of others.

use std::fs::File;
use std::io::{BufReader, Error as IoError, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, TypePtr};
use truepair_core::error::{Error, Place, Result};

use super::page_header;
use crate::text_file::open_regular;

/// An opened file, of which the footer has been read.
pub(super) struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<FileWithEnd>,
    /// Index of the first record of every row group, and at last the number of records.
    starts: Vec<u32>,
}

impl ParquetFile {
    /// Opens the file and reads its footer.
    ///
    /// # Errors
    /// If it is no regular file, no parquet file or damaged, or has more than 2^32 records.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        let reader =
            contained(|| SerializedFileReader::new(FileWithEnd(file))).map_err(|cause| {
                Error::data(
                    path,
                    Place::Whole,
                    format!("not a readable parquet file: {cause}"),
                    "it was cut short or is of another kind: copy or write it again",
                )
            })?;
        let starts = starts(reader.metadata()).ok_or_else(|| {
            Error::data(
                path,
                Place::Whole,
                "its row groups have an impossible number of records",
                "write it again, in files of at most 2^32 records",
            )
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            starts,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns as its schema has them.
    pub(super) fn fields(&self) -> &[TypePtr] {
        self.metadata().file_metadata().schema().get_fields()
    }

    /// The names of its columns.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.fields().iter().map(|field| field.name().to_owned());
        names.collect()
    }

    /// The column `name`.
    pub(super) fn field(&self, name: &str) -> Option<&TypePtr> {
        self.fields().iter().find(|field| field.name() == name)
    }

    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.reader.metadata()
    }

    /// Index of the first record of every row group, and at last the number of records.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Number of records.
    pub(super) fn n_records(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The leaf at this path of names.
    pub(super) fn leaf(&self, parts: &[String]) -> Option<(usize, ColumnDescPtr)> {
        let leaves = self.metadata().file_metadata().schema_descr().columns();
        let found = leaves
            .iter()
            .position(|leaf| leaf.path().parts() == parts)?;
        Some((found, leaves[found].clone()))
    }

    /// Reads one leaf of one row group.
    ///
    /// # Errors
    /// If it is compressed as cannot be read, or is damaged.
    pub(super) fn column(&self, group: usize, leaf: usize) -> Result<ColumnReader, ParquetError> {
        let chunk = self.metadata().row_group(group).column(leaf);
        if let kind @ (Compression::BROTLI(_) | Compression::LZO) = chunk.compression() {
            let kind = if kind == Compression::LZO {
                "LZO"
            } else {
                "Brotli"
            };
            return Err(ParquetError::General(format!(
                "column '{}' is compressed with {kind}, which is not read; write the file with \
                 compression='zstd'",
                chunk.column_path().string()
            )));
        }
        contained(|| self.reader.get_row_group(group)?.get_column_reader(leaf))
    }

    /// What a failure of the library means to the user; `record` counts from 1.
    pub(super) fn failed(&self, record: u64, cause: &ParquetError) -> Error {
        Error::data(
            &self.path,
            Place::Record(record),
            format!("cannot be read: {}", plain(cause)),
            "write the table again",
        )
    }
}

/// A file behind whose end there is nothing to read. The library skips what it does not know of a page's
/// header without looking whether it is there: a list of 2^31 numbers took as many reads of no byte.
#[derive(Debug)]
pub struct FileWithEnd(pub File);

impl Length for FileWithEnd {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for FileWithEnd {
    type T = UntilEnd;

    fn get_read(&self, start: u64) -> Result<UntilEnd, ParquetError> {
        let left = self.len().saturating_sub(start);
        page_header::check(self.0.get_read(start)?.into_inner(), left)?;
        Ok(UntilEnd(self.0.get_read(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // Before the library makes room for them.
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            let text = format!("{length} bytes from byte {start} on lie behind its end");
            return Err(ParquetError::EOF(text));
        }
        self.0.get_bytes(start, length)
    }
}

/// Reads to the end, and not once more.
#[derive(Debug)]
pub struct UntilEnd(BufReader<File>);

impl Read for UntilEnd {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 if !out.is_empty() => Err(IoError::new(
                ErrorKind::UnexpectedEof,
                "the file ends inside the header of a page",
            )),
            n => Ok(n),
        }
    }
}

/// The message alone, without the library's word for its kind.
fn plain(cause: &ParquetError) -> String {
    match cause {
        ParquetError::General(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Runs `work` of the parquet library and makes an error of a panic.
///
/// # Errors
/// As `work`, and if it panics.
pub fn contained<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let text = "the file is damaged in a way that its reader does not expect";
        Err(ParquetError::General(text.into()))
    })
}

fn starts(metadata: &ParquetMetaData) -> Option<Vec<u32>> {
    let mut starts = vec![0u32];
    for group in metadata.row_groups() {
        let rows = u32::try_from(group.num_rows()).ok()?;
        let last = starts[starts.len() - 1];
        starts.push(last.checked_add(rows)?);
    }
    Some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::two_columns::two_columns;

    #[test]
    fn a_header_of_a_page_does_not_lead_behind_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let mut bytes = two_columns(["image", "caption"], &[("a.jpg", "one")]).unwrap();
        // Where the first page begins: field 9, a list of 2^31 - 1 numbers of eight bytes.
        bytes[4..11].copy_from_slice(&[0x99, 0xf7, 0xff, 0xff, 0xff, 0xff, 0x07]);
        std::fs::write(&path, bytes).unwrap();
        let file = ParquetFile::open(&path).unwrap();
        let Ok(ColumnReader::ByteArrayColumnReader(mut column)) = file.column(0, 0) else {
            panic!("a column of texts");
        };
        let mut values = Vec::new();
        let read = contained(|| column.read_records(9, None, None, &mut values));
        let error = read.unwrap_err().to_string();
        assert!(error.contains("2147483647 values"), "{error}");
    }
}
