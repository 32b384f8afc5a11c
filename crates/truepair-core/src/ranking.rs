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

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::relevance::Relevance;
use crate::scores::{Scorer, TileShape};
use crate::watch::Watch;

/// Tiles that hold relevant pairs are kept between the two passes up to this number of scores
/// (128 MiB), so that test sets of the usual sizes have every score computed once.
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
/// are visited in the order of their images, so the relevant pairs lie in tiles near the diagonal
/// and the first pass, which finds every query's best relevant score, touches few of them.
///
/// # Errors
/// If scores and relevance disagree about the number of images or captions, if no query has a
/// relevant item, if a score is NaN or infinite (both indices are named), or if the scorer fails.
pub fn ranks(scorer: &dyn Scorer, relevance: &Relevance, watch: &mut dyn Watch) -> Result<Ranks> {
    check_sizes(scorer, relevance)?;
    let grid = Grid::new(relevance, scorer.tile_shape());
    let (best, mut kept) = Best::find(scorer, relevance, &grid)?;
    let mut counts = Counts::new(relevance);
    let mut buffer = Vec::new();
    for tile in 0..grid.n_tiles() {
        let (images, captions) = grid.tile(tile);
        match kept.remove(&tile) {
            Some(scores) => buffer = scores,
            None => grid.scores(scorer, tile, &mut buffer)?,
        }
        counts.add(&buffer, grid.stride(), &best, images, captions);
        watch.advance("rank", tile as u64 + 1, grid.n_tiles() as u64);
    }
    Ok(counts.into_ranks(relevance, &best))
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

/// The score matrix cut into tiles of one shape; the last ones repeat an index to fill up.
struct Grid {
    images: Vec<u32>,
    captions: Vec<u32>,
    /// Column of every caption in `captions`.
    column: Vec<u32>,
    n_images: usize,
    n_captions: usize,
    shape: TileShape,
}

impl Grid {
    fn new(relevance: &Relevance, tile: TileShape) -> Self {
        let (n_images, n_captions) = (relevance.n_images(), relevance.n_captions());
        let shape = TileShape {
            images: even_share(n_images, tile.images),
            captions: even_share(n_captions, tile.captions),
        };
        let mut images: Vec<u32> = (0..n_images as u32).collect();
        let mut captions: Vec<u32> = (0..n_captions as u32).collect();
        captions.sort_by_key(|&caption| relevance.images_of(caption).first().copied());
        let mut column = vec![0; n_captions];
        for (position, &caption) in captions.iter().enumerate() {
            column[caption as usize] = position as u32;
        }
        images.resize(n_images.next_multiple_of(shape.images), 0);
        captions.resize(n_captions.next_multiple_of(shape.captions), captions[0]);
        Self {
            images,
            captions,
            column,
            n_images,
            n_captions,
            shape,
        }
    }

    fn n_tiles(&self) -> usize {
        self.images.len() / self.shape.images * self.tiles_per_strip()
    }

    fn tiles_per_strip(&self) -> usize {
        self.captions.len() / self.shape.captions
    }

    /// Scores per row of a tile, fillers included.
    fn stride(&self) -> usize {
        self.shape.captions
    }

    /// The images and captions of a tile without the fillers.
    fn tile(&self, tile: usize) -> (&[u32], &[u32]) {
        let row = tile / self.tiles_per_strip() * self.shape.images;
        let column = tile % self.tiles_per_strip() * self.shape.captions;
        (
            &self.images[row..(row + self.shape.images).min(self.n_images)],
            &self.captions[column..(column + self.shape.captions).min(self.n_captions)],
        )
    }

    /// Tile, and offset inside the tile, of an image and a caption.
    fn locate(&self, image: u32, caption: u32) -> (usize, usize) {
        let (row, column) = (image as usize, self.column[caption as usize] as usize);
        let tile = row / self.shape.images * self.tiles_per_strip() + column / self.shape.captions;
        let offset = row % self.shape.images * self.shape.captions + column % self.shape.captions;
        (tile, offset)
    }

    /// Fills `scores` with a tile `[shape.images, shape.captions]`, fillers included, all finite.
    fn scores(&self, scorer: &dyn Scorer, tile: usize, scores: &mut Vec<f32>) -> Result<()> {
        let row = tile / self.tiles_per_strip() * self.shape.images;
        let column = tile % self.tiles_per_strip() * self.shape.captions;
        let images = &self.images[row..row + self.shape.images];
        let captions = &self.captions[column..column + self.shape.captions];
        scores.resize(images.len() * captions.len(), 0.0);
        scorer.tile(images, captions, scores)?;
        let bad = scores.par_chunks(self.stride()).position_first(|row| {
            !wide(
                #[inline(always)]
                || all_finite(row),
            )
        });
        match bad {
            None => Ok(()),
            Some(row) => Err(not_finite(
                images[row],
                captions,
                &scores[row * self.stride()..],
            )),
        }
    }
}

/// The size of about equal parts of `n` of at most `limit`, so that the last one needs few fillers.
fn even_share(n: usize, limit: usize) -> usize {
    n.div_ceil(n.div_ceil(limit.max(1)))
}

/// Runs `loops` with the widest vector instructions of this processor. The closure and all that it
/// calls must be inlined, `wide(#[inline(always)] || ..)`, or they are compiled for the oldest one.
fn wide<R>(loops: impl FnOnce() -> R) -> R {
    struct Loops<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Loops<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            self.0()
        }
    }
    pulp::Arch::new().dispatch(Loops(loops))
}

/// One comparison for the whole row, which the compiler turns into vector instructions.
#[inline(always)]
fn all_finite(row: &[f32]) -> bool {
    row.iter()
        .fold(true, |finite, score| finite & (score.abs() < f32::INFINITY))
}

fn not_finite(image: u32, captions: &[u32], row: &[f32]) -> Error {
    let bad = row.iter().position(|score| !score.is_finite()).unwrap_or(0);
    Error::argument(
        format!(
            "the score of image {image} and caption {} is {}",
            captions[bad], row[bad]
        ),
        "ranks need finite scores; look for NaN in the features or a diverged matcher",
    )
}

/// Every query's best relevant score, and the score of every relevant pair.
struct Best {
    /// Per image, +infinity where no caption is relevant: nothing reaches it.
    of_image: Vec<f32>,
    /// Per caption.
    of_caption: Vec<f32>,
    /// Score of each relevant pair in image order, captions ascending.
    relevant: Vec<f32>,
}

impl Best {
    fn find(
        scorer: &dyn Scorer,
        relevance: &Relevance,
        grid: &Grid,
    ) -> Result<(Self, HashMap<usize, Vec<f32>>)> {
        let mut places: Vec<(usize, usize, usize)> = Vec::with_capacity(relevance.n_pairs());
        for image in 0..relevance.n_images() as u32 {
            for &caption in relevance.captions_of(image) {
                let (tile, offset) = grid.locate(image, caption);
                places.push((tile, offset, places.len()));
            }
        }
        places.sort_unstable();
        let mut relevant = vec![0.0; places.len()];
        let mut kept = HashMap::new();
        for places in places.chunk_by(|a, b| a.0 == b.0) {
            let tile = places[0].0;
            let mut scores = Vec::new();
            grid.scores(scorer, tile, &mut scores)?;
            for &(_, offset, pair) in places {
                relevant[pair] = scores[offset];
            }
            if (kept.len() + 1) * scores.len() <= MAX_KEPT_SCORES {
                kept.insert(tile, scores);
            }
        }
        Ok((Self::from_relevant(relevance, relevant), kept))
    }

    fn from_relevant(relevance: &Relevance, relevant: Vec<f32>) -> Self {
        let mut of_image = vec![f32::NEG_INFINITY; relevance.n_images()];
        let mut of_caption = vec![f32::NEG_INFINITY; relevance.n_captions()];
        for ((image, caption), &score) in relevant_pairs(relevance).zip(&relevant) {
            of_image[image] = of_image[image].max(score);
            of_caption[caption] = of_caption[caption].max(score);
        }
        for best in of_image.iter_mut().chain(&mut of_caption) {
            if *best == f32::NEG_INFINITY {
                *best = f32::INFINITY;
            }
        }
        Self {
            of_image,
            of_caption,
            relevant,
        }
    }
}

fn relevant_pairs(relevance: &Relevance) -> impl Iterator<Item = (usize, usize)> + '_ {
    (0..relevance.n_images()).flat_map(|image| {
        let captions = relevance.captions_of(image as u32).iter();
        captions.map(move |&caption| (image, caption as usize))
    })
}

/// How many items score at least as high as each query's best relevant one, itself included.
struct Counts {
    of_image: Vec<u32>,
    of_caption: Vec<u32>,
}

impl Counts {
    fn new(relevance: &Relevance) -> Self {
        Self {
            of_image: vec![0; relevance.n_images()],
            of_caption: vec![0; relevance.n_captions()],
        }
    }

    fn add(
        &mut self,
        scores: &[f32],
        stride: usize,
        best: &Best,
        images: &[u32],
        captions: &[u32],
    ) {
        let first = images[0] as usize;
        let of_caption: Vec<f32> = captions
            .iter()
            .map(|&caption| best.of_caption[caption as usize])
            .collect();
        let rows_per_task = images.len().div_ceil(2 * rayon::current_num_threads());
        let column_counts = self.of_image[first..first + images.len()]
            .par_chunks_mut(rows_per_task)
            .zip(best.of_image[first..first + images.len()].par_chunks(rows_per_task))
            .zip(scores.par_chunks(rows_per_task * stride))
            .map(|((counts, best), scores)| {
                let mut column_counts = vec![0u32; of_caption.len()];
                let rows = counts.iter_mut().zip(best).zip(scores.chunks(stride));
                wide(
                    #[inline(always)]
                    || {
                        for ((count, &best), row) in rows {
                            *count += count_row(row, best, &of_caption, &mut column_counts);
                        }
                    },
                );
                column_counts
            })
            .reduce(|| vec![0u32; of_caption.len()], add_counts);
        for (&caption, count) in captions.iter().zip(column_counts) {
            self.of_caption[caption as usize] += count;
        }
    }

    /// Takes the relevant items out of the counts again: only the others stand before a query's
    /// best one.
    fn into_ranks(mut self, relevance: &Relevance, best: &Best) -> Ranks {
        for ((image, caption), &score) in relevant_pairs(relevance).zip(&best.relevant) {
            self.of_image[image] -= u32::from(score >= best.of_image[image]);
            self.of_caption[caption] -= u32::from(score >= best.of_caption[caption]);
        }
        let image_to_text = ranked(&self.of_image, &best.of_image);
        let text_to_image = ranked(&self.of_caption, &best.of_caption);
        Ranks {
            images_without_caption: (relevance.n_images() - image_to_text.len()) as u32,
            captions_without_image: (relevance.n_captions() - text_to_image.len()) as u32,
            image_to_text,
            text_to_image,
        }
    }
}

#[inline(always)]
fn count_row(row: &[f32], best: f32, of_caption: &[f32], column_counts: &mut [u32]) -> u32 {
    let mut count = 0;
    for ((&score, &column_best), column_count) in row.iter().zip(of_caption).zip(column_counts) {
        count += u32::from(score >= best);
        *column_count += u32::from(score >= column_best);
    }
    count
}

fn add_counts(mut sum: Vec<u32>, counts: Vec<u32>) -> Vec<u32> {
    sum.iter_mut()
        .zip(counts)
        .for_each(|(sum, count)| *sum += count);
    sum
}

fn ranked(before: &[u32], best: &[f32]) -> Vec<u32> {
    let queries = before.iter().zip(best).filter(|(_, best)| best.is_finite());
    queries.map(|(before, _)| before + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;
    use crate::rng::{Seed, normal, unit};
    use crate::scores::{InnerProduct, Matrix, ScoreMatrix};

    fn relevance(n_images: usize, n_captions: usize, given: &[(u32, u32)]) -> Relevance {
        let pairs: Vec<Pair> = given
            .iter()
            .map(|&(image, caption)| Pair { image, caption })
            .collect();
        Relevance::from_pairs(n_images, n_captions, &pairs)
    }

    fn five_each(n_images: u32) -> Relevance {
        let pairs: Vec<_> = (0..n_images * 5)
            .map(|caption| (caption / 5, caption))
            .collect();
        relevance(n_images as usize, n_images as usize * 5, &pairs)
    }

    fn random(n: usize, dim: usize, seed: u64) -> Matrix {
        let mut rng = Seed(seed).stream("test", &[]);
        Matrix::new((0..n * dim).map(|_| normal(&mut rng) as f32).collect(), dim)
    }

    /// From the definition: 1 + non-relevant items that score at least the best relevant score.
    fn oracle(
        n: usize,
        gallery: usize,
        score: impl Fn(usize, usize) -> f32,
        relevant: impl Fn(usize, usize) -> bool,
    ) -> Vec<u32> {
        let mut ranks = Vec::new();
        for query in 0..n {
            let own = (0..gallery).filter(|&item| relevant(query, item));
            let Some(best) = own.map(|item| score(query, item)).reduce(f32::max) else {
                continue;
            };
            let before =
                (0..gallery).filter(|&item| !relevant(query, item) && score(query, item) >= best);
            ranks.push(1 + before.count() as u32);
        }
        ranks
    }

    fn check(scores: &Matrix, relevance: &Relevance) {
        let found = ranks(&ScoreMatrix(scores.clone()), relevance, &mut ()).unwrap();
        let is = |image: usize, caption: usize| {
            relevance.contains(Pair {
                image: image as u32,
                caption: caption as u32,
            })
        };
        let (n, m) = (scores.len(), scores.dim());
        assert_eq!(
            found.image_to_text,
            oracle(n, m, |i, c| scores.row(i)[c], is)
        );
        assert_eq!(
            found.text_to_image,
            oracle(m, n, |c, i| scores.row(i)[c], |c, i| is(i, c))
        );
    }

    #[test]
    fn ranks_follow_the_definition_on_scattered_pairs_and_coarse_scores() {
        let mut rng = Seed(3).stream("test", &[]);
        for (n, m) in [(1, 1), (7, 31), (530, 90), (40, 2100)] {
            let given: Vec<(u32, u32)> = (0..m as u32 + 5)
                .map(|_| {
                    (
                        (unit(&mut rng) * n as f64) as u32,
                        (unit(&mut rng) * m as f64) as u32,
                    )
                })
                .collect();
            let scores = (0..n * m)
                .map(|_| (unit(&mut rng) * 20.0).floor() as f32)
                .collect();
            check(&Matrix::new(scores, m), &relevance(n, m, &given));
        }
    }

    #[test]
    fn constant_scores_rank_last() {
        let scores = ScoreMatrix(Matrix::new(vec![0.5; 4 * 20], 20));
        let ranks = ranks(&scores, &five_each(4), &mut ()).unwrap();
        assert_eq!(ranks.image_to_text, [16; 4]);
        assert_eq!(ranks.text_to_image, [4; 20]);
    }

    #[test]
    fn the_transposed_matrix_swaps_the_directions() {
        let scores = random(30, 150, 5);
        let forward = ranks(&ScoreMatrix(scores.clone()), &five_each(30), &mut ()).unwrap();
        let transposed = (0..150 * 30)
            .map(|at| scores.row(at % 30)[at / 30])
            .collect();
        let turned: Vec<_> = (0..150).map(|caption| (caption, caption / 5)).collect();
        let turned = relevance(150, 30, &turned);
        let backward = ranks(&ScoreMatrix(Matrix::new(transposed, 30)), &turned, &mut ()).unwrap();
        assert_eq!(forward.image_to_text, backward.text_to_image);
        assert_eq!(forward.text_to_image, backward.image_to_text);
    }

    #[test]
    fn queries_without_a_relevant_item_are_counted_and_left_out() {
        let relevance = relevance(3, 3, &[(0, 0), (2, 0)]);
        let ranks = ranks(&ScoreMatrix(random(3, 3, 1)), &relevance, &mut ()).unwrap();
        assert_eq!(
            (ranks.image_to_text.len(), ranks.images_without_caption),
            (2, 1)
        );
        assert_eq!(
            (ranks.text_to_image.len(), ranks.captions_without_image),
            (1, 2)
        );
    }

    /// Copies of an embedding in other tiles, rows and columns must tie to the bit.
    #[test]
    fn equal_embeddings_tie_wherever_they_stand() {
        let (n, dim) = (1100, 67);
        let mut images = random(n, dim, 7);
        let captions = random(n, dim, 8).values()[..dim].repeat(5 * n);
        let copied = images.row(0).to_vec();
        images = Matrix::new(copied.repeat(n), dim);
        let scorer = InnerProduct::new(images, Matrix::new(captions, dim)).unwrap();
        let ranks = ranks(&scorer, &five_each(n as u32), &mut ()).unwrap();
        assert!(
            ranks
                .image_to_text
                .iter()
                .all(|&rank| rank == 5 * n as u32 - 4)
        );
        assert!(ranks.text_to_image.iter().all(|&rank| rank == n as u32));
    }

    #[test]
    fn a_score_that_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.0; 20];
            values[13] = bad;
            let error = ranks(
                &ScoreMatrix(Matrix::new(values, 10)),
                &five_each(2),
                &mut (),
            )
            .unwrap_err()
            .to_string();
            assert!(error.contains("image 1 and caption 3"), "{error}");
        }
    }

    #[test]
    fn other_sizes_and_missing_pairs_are_refused() {
        let scores = ScoreMatrix(random(3, 15, 2));
        assert!(ranks(&scores, &five_each(4), &mut ()).is_err());
        assert!(ranks(&scores, &relevance(3, 15, &[]), &mut ()).is_err());
    }

    #[test]
    fn progress_ends_at_the_total() {
        struct Last(u64, u64);
        impl Watch for Last {
            fn advance(&mut self, _: &str, done: u64, total: u64) {
                (self.0, self.1) = (done, total);
            }
        }
        let mut last = Last(0, 0);
        ranks(
            &ScoreMatrix(random(1200, 6000, 2)),
            &five_each(1200),
            &mut last,
        )
        .unwrap();
        assert_eq!((last.0, last.1), (6, 6));
    }
}
