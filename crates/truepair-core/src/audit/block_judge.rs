//! One block of pairs and re-pairings compared with the null of a fold.

use rayon::prelude::*;

use super::fold::candidates;
use super::sweep::{Gallery, RowSweep, Standing, Threshold, sweep_row};
use super::trials::{Block, Trial};
use super::{Fold, Links, NullStatistic, PairStatistics, crowd};
use crate::error::{Error, Result};
use crate::lists::{Lists, place};
use crate::rng::Seed;
use crate::scores::{Direction, Scorer};

/// Images or captions whose scores with the gallery are held at once, few enough for them to stay in the
/// processor's cache until they are counted.
const QUERIES_AT_ONCE: usize = 256;

/// Columns that are turned into rows together, and rows that are read at a time: a cache line of scores.
const TURNED_COLUMNS: usize = 16;

/// Scores of the block's images against the block's captions, row-major.
pub(super) fn own_scores(fold: &Fold<'_>, block: &Block) -> Result<Vec<f32>> {
    let mut scores = vec![0.0; block.images.len() * block.captions.len()];
    fold.scorer
        .tile(&block.images, &block.captions, &mut scores)?;
    match scores.iter().position(|score| !score.is_finite()) {
        Some(at) => {
            let (image, caption) = (at / block.captions.len(), at % block.captions.len());
            Err(not_finite(block.images[image], block.captions[caption]))
        }
        None => Ok(scores),
    }
}

/// How well the fold's images and captions are read: the items of either side, ascending, with a value
/// for each.
pub(super) struct Legibility([(Vec<u32>, Vec<f64>); 2]);

impl Legibility {
    pub(super) fn measure(fold: &Fold<'_>, size: usize, seed: Seed) -> Result<Self> {
        let [images, captions] = crowd::draw(fold.pairs, size, seed);
        let side = |of_items: Direction, queries: Direction, crowd: &[u32]| -> Result<_> {
            let (items, _) = candidates(fold, of_items);
            let values = crowd::measure(fold.scorer, queries, &items, crowd)?;
            Ok((items, values))
        };
        // The candidates of a caption are images.
        let (i2t, t2i) = (Direction::ImageToText, Direction::TextToImage);
        Ok(Self([side(t2i, i2t, &captions)?, side(i2t, t2i, &images)?]))
    }

    fn of(&self, image: u32, caption: u32) -> [f64; 2] {
        let value =
            |(items, values): &(Vec<u32>, Vec<f64>), item: u32| values[place(items, item) as usize];
        [value(&self.0[0], image), value(&self.0[1], caption)]
    }
}

pub(super) struct BlockJudge<'a> {
    pub(super) links: &'a Links,
    pub(super) block: &'a Block,
    /// Scores of the block's images against its captions, row-major.
    pub(super) scores: Vec<f32>,
    pub(super) sharpness: f64,
    pub(super) legibility: &'a Legibility,
}

/// The standing of every trial, and the best null item of every query (image or caption of the block).
pub(super) struct BlockSweep {
    standings: Vec<Standing>,
    best: Vec<Option<(u32, f32)>>,
}

impl BlockJudge<'_> {
    fn score(&self, trial: &Trial) -> f32 {
        self.scores[trial.image as usize * self.block.captions.len() + trial.caption as usize]
    }

    /// Scores the block's images or captions against the gallery and counts.
    pub(super) fn sweep(
        &self,
        scorer: &dyn Scorer,
        direction: Direction,
        gallery: &Gallery,
        tile: &mut Vec<f32>,
    ) -> Result<BlockSweep> {
        let queries = match direction {
            Direction::ImageToText => &self.block.images,
            Direction::TextToImage => &self.block.captions,
        };
        let width = gallery.items.len();
        let trials = self.trials_by_query(direction, queries.len());
        let mut swept: Vec<RowSweep> = Vec::with_capacity(queries.len());
        for asked in queries.chunks(QUERIES_AT_ONCE) {
            let first = swept.len();
            let sweep = |query: usize, row: &mut [f32]| {
                let query = first + query;
                self.sweep_query(direction, gallery, query, trials.get(query as u32), row)
            };
            tile.resize(asked.len() * width, 0.0);
            match direction {
                Direction::ImageToText => {
                    scorer.tile(asked, &gallery.items, tile)?;
                    let rows = tile.par_chunks_exact_mut(width).enumerate();
                    let of_rows: Vec<RowSweep> = rows
                        .map(|(query, row)| sweep(query, row))
                        .collect::<Result<_>>()?;
                    swept.extend(of_rows);
                }
                Direction::TextToImage => {
                    scorer.tile(&gallery.items, asked, tile)?;
                    let starts = (0..asked.len()).into_par_iter().step_by(TURNED_COLUMNS);
                    let of_columns: Vec<Vec<RowSweep>> = starts
                        .map(|start| {
                            let end = (start + TURNED_COLUMNS).min(asked.len());
                            let mut rows = turn_columns(tile, asked.len(), start, end);
                            let rows = rows.chunks_exact_mut(width).zip(start..);
                            rows.map(|(row, query)| sweep(query, row)).collect()
                        })
                        .collect::<Result<_>>()?;
                    swept.extend(of_columns.into_iter().flatten());
                }
            }
        }
        let mut standings = vec![Standing::default(); self.block.trials.len()];
        for (query, row) in swept.iter().enumerate() {
            for (&trial, &standing) in trials.get(query as u32).iter().zip(&row.standings) {
                standings[trial as usize] = standing;
            }
        }
        Ok(BlockSweep {
            standings,
            best: swept.into_iter().map(|row| row.best).collect(),
        })
    }

    fn trials_by_query(&self, direction: Direction, n_queries: usize) -> Lists {
        let entries = self
            .block
            .trials
            .iter()
            .zip(0..)
            .filter_map(|(trial, index)| {
                let trial = trial.as_ref()?;
                Some(match direction {
                    Direction::ImageToText => (trial.image, index),
                    Direction::TextToImage => (trial.caption, index),
                })
            });
        Lists::new(n_queries, entries)
    }

    fn sweep_query(
        &self,
        direction: Direction,
        gallery: &Gallery,
        query: usize,
        trials: &[u32],
        row: &mut [f32],
    ) -> Result<RowSweep> {
        let (block, links) = (self.block, self.links);
        let excluded = match direction {
            Direction::ImageToText => links.captions_of(block.images[query]),
            Direction::TextToImage => links.images_of(block.captions[query]),
        };
        let thresholds = trials.iter().map(|&index| {
            let trial = block.trials[index as usize]
                .as_ref()
                .expect("only trials were listed");
            let own_group = match direction {
                Direction::ImageToText => {
                    links.caption_group()[block.captions[trial.caption as usize] as usize]
                }
                Direction::TextToImage => {
                    links.image_group()[block.images[trial.image as usize] as usize]
                }
            };
            Threshold {
                score: self.score(trial),
                also_excluded: (!trial.is_given).then_some(own_group),
            }
        });
        let thresholds: Vec<Threshold> = thresholds.collect();
        sweep_row(row, gallery, excluded, &thresholds, self.sharpness).map_err(|at| {
            let (image, caption) = match direction {
                Direction::ImageToText => (block.images[query], gallery.items[at]),
                Direction::TextToImage => (gallery.items[at], block.captions[query]),
            };
            not_finite(image, caption)
        })
    }

    fn legibility_of(&self, trial: &Trial) -> [f64; 2] {
        let image = self.block.images[trial.image as usize];
        self.legibility
            .of(image, self.block.captions[trial.caption as usize])
    }

    /// The statistic of a trial that was not given as a pair.
    pub(super) fn null(&self, index: usize, i2t: &BlockSweep, t2i: &BlockSweep) -> NullStatistic {
        let (a, b) = (i2t.standings[index], t2i.standings[index]);
        match &self.block.trials[index] {
            Some(trial) => NullStatistic {
                partner: trial.partner,
                log_rank: log_rank(a, b),
                surprisal: surprisal(a, b),
                legibility: self.legibility_of(trial),
            },
            None => NullStatistic {
                partner: u32::MAX,
                log_rank: f64::NAN,
                surprisal: f64::NAN,
                legibility: [f64::NAN; 2],
            },
        }
    }

    pub(super) fn statistics(
        &self,
        n_repairings: usize,
        i2t: &BlockSweep,
        t2i: &BlockSweep,
    ) -> Vec<(PairStatistics, Vec<NullStatistic>)> {
        let slots = 1 + n_repairings;
        let given = |n: usize, pair: u32| {
            let trial = self.block.trials[n * slots].expect("the given pair is always a trial");
            let score = self.score(&trial);
            let (a, b) = (i2t.standings[n * slots], t2i.standings[n * slots]);
            let better = |best: Option<(u32, f32)>| {
                best.filter(|&(_, best_score)| best_score > score)
                    .map(|(item, _)| item)
            };
            PairStatistics {
                pair,
                p_i2t: a.p(),
                p_t2i: b.p(),
                log_rank: log_rank(a, b),
                surprisal: surprisal(a, b),
                legibility: self.legibility_of(&trial),
                entropy: (a.entropy + b.entropy) / 2.0,
                variance: None,
                rank_i2t: 1 + a.n_above,
                rank_t2i: 1 + b.n_above,
                n_captions: a.n_compared,
                n_images: b.n_compared,
                better_caption: better(i2t.best[trial.image as usize]),
                better_image: better(t2i.best[trial.caption as usize]),
            }
        };
        let null = |index: usize| self.null(index, i2t, t2i);
        let rows = self.block.pairs.iter().enumerate().map(|(n, &pair)| {
            (
                given(n, pair),
                (n * slots + 1..(n + 1) * slots).map(null).collect(),
            )
        });
        rows.collect()
    }
}

/// Mean over both directions; NaN where one has nothing to compare with.
fn mean(a: Standing, b: Standing, of: fn(Standing) -> f64) -> f64 {
    if a.n_compared > 0 && b.n_compared > 0 {
        (of(a) + of(b)) / 2.0
    } else {
        f64::NAN
    }
}

fn surprisal(a: Standing, b: Standing) -> f64 {
    mean(a, b, |standing| standing.surprisal)
}

fn log_rank(a: Standing, b: Standing) -> f64 {
    mean(a, b, |standing| standing.p().ln())
}

/// Copies columns `start..end` of a row-major tile of `n_columns` into rows. Sixteen rows of the tile at a
/// time, so that what is read and what is written are whole cache lines.
fn turn_columns(tile: &[f32], n_columns: usize, start: usize, end: usize) -> Vec<f32> {
    let height = tile.len() / n_columns;
    let mut rows = vec![0.0; (end - start) * height];
    for (at, lines) in tile.chunks(TURNED_COLUMNS * n_columns).enumerate() {
        let first = at * TURNED_COLUMNS;
        for (x, row) in rows.chunks_exact_mut(height).enumerate() {
            let column = lines[start + x..].iter().step_by(n_columns);
            let out = &mut row[first..(first + TURNED_COLUMNS).min(height)];
            (out.iter_mut().zip(column)).for_each(|(out, score)| *out = *score);
        }
    }
    rows
}

fn not_finite(image: u32, caption: u32) -> Error {
    Error::argument(
        format!("the score of image {image} and caption {caption} is not a finite number"),
        "check both for NaN, infinity or an overflow in the model",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let (height, width) = (37, 21);
        let tile: Vec<f32> = (0..height * width).map(|at| at as f32).collect();
        for (start, end) in [(0, 16), (16, 21), (5, 6)] {
            let rows = turn_columns(&tile, width, start, end);
            for (x, row) in rows.chunks_exact(height).enumerate() {
                let expected = (0..height).map(|y| tile[y * width + start + x]);
                assert!(row.iter().copied().eq(expected));
            }
        }
    }
}
