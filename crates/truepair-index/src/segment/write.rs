//! Records to the files of one side of a segment.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use truepair_core::{Error, Result};

use super::column::ColumnValues;
use super::id_table::{self, IdTable};
use super::item_table::{HAS, HAS_PICTURE, HAS_TEXT, STARTS, TEXTS};
use super::part::GRAPH;
use super::quantize::quantize;
use crate::catalog::{ColumnEntry, PartEntry};
use crate::graph;
use crate::item::{Item, Records, Side, Value, ValueKind};
use crate::settings::{Kind, Settings, Storage};
use crate::stored_file::StoredFile;
use crate::vector_check::check_vector;

/// Rows of one part: a file counts them in 32 bits.
const MAX_ROWS: usize = 1 << 31;
/// Names of what is no column, and yet may stand in a filter.
const RESERVED: [&str; 3] = ["id", "text", "picture"];

/// Where the rows of a new part come from.
pub(crate) trait RowSource {
    fn n(&self) -> usize;
    fn vector(&self, row: usize) -> Cow<'_, [f32]>;
    fn item(&self, row: usize) -> Result<Cow<'_, Item>>;
}

impl RowSource for Records {
    fn n(&self) -> usize {
        self.items.len()
    }

    fn vector(&self, row: usize) -> Cow<'_, [f32]> {
        Cow::Borrowed(self.vectors.row(row))
    }

    fn item(&self, row: usize) -> Result<Cow<'_, Item>> {
        Ok(Cow::Borrowed(&self.items[row]))
    }
}

/// Whether an index of these settings can take the records.
///
/// # Errors
/// If numbers of items and vectors differ, the width is another one, a vector is not finite or too
/// large, an id is empty or stands twice, or a column's values do not fit together. The error names the
/// record, from 0.
pub(crate) fn check_records(settings: &Settings, side: Side, records: &Records) -> Result<()> {
    let (n, vectors) = (records.items.len(), &records.vectors);
    let refuse = |problem: String, remedy: &str| Err(Error::argument(problem, remedy));
    if n != vectors.len() {
        return refuse(
            format!("{n} {} and {} vectors", side.name(), vectors.len()),
            "give one vector for each item",
        );
    }
    if n > 0 && vectors.dim() != settings.dim {
        return refuse(
            format!(
                "vectors of {} numbers for an index of vectors of {}",
                vectors.dim(),
                settings.dim
            ),
            "use the encoder that the index was made with, or make a new index",
        );
    }
    if n > MAX_ROWS {
        return refuse(
            format!("{n} records at once"),
            "append them in parts of at most 2^31",
        );
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(n);
    for (row, item) in records.items.iter().enumerate() {
        let what = format!("{} record {row} (`{}`)", side.name(), item.id);
        check_vector(vectors.row(row), settings.storage == Storage::F16, &what)?;
        if item.id.is_empty() {
            return refuse(format!("{what}: the id is empty"), "give every item an id");
        }
        if let Some(first) = seen.insert(&item.id, row) {
            return refuse(
                format!(
                    "id `{}` stands twice, in {} records {first} and {row}",
                    item.id,
                    side.name()
                ),
                "give every item of a gallery its own id",
            );
        }
        check_names(item, &what)?;
    }
    Ok(())
}

fn check_names(item: &Item, what: &str) -> Result<()> {
    for (name, value) in &item.columns {
        if RESERVED.contains(&name.as_str()) || name.is_empty() || name.contains('`') {
            return Err(Error::argument(
                format!("{what}: a column cannot be called `{name}`"),
                "id, text and picture are fields of every item; rename the column",
            ));
        }
        if matches!(value, Value::Float(x) if !x.is_finite()) {
            return Err(Error::argument(
                format!("{what}: column `{name}` is not finite"),
                "leave the value out where it is missing",
            ));
        }
    }
    Ok(())
}

/// The types of columns when these records join columns that are there, `known`.
///
/// # Errors
/// If a column has values of types that do not mix; the error names the column and the record.
pub(crate) fn joined_columns(
    known: &BTreeMap<String, ValueKind>,
    side: Side,
    records: &Records,
) -> Result<BTreeMap<String, ValueKind>> {
    let mut columns = known.clone();
    for (row, item) in records.items.iter().enumerate() {
        for (name, value) in &item.columns {
            let Some(kind) = columns.get_mut(name) else {
                columns.insert(name.clone(), value.kind());
                continue;
            };
            *kind = kind.joined(value.kind()).ok_or_else(|| {
                let (side, id) = (side.name(), &item.id);
                Error::argument(
                    format!(
                        "{side} record {row} (`{id}`): column `{name}` holds {kind} and here is a value \
                         of the type {}",
                        value.kind()
                    ),
                    "keep one type in a column",
                )
            })?;
        }
    }
    Ok(columns)
}

/// Writes one side of a segment into `folder`.
///
/// # Errors
/// If the disk refuses, or an item of the source cannot be read.
pub(crate) fn write_part(
    folder: &Path,
    side: Side,
    settings: &Settings,
    source: &dyn RowSource,
) -> Result<PartEntry> {
    let (mut files, mut hashes) = write_items(folder, side, source)?;
    let vectors = write_vectors(folder, side, settings, source)?;
    files.extend(write_graph(
        folder,
        side,
        settings,
        &vectors[0],
        source.n(),
    )?);
    files.extend(vectors);
    files.extend(IdTable::write(folder, side, &hashes)?);
    hashes.clear();
    let mut columns = Vec::new();
    for (at, (name, values)) in collect_columns(source)?.into_iter().enumerate() {
        files.extend(values.write(folder, side, at, source.n())?);
        columns.push(ColumnEntry {
            name,
            kind: values.kind,
        });
    }
    Ok(PartEntry {
        n: source.n(),
        columns,
        files,
    })
}

/// Writes ids, texts and pictures; gives the hashes of the ids.
fn write_items(
    folder: &Path,
    side: Side,
    source: &dyn RowSource,
) -> Result<(Vec<StoredFile>, Vec<u64>)> {
    let name = |ending: &str| format!("{}-{ending}", side.name());
    let n = source.n();
    let (mut hashes, mut has) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let (mut starts, mut end) = (Vec::with_capacity(3 * n + 1), 0u64);
    let texts = StoredFile::write(folder, name(TEXTS), |out| {
        for row in 0..n {
            let item = source.item(row).map_err(io::Error::other)?;
            hashes.push(id_table::hash(&item.id));
            let (text, picture) = (item.text.as_deref(), item.picture.as_deref());
            has.push(
                u8::from(text.is_some()) * HAS_TEXT + u8::from(picture.is_some()) * HAS_PICTURE,
            );
            for field in [&item.id, text.unwrap_or(""), picture.unwrap_or("")] {
                starts.push(end);
                end += field.len() as u64;
                out.put(field.as_bytes())?;
            }
        }
        Ok(())
    })?;
    starts.push(end);
    let starts = StoredFile::write(folder, name(STARTS), |out| {
        out.put(bytemuck::cast_slice(&starts))
    })?;
    let has = StoredFile::write(folder, name(HAS), |out| out.put(&has))?;
    Ok((vec![texts, starts, has], hashes))
}

fn write_vectors(
    folder: &Path,
    side: Side,
    settings: &Settings,
    source: &dyn RowSource,
) -> Result<Vec<StoredFile>> {
    let name = |ending: &str| format!("{}-{ending}", side.name());
    let n = source.n();
    if settings.storage == Storage::F16 {
        let mut half = vec![half::f16::ZERO; settings.dim];
        let rows = StoredFile::write(folder, name("rows.f16"), |out| {
            (0..n).try_for_each(|row| {
                let vector = source.vector(row);
                let numbers = half.iter_mut().zip(vector.iter());
                numbers.for_each(|(half, x)| *half = half::f16::from_f32(*x));
                out.put(bytemuck::cast_slice(&half))
            })
        })?;
        return Ok(vec![rows]);
    }
    let rows = StoredFile::write(folder, name("rows.f32"), |out| {
        (0..n).try_for_each(|row| out.put(bytemuck::cast_slice(&source.vector(row))))
    })?;
    if settings.storage == Storage::F32 {
        return Ok(vec![rows]);
    }
    let (mut codes, mut bounds) = (vec![0; settings.dim], Vec::with_capacity(n));
    let codes = StoredFile::write(folder, name("codes.i8"), |out| {
        (0..n).try_for_each(|row| {
            bounds.push(quantize(&source.vector(row), &mut codes));
            out.put(bytemuck::cast_slice(&codes))
        })
    })?;
    let bounds = StoredFile::write(folder, name("bounds.f32"), |out| {
        out.put(bytemuck::cast_slice(&bounds))
    })?;
    Ok(vec![rows, codes, bounds])
}

/// Writes the graph of the neighbors of the vectors in `rows`, where there is one.
fn write_graph(
    folder: &Path,
    side: Side,
    settings: &Settings,
    rows: &StoredFile,
    n: usize,
) -> Result<Option<StoredFile>> {
    if settings.kind == Kind::Exact || n < graph::MIN_ROWS {
        return Ok(None);
    }
    let bytes = graph::Graph::build(settings, rows.map(folder)?, n)?;
    let name = format!("{}-{GRAPH}", side.name());
    StoredFile::write(folder, name, |out| out.put(&bytes)).map(Some)
}

fn collect_columns(source: &dyn RowSource) -> Result<BTreeMap<String, ColumnValues>> {
    let mut columns: BTreeMap<String, ColumnValues> = BTreeMap::new();
    for row in 0..source.n() {
        let item = source.item(row)?;
        for (name, value) in &item.columns {
            if !columns.contains_key(name) {
                let empty = ColumnValues {
                    kind: value.kind(),
                    cells: Vec::new(),
                };
                columns.insert(name.clone(), empty);
            }
            let column = columns
                .get_mut(name)
                .expect("it was added if it was not there");
            column.kind = column.kind.joined(value.kind()).unwrap_or(column.kind);
            column.cells.push((row, value.clone()));
        }
    }
    Ok(columns)
}
