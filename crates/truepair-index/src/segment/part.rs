//! One side of a segment, opened: everything stays on the disk until it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truepair_core::Result;
use truepair_core::dataset::Bytes;
use truepair_kernel::product::dots::StoredRows;

use super::column::StoredColumn;
use super::id_table::IdTable;
use super::item_table::ItemTable;
use super::quantize::N_BOUNDS;
use crate::catalog::PartEntry;
use crate::graph::Graph;
use crate::item::{Item, Side};
use crate::settings::{Kind, Settings, Storage};
use crate::stored_file::{StoredFile, check_numbers, numbers};

/// Ending of the name of the file that holds a graph of neighbors.
pub(super) const GRAPH: &str = "graph.usearch";

/// One side of a segment.
#[derive(Debug)]
pub(crate) struct Part {
    n: usize,
    dim: usize,
    half: bool,
    rows: Bytes,
    quantized: Option<(Bytes, Bytes)>,
    items: ItemTable,
    ids: IdTable,
    columns: Vec<StoredColumn>,
    graph: Option<Graph>,
    folder: PathBuf,
    files: Vec<StoredFile>,
}

/// The 1-byte copy of a part's rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'a> {
    /// `[n, dim]`
    pub(crate) codes: &'a [i8],
    /// `[n]`: scale, norm of the rounding error, norm.
    pub(crate) bounds: &'a [[f32; N_BOUNDS]],
}

impl Part {
    /// Opens one side of the segment in `folder`.
    ///
    /// # Errors
    /// If a file is missing or has another length than the catalog says.
    pub(crate) fn open(
        folder: &Path,
        side: Side,
        settings: &Settings,
        part: &PartEntry,
    ) -> Result<Self> {
        let dim = settings.dim;
        let map = |ending: &str| part.file(folder, side, ending)?.map(folder);
        let half = settings.storage == Storage::F16;
        let rows = map(if half { "rows.f16" } else { "rows.f32" })?;
        match half {
            true => check_numbers::<u16>(&rows, part.n * dim, &folder.join("rows.f16"))?,
            false => check_numbers::<f32>(&rows, part.n * dim, &folder.join("rows.f32"))?,
        }
        let quantized = match settings.storage {
            Storage::Int8 => {
                let (codes, bounds) = (map("codes.i8")?, map("bounds.f32")?);
                check_numbers::<i8>(&codes, part.n * dim, &folder.join("codes.i8"))?;
                let path = folder.join("bounds.f32");
                check_numbers::<f32>(&bounds, part.n * N_BOUNDS, &path)?;
                Some((codes, bounds))
            }
            Storage::F32 | Storage::F16 => None,
        };
        let graph = match part.file(folder, side, GRAPH) {
            Ok(file) if settings.kind != Kind::Exact => {
                file.verify(folder)?;
                Some(Graph::open(
                    settings,
                    file.map(folder)?,
                    rows.clone(),
                    part.n,
                )?)
            }
            _ => None,
        };
        let columns = 0..part.columns.len();
        Ok(Self {
            n: part.n,
            dim,
            half,
            rows,
            quantized,
            items: ItemTable::open(folder, side, part)?,
            ids: IdTable::open(folder, side, part)?,
            columns: columns
                .map(|at| StoredColumn::open(folder, side, part, at))
                .collect::<Result<_>>()?,
            graph,
            folder: folder.to_path_buf(),
            files: part.files.clone(),
        })
    }

    /// Rows.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// All vectors `[n, dim]`.
    pub(crate) fn rows(&self) -> StoredRows<'_> {
        match self.half {
            true => StoredRows::F16(numbers(&self.rows)),
            false => StoredRows::F32(numbers(&self.rows)),
        }
    }

    /// The vector of a row.
    pub(crate) fn vector(&self, row: usize) -> Vec<f32> {
        self.rows().part(self.dim, row, row + 1).to_f32()
    }

    /// The 1-byte copy, if there is one.
    pub(crate) fn codes(&self) -> Option<Codes<'_>> {
        self.quantized.as_ref().map(|(codes, bounds)| Codes {
            codes: numbers(codes),
            bounds: numbers(bounds),
        })
    }

    /// The item of a row.
    ///
    /// # Errors
    /// If its text is damaged.
    pub(crate) fn item(&self, row: usize) -> Result<Item> {
        let mut columns = BTreeMap::new();
        for column in &self.columns {
            if let Some(value) = column.value(row)? {
                columns.insert(column.name.clone(), value);
            }
        }
        Ok(Item {
            id: self.items.id(row)?.to_owned(),
            text: self.items.text(row)?.map(str::to_owned),
            picture: self.items.picture(row)?.map(str::to_owned),
            columns,
        })
    }

    /// The id of a row.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn id(&self, row: usize) -> Result<&str> {
        self.items.id(row)
    }

    /// The text of a row.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn text(&self, row: usize) -> Result<Option<&str>> {
        self.items.text(row)
    }

    /// Where the picture of a row is.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn picture(&self, row: usize) -> Result<Option<&str>> {
        self.items.picture(row)
    }

    /// Rows with this id; several only where all but one are deleted.
    pub(crate) fn find<'a>(&'a self, id: &'a str) -> impl Iterator<Item = usize> + 'a {
        let same =
            move |row: &usize| *row < self.n && self.items.id(*row).is_ok_and(|other| other == id);
        self.ids.candidates(id).filter(same)
    }

    /// The graph of neighbors, if there is one.
    pub(crate) fn graph(&self) -> Option<&Graph> {
        self.graph.as_ref()
    }

    /// The columns, by name.
    pub(crate) fn columns(&self) -> &[StoredColumn] {
        &self.columns
    }

    /// Compares every file with its digest.
    ///
    /// # Errors
    /// If one differs.
    pub(crate) fn verify(&self) -> Result<()> {
        self.files
            .iter()
            .try_for_each(|file| file.verify(&self.folder))
    }
}
