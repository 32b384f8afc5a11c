//! One side of an index at one version.

use std::collections::BTreeMap;

use truepair_core::scores::Matrix;
use truepair_core::{Error, Result};

use crate::bitmap::Bitmap;
use crate::filter::Filter;
use crate::item::{Item, Side, ValueKind};
use crate::search::{Hit, Rows, approximate, certified, scan};
use crate::segment::Part;
use crate::settings::{Kind, Settings, Storage};
use crate::vector_check::check_vector;

/// Which rows a search may find, and how hard it looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions<'a> {
    /// Only rows that pass.
    pub filter: Option<&'a Filter>,
    /// Looks at every row even where the index has a graph of neighbors.
    pub exact: bool,
}

/// The images or the captions of an index, at the version that was opened. Rows are numbered in the order
/// in which they were appended; a deleted row keeps its number until the index is compacted.
#[derive(Debug)]
pub struct Gallery {
    side: Side,
    settings: Settings,
    parts: Vec<Part>,
    starts: Vec<usize>,
    n_rows: usize,
    /// The rows that are left, where some were deleted.
    live: Option<Bitmap>,
}

impl Gallery {
    pub(crate) fn new(
        side: Side,
        settings: &Settings,
        parts: Vec<Part>,
        deleted: Option<Bitmap>,
    ) -> Self {
        let mut n_rows = 0;
        let starts = parts.iter().map(|part| {
            n_rows += part.n();
            n_rows - part.n()
        });
        Self {
            side,
            settings: *settings,
            starts: starts.collect(),
            live: deleted.map(Bitmap::complement),
            n_rows,
            parts,
        }
    }

    /// Which of the two galleries this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Items that are not deleted.
    pub fn len(&self) -> usize {
        self.live.as_ref().map_or(self.n_rows, Bitmap::count)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.settings.dim
    }

    /// Row numbers that were given out; deleted rows keep theirs.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows of items that are not deleted, ascending.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.n_rows).filter(|row| self.is_live(*row))
    }

    /// The `k` most similar items for each query `[n, dim]`, best first, of equal ones the lower row first;
    /// fewer where fewer pass the filter.
    ///
    /// A score depends on its query and its row alone: a query has the same hits with the same scores
    /// alone and in a batch.
    ///
    /// # Errors
    /// If the queries have another width or a number that is not finite, or the filter names a column that
    /// is not there or compares it with a value of another type.
    pub fn search(
        &self,
        queries: &Matrix,
        k: usize,
        options: &SearchOptions<'_>,
    ) -> Result<Vec<Vec<Hit>>> {
        self.check_queries(queries)?;
        let allowed = self.allowed(options.filter)?;
        if k == 0 {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let rows = self.searched(allowed.as_ref());
        let closeness = self.settings.measure.closeness();
        let k = k.min(self.n_rows.max(1));
        let exact = |rows: &Rows<'_>| match self.settings.storage {
            Storage::Int8 => certified(rows, closeness, queries.values(), k),
            Storage::F32 | Storage::F16 => scan(rows, closeness, queries.values(), k),
        };
        match self.settings.kind {
            Kind::Hnsw { .. } if !options.exact => approximate(&rows, queries.values(), k, exact),
            Kind::Hnsw { .. } | Kind::Exact => Ok(exact(&rows)),
        }
    }

    /// The item of a row.
    ///
    /// # Errors
    /// If there is no such row, it was deleted, or its text is damaged.
    pub fn item(&self, row: usize) -> Result<Item> {
        self.check_row(row)?;
        let (part, row) = self.searched(None).place(row);
        part.item(row)
    }

    /// The row of the item with this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        let parts = self.parts.iter().zip(&self.starts);
        let mut rows = parts.flat_map(|(part, start)| part.find(id).map(move |row| start + row));
        rows.find(|row| self.is_live(*row))
    }

    /// The vector of a row `[dim]`, as it is stored.
    ///
    /// # Errors
    /// If there is no such row or it was deleted.
    pub fn vector(&self, row: usize) -> Result<Vec<f32>> {
        self.check_row(row)?;
        let (part, row) = self.searched(None).place(row);
        Ok(part.vector(row))
    }

    /// The columns by name, and what type their values have.
    pub fn columns(&self) -> BTreeMap<String, ValueKind> {
        let mut columns: BTreeMap<String, ValueKind> = BTreeMap::new();
        for column in self.parts.iter().flat_map(Part::columns) {
            let kind = columns.entry(column.name.clone()).or_insert(column.kind);
            *kind = kind.joined(column.kind).unwrap_or(*kind);
        }
        columns
    }

    /// The rows that pass a filter and are not deleted.
    ///
    /// # Errors
    /// If the filter does not fit the columns.
    pub fn matching(&self, filter: &Filter) -> Result<Bitmap> {
        let all = || Bitmap::new(self.n_rows).complement();
        Ok(self.allowed(Some(filter))?.unwrap_or_else(all))
    }

    /// Compares every file with its digest.
    ///
    /// # Errors
    /// If one differs; the error names it.
    pub(crate) fn verify(&self) -> Result<()> {
        self.parts.iter().try_for_each(Part::verify)
    }

    fn searched<'a>(&'a self, allowed: Option<&'a Bitmap>) -> Rows<'a> {
        Rows {
            dim: self.settings.dim,
            parts: &self.parts,
            starts: &self.starts,
            allowed,
        }
    }

    /// Rows that may be hits; all where there is none.
    fn allowed(&self, filter: Option<&Filter>) -> Result<Option<Bitmap>> {
        let Some(filter) = filter else {
            return Ok(self.live.clone());
        };
        let mut passing = filter.evaluate(&self.parts, &self.columns())?;
        if let Some(live) = &self.live {
            passing.intersect(live);
        }
        Ok(Some(passing))
    }

    fn is_live(&self, row: usize) -> bool {
        row < self.n_rows && self.live.as_ref().is_none_or(|live| live.contains(row))
    }

    fn check_row(&self, row: usize) -> Result<()> {
        if self.is_live(row) {
            return Ok(());
        }
        let (side, n) = (self.side.name(), self.n_rows);
        let problem = match row < n {
            true => format!("row {row} of the {side} was deleted"),
            false => format!("row {row}, and there are {n} {side}"),
        };
        Err(Error::argument(
            problem,
            "ask for rows that a search of this version gave",
        ))
    }

    fn check_queries(&self, queries: &Matrix) -> Result<()> {
        if queries.dim() != self.settings.dim && !queries.is_empty() {
            return Err(Error::argument(
                format!(
                    "queries of {} numbers for an index of vectors of {}",
                    queries.dim(),
                    self.settings.dim
                ),
                "use the encoder that the index was made with",
            ));
        }
        (0..queries.len())
            .try_for_each(|row| check_vector(queries.row(row), false, &format!("query {row}")))
    }
}
