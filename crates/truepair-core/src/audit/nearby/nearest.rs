//! The nearest of many vectors of length 1.

use rayon::prelude::*;

use crate::scores::Matrix;
use truepair_kernel::product::View;

/// Queries whose products are held at once.
const BLOCK: usize = 256;

/// For every query the places of the `k` most similar vectors of `pool` that `is_allowed` admits, with
/// their cosines, the most similar first.
pub(in crate::audit) fn nearest(
    queries: &Matrix,
    pool: &Matrix,
    k: usize,
    is_allowed: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Vec<(u32, f32)>> {
    let (dim, width) = (pool.dim(), pool.len());
    let blocks: Vec<usize> = (0..queries.len()).step_by(BLOCK).collect();
    let found = blocks.into_par_iter().map(|start| {
        let end = (start + BLOCK).min(queries.len());
        let mut products = vec![0.0; (end - start) * width];
        View::rows(&queries.values()[start * dim..end * dim], dim)
            .times(View::rows(pool.values(), dim).t())
            .write(&mut products, width);
        let rows = products.chunks_exact(width.max(1)).zip(start..);
        rows.map(|(row, query)| best(row, k, |at| is_allowed(query, at)))
            .collect::<Vec<_>>()
    });
    found.collect::<Vec<_>>().concat()
}

fn best(row: &[f32], k: usize, is_allowed: impl Fn(usize) -> bool) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(k + 1);
    for (at, &value) in row.iter().enumerate() {
        let is_better = best.len() < k || best.last().is_some_and(|last| value > last.1);
        if is_better && is_allowed(at) {
            let place = best.partition_point(|other| other.1 >= value);
            best.insert(place, (at as u32, value));
            best.truncate(k);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, normal};

    #[test]
    fn the_most_alike_come_first_and_excluded_ones_never() {
        let stream = &mut Seed(1).stream("nearest", &[]);
        let mut draw = |n: usize| {
            let mut drawn = Matrix::new((0..n * 8).map(|_| normal(stream) as f32).collect(), 8);
            drawn.normalize();
            drawn
        };
        let (queries, pool) = (draw(300), draw(70));
        let found = nearest(&queries, &pool, 5, |query, at| at != query % 70);
        for (query, found) in found.iter().enumerate() {
            let cosine = |at: usize| -> f32 {
                queries
                    .row(query)
                    .iter()
                    .zip(pool.row(at))
                    .map(|(a, b)| a * b)
                    .sum()
            };
            let mut all: Vec<usize> = (0..70).filter(|&at| at != query % 70).collect();
            all.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)));
            let places: Vec<usize> = found.iter().map(|(at, _)| *at as usize).collect();
            assert_eq!(places, all[..5]);
        }
    }
}
