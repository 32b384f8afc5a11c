//! One parquet file with a column of vectors of a fixed length.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use truepair_core::error::{Error, Result};

use super::column_kinds::ColumnKinds;
use super::columns::{OwnColumn, TableColumns};
use super::staged::Staged;
use crate::layout::Layout;
use crate::record::{Record, check_batch};
use crate::store::{Prepared, VectorWriter};

/// Numbers of vectors that are in memory together, which decides the records of a row group.
const GROUP_NUMBERS: usize = 1 << 23;

const OWN: &[(&str, OwnColumn)] = &[
    ("id", OwnColumn::Id),
    ("caption", OwnColumn::Caption),
    ("picture", OwnColumn::Picture),
    ("p_mismatched", OwnColumn::PMismatched),
];

pub(super) fn open(path: &Path, kinds: &ColumnKinds) -> Box<dyn VectorWriter> {
    Box::new(Table {
        path: path.to_path_buf(),
        place: path.display().to_string(),
        kinds: kinds.clone(),
        open: None,
    })
}

#[derive(Debug)]
struct Table {
    path: PathBuf,
    place: String,
    kinds: ColumnKinds,
    open: Option<OpenTable>,
}

/// A table under construction.
struct OpenTable {
    layout: Layout,
    columns: TableColumns,
    // Before the file's place, so that it is closed when that is removed.
    file: SerializedFileWriter<BufWriter<File>>,
    staged: Staged,
    /// Those of the next row group.
    records: Vec<Record>,
    points: Vec<f32>,
    ids: HashSet<String>,
}

impl std::fmt::Debug for OpenTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenTable").field(&self.staged).finish()
    }
}

impl Table {
    fn open(&mut self) -> Result<&mut OpenTable> {
        let place = &self.place;
        let closed =
            || Error::argument(format!("{place}: nothing is prepared"), "prepare it first");
        self.open.as_mut().ok_or_else(closed)
    }
}

/// A failed write as an error that names the file.
pub(super) fn write_error(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |cause| Error::io(path, "write", std::io::Error::other(cause))
}

/// # Errors
/// If an id is among `ids`; those of `batch` are added.
pub(super) fn add_ids(place: &str, ids: &mut HashSet<String>, batch: &[Record]) -> Result<()> {
    for record in batch {
        if !ids.insert(record.id.clone()) {
            return Err(Error::argument(
                format!("{place}: two records have the id {:?}", record.id),
                "give every record an id of its own",
            ));
        }
    }
    Ok(())
}

impl VectorWriter for Table {
    fn place(&self) -> &str {
        &self.place
    }

    fn prepare(&mut self, layout: &Layout) -> Result<Prepared> {
        let staged = Staged::of_file(&self.path)?;
        let columns = TableColumns {
            own: OWN,
            kinds: self.kinds.clone(),
            width: Some(layout.width()),
        };
        let file = File::create(staged.partial());
        let file = file.map_err(|cause| Error::io(&self.path, "write", cause))?;
        let file = columns.writer(BufWriter::with_capacity(1 << 16, file));
        self.open = Some(OpenTable {
            layout: *layout,
            columns,
            file: file.map_err(write_error(&self.path))?,
            staged,
            records: Vec::new(),
            points: Vec::new(),
            ids: HashSet::new(),
        });
        Ok(Prepared::Made)
    }

    fn upsert(&mut self, batch: &[Record]) -> Result<()> {
        check_batch(batch)?;
        let (path, place) = (self.path.clone(), self.place.clone());
        let open = self.open()?;
        add_ids(&place, &mut open.ids, batch)?;
        for record in batch {
            open.points.extend(open.layout.point(record)?);
            open.records.push(Record {
                vector: Vec::new(),
                caption_vector: None,
                ..record.clone()
            });
            if open.points.len() >= GROUP_NUMBERS {
                open.write_group().map_err(write_error(&path))?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let path = self.path.clone();
        self.open()?;
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        if !open.records.is_empty() {
            open.write_group().map_err(write_error(&path))?;
        }
        let file = open.file.into_inner().map_err(write_error(&path))?;
        let synced = file.into_inner().map_err(|error| error.into_error());
        let synced = synced.and_then(|file| file.sync_all());
        synced.map_err(|cause| Error::io(&path, "write", cause))?;
        open.staged.place()
    }
}

impl OpenTable {
    fn write_group(&mut self) -> Result<(), ParquetError> {
        self.columns
            .write_group(&mut self.file, &self.records, &self.points)?;
        self.records.clear();
        self.points.clear();
        Ok(())
    }
}
