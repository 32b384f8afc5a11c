//! Pictures whose bytes stand in a column of a parquet file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use parquet::basic::{ConvertedType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescPtr, Type};
use truepair_core::dataset::PictureColumn;
use truepair_core::error::Result;

use super::parquet_cells::Levels;
use super::parquet_file::{ParquetFile, contained};

/// Pictures that are decoded from the file together.
const WINDOW: usize = 8;
/// Readers that are kept open for the next record, over all files of a data set.
const OPEN: usize = 16;

/// A column of pictures: bytes, or structs with `bytes` as Hugging Face data sets store images.
///
/// Records are read a few at a time, so reading in their order reads the file once, whatever the
/// size of its row groups; several threads read several places at once.
pub(super) struct ParquetPictures {
    path: PathBuf,
    name: String,
    leaf: usize,
    column: ColumnDescPtr,
    /// Index of the first record of every row group, and at last the number of records.
    starts: Vec<u32>,
    readers: Arc<Readers>,
}

/// Readers between two records, shared by all files of a data set.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Reader>>);

/// A reader of one row group, somewhere in it.
struct Reader {
    path: PathBuf,
    leaf: usize,
    group: usize,
    reader: ColumnReaderImpl<ByteArrayType>,
    /// The definition level of a value that is there.
    max_def: i16,
    /// The first record of the window, from the start of the group.
    first: usize,
    window: Vec<Option<ByteArray>>,
}

impl ParquetPictures {
    /// The column `name` of the file at `path`; `None` when it holds no bytes. All files of a data
    /// set share `readers`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open_with(
        path: &Path,
        name: &str,
        readers: &Arc<Readers>,
    ) -> Result<Option<Arc<Self>>> {
        let file = ParquetFile::open(path)?;
        let Some(field) = file.field(name).filter(|field| holds_bytes(field)) else {
            return Ok(None);
        };
        let mut parts = vec![name.to_owned()];
        if !field.is_primitive() {
            parts.push("bytes".into());
        }
        let Some((leaf, column)) = file.leaf(&parts) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self {
            path: path.to_path_buf(),
            name: name.to_owned(),
            leaf,
            column,
            starts: file.starts().to_vec(),
            readers: readers.clone(),
        })))
    }

    /// Number of records.
    pub(super) fn len(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The bytes of a record, from 0; `None` when it has none.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(super) fn bytes(&self, record: u32) -> Result<Option<ByteArray>, String> {
        if record >= self.len() {
            return Err(format!("there are {} records", self.len()));
        }
        let group = self.starts.partition_point(|start| *start <= record) - 1;
        let at = (record - self.starts[group]) as usize;
        let mut reader = match self.readers.take(self, group, at) {
            Some(reader) => reader,
            None => self.reader(group)?,
        };
        let n = (self.starts[group + 1] - self.starts[group]) as usize;
        let value =
            contained(|| reader.read(at, n)).map_err(|cause| format!("cannot be read: {cause}"))?;
        self.readers.put(reader);
        Ok(value)
    }

    fn reader(&self, group: usize) -> Result<Reader, String> {
        let file = ParquetFile::open(&self.path).map_err(|cause| cause.to_string())?;
        let column = file.column(group, self.leaf);
        let column = column.map_err(|cause| format!("cannot be read: {cause}"))?;
        let ColumnReader::ByteArrayColumnReader(reader) = column else {
            return Err("the column changed its type".into());
        };
        Ok(Reader {
            path: self.path.clone(),
            leaf: self.leaf,
            group,
            reader,
            max_def: self.column.max_def_level(),
            first: 0,
            window: Vec::new(),
        })
    }

    /// Records without a picture, from 0.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn empty(&self) -> Result<Vec<u32>> {
        let file = ParquetFile::open(&self.path)?;
        let mut empty = Vec::new();
        for (group, start) in self.starts[..self.starts.len() - 1].iter().enumerate() {
            let chunk = file.metadata().row_group(group).column(self.leaf);
            let known = chunk.statistics().and_then(|found| found.null_count_opt());
            if known == Some(0) || self.column.max_def_level() == 0 {
                continue;
            }
            for record in *start..self.starts[group + 1] {
                let bytes = self.bytes(record).map_err(|cause| {
                    file.failed(u64::from(record) + 1, &ParquetError::General(cause))
                })?;
                if bytes.is_none_or(|bytes| bytes.data().is_empty()) {
                    empty.push(record);
                }
            }
        }
        Ok(empty)
    }
}

/// The bytes of a picture in a column of a parquet file, by its record, from 0.
///
/// # Errors
/// Why they cannot be read.
pub fn parquet_picture(path: &Path, column: &str, record: u32) -> Result<Vec<u8>, String> {
    let pictures = ParquetPictures::open_with(path, column, &Arc::default());
    let pictures = pictures.map_err(|cause| cause.to_string())?;
    let pictures = pictures.ok_or_else(|| format!("no column `{column}` with pictures"))?;
    pictures.read(record)
}

impl PictureColumn for ParquetPictures {
    fn path(&self) -> &Path {
        &self.path
    }

    fn column(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn read(&self, record: u32) -> Result<Vec<u8>, String> {
        let bytes = self.bytes(record)?;
        bytes
            .map(|bytes| bytes.data().to_vec())
            .ok_or_else(|| "the record has no bytes".into())
    }
}

impl fmt::Debug for ParquetPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParquetPictures({}, {})", self.path.display(), self.name)
    }
}

impl Reader {
    /// The value of record `at` of a group of `n`.
    fn read(&mut self, at: usize, n: usize) -> Result<Option<ByteArray>, ParquetError> {
        if at >= self.first + self.window.len() {
            let skip = at - self.first - self.window.len();
            if self.reader.skip_records(skip)? != skip {
                return Err(ParquetError::General("the column ends early".into()));
            }
            let levels = Levels::read(&mut self.reader, WINDOW.min(n - at))?;
            let mut values = levels.values.into_iter();
            // Without levels every record has a value.
            let max_def = self.max_def;
            let present = |at: usize| levels.def.get(at).is_none_or(|def| *def == max_def);
            let window =
                (0..levels.n_levels).map(|at| present(at).then(|| values.next()).flatten());
            self.window = window.collect();
            self.first = at;
        }
        Ok(self.window[at - self.first].clone())
    }
}

impl Readers {
    /// The open reader that has the record in its window, or comes to it soonest.
    fn take(&self, column: &ParquetPictures, group: usize, at: usize) -> Option<Reader> {
        // A thread that panicked left whole readers behind.
        let mut readers = self.0.lock().unwrap_or_else(|held| held.into_inner());
        let fits = |reader: &Reader| {
            reader.leaf == column.leaf
                && reader.group == group
                && reader.first <= at
                && reader.path == column.path
        };
        let all = readers
            .iter()
            .enumerate()
            .filter(|(_, reader)| fits(reader));
        let (best, _) = all.max_by_key(|(_, reader)| reader.first)?;
        Some(readers.remove(best))
    }

    fn put(&self, reader: Reader) {
        let mut readers = self.0.lock().unwrap_or_else(|held| held.into_inner());
        if readers.len() >= OPEN {
            readers.remove(0);
        }
        readers.push(reader);
    }
}

/// Whether a column holds the bytes of pictures.
pub(super) fn holds_bytes(field: &Type) -> bool {
    if field.is_primitive() {
        let info = field.get_basic_info();
        let is_text =
            info.converted_type() != ConvertedType::NONE || info.logical_type_ref().is_some();
        return field.get_physical_type() == Physical::BYTE_ARRAY && !is_text;
    }
    let mut parts = field.get_fields().iter();
    parts.any(|part| part.name() == "bytes" && part.is_primitive() && holds_bytes(part))
}
