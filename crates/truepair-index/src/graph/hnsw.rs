//! A graph of neighbors (HNSW) by the crate `usearch`.
//!
//! The graph holds numbers of rows, not vectors: it asks for the distance of two numbers, and gets the score of
//! the rows that lie in the part's own file. So vectors are on the disk once, the graph's arithmetic is that of
//! every other search, and what it finds is scored exactly already.

use rayon::prelude::*;
use truepair_core::dataset::Bytes;
use truepair_core::{Error, Result};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::pair_scores::{PairScores, QUERY, set_query};
use super::permits::Permits;
use crate::search::Hit;
use crate::settings::{Kind, Settings};

/// The graph of a part.
pub(crate) struct Hnsw {
    // Fields are dropped in this order: the graph reads the bytes.
    graph: Index,
    _bytes: Bytes,
    serial: u64,
    n: usize,
    permits: Permits,
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hnsw")
            .field("n", &self.n)
            .finish_non_exhaustive()
    }
}

impl Hnsw {
    /// Builds the graph of `n` rows, on all threads; gives the bytes of its file. Two builds of the same rows
    /// may differ, because threads meet in another order.
    pub(crate) fn build(settings: &Settings, rows: Bytes, n: usize) -> Result<Vec<u8>> {
        let mut graph = empty(settings)?;
        attach(&mut graph, PairScores::new(settings, rows));
        let threads = rayon::current_num_threads() + 1;
        graph
            .reserve_capacity_and_threads(n, threads)
            .map_err(|cause| failed(&cause))?;
        let all = (0..n as u32).into_par_iter();
        all.try_for_each(|row| graph.add(u64::from(row), &name(row)))
            .map_err(|cause| failed(&cause))?;
        let mut bytes = vec![0; graph.serialized_length()];
        graph
            .save_to_buffer(&mut bytes)
            .map_err(|cause| failed(&cause))?;
        Ok(bytes)
    }

    /// Opens the graph of `n` rows in `bytes`, whose digest was compared: damaged bytes would lead the graph
    /// outside them.
    pub(crate) fn open(settings: &Settings, bytes: Bytes, rows: Bytes, n: usize) -> Result<Self> {
        let mut graph = empty(settings)?;
        // SAFETY: the bytes are those that were written, and live as long as the graph.
        unsafe { graph.view_from_buffer(&bytes) }.map_err(|cause| failed(&cause))?;
        if graph.size() != n || graph.dimensions() != NAME_LEN {
            return Err(Error::argument(
                format!("a graph of {} rows for {n} rows", graph.size()),
                "build the index again",
            ));
        }
        let scores = PairScores::new(settings, rows);
        let serial = scores.serial();
        attach(&mut graph, scores);
        let threads = (2 * rayon::current_num_threads()).max(8);
        // Without room for threads a search of a viewed graph fails.
        graph
            .reserve_capacity_and_threads(n, threads)
            .map_err(|cause| failed(&cause))?;
        if let Kind::Hnsw {
            expansion_search, ..
        } = settings.kind
        {
            graph.change_expansion_search(expansion_search);
        }
        Ok(Self {
            graph,
            _bytes: bytes,
            serial,
            n,
            permits: Permits::new(threads),
        })
    }

    /// Up to `k` rows near to `query` that `allows` lets pass, with their scores; in no order.
    pub(crate) fn search(
        &self,
        query: &[f32],
        k: usize,
        allows: Option<&dyn Fn(usize) -> bool>,
    ) -> Result<Vec<Hit>> {
        let _permit = self.permits.take();
        set_query(self.serial, query);
        let (query, k) = (name(QUERY), k.min(self.n));
        let found = match allows {
            None => self.graph.search(&query, k),
            Some(allows) => self
                .graph
                .filtered_search(&query, k, |row| allows(row as usize)),
        };
        let found = found.map_err(|cause| failed(&cause))?;
        let pairs = found.keys.iter().zip(&found.distances);
        Ok(pairs
            .map(|(row, distance)| Hit {
                row: *row as usize,
                // 0 for −0, as scores are.
                score: 0.0 - distance,
            })
            .collect())
    }
}

/// Numbers of what the graph takes for a vector.
const NAME_LEN: usize = 4;

/// A row's number as what the graph takes for a vector.
fn name(row: u32) -> [i8; NAME_LEN] {
    row.to_le_bytes().map(|byte| byte as i8)
}

fn empty(settings: &Settings) -> Result<Index> {
    let Kind::Hnsw {
        connectivity,
        expansion_add,
        expansion_search,
    } = settings.kind
    else {
        unreachable!("only an index with graphs asks for one")
    };
    let options = IndexOptions {
        dimensions: NAME_LEN,
        metric: MetricKind::IP,
        quantization: ScalarKind::I8,
        connectivity,
        expansion_add,
        expansion_search,
        multi: false,
    };
    Index::new(&options).map_err(|cause| failed(&cause))
}

/// Lets the graph ask for scores. Viewing a file takes them away again, so this comes after.
fn attach(graph: &mut Index, scores: PairScores) {
    let metric = move |a: *const i8, b: *const i8| {
        // SAFETY: the graph gives pointers to names as it was given them.
        let [a, b] = unsafe { [a, b].map(|name| name.cast::<[u8; NAME_LEN]>().read_unaligned()) };
        scores.distance(u32::from_le_bytes(a), u32::from_le_bytes(b))
    };
    graph.change_metric::<i8>(Box::new(metric));
}

fn failed(cause: &dyn std::fmt::Display) -> Error {
    Error::argument(
        format!("the graph of neighbors failed: {cause}"),
        "search with `exact`, or make the index with the kind exact",
    )
}
