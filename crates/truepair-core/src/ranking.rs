//! Scores and relevance to ranks: the only place where ties are broken.
//!
//! A rank is 1-based and belongs to the best relevant item of a query. Ties count against the
//! model: every non-relevant item with the same score stands before it, so a matcher that gives
//! all pairs the same score ranks last, not first.
//!
//! The matrix is walked in tiles of one fixed shape. An inner product may round differently in a
//! product of another shape, which would decide ties by accident; with one shape, equal
//! embeddings get equal scores wherever they stand, and a score that is needed twice is the same
//! twice.

mod count;
mod grid;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::relevance::Relevance;
use crate::scores::Scorer;
use crate::watch::Watch;
use count::Counts;
use grid::Grid;

/// Tiles that hold relevant pairs are kept until their queries' best relevant scores are known, up
/// to this number of scores (128 MiB), so that test sets of the usual sizes have every score
/// computed once.
const MAX_KEPT_SCORES: usize = 32 << 20;

/// 1-based ranks of the best relevant item, one per query that has one, in index order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// Rank of the best relevant caption among all captions, per image.
    pub image_to_text: Vec<u32>,
    /// Rank of the best relevant image among all images, per caption.
    pub text_to_image: Vec<u32>,
    /// Images left out because no caption is relevant to them.
    pub images_without_caption: u32,
    /// Captions left out because no image is relevant to them.
    pub captions_without_image: u32,
}

/// Ranks all queries of both directions in one walk over the score matrix.
///
/// Memory is a few tiles and a few numbers per query, whatever the size of the matrix. Captions
/// are visited in the order of their images, so the relevant pairs lie in tiles near the diagonal:
/// few tiles are needed for every query's best relevant score, and each of them is counted as soon
/// as its own queries' are known.
///
/// # Errors
/// If scores and relevance disagree about the number of images or captions, if no query has a
/// relevant item, if a score is NaN or infinite (both indices are named), or if the scorer fails.
pub fn ranks(scorer: &dyn Scorer, relevance: &Relevance, watch: &mut dyn Watch) -> Result<Ranks> {
    check_sizes(scorer, relevance)?;
    let grid = Grid::new(relevance, scorer.tile_shape());
    let mut walk = Walk {
        scorer,
        grid: &grid,
        best: Best::new(relevance),
        counts: Counts::new(relevance),
        counted: vec![false; grid.n_tiles()],
        n_counted: 0,
        spare: Vec::new(),
        watch,
    };
    let relevant = walk.relevant_tiles(relevance)?;
    walk.other_tiles()?;
    Ok(walk.counts.into_ranks(relevance, &walk.best, &relevant))
}

fn check_sizes(scorer: &dyn Scorer, relevance: &Relevance) -> Result<()> {
    let scored = (scorer.n_images(), scorer.n_captions());
    let known = (relevance.n_images(), relevance.n_captions());
    if scored != known {
        return Err(Error::argument(
            format!(
                "scores are of {} images and {} captions, the data has {} and {}",
                scored.0, scored.1, known.0, known.1
            ),
            "score the same split that the pairs come from",
        ));
    }
    if relevance.n_pairs() == 0 {
        return Err(Error::argument(
            "no image has a relevant caption, so nothing can be ranked",
            "give a split with at least one pair",
        ));
    }
    Ok(())
}

fn relevant_pairs(relevance: &Relevance) -> impl Iterator<Item = (u32, u32)> + '_ {
    (0..relevance.n_images() as u32).flat_map(|image| {
        let captions = relevance.captions_of(image).iter();
        captions.map(move |&caption| (image, caption))
    })
}

/// Every query's best relevant score, as far as it is known.
struct Best {
    /// Per image, +infinity where no caption is relevant: nothing reaches it.
    of_image: Vec<f32>,
    /// Per caption.
    of_caption: Vec<f32>,
}

impl Best {
    fn new(relevance: &Relevance) -> Self {
        let start = |relevant: &[u32]| match relevant {
            [] => f32::INFINITY,
            _ => f32::NEG_INFINITY,
        };
        let images = 0..relevance.n_images() as u32;
        let captions = 0..relevance.n_captions() as u32;
        Self {
            of_image: images.map(|at| start(relevance.captions_of(at))).collect(),
            of_caption: captions.map(|at| start(relevance.images_of(at))).collect(),
        }
    }

    fn raise(&mut self, image: u32, caption: u32, score: f32) {
        let best = &mut self.of_image[image as usize];
        *best = best.max(score);
        let best = &mut self.of_caption[caption as usize];
        *best = best.max(score);
    }
}

/// Where the score of a relevant pair lies.
struct Place {
    tile: usize,
    offset: usize,
    image: u32,
    caption: u32,
    /// Number of the pair.
    pair: usize,
}

/// Places of all relevant pairs, by tile.
fn places(relevance: &Relevance, grid: &Grid) -> Vec<Place> {
    let mut places: Vec<Place> = (relevant_pairs(relevance).enumerate())
        .map(|(pair, (image, caption))| {
            let (tile, offset) = grid.locate(image, caption);
            Place {
                tile,
                offset,
                image,
                caption,
                pair,
            }
        })
        .collect();
    places.sort_unstable_by_key(|place| (place.tile, place.offset));
    places
}

/// Tiles with relevant pairs that have not been looked at, per row and per column of tiles.
struct Waiting {
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Waiting {
    fn new(places: &[Place], grid: &Grid) -> Self {
        let mut waiting = Self {
            rows: vec![0; grid.n_strips()],
            columns: vec![0; grid.tiles_per_strip()],
        };
        for places in places.chunk_by(|a, b| a.tile == b.tile) {
            let (row, column) = grid.position(places[0].tile);
            waiting.rows[row] += 1;
            waiting.columns[column] += 1;
        }
        waiting
    }

    /// One tile less; whether a row or column of tiles has none left.
    fn looked_at(&mut self, (row, column): (usize, usize)) -> bool {
        self.rows[row] -= 1;
        self.columns[column] -= 1;
        self.rows[row] == 0 || self.columns[column] == 0
    }

    /// Whether the best scores of all queries of a tile are known.
    fn is_over(&self, (row, column): (usize, usize)) -> bool {
        self.rows[row] == 0 && self.columns[column] == 0
    }
}

struct Walk<'a> {
    scorer: &'a dyn Scorer,
    grid: &'a Grid,
    best: Best,
    counts: Counts,
    /// Per tile.
    counted: Vec<bool>,
    n_counted: u64,
    /// Buffers of tiles that have been counted.
    spare: Vec<Vec<f32>>,
    watch: &'a mut dyn Watch,
}

impl Walk<'_> {
    /// Finds the scores of all relevant pairs and counts their tiles, but for those that were too
    /// many to keep.
    fn relevant_tiles(&mut self, relevance: &Relevance) -> Result<Vec<f32>> {
        let places = places(relevance, self.grid);
        let mut waiting = Waiting::new(&places, self.grid);
        let mut relevant = vec![0.0; places.len()];
        let mut kept: Vec<(usize, Vec<f32>)> = Vec::new();
        for places in places.chunk_by(|a, b| a.tile == b.tile) {
            let tile = places[0].tile;
            let scores = self.scores(tile)?;
            for place in places {
                let score = scores[place.offset];
                relevant[place.pair] = score;
                self.best.raise(place.image, place.caption, score);
            }
            let settled = waiting.looked_at(self.grid.position(tile));
            match (kept.len() + 1) * scores.len() <= MAX_KEPT_SCORES {
                true => kept.push((tile, scores)),
                false => self.spare.push(scores),
            }
            if settled {
                let over = |(tile, _): &mut (usize, _)| waiting.is_over(self.grid.position(*tile));
                let over: Vec<_> = kept.extract_if(.., over).collect();
                for (tile, scores) in over {
                    self.count(tile, scores)?;
                }
            }
        }
        Ok(relevant)
    }

    /// Counts what has not been counted.
    fn other_tiles(&mut self) -> Result<()> {
        for tile in 0..self.grid.n_tiles() {
            if !self.counted[tile] {
                let scores = self.scores(tile)?;
                self.count(tile, scores)?;
            }
        }
        Ok(())
    }

    fn scores(&mut self, tile: usize) -> Result<Vec<f32>> {
        let fresh = || vec![0.0; self.grid.scores_per_tile()];
        let mut scores = self.spare.pop().unwrap_or_else(fresh);
        self.grid.scores(self.scorer, tile, &mut scores)?;
        Ok(scores)
    }

    fn count(&mut self, tile: usize, scores: Vec<f32>) -> Result<()> {
        let (stride, own) = (self.grid.stride(), self.grid.tile(tile));
        self.counts.add(&scores, stride, &self.best, &own)?;
        self.spare.push(scores);
        self.counted[tile] = true;
        self.n_counted += 1;
        let total = self.grid.n_tiles() as u64;
        self.watch.advance("rank", self.n_counted, total);
        Ok(())
    }
}
