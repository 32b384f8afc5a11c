//! Counting the scores that reach a query's best relevant one.

use rayon::prelude::*;

use super::grid::Tile;
use super::{Best, Ranks, relevant_pairs};
use crate::error::{Error, Result};
use crate::relevance::Relevance;

/// How many items score at least as high as each query's best relevant one, itself included.
pub(super) struct Counts {
    of_image: Vec<u32>,
    of_caption: Vec<u32>,
}

impl Counts {
    pub(super) fn new(relevance: &Relevance) -> Self {
        Self {
            of_image: vec![0; relevance.n_images()],
            of_caption: vec![0; relevance.n_captions()],
        }
    }

    /// Counts a tile's own part of `scores`, whose rows start `stride` apart.
    ///
    /// # Errors
    /// If a score is not finite.
    pub(super) fn add(
        &mut self,
        scores: &[f32],
        stride: usize,
        best: &Best,
        tile: &Tile<'_>,
    ) -> Result<()> {
        let Tile {
            images, captions, ..
        } = *tile;
        let scores = &scores[tile.offset..];
        let own = images[0] as usize..images[0] as usize + images.len();
        let of_caption: Vec<f32> = (captions.iter())
            .map(|&caption| best.of_caption[caption as usize])
            .collect();
        let rows_per_task = images.len().div_ceil(2 * rayon::current_num_threads());
        let parts: Vec<Part> = (self.of_image[own.clone()].par_chunks_mut(rows_per_task))
            .zip(best.of_image[own].par_chunks(rows_per_task))
            .zip(scores.par_chunks(rows_per_task * stride))
            .map(|((counts, best), scores)| {
                let rows = counts.iter_mut().zip(best).zip(scores.chunks(stride));
                wide(
                    #[inline(always)]
                    || Part::count(rows, &of_caption),
                )
            })
            .collect();
        for part in parts {
            if !part.finite {
                return Err(not_finite(scores, stride, tile));
            }
            for (&caption, count) in captions.iter().zip(part.of_caption) {
                self.of_caption[caption as usize] += count;
            }
        }
        Ok(())
    }

    /// Takes the relevant items out of the counts again: only the others stand before a query's
    /// best one. `relevant` are the scores of the relevant pairs in order.
    pub(super) fn into_ranks(
        mut self,
        relevance: &Relevance,
        best: &Best,
        relevant: &[f32],
    ) -> Ranks {
        for ((image, caption), &score) in relevant_pairs(relevance).zip(relevant) {
            let (image, caption) = (image as usize, caption as usize);
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

/// What one task counts for the captions.
struct Part {
    of_caption: Vec<u32>,
    finite: bool,
}

impl Part {
    /// Counts rows, each with its image's count and best relevant score.
    #[inline(always)]
    fn count<'a>(
        rows: impl Iterator<Item = ((&'a mut u32, &'a f32), &'a [f32])>,
        caption_best: &[f32],
    ) -> Self {
        let mut of_caption = vec![0u32; caption_best.len()];
        let mut bad = 0;
        for ((count, &best), row) in rows {
            let (in_row, bad_in_row) = count_row(row, best, caption_best, &mut of_caption);
            *count += in_row;
            bad += bad_in_row;
        }
        Self {
            of_caption,
            finite: bad == 0,
        }
    }
}

/// Scores that reach the image's best relevant one, and scores that are not finite.
#[inline(always)]
fn count_row(row: &[f32], best: f32, caption_best: &[f32], of_caption: &mut [u32]) -> (u32, u32) {
    let (mut count, mut bad) = (0, 0);
    for ((&score, &caption_best), of_caption) in row.iter().zip(caption_best).zip(of_caption) {
        count += u32::from(score >= best);
        *of_caption += u32::from(score >= caption_best);
        bad += u32::from(!score.is_finite());
    }
    (count, bad)
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

/// Names the first score of a tile that is not finite.
fn not_finite(scores: &[f32], stride: usize, tile: &Tile<'_>) -> Error {
    let rows = (tile.images.iter()).zip(scores.chunks(stride));
    let mut all = rows.flat_map(|(image, row)| {
        let row = tile.captions.iter().zip(row);
        row.map(move |(caption, score)| (image, caption, score))
    });
    let (image, caption, score) =
        (all.find(|(.., score)| !score.is_finite())).expect("a tile is refused for a score in it");
    Error::argument(
        format!("the score of image {image} and caption {caption} is {score}"),
        "ranks need finite scores; look for NaN in the features or a diverged matcher",
    )
}

fn ranked(before: &[u32], best: &[f32]) -> Vec<u32> {
    let queries = before.iter().zip(best).filter(|(_, best)| best.is_finite());
    queries.map(|(before, _)| before + 1).collect()
}
