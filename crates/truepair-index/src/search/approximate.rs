//! Search by graphs of neighbors where parts have one, of every row where they have none.

use rayon::prelude::*;
use truepair_core::Result;

use super::blocks::Rows;
use super::top::{Hit, Top};

/// Below this share of allowed rows all of them are looked at: a graph passes too many others.
const LEAST_SHARE: usize = 10;

/// The `k` rows that graphs find for each query `[n, dim]`, best first. Parts that have none, or few allowed
/// rows, are left to `exact`, which gets their rows and all queries.
pub(crate) fn approximate(
    rows: &Rows<'_>,
    queries: &[f32],
    k: usize,
    exact: impl Fn(&Rows<'_>) -> Vec<Vec<Hit>>,
) -> Result<Vec<Vec<Hit>>> {
    let mut tops = vec![Top::new(k); queries.len() / rows.dim];
    for (at, part) in rows.parts.iter().enumerate() {
        let start = rows.starts[at];
        let of_part = Rows {
            parts: &rows.parts[at..=at],
            starts: &rows.starts[at..=at],
            ..*rows
        };
        let n_allowed = rows
            .allowed
            .map_or(part.n(), |set| set.count_in(start..start + part.n()));
        let graph = part.graph().filter(|_| n_allowed * LEAST_SHARE >= part.n());
        let Some(graph) = graph else {
            for (top, hits) in tops.iter_mut().zip(exact(&of_part)) {
                hits.into_iter().for_each(|hit| top.offer(hit));
            }
            continue;
        };
        let allows = |row: usize| rows.allows(start + row);
        let allows = (n_allowed < part.n()).then_some(&allows as &(dyn Fn(usize) -> bool + Sync));
        let of_queries = tops.par_iter_mut().zip(queries.par_chunks_exact(rows.dim));
        of_queries.try_for_each(|(top, query)| {
            let found = graph.search(
                query,
                k,
                allows.map(|allows| allows as &dyn Fn(usize) -> bool),
            )?;
            for Hit { row, score } in found {
                let row = start + row;
                top.offer(Hit { row, score });
            }
            Ok::<(), truepair_core::Error>(())
        })?;
    }
    Ok(tops.into_iter().map(Top::into_hits).collect())
}
