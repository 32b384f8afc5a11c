//! The texts of parquet records, read leaf by leaf: no column that is not asked for is touched, and
//! no more than a batch of records is held.

use std::ops::Range;
use std::path::Path;

use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::ParquetError;
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::parquet_file::{ParquetFile, contained};
use super::parquet_leaf::{Leaf, Leaves};
use super::selector::{NAME_A_KEY, Selector, note_marks};
use super::work_ahead::work_ahead;

/// Records that are decoded together.
const BATCH: usize = 1024;

/// Batches that are read while those before them are put to use.
const AHEAD: usize = 16;

/// Calls `visit` with the place of every record and its cells at the places `wanted`, which it may take;
/// returns what is to be said of them.
///
/// # Errors
/// If a place is not in the schema, a record cannot be read, which is then named, and those of
/// `visit`.
pub(super) fn for_each(
    path: &Path,
    wanted: &[Selector],
    mut visit: impl FnMut(Place, &mut [Cell]) -> Result<()> + Send,
) -> Result<Account> {
    let mut account = Account::default();
    let file = ParquetFile::open(path)?;
    let leaves = leaves_of(&file, wanted)?;
    let own = leaves.iter().map(|_| ParquetFile::open(path));
    let own = own.collect::<Result<Vec<_>>>()?;
    let mut parts = Parts {
        file: &file,
        own: &own,
        leaves: &leaves,
        next_group: 0,
        columns: Vec::new(),
        left: 0,
        number: 0,
    };
    let mut row = Vec::with_capacity(wanted.len());
    work_ahead(
        || parts.next(),
        |part| {
            let mut columns: Vec<_> = part.columns.into_iter().map(Vec::into_iter).collect();
            for number in part.numbers {
                row.clear();
                row.extend(columns.iter_mut().filter_map(Iterator::next));
                let place = Place::Record(number);
                let mut n_marks = 0;
                for (at, cell) in wanted.iter().zip(&mut row) {
                    if !at.steps.is_empty() {
                        let found = at.plain_cell(std::mem::take(cell));
                        n_marks += found.n_marks;
                        *cell = found.cell;
                    }
                }
                note_marks(n_marks, place, &mut account);
                visit(place, &mut row)?;
            }
            part.failure.map_or(Ok(()), Err)
        },
    )?;
    Ok(account)
}

/// Some records of a file.
struct Part {
    /// Numbers of the records, which count from 1.
    numbers: Range<u64>,
    /// The cells of these records, and perhaps of some more, at each place.
    columns: Vec<Vec<Cell>>,
    /// Why the records after them cannot be read.
    failure: Option<Error>,
}

/// Hands out the records of a file, the leaves read side by side.
struct Parts<'a> {
    file: &'a ParquetFile,
    /// The file opened once for each place: who reads an opened file moves where others read it.
    own: &'a [ParquetFile],
    leaves: &'a [Leaves],
    next_group: usize,
    /// The leaves of the row group at hand.
    columns: Vec<Columns>,
    /// Records of this row group that are not yet read.
    left: usize,
    /// Number of the last record that was read.
    number: u64,
}

impl Parts<'_> {
    /// The next records; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Part>> {
        while self.left == 0 {
            let group = self.next_group;
            let &[start, end, ..] = self.file.starts().get(group..).unwrap_or_default() else {
                return Ok(None);
            };
            self.next_group += 1;
            self.left = (end - start) as usize;
            if self.left > 0 {
                let columns = self.own.iter().zip(self.leaves);
                let columns = columns.map(|(own, leaves)| Columns::open(own, group, leaves));
                let columns = columns.collect::<Result<_, _>>();
                let failed = |cause| self.file.failed(self.number + 1, &cause);
                self.columns = columns.map_err(failed)?;
            }
        }
        let n = self.left.min(AHEAD * BATCH);
        let columns = self.columns.par_iter_mut();
        let read: Vec<_> = columns.map(|column| column.cells(n)).collect();
        let n_read = (read.iter().map(|(cells, _)| cells.len())).min();
        let n_read = n_read.unwrap_or(n);
        let cause = (read.iter())
            .filter(|(cells, _)| cells.len() == n_read)
            .find_map(|(_, cause)| cause.as_ref());
        let first = self.number + 1;
        self.number += n_read as u64;
        self.left -= n_read;
        Ok(Some(Part {
            numbers: first..self.number + 1,
            failure: cause.map(|cause| self.file.failed(self.number + 1, cause)),
            columns: read.into_iter().map(|(cells, _)| cells).collect(),
        }))
    }
}

/// The leaves at the places `wanted`.
///
/// # Errors
/// If one of them is not in the schema.
fn leaves_of(file: &ParquetFile, wanted: &[Selector]) -> Result<Vec<Leaves>> {
    let find = |place: &Selector| {
        Leaves::find(file, place)
            .map_err(|problem| Error::data(file.path(), Place::Whole, problem, NAME_A_KEY))
    };
    wanted.iter().map(find).collect()
}

/// The cells of the first record; `None` when there is none.
///
/// # Errors
/// Those of [`for_each`].
pub(super) fn first(path: &Path, wanted: &[Selector]) -> Result<Option<Vec<Cell>>> {
    let mut first = None;
    for_each_elements(path, wanted, 1, |_, elements| {
        first = Some(elements.into_iter().map(Elements::into_cell).collect());
        Ok(())
    })?;
    Ok(first)
}

/// Calls `visit` with the first `limit` records, with lists as they stand in the file.
///
/// # Errors
/// Those of [`for_each`].
pub(super) fn for_each_elements(
    path: &Path,
    wanted: &[Selector],
    limit: u32,
    mut visit: impl FnMut(Place, Vec<Elements>) -> Result<()>,
) -> Result<()> {
    let file = ParquetFile::open(path)?;
    let leaves = leaves_of(&file, wanted)?;
    let mut number = 0u64;
    for (group, range) in file.starts().windows(2).enumerate() {
        let failed = |number: u64, cause: &ParquetError| file.failed(number + 1, cause);
        let mut left = (range[1].min(limit).saturating_sub(range[0])) as usize;
        if left == 0 {
            continue;
        }
        let open = |leaves: &Leaves| Columns::open(&file, group, leaves);
        let columns = leaves.iter().map(open).collect::<Result<Vec<_>, _>>();
        let mut columns = columns.map_err(|cause| failed(number, &cause))?;
        while left > 0 {
            let n = left.min(BATCH);
            let batches = columns.iter_mut().map(|column| column.read(n));
            let batches = batches.collect::<Result<Vec<_>, _>>();
            let mut batches = batches.map_err(|cause| failed(number, &cause))?;
            for _ in 0..n {
                number += 1;
                let cells = batches.iter_mut().map(Iterator::next);
                let cells = cells.collect::<Option<Vec<Elements>>>().unwrap_or_default();
                visit(Place::Record(number), cells)?;
            }
            left -= n;
        }
    }
    Ok(())
}

/// The leaves of one place in one row group.
struct Columns {
    texts: LeafReader,
    condition: Option<(LeafReader, String)>,
}

impl Columns {
    fn open(file: &ParquetFile, group: usize, leaves: &Leaves) -> Result<Self, ParquetError> {
        let condition = leaves.condition.as_ref().map(|(leaf, value)| {
            let reader = LeafReader::open(file, group, leaf);
            reader.map(|reader| (reader, value.clone()))
        });
        Ok(Self {
            texts: LeafReader::open(file, group, &leaves.texts)?,
            condition: condition.transpose()?,
        })
    }

    /// What the next `n` records hold.
    fn read(&mut self, n: usize) -> Result<std::vec::IntoIter<Elements>, ParquetError> {
        Ok(self.elements(n)?.into_iter())
    }

    /// The cells of the next `n` records, or those before a failure.
    fn cells(&mut self, n: usize) -> (Vec<Cell>, Option<ParquetError>) {
        let mut cells = Vec::with_capacity(n);
        while cells.len() < n {
            let n = BATCH.min(n - cells.len());
            let has_lists = self.texts.leaf.column.max_rep_level() > 0;
            let failed = if has_lists || self.condition.is_some() {
                self.elements(n).map(|found| {
                    let found = found.into_iter();
                    cells.extend(found.map(Elements::into_cell));
                })
            } else {
                self.texts.read(n).map(|texts| {
                    let max_def = self.texts.leaf.column.max_def_level();
                    cells.extend(plain_cells(texts, max_def));
                })
            };
            if let Err(cause) = failed {
                return (cells, Some(cause));
            }
        }
        (cells, None)
    }

    fn elements(&mut self, n: usize) -> Result<Vec<Elements>, ParquetError> {
        let mut texts = elements(self.texts.read(n)?, &self.texts.leaf);
        if let Some((reader, value)) = &mut self.condition {
            let keys = elements(reader.read(n)?, &reader.leaf);
            for (texts, keys) in texts.iter_mut().zip(keys) {
                texts.keep_where(&keys, value)?;
            }
        }
        Ok(texts)
    }
}

/// What one record holds at one place: one value, or those of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elements {
    /// `None` where a value is null, or is not meant.
    pub(super) texts: Vec<Option<String>>,
    is_list: bool,
}

impl Elements {
    /// The texts that are there and meant.
    pub(super) fn into_cell(self) -> Cell {
        let mut texts = self.texts.into_iter().flatten();
        match self.is_list {
            true => Cell::Many(texts.collect()),
            false => texts.next().map_or(Cell::Missing, Cell::One),
        }
    }

    /// Only the elements whose key is `value` are meant.
    fn keep_where(&mut self, keys: &Elements, value: &str) -> Result<(), ParquetError> {
        if self.texts.len() != keys.texts.len() {
            let text = "the parts of its lists have different lengths";
            return Err(ParquetError::General(text.into()));
        }
        for (text, key) in self.texts.iter_mut().zip(&keys.texts) {
            text.take_if(|_| key.as_deref() != Some(value));
        }
        Ok(())
    }
}

/// Reads one leaf of one row group as texts.
struct LeafReader {
    leaf: Leaf,
    reader: ColumnReader,
}

impl LeafReader {
    fn open(file: &ParquetFile, group: usize, leaf: &Leaf) -> Result<Self, ParquetError> {
        Ok(Self {
            leaf: leaf.clone(),
            reader: file.column(group, leaf.index)?,
        })
    }

    /// The next `n` records.
    fn read(&mut self, n: usize) -> Result<Levels<String>, ParquetError> {
        let column = self.leaf.column.clone();
        let name = || column.path().string();
        let is_unsigned = matches!(
            column.logical_type_ref(),
            Some(LogicalType::Integer(kind)) if !kind.is_signed
        ) || column.converted_type().to_string().starts_with("UINT");
        let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ParquetError::General(format!(
                "column '{}' is not valid UTF-8",
                name()
            ))),
        };
        contained(|| match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                batch(reader, n, |value: &ByteArray| text(value.data()))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                batch(reader, n, |value: &FixedLenByteArray| {
                    Ok(uuid(value.data()))
                })
            }
            ColumnReader::Int32ColumnReader(reader) => batch(reader, n, |value| {
                Ok(match is_unsigned {
                    true => value.cast_unsigned().to_string(),
                    false => value.to_string(),
                })
            }),
            ColumnReader::Int64ColumnReader(reader) => batch(reader, n, |value| {
                Ok(match is_unsigned {
                    true => value.cast_unsigned().to_string(),
                    false => value.to_string(),
                })
            }),
            ColumnReader::BoolColumnReader(reader) => {
                batch(reader, n, |value| Ok(value.to_string()))
            }
            // What pandas writes for nothing, in columns of numbers.
            ColumnReader::FloatColumnReader(reader) => batch(reader, n, |value| {
                Ok(match value.is_nan() {
                    true => String::new(),
                    false => format!("{value:?}"),
                })
            }),
            ColumnReader::DoubleColumnReader(reader) => batch(reader, n, |value| {
                Ok(match value.is_nan() {
                    true => String::new(),
                    false => format!("{value:?}"),
                })
            }),
            ColumnReader::Int96ColumnReader(_) => Err(ParquetError::General(format!(
                "column '{}' holds {}, which are not texts",
                name(),
                Physical::INT96
            ))),
        })
    }
}

/// Reads `n` records and turns their values into texts.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    n: usize,
    text: impl Fn(&T::T) -> Result<String, ParquetError>,
) -> Result<Levels<String>, ParquetError> {
    let levels = Levels::read(reader, n)?;
    let texts = levels.values.iter().map(text);
    Ok(Levels {
        values: texts.collect::<Result<_, _>>()?,
        def: levels.def,
        rep: levels.rep,
        n_levels: levels.n_levels,
    })
}

/// The cells of a leaf that is not in a list.
fn plain_cells(texts: Levels<String>, max_def: i16) -> impl Iterator<Item = Cell> {
    let Levels {
        values,
        def,
        n_levels,
        ..
    } = texts;
    let mut values = values.into_iter();
    (0..n_levels).map(move |at| {
        let is_there = max_def == 0 || def[at] == max_def;
        let text = is_there.then(|| values.next()).flatten();
        text.map_or(Cell::Missing, Cell::One)
    })
}

/// The elements of each record.
fn elements(levels: Levels<String>, leaf: &Leaf) -> Vec<Elements> {
    let column = &leaf.column;
    let (max_def, max_rep) = (column.max_def_level(), column.max_rep_level());
    // An element of a list is there, though perhaps null, from this level on.
    let there = if max_rep > 0 {
        column.repeated_ancestor_def_level()
    } else {
        0
    };
    let mut texts = levels.values.into_iter();
    let mut records: Vec<Elements> = Vec::new();
    for at in 0..levels.n_levels {
        if max_rep == 0 || levels.rep[at] == 0 {
            records.push(Elements {
                texts: Vec::new(),
                is_list: max_rep > 0,
            });
        }
        let def = if max_def == 0 { 0 } else { levels.def[at] };
        let element = if def == max_def {
            Some(texts.next())
        } else {
            (def >= there).then_some(None)
        };
        if let (Some(element), Some(record)) = (element, records.last_mut()) {
            record.texts.push(element);
        }
    }
    records
}

/// Values and levels of some records of one leaf.
pub(super) struct Levels<T> {
    pub(super) values: Vec<T>,
    /// Empty where the schema has no level above 0.
    pub(super) def: Vec<i16>,
    /// Empty where the schema has no lists.
    pub(super) rep: Vec<i16>,
    pub(super) n_levels: usize,
}

impl<T> Levels<T> {
    /// Reads exactly `n` records.
    ///
    /// # Errors
    /// If the column is damaged or ends before.
    pub(super) fn read<D: DataType<T = T>>(
        reader: &mut ColumnReaderImpl<D>,
        n: usize,
    ) -> Result<Self, ParquetError> {
        let mut levels = Self {
            values: Vec::new(),
            def: Vec::new(),
            rep: Vec::new(),
            n_levels: 0,
        };
        let (def, rep) = (&mut levels.def, &mut levels.rep);
        let (found, _, n_levels) =
            reader.read_records(n, Some(def), Some(rep), &mut levels.values)?;
        if found != n {
            let text = "a column ends before the others";
            return Err(ParquetError::General(text.into()));
        }
        levels.n_levels = n_levels;
        Ok(levels)
    }
}

/// 16 bytes as the usual text of a UUID.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (n, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&n) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    text
}
