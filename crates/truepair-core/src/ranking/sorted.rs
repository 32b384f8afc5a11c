//! Ranking by sorted rows, for queries with many relevant items.
//!
//! The scores of one strip of queries are in memory at a time, and every row of them is sorted. Ties
//! count against the model as they do where scores are counted.

use std::ops::Range;

use rayon::prelude::*;

use super::count::unusable;
use super::placed::{Level, Placed};
use crate::error::{Error, Result};
use crate::relevance::{ABSENT, IRRELEVANT, LabelRelevance};
use crate::scores::{Direction, Scorer};
use crate::watch::Watch;

/// Scores of a strip of queries, 128 MiB.
const MAX_STRIP_SCORES: usize = 32 << 20;

/// How many images and captions are transposed together when captions are the queries.
const TURNED: usize = 64;

/// The value of every query of one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers<T> {
    /// Queries with a relevant item, ascending, each with its value.
    pub queries: Vec<(u32, T)>,
    /// Queries left out because nothing is relevant to them or they have no label.
    pub n_excluded: u32,
}

/// An item of a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The item.
    pub item: u32,
    /// Its score.
    pub score: f32,
}

/// Images that are queries for captions, or captions that are queries for images.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// Which side the queries are on.
    pub direction: Direction,
    /// The images or captions that are the queries.
    pub items: &'a [u32],
}

/// Ranks all queries of both directions, image queries first, and passes each to `worth`.
///
/// Items without a label are in no ranking. Memory is bounded by 128 MiB of scores, or one row.
///
/// # Errors
/// If scores and labels disagree about the number of images or captions, a score is NaN or
/// infinite, or the scorer fails.
pub fn sorted_by_labels<T: Send>(
    scorer: &dyn Scorer,
    labels: &LabelRelevance,
    watch: &mut dyn Watch,
    worth: impl Fn(&Placed<'_>) -> T + Sync,
) -> Result<[Answers<T>; 2]> {
    let scored = (scorer.n_images(), scorer.n_captions());
    let labeled = (labels.n_images(), labels.n_captions());
    if scored != labeled {
        return Err(Error::argument(
            format!(
                "scores are of {} images and {} captions, the labels of {} and {}",
                scored.0, scored.1, labeled.0, labeled.1
            ),
            "label every row and column of the scores",
        ));
    }
    let mut of = |direction| -> Result<Answers<T>> {
        let n = n_queries(scorer, direction);
        let items: Vec<u32> = (0..n as u32).collect();
        let queries = Queries {
            direction,
            items: &items,
        };
        let mut answers = Answers {
            queries: Vec::new(),
            n_excluded: 0,
        };
        each_strip(scorer, queries, watch, |queries, rows| {
            let found: Vec<Option<T>> = (queries.par_iter().zip(rows))
                .map_init(Sorter::default, |sorter, (&query, row)| {
                    sorter.place(labels, direction, query, row, &worth)
                })
                .collect();
            for (&query, worth) in queries.iter().zip(found) {
                match worth {
                    Some(worth) => answers.queries.push((query, worth)),
                    None => answers.n_excluded += 1,
                }
            }
        })?;
        Ok(answers)
    };
    Ok([of(Direction::ImageToText)?, of(Direction::TextToImage)?])
}

/// The first `k` items of the given queries, best first; among equal scores, items that `relevant`
/// accepts for the query come last, and otherwise those with higher indices.
///
/// ```
/// use truepair_core::ranking::{Queries, top_items};
/// use truepair_core::scores::{Direction, Matrix, ScoreMatrix};
///
/// let scores = ScoreMatrix(Matrix::new(vec![0.1, 0.9, 0.5], 3));
/// let queries = Queries { direction: Direction::ImageToText, items: &[0] };
/// let found = top_items(&scores, queries, 2, &mut (), |_, _| false)?;
/// assert_eq!(found[0].iter().map(|one| one.item).collect::<Vec<_>>(), [1, 2]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If a score is NaN or infinite, or the scorer fails.
///
/// # Panics
/// If a query does not exist.
pub fn top_items(
    scorer: &dyn Scorer,
    queries: Queries<'_>,
    k: usize,
    watch: &mut dyn Watch,
    relevant: impl Fn(u32, u32) -> bool + Sync,
) -> Result<Vec<Vec<Found>>> {
    let mut top = Vec::with_capacity(queries.items.len());
    each_strip(scorer, queries, watch, |queries, rows| {
        let found: Vec<Vec<Found>> = (queries.par_iter().zip(rows))
            .map_init(Sorter::default, |sorter, (&query, row)| {
                sorter.sort_items(row);
                let last = |&(key, item): &(u32, u32)| (key, relevant(query, item), item);
                let reached = sorter.keys.get(k.wrapping_sub(1)).map(|last| last.0);
                let n = sorter
                    .keys
                    .partition_point(|key| reached.is_none_or(|end| key.0 <= end));
                sorter.keys[..n].sort_unstable_by_key(last);
                let first = sorter.keys[..n].iter().take(k);
                let found = first.map(|&(_, item)| Found {
                    item,
                    score: row[item as usize],
                });
                found.collect()
            })
            .collect();
        top.extend(found);
    })?;
    Ok(top)
}

fn n_queries(scorer: &dyn Scorer, direction: Direction) -> usize {
    match direction {
        Direction::ImageToText => scorer.n_images(),
        Direction::TextToImage => scorer.n_captions(),
    }
}

/// Calls `look` with runs of the queries and all scores of each.
fn each_strip(
    scorer: &dyn Scorer,
    Queries { direction, items }: Queries<'_>,
    watch: &mut dyn Watch,
    mut look: impl FnMut(&[u32], rayon::slice::Chunks<'_, f32>),
) -> Result<()> {
    let n_gallery = scorer.n_images() + scorer.n_captions() - n_queries(scorer, direction);
    if items.is_empty() || n_gallery == 0 {
        return Ok(());
    }
    let shape = scorer.tile_shape();
    let (at_once, gallery_at_once) = match direction {
        Direction::ImageToText => (shape.images, shape.captions),
        Direction::TextToImage => (shape.captions, shape.images),
    };
    let at_once = at_once.min(MAX_STRIP_SCORES / n_gallery).max(1);
    // Strips and blocks have one size, and the last ones start early, so that equal embeddings tie
    // everywhere.
    let size = items.len().div_ceil(items.len().div_ceil(at_once));
    let block = n_gallery.div_ceil(n_gallery.div_ceil(gallery_at_once.max(1)));
    let gallery: Vec<u32> = (0..n_gallery as u32).collect();
    let mut rows = vec![0.0; size * n_gallery];
    let mut tile = vec![0.0; size * block];
    let mut done = 0;
    while done < items.len() {
        let start = done.min(items.len() - size);
        let strip = &items[start..start + size];
        for first in (0..n_gallery).step_by(block) {
            let first = first.min(n_gallery - block);
            let columns = first..first + block;
            let found = &gallery[columns.clone()];
            match direction {
                Direction::ImageToText => {
                    scorer.tile(strip, found, &mut tile)?;
                    place_rows(&tile, columns, n_gallery, &mut rows);
                }
                Direction::TextToImage => {
                    scorer.tile(found, strip, &mut tile)?;
                    place_columns(&tile, columns, n_gallery, &mut rows);
                }
            }
        }
        if let Some(at) = rows.iter().position(|score| !score.is_finite()) {
            let (query, item) = (strip[at / n_gallery], (at % n_gallery) as u32);
            return Err(match direction {
                Direction::ImageToText => unusable(query, item, rows[at]),
                Direction::TextToImage => unusable(item, query, rows[at]),
            });
        }
        let own = done - start;
        look(&strip[own..], rows[own * n_gallery..].par_chunks(n_gallery));
        done = start + size;
        watch.advance("rank", done as u64, items.len() as u64);
    }
    Ok(())
}

/// Copies the rows of a tile to `columns` of rows of `width` scores.
fn place_rows(tile: &[f32], columns: Range<usize>, width: usize, rows: &mut [f32]) {
    (rows
        .par_chunks_mut(width)
        .zip(tile.par_chunks(columns.len())))
    .for_each(|(row, scores)| row[columns.clone()].copy_from_slice(scores));
}

/// Copies the columns of a tile, transposed, to `columns` of rows of `width` scores.
fn place_columns(tile: &[f32], columns: Range<usize>, width: usize, rows: &mut [f32]) {
    let n_rows = tile.len() / columns.len();
    (rows.par_chunks_mut(TURNED * width).enumerate()).for_each(|(group, rows)| {
        let of_tile = group * TURNED..((group + 1) * TURNED).min(n_rows);
        for items in (0..columns.len()).step_by(TURNED) {
            for (row, column) in rows.chunks_mut(width).zip(of_tile.clone()) {
                for item in items..(items + TURNED).min(columns.len()) {
                    row[columns.start + item] = tile[item * n_rows + column];
                }
            }
        }
    });
}

/// Buffers of one thread.
#[derive(Default)]
struct Sorter {
    /// A key that ascends as scores fall, and what the sort carries along.
    keys: Vec<(u32, u32)>,
    other: Vec<(u32, u32)>,
    standings: Vec<u8>,
    /// Ranks of the relevant items of each level.
    ranks: Vec<Vec<u32>>,
}

impl Sorter {
    /// Fills `keys` with a row's scores, best first, each with its item.
    fn sort_items(&mut self, row: &[f32]) {
        self.keys.clear();
        let items = row.iter().zip(0..);
        self.keys
            .extend(items.map(|(&score, item)| (falling_key(score), item)));
        radix_sort(&mut self.keys, &mut self.other);
    }

    /// Fills `keys` with the scores of a row that are in the query's gallery, best first, each
    /// with its level.
    fn sort_levels(
        &mut self,
        labels: &LabelRelevance,
        direction: Direction,
        query: u32,
        row: &[f32],
    ) {
        labels.standings(direction, query, &mut self.standings);
        self.keys.resize(row.len(), (0, 0));
        let mut n = 0;
        for (&score, &standing) in row.iter().zip(&self.standings) {
            // Absent items are overwritten: cheaper than an unpredictable branch.
            self.keys[n] = (falling_key(score), standing.into());
            n += usize::from(standing != ABSENT);
        }
        self.keys.truncate(n);
        radix_sort(&mut self.keys, &mut self.other);
    }

    fn place<T>(
        &mut self,
        labels: &LabelRelevance,
        direction: Direction,
        query: u32,
        row: &[f32],
        worth: impl Fn(&Placed<'_>) -> T,
    ) -> Option<T> {
        if !labels.is_query(direction, query) {
            return None;
        }
        self.sort_levels(labels, direction, query, row);
        self.ranks.resize(labels.n_levels(), Vec::new());
        self.ranks.iter_mut().for_each(Vec::clear);
        let mut n_before = 0;
        for tied in self.keys.chunk_by(|a, b| a.0 == b.0) {
            if let &[(_, level)] = tied {
                n_before += 1;
                if level != u32::from(IRRELEVANT) {
                    let ranks = self.ranks[level as usize..].iter_mut();
                    ranks.for_each(|ranks| ranks.push(n_before as u32));
                }
                continue;
            }
            for (level, ranks) in (0..).zip(&mut self.ranks) {
                let n_relevant = tied.iter().filter(|&&(_, of)| of <= level).count();
                let last = n_before + tied.len();
                ranks.extend((last - n_relevant..last).map(|before| before as u32 + 1));
            }
            n_before += tied.len();
        }
        let levels: Vec<Level<'_>> = (self.ranks.iter())
            .map(|ranks| Level {
                ranks,
                n_relevant: ranks.len() as u32,
                n_absent: 0,
            })
            .collect();
        (levels[0].n_relevant > 0).then(|| {
            worth(&Placed {
                levels: &levels,
                depth: n_before as u32,
                n_gallery: n_before as u32,
            })
        })
    }
}

/// A number that is smaller the larger the score, equal only for equal scores.
fn falling_key(score: f32) -> u32 {
    // Adding zero turns -0 into 0, which is the same score.
    let bits = (score + 0.0).to_bits();
    let rising = match bits >> 31 {
        0 => bits | 1 << 31,
        _ => !bits,
    };
    !rising
}

/// Sorts by key in three passes of 11 bits; entries with equal keys keep their order.
fn radix_sort(keys: &mut Vec<(u32, u32)>, other: &mut Vec<(u32, u32)>) {
    const DIGITS: usize = 1 << 11;
    const SHIFTS: [u32; 3] = [0, 11, 22];
    let digit = |key: u32, shift: u32| (key >> shift) as usize % DIGITS;
    other.resize(keys.len(), (0, 0));
    let mut counts = [[0u32; DIGITS]; SHIFTS.len()];
    for &(key, _) in keys.iter() {
        for (counts, shift) in counts.iter_mut().zip(SHIFTS) {
            counts[digit(key, shift)] += 1;
        }
    }
    for (mut starts, shift) in counts.into_iter().zip(SHIFTS) {
        let mut sum = 0;
        for start in &mut starts {
            (*start, sum) = (sum, sum + *start);
        }
        for &pair in keys.iter() {
            let at = &mut starts[digit(pair.0, shift)];
            other[*at as usize] = pair;
            *at += 1;
        }
        std::mem::swap(keys, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, normal};

    #[test]
    fn keys_sort_as_scores_fall() {
        let mut rng = Seed(2).stream("test", &[]);
        let mut scores: Vec<f32> = (0..3000).map(|_| normal(&mut rng) as f32).collect();
        scores.extend([0.0, -0.0, f32::MAX, f32::MIN, 1e-40, -1e-40]);
        let mut sorter = Sorter::default();
        sorter.sort_items(&scores);
        let sorted: Vec<f32> = (sorter.keys.iter())
            .map(|&(_, item)| scores[item as usize])
            .collect();
        assert!(sorted.is_sorted_by(|a, b| a >= b));
        assert_eq!(falling_key(0.0), falling_key(-0.0));
        assert_eq!(sorted.len(), scores.len());
    }
}
