//! Columns of vectors in parquet files: lists of numbers, all of one length.
//!
//! Vectors are read row group by row group and kept in memory in the type in which they are stored,
//! so a set takes as much memory as its vectors take on disk without compression, and one row group
//! more while it is read. Larger sets belong into `.npy` files, which are mapped.

use std::path::PathBuf;

use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescPtr, Type};
use truepair_core::dataset::Features;
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy::{Header, Number};

use super::parquet_cells::Levels;
use super::parquet_file::{ParquetFile, contained};
use super::parquet_leaf::element_of;

/// Records that are decoded together.
const BATCH: usize = 1024;

/// The names of the columns of a file that hold vectors.
pub(super) fn vector_columns(file: &ParquetFile) -> Vec<String> {
    let fields = file.fields().iter();
    let fields = fields.filter(|field| number_of(field).is_some());
    fields.map(|field| field.name().to_owned()).collect()
}

/// The kind of the numbers of a column of vectors; `None` when it holds something else.
fn number_of(field: &Type) -> Option<Number> {
    let (_, element) = element_of(field)?;
    if !element.is_primitive() {
        return None;
    }
    let logical = element.get_basic_info().logical_type_ref();
    match (element.get_physical_type(), logical) {
        (Physical::FLOAT, _) => Some(Number::F32),
        (Physical::DOUBLE, _) => Some(Number::F64),
        (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Some(Number::F16),
        _ => None,
    }
}

/// The vectors of one column of some files.
#[derive(Debug)]
pub(super) struct Vectors {
    /// One row a record; zeros where a record has none.
    pub(super) features: Features,
    /// Records without a vector, over all files.
    pub(super) missing: Vec<u32>,
}

impl Vectors {
    /// Reads the column `name` of `files`, which follow one another.
    ///
    /// # Errors
    /// If a file cannot be read, or a vector is of another length or has a number missing, whose
    /// record is then named.
    pub(super) fn read(files: &[PathBuf], name: &str) -> Result<Self> {
        let mut reading = Reading {
            dim: None,
            first: 0,
            missing: Vec::new(),
            groups: Vec::new(),
        };
        for path in files {
            let file = ParquetFile::open(path)?;
            for group in 0..file.starts().len() - 1 {
                reading.group(&file, group, name)?;
            }
            reading.first += file.n_records();
        }
        let Some((dim, groups)) = reading.dim.zip(Some(reading.groups)) else {
            let problem = format!("column '{name}' holds no vector");
            return Err(Error::data(
                &files[0],
                Place::Whole,
                problem,
                "embed the data",
            ));
        };
        let features = groups.into_iter().map(|group| group.features(dim));
        Ok(Self {
            features: Features::concat(&features.collect::<Result<Vec<_>>>()?)?,
            missing: reading.missing,
        })
    }
}

/// Vectors on their way out of files.
struct Reading {
    /// Length of a vector, once one is known.
    dim: Option<usize>,
    /// Records of the files before.
    first: u32,
    missing: Vec<u32>,
    groups: Vec<Group>,
}

/// The vectors of one row group.
struct Group {
    path: PathBuf,
    number: Number,
    n: usize,
    bytes: Vec<u8>,
}

impl Group {
    fn features(self, dim: usize) -> Result<Features> {
        let mut bytes = self.bytes;
        // Of a group without any vector nothing but their number is known.
        bytes.resize(self.n * dim * self.number.width(), 0);
        let header = Header {
            number: self.number,
            big_endian: false,
            fortran: false,
            shape: vec![self.n, dim],
            start: 0,
        };
        Features::from_encoded(&self.path, bytes.into(), &header)
    }
}

impl Reading {
    fn group(&mut self, file: &ParquetFile, group: usize, name: &str) -> Result<()> {
        let range = file.starts()[group]..file.starts()[group + 1];
        let field = file.field(name);
        let (Some(number), Some((leaf, column))) = (
            field.and_then(|field| number_of(field)),
            leaf_of(file, name),
        ) else {
            let problem = format!("column '{name}' holds no vectors");
            let remedy = "write all shards with one schema";
            return Err(Error::data(file.path(), Place::Whole, problem, remedy));
        };
        let mut out = Group {
            path: file.path().to_path_buf(),
            number,
            n: 0,
            bytes: Vec::new(),
        };
        let reader = file.column(group, leaf);
        let mut reader = reader.map_err(|cause| file.failed(u64::from(range.start) + 1, &cause))?;
        while out.n < range.len() {
            let n = BATCH.min(range.len() - out.n);
            let first = range.start + out.n as u32;
            let failed = |cause: &ParquetError| file.failed(u64::from(first) + 1, cause);
            let batch = contained(|| batch(&mut reader, n)).map_err(|cause| failed(&cause))?;
            self.take(file, &column, (first, batch), &mut out)?;
            out.n += n;
        }
        if out.n > 0 {
            self.groups.push(out);
        }
        Ok(())
    }

    /// Adds the records of a batch that begins with record `first` of the file.
    fn take(
        &mut self,
        file: &ParquetFile,
        column: &ColumnDescPtr,
        (first, batch): (u32, Batch),
        out: &mut Group,
    ) -> Result<()> {
        let width = out.number.width();
        let (mut at, mut value) = (0, 0);
        let mut record = first;
        while at < batch.rep.len() {
            let end = batch.rep[at + 1..].iter().position(|rep| *rep == 0);
            let end = end.map_or(batch.rep.len(), |after| at + 1 + after);
            let defs = &batch.def[at..end];
            let n = defs
                .iter()
                .filter(|def| **def == column.max_def_level())
                .count();
            let bad = |problem: String| {
                let place = Place::Record(u64::from(record) + 1);
                let remedy = "embed this record again, or remove it";
                Err(Error::data(file.path(), place, problem, remedy))
            };
            let name = &column.path().parts()[0];
            if n == 0 && defs.len() == 1 && defs[0] < column.repeated_ancestor_def_level() {
                self.missing.push(self.first + record);
                let row = self.dim.unwrap_or(0) * width;
                out.bytes.extend(std::iter::repeat_n(0, row));
            } else if n < defs.len() {
                return bad(format!("a number of the vector in column '{name}' is null"));
            } else if *self.dim.get_or_insert(n) != n {
                let dim = self.dim.unwrap_or(0);
                let before = "those before it have";
                return bad(format!(
                    "the vector in column '{name}' has {n} numbers, {before} {dim}"
                ));
            } else {
                // Vectors that were missing before the first one get their place now.
                let before = (record - first) as usize + out.n;
                out.bytes.resize(before * n * width, 0);
                out.bytes
                    .extend(&batch.bytes[value * width..(value + n) * width]);
            }
            value += n;
            at = end;
            record += 1;
        }
        Ok(())
    }
}

fn leaf_of(file: &ParquetFile, name: &str) -> Option<(usize, ColumnDescPtr)> {
    let (names, _) = element_of(file.field(name)?)?;
    let parts: Vec<String> = std::iter::once(name.to_owned()).chain(names).collect();
    file.leaf(&parts)
}

/// Some records of a column of vectors.
struct Batch {
    def: Vec<i16>,
    rep: Vec<i16>,
    /// The numbers as they are stored, the least significant byte first.
    bytes: Vec<u8>,
}

fn batch(reader: &mut ColumnReader, n: usize) -> Result<Batch, ParquetError> {
    match reader {
        ColumnReader::FloatColumnReader(reader) => {
            of(reader, n, |value, bytes| bytes.extend(value.to_le_bytes()))
        }
        ColumnReader::DoubleColumnReader(reader) => {
            of(reader, n, |value, bytes| bytes.extend(value.to_le_bytes()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            of(reader, n, |value, bytes| bytes.extend(value.data()))
        }
        _ => Err(ParquetError::General("the column changed its type".into())),
    }
}

fn of<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    n: usize,
    add: impl Fn(&T::T, &mut Vec<u8>),
) -> Result<Batch, ParquetError> {
    let levels = Levels::read(reader, n)?;
    let mut bytes = Vec::new();
    levels
        .values
        .iter()
        .for_each(|value| add(value, &mut bytes));
    Ok(Batch {
        def: levels.def,
        rep: levels.rep,
        bytes,
    })
}
