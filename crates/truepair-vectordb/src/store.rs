//! What every engine does.

use std::collections::BTreeMap;

use truepair_core::error::Result;

use crate::filter::Filter;
use crate::layout::Layout;
use crate::record::{Query, Record, Value};

/// What takes records.
pub trait VectorWriter: std::fmt::Debug {
    /// The address for messages, without a password.
    fn place(&self) -> &str;

    /// Makes the table, or makes sure that the one that is there holds the same.
    ///
    /// # Errors
    /// If it cannot be reached or made, or holds vectors of another layout.
    fn prepare(&mut self, layout: &Layout) -> Result<Prepared>;

    /// Writes a batch; a record replaces the one of the same id. After an error the batch may be there in
    /// part, and writing it again gives the same as writing it once.
    ///
    /// # Errors
    /// If nothing was prepared, a record cannot be held, two have the same id, or the store fails.
    fn upsert(&mut self, batch: &[Record]) -> Result<()>;

    /// Makes what was written searchable: indexes, what is waiting in memory, files' places. Call it once after
    /// the last batch; an index over all records is built much faster than it grows.
    ///
    /// # Errors
    /// If nothing was prepared or the store fails.
    fn finish(&mut self) -> Result<()>;
}

/// A vector database with one table of records. Calls block.
pub trait VectorStore: VectorWriter {
    /// `[queries]` lists of at most `k` hits, highest score first, ties by id. Exact where the engine scans
    /// everything, otherwise as good as its index.
    ///
    /// # Errors
    /// If there is no table, a query does not fit its layout, the filter asks for what the engine cannot, or
    /// the store fails.
    fn search(&mut self, queries: &[Query], search: &Search) -> Result<Vec<Vec<Hit>>>;

    /// Deletes the records of these ids; ids that are not there are no error.
    ///
    /// # Errors
    /// If there is no table or the store fails.
    fn delete(&mut self, ids: &[String]) -> Result<()>;

    /// What is there.
    ///
    /// # Errors
    /// If there is no table or the store fails.
    fn stats(&mut self) -> Result<StoreStats>;
}

/// What [`VectorWriter::prepare`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing; it was made.
    Made,
    /// The same layout, perhaps with records.
    Found,
}

/// How it is looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Hits wanted of each query, at least 1.
    pub k: usize,
    /// Only records for which it holds.
    pub filter: Option<Filter>,
    /// Whether every record is compared, index or not.
    pub is_exact: bool,
}

/// A record that was found, without its vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// Its caption.
    pub caption: Option<String>,
    /// Path or address of its picture.
    pub picture: Option<String>,
    /// Its columns; engines may give a number that happens to be whole back as [`Value::Int`].
    pub columns: BTreeMap<String, Value>,
    /// P(the pair is mismatched), in [0, 1].
    pub p_mismatched: Option<f64>,
    /// Larger is more similar; see [`Geometry`](crate::Geometry).
    pub score: f64,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// Records.
    pub n_records: u64,
    /// Their shape.
    pub layout: Layout,
    /// The engine and its version.
    pub engine: String,
    /// The kind of index, or `none`.
    pub index: String,
}

/// Sorts by score, highest first, and by id where scores are equal.
pub(crate) fn sort_hits(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
}
