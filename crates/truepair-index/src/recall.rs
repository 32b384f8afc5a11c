//! What a graph of neighbors misses, measured on the index's own items.

use truepair_core::Result;
use truepair_core::rng::{Seed, below};
use truepair_core::scores::Matrix;

use crate::gallery::{Gallery, SearchOptions};

/// What [`Gallery::recall`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// Neighbors asked for.
    pub k: usize,
    /// Items that asked.
    pub n_queries: usize,
    /// Share of the true neighbors that were found, [0, 1]; 1 where there was nothing to find.
    pub recall: f64,
}

impl Gallery {
    /// Asks with the vectors of up to `n_queries` of its own items, drawn by `seed`, for the `k` most similar
    /// others, and counts how many of them a search finds. An exact index finds all.
    ///
    /// A hit that scores no less than the last of the true neighbors is one of them.
    ///
    /// # Errors
    /// Those of a search.
    pub fn recall(&self, k: usize, n_queries: usize, seed: Seed) -> Result<Recall> {
        let mut rows: Vec<usize> = self.rows().collect();
        let n_queries = n_queries.min(rows.len());
        let stream = &mut seed.stream("recall", &[]);
        for at in 0..n_queries {
            let other = at + below(stream, (rows.len() - at) as u64) as usize;
            rows.swap(at, other);
        }
        rows.truncate(n_queries);
        let vectors = rows
            .iter()
            .map(|row| self.vector(*row))
            .collect::<Result<Vec<_>>>()?;
        let queries = Matrix::new(vectors.concat(), self.dim());
        // One more: every item finds itself.
        let search = |exact| {
            let options = SearchOptions {
                exact,
                ..Default::default()
            };
            self.search(&queries, k + 1, &options)
        };
        let (found, exact) = (search(false)?, search(true)?);
        let (mut n_true, mut n_found) = (0, 0);
        for ((row, found), exact) in rows.iter().zip(&found).zip(&exact) {
            let others = exact.iter().filter(|hit| hit.row != *row).take(k);
            let Some(last) = others.clone().last() else {
                continue;
            };
            let n = others.count();
            n_true += n;
            let good = found
                .iter()
                .filter(|hit| hit.row != *row && hit.score >= last.score);
            n_found += good.count().min(n);
        }
        Ok(Recall {
            k,
            n_queries,
            recall: if n_true == 0 {
                1.0
            } else {
                n_found as f64 / n_true as f64
            },
        })
    }
}
