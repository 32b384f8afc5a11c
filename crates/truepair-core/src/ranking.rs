//! Scores and relevance to ranks: the only place where ties are broken.
//!
//! Ranks are 1-based. Ties count against the model: every non-relevant item with the same score
//! comes before a relevant one, so a matcher that gives all pairs the same score ranks last, not
//! first. Each relevant item has its own rank.
//!
//! Relevance by lists is ranked by counting: both directions in one pass, without ever holding a row
//! ([`ranks`], [`placements`]). Relevance by labels, where a query may have thousands of relevant
//! items, is ranked by sorting rows ([`sorted_by_labels`]). Ranked lists of another program are taken
//! as they are ([`RankedLists`]).
//!
//! The matrix is visited in tiles of one fixed shape. An inner product may round differently in a
//! product of another shape, which would decide ties by accident; with one shape, equal
//! embeddings get equal scores wherever they stand, and a score that is needed twice is the same
//! twice.

mod count;
mod grid;
mod listed;
mod placed;
mod sorted;
#[cfg(test)]
mod tests;
mod thresholds;

pub use listed::{List, RankedLists};
pub use placed::{Level, Placed, PlacedQueries, Placements};
pub use sorted::{Answers, Found, Queries, sorted_by_labels, top_items};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::relevance::Relevance;
use crate::scores::{Direction, Scorer};
use crate::watch::Watch;
use grid::Grid;
use thresholds::{Thresholds, Wanted};

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

/// Ranks the best relevant item of all queries of both directions in one pass over the score matrix.
///
/// Memory is a few tiles and a few numbers per relevant pair, whatever the size of the matrix.
/// Captions are visited in the order of their images, so the relevant pairs lie in tiles near the
/// diagonal: few tiles are needed for every query's relevant scores, and each of them is counted as
/// soon as its own queries' are known.
///
/// ```
/// use truepair_core::pair::Pair;
/// use truepair_core::ranking::ranks;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::scores::{Matrix, ScoreMatrix};
///
/// // Caption 1 belongs to image 1, and image 0 scores as high: ties count against the matcher.
/// let scores = ScoreMatrix(Matrix::new(vec![0.9, 0.5, 0.1, 0.5], 2));
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }];
/// let found = ranks(&scores, &Relevance::from_pairs(2, 2, &pairs), &mut ())?;
/// assert_eq!(found.image_to_text, [1, 1]);
/// assert_eq!(found.text_to_image, [1, 2]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If scores and relevance disagree about the number of images or captions, if no query has a
/// relevant item, if a score is NaN or infinite (both indices are named), or if the scorer fails.
pub fn ranks(scorer: &dyn Scorer, relevance: &Relevance, watch: &mut dyn Watch) -> Result<Ranks> {
    best_ranks(scorer, relevance, Wanted::Best, watch)
}

/// As [`ranks`], with ties counted in favor of the model: what it would gain if every tie fell its way.
///
/// # Errors
/// As [`ranks`].
pub fn ranks_in_favor(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<Ranks> {
    best_ranks(scorer, relevance, Wanted::BestInFavor, watch)
}

fn best_ranks(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    wanted: Wanted,
    watch: &mut dyn Watch,
) -> Result<Ranks> {
    let (images, captions) = counted(scorer, relevance, wanted, watch)?;
    let (image_to_text, text_to_image) = (images.best_ranks(), captions.best_ranks());
    Ok(Ranks {
        images_without_caption: (relevance.n_images() - image_to_text.len()) as u32,
        captions_without_image: (relevance.n_captions() - text_to_image.len()) as u32,
        image_to_text,
        text_to_image,
    })
}

/// Ranks every relevant item of all queries, as [`ranks`] does the best one.
///
/// ```
/// use truepair_core::pair::Pair;
/// use truepair_core::ranking::placements;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::scores::{Matrix, ScoreMatrix};
///
/// // Image 0 has captions 0 and 2; a wrong caption stands between them.
/// let scores = ScoreMatrix(Matrix::new(vec![0.9, 0.5, 0.1], 3));
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 0, caption: 2 }];
/// let found = placements(&scores, &Relevance::from_pairs(1, 3, &pairs), &mut ())?;
/// found.image_to_text.each(|_, placed| assert_eq!(placed.strict().ranks, [1, 3]));
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// As [`ranks`].
pub fn placements(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<Placements> {
    let (images, captions) = counted(scorer, relevance, Wanted::All, watch)?;
    Ok(Placements {
        image_to_text: images.placed(relevance, Direction::ImageToText),
        text_to_image: captions.placed(relevance, Direction::TextToImage),
    })
}

/// Relevant scores of images and of captions, with how many items reach each.
fn counted(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    wanted: Wanted,
    watch: &mut dyn Watch,
) -> Result<(Thresholds, Thresholds)> {
    check_sizes(scorer, relevance)?;
    let grid = Grid::new(relevance, scorer.tile_shape());
    let mut walk = Walk {
        scorer,
        grid: &grid,
        images: Thresholds::new(relevance, Direction::ImageToText, wanted),
        captions: Thresholds::new(relevance, Direction::TextToImage, wanted),
        counted: vec![false; grid.n_tiles()],
        n_counted: 0,
        spare: Vec::new(),
        watch,
    };
    walk.relevant_tiles(relevance)?;
    walk.other_tiles()?;
    Ok((walk.images, walk.captions))
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
    let none = |direction| {
        let mut queries = 0..relevance.n_queries(direction) as u32;
        queries.all(|query| relevance.relevant(direction, query).is_empty())
    };
    if none(Direction::ImageToText) && none(Direction::TextToImage) {
        return Err(Error::argument(
            "no image has a relevant caption, so nothing can be ranked",
            "give a split with at least one pair",
        ));
    }
    Ok(())
}

/// Where the score of a relevant pair lies, and whose it is.
struct Place {
    tile: u32,
    offset: u32,
    /// Position of the score among the relevant scores of its direction.
    slot: u32,
    direction: Direction,
}

/// Places of all relevant pairs of both directions, by tile.
fn places(relevance: &Relevance, grid: &Grid) -> Vec<Place> {
    let mut places = Vec::new();
    for direction in [Direction::ImageToText, Direction::TextToImage] {
        let mut slot = 0;
        for query in 0..relevance.n_queries(direction) as u32 {
            for &item in relevance.relevant(direction, query) {
                let (tile, offset) = match direction {
                    Direction::ImageToText => grid.locate(query, item),
                    Direction::TextToImage => grid.locate(item, query),
                };
                places.push(Place {
                    tile: tile as u32,
                    offset: offset as u32,
                    slot,
                    direction,
                });
                slot += 1;
            }
        }
    }
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
            let (row, column) = grid.position(places[0].tile as usize);
            waiting.rows[row] += 1;
            waiting.columns[column] += 1;
        }
        waiting
    }

    /// Takes one tile off; returns whether a row or column of tiles has none left.
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
    images: Thresholds,
    captions: Thresholds,
    /// Per tile.
    counted: Vec<bool>,
    n_counted: u64,
    /// Buffers of tiles that have been counted.
    spare: Vec<Vec<f32>>,
    watch: &'a mut dyn Watch,
}

impl Walk<'_> {
    /// Finds the scores of all relevant pairs and counts their tiles, except those that were too many
    /// to keep.
    fn relevant_tiles(&mut self, relevance: &Relevance) -> Result<()> {
        let places = places(relevance, self.grid);
        let mut waiting = Waiting::new(&places, self.grid);
        let mut kept: Vec<(usize, Vec<f32>)> = Vec::new();
        for places in places.chunk_by(|a, b| a.tile == b.tile) {
            let tile = places[0].tile as usize;
            let scores = self.scores(tile)?;
            for place in places {
                let side = match place.direction {
                    Direction::ImageToText => &mut self.images,
                    Direction::TextToImage => &mut self.captions,
                };
                side.learn(place.slot, scores[place.offset as usize]);
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
        Ok(())
    }

    /// Counts the tiles that have not been counted yet.
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
        count::add(&scores, stride, &own, &mut self.images, &mut self.captions)?;
        self.spare.push(scores);
        self.counted[tile] = true;
        self.n_counted += 1;
        let total = self.grid.n_tiles() as u64;
        self.watch.advance("rank", self.n_counted, total);
        Ok(())
    }
}
