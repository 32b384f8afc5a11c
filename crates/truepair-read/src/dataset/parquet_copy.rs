//! Parquet files written again without some records or some elements of lists, with all their columns
//! and all that their schema says.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::types::ColumnPath;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::parquet_cells::Levels;
use super::parquet_file::{ParquetFile, contained};

/// Records whose values are in memory together, of one column.
const BATCH: usize = 256;

/// What stays of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Whether each record stays, `[n_records]`.
    pub(super) records: Vec<bool>,
    /// Of records that stay in part: what stays of their columns.
    pub(super) parts: HashMap<u32, Vec<(String, PartKept)>>,
}

/// What stays of one record's value in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartKept {
    /// The elements of its list whose flag is set.
    Elements(Vec<bool>),
    /// Nothing: it becomes null, or an empty text where null is not allowed.
    Nothing,
}

impl Kept {
    /// Whether all stays as it is.
    pub(super) fn is_all(&self) -> bool {
        self.parts.is_empty() && self.records.iter().all(|keep| *keep)
    }

    fn is_whole(&self, range: &Range<u32>) -> bool {
        let all = (range.clone()).all(|record| self.records[record as usize]);
        all && !self.parts.keys().any(|record| range.contains(record))
    }
}

/// Writes to `target` what stays of the file `source`. Row groups that stay whole are copied as they
/// are.
///
/// # Errors
/// If `source` cannot be read or `target` not written.
pub(super) fn copy(source: &Path, kept: &Kept, target: &Path) -> Result<()> {
    let file = ParquetFile::open(source)?;
    assert_eq!(
        kept.records.len(),
        file.n_records() as usize,
        "one flag per record"
    );
    let mut failure = None;
    let written = durable::write_with(target, |out| {
        contained(|| write(&file, kept, out)).map_err(|cause| {
            let text = cause.to_string();
            failure = Some(cause);
            std::io::Error::other(text)
        })
    });
    match failure {
        // A full disk is no fault of the table.
        Some(cause) if !matches!(cause, ParquetError::External(_)) => Err(Error::data(
            source,
            Place::Whole,
            format!("cannot be written again: {cause}"),
            "write the table again with pyarrow, and clean that",
        )),
        _ => written,
    }
}

fn write(
    file: &ParquetFile,
    kept: &Kept,
    out: &mut (dyn Write + Send),
) -> Result<(), ParquetError> {
    let metadata = file.metadata().file_metadata();
    let schema = metadata.schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(out, schema, properties(file))?;
    for (group, range) in file.starts().windows(2).enumerate() {
        let range = range[0]..range[1];
        let n = (range.clone())
            .filter(|record| kept.records[*record as usize])
            .count();
        if n == 0 {
            continue;
        }
        let mut target = writer.next_row_group()?;
        if kept.is_whole(&range) {
            copy_group(file, group, &mut target)?;
        } else {
            for leaf in 0..file.metadata().file_metadata().schema_descr().num_columns() {
                filter_column(file, kept, (group, leaf), &range, &mut target)?;
            }
        }
        target.close()?;
    }
    writer.close()?;
    Ok(())
}

/// As the file was written, as far as it says so.
fn properties(file: &ParquetFile) -> WriterPropertiesPtr {
    let metadata = file.metadata();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(metadata.file_metadata().key_value_metadata().cloned());
    let first = metadata.row_groups().first();
    for column in first.into_iter().flat_map(|group| group.columns()) {
        let path: ColumnPath = column.column_path().clone();
        let compression = match column.compression() {
            Compression::BROTLI(_) | Compression::LZO => continue,
            Compression::LZ4 => Compression::LZ4_RAW,
            other => other,
        };
        properties = properties
            .set_column_dictionary_enabled(path.clone(), column.dictionary_page_offset().is_some())
            .set_column_compression(path, compression);
    }
    Arc::new(properties.build())
}

/// Copies a row group without decoding it.
fn copy_group<W: Write + Send>(
    file: &ParquetFile,
    group: usize,
    target: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<(), ParquetError> {
    let source = source_file::open(file.path())?;
    let group = file.metadata().row_group(group);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    for column in group.columns() {
        let bytes = u64::try_from(column.compressed_size());
        let bytes_written = bytes.map_err(|cause| ParquetError::General(cause.to_string()))?;
        let closed = ColumnCloseResult {
            bytes_written,
            rows_written: rows,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        target.append_column(&source, closed)?;
    }
    Ok(())
}

fn filter_column<W: Write + Send>(
    file: &ParquetFile,
    kept: &Kept,
    (group, leaf): (usize, usize),
    range: &Range<u32>,
    target: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<(), ParquetError> {
    let column = file.metadata().file_metadata().schema_descr().column(leaf);
    let filter = Filter {
        kept,
        root: column.path().parts()[0].clone(),
        max_def: column.max_def_level(),
        max_rep: column.max_rep_level(),
        there: column.repeated_ancestor_def_level(),
    };
    let Some(mut writer) = target.next_column()? else {
        let text = "the schema ends before the record";
        return Err(ParquetError::General(text.into()));
    };
    let range = range.clone();
    let writer_of = &mut writer;
    match file.column(group, leaf)? {
        ColumnReader::BoolColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::Int32ColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::Int64ColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::Int96ColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::FloatColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::DoubleColumnReader(r) => filter.run(r, range, writer_of, |_| None)?,
        ColumnReader::ByteArrayColumnReader(r) => {
            filter.run(r, range, writer_of, |()| Some(ByteArray::from(Vec::new())))?;
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            filter.run(r, range, writer_of, |_| None)?;
        }
    }
    writer.close()
}

/// What stays of one leaf.
struct Filter<'a> {
    kept: &'a Kept,
    /// The column that the leaf belongs to.
    root: String,
    max_def: i16,
    max_rep: i16,
    /// From this definition level on, an element of a list is there.
    there: i16,
}

impl Filter<'_> {
    /// Copies the records `range` as far as they stay; `empty` is an empty text where values are
    /// texts.
    fn run<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        range: Range<u32>,
        writer: &mut SerializedColumnWriter<'_>,
        empty: impl Fn(()) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let mut first = range.start;
        while first < range.end {
            let n = BATCH.min((range.end - first) as usize);
            let levels = Levels::read(&mut reader, n)?;
            let levels = self.kept_levels(levels, first, &empty);
            let def = (self.max_def > 0).then_some(&levels.def[..]);
            let rep = (self.max_rep > 0).then_some(&levels.rep[..]);
            if levels.n_levels > 0 {
                writer.typed::<T>().write_batch(&levels.values, def, rep)?;
            }
            first += n as u32;
        }
        Ok(())
    }

    fn kept_levels<V>(
        &self,
        levels: Levels<V>,
        first: u32,
        empty: impl Fn(()) -> Option<V>,
    ) -> Levels<V> {
        let mut out = Levels {
            values: Vec::new(),
            def: Vec::new(),
            rep: Vec::new(),
            n_levels: 0,
        };
        let mut values = levels.values.into_iter();
        let mut record = first;
        let mut element: Option<Element> = None;
        for at in 0..levels.n_levels {
            let rep = levels.rep.get(at).copied().unwrap_or(0);
            let def = levels.def.get(at).copied().unwrap_or(self.max_def);
            if rep == 0 {
                if let Some(element) = element.take() {
                    self.finish(record, &element, &mut out);
                    record += 1;
                }
                element = Some(Element::default());
            }
            let value = (def == self.max_def).then(|| values.next()).flatten();
            let Some(element) = &mut element else {
                continue;
            };
            if rep <= 1 && def >= self.there {
                element.at += usize::from(element.met);
                element.met = true;
            }
            match self.fate(record, element.at) {
                Fate::Out => {}
                Fate::In => {
                    let rep = if element.written { rep } else { 0 };
                    element.written = true;
                    out.push(value, def, rep);
                }
                Fate::Emptied if self.max_def > 0 => out.push(None, 0, 0),
                Fate::Emptied => out.push(empty(()).or(value), 0, 0),
            }
        }
        if let Some(element) = element {
            self.finish(record, &element, &mut out);
        }
        out
    }

    /// A list of which nothing stays is an empty list.
    fn finish<V>(&self, record: u32, element: &Element, out: &mut Levels<V>) {
        let stays = self.kept.records[record as usize];
        let is_list = |(column, part): &(String, PartKept)| {
            *column == self.root && matches!(part, PartKept::Elements(_))
        };
        let parts = self.kept.parts.get(&record).into_iter().flatten();
        if stays && !element.written && parts.into_iter().any(is_list) {
            out.push(None, self.there - 1, 0);
        }
    }

    fn fate(&self, record: u32, element: usize) -> Fate {
        if !self.kept.records[record as usize] {
            return Fate::Out;
        }
        let parts = self.kept.parts.get(&record).into_iter().flatten();
        let mut own = parts.filter(|(column, _)| *column == self.root);
        match own.next() {
            None => Fate::In,
            Some((_, PartKept::Nothing)) => Fate::Emptied,
            Some((_, PartKept::Elements(flags))) => match flags.get(element) {
                Some(false) => Fate::Out,
                _ => Fate::In,
            },
        }
    }
}

/// The element of a record's list at which the walk is.
#[derive(Default)]
struct Element {
    at: usize,
    met: bool,
    /// Whether something of the record was written.
    written: bool,
}

/// What becomes of one value.
enum Fate {
    In,
    Out,
    Emptied,
}

impl<V> Levels<V> {
    fn push(&mut self, value: Option<V>, def: i16, rep: i16) {
        self.values.extend(value);
        self.def.push(def);
        self.rep.push(rep);
        self.n_levels += 1;
    }
}
