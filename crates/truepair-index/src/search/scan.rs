//! Every row is scored.

use rayon::prelude::*;
use truepair_kernel::product::dots::{Closeness, score_rows};

use super::blocks::{RowBlock, Rows, blocks_per_task};
use super::top::{Hit, Top};

/// Rows of a block for one query and for several.
const ROWS_OF_ONE: usize = 1024;
const ROWS_OF_SEVERAL: usize = 192;
/// Queries that pass over a block together.
const QUERIES: usize = 128;
/// Scores that are compared with the lowest kept one at once.
const STRIP: usize = 16;

/// The `k` best allowed rows for each query `[n, dim]`, best first.
pub(crate) fn scan(
    rows: &Rows<'_>,
    closeness: Closeness,
    queries: &[f32],
    k: usize,
) -> Vec<Vec<Hit>> {
    let groups = queries.chunks(QUERIES * rows.dim);
    groups
        .flat_map(|group| scan_group(rows, closeness, group, k))
        .collect()
}

fn scan_group(rows: &Rows<'_>, closeness: Closeness, queries: &[f32], k: usize) -> Vec<Vec<Hit>> {
    let n_queries = queries.len() / rows.dim;
    let size = if n_queries < 4 {
        ROWS_OF_ONE
    } else {
        ROWS_OF_SEVERAL
    };
    let blocks = rows.blocks(size);
    let empty = || vec![Top::new(k); n_queries];
    let tasks = blocks.par_chunks(blocks_per_task(blocks.len()));
    let tops = tasks.map(|blocks| {
        let (mut tops, mut scores) = (empty(), vec![0.0; size * n_queries]);
        for block in blocks {
            take_block(rows, closeness, queries, *block, &mut scores, &mut tops);
        }
        tops
    });
    let merged = tops.reduce(empty, |mut all, more| {
        all.iter_mut()
            .zip(more)
            .for_each(|(all, more)| all.merge(more));
        all
    });
    merged.into_iter().map(Top::into_hits).collect()
}

fn take_block(
    rows: &Rows<'_>,
    closeness: Closeness,
    queries: &[f32],
    block: RowBlock,
    scores: &mut [f32],
    tops: &mut [Top],
) {
    let vectors = rows.parts[block.part].rows();
    let n_allowed = rows.n_allowed(block);
    // Single rows cost more than rows of a block; scores are the same.
    if n_allowed * 8 < block.n {
        let scores = &mut scores[..tops.len()];
        for at in (0..block.n).filter(|at| rows.allows(block.row + at)) {
            let vector = vectors.part(rows.dim, block.first + at, block.first + at + 1);
            score_rows(closeness, queries, rows.dim, vector, scores);
            for (top, &score) in tops.iter_mut().zip(&*scores) {
                let row = block.row + at;
                top.offer(Hit { row, score });
            }
        }
        return;
    }
    let scores = &mut scores[..block.n * tops.len()];
    let vectors = vectors.part(rows.dim, block.first, block.first + block.n);
    score_rows(closeness, queries, rows.dim, vectors, scores);
    let all = n_allowed == block.n;
    for (top, scores) in tops.iter_mut().zip(scores.chunks_exact(block.n)) {
        take_scores(scores, block.row, top, |row| all || rows.allows(row));
    }
}

/// Offers the scores of the rows from `first` on.
fn take_scores(scores: &[f32], first: usize, top: &mut Top, allows: impl Fn(usize) -> bool) {
    let mut lowest = top.threshold();
    for (strip, scores) in scores.chunks(STRIP).enumerate() {
        // A row that only ties with the lowest is a higher row, unless parts of the gallery were taken in
        // another order; `offer` decides.
        if !scores
            .iter()
            .fold(false, |any, score| any | (*score >= lowest))
        {
            continue;
        }
        for (at, &score) in scores.iter().enumerate() {
            let row = first + strip * STRIP + at;
            if score >= lowest && allows(row) {
                top.offer(Hit { row, score });
                lowest = top.threshold();
            }
        }
    }
}

/// The score of one row of the gallery.
pub(super) fn score_one(rows: &Rows<'_>, closeness: Closeness, query: &[f32], row: usize) -> f32 {
    let (part, at) = rows.place(row);
    let mut score = [0.0];
    let vector = part.rows().part(rows.dim, at, at + 1);
    score_rows(closeness, query, rows.dim, vector, &mut score);
    score[0]
}
