//! Counting the scores that reach those of each query's relevant items.

use rayon::prelude::*;

use super::grid::Tile;
use super::thresholds::Thresholds;
use crate::error::{Error, Result};
use truepair_kernel::vector::wide;

/// Counts a tile's own part of `scores`, whose rows start `stride` apart.
///
/// # Errors
/// If a score is not finite.
pub(super) fn add(
    scores: &[f32],
    stride: usize,
    tile: &Tile<'_>,
    images: &mut Thresholds,
    captions: &mut Thresholds,
) -> Result<()> {
    let scores = &scores[tile.offset..];
    let columns = Columns::new(tile.captions, captions);
    let rows: Vec<Vec<f32>> = (tile.images.iter())
        .map(|&image| images.of(image).collect())
        .collect();
    let rows_per_task = rows.len().div_ceil(2 * rayon::current_num_threads());
    let parts: Vec<Part> = (rows.par_chunks(rows_per_task))
        .zip(scores.par_chunks(rows_per_task * stride))
        .map(|(rows, scores)| {
            wide(
                #[inline(always)]
                || Part::count(rows, scores, stride, &columns),
            )
        })
        .collect();
    if parts.iter().any(|part| !part.finite) {
        return Err(not_finite(scores, stride, tile));
    }
    let mut image = tile.images.iter();
    for part in parts {
        for (counts, &image) in part.of_rows.into_iter().zip(&mut image) {
            images.add(image, counts.into_iter());
        }
        for (column, &caption) in tile.captions.iter().enumerate() {
            let counts = part.of_columns.iter().map(|slot| slot[column]);
            captions.add(caption, counts);
        }
    }
    Ok(())
}

/// Thresholds of a tile's captions: for every slot one per column, and infinity, which no score
/// reaches, where a caption has fewer.
struct Columns {
    slots: Vec<Vec<f32>>,
}

impl Columns {
    fn new(captions: &[u32], thresholds: &Thresholds) -> Self {
        let mut slots = vec![vec![f32::INFINITY; captions.len()]];
        for (column, &caption) in captions.iter().enumerate() {
            for (slot, threshold) in thresholds.of(caption).enumerate() {
                if slot == slots.len() {
                    slots.push(vec![f32::INFINITY; captions.len()]);
                }
                slots[slot][column] = threshold;
            }
        }
        Self { slots }
    }
}

/// What one task counts.
struct Part {
    /// Per row, per threshold.
    of_rows: Vec<Vec<u32>>,
    /// Per slot, per column.
    of_columns: Vec<Vec<u32>>,
    finite: bool,
}

impl Part {
    #[inline(always)]
    fn count(rows: &[Vec<f32>], scores: &[f32], stride: usize, columns: &Columns) -> Self {
        let width = columns.slots[0].len();
        let mut part = Self {
            of_rows: Vec::with_capacity(rows.len()),
            of_columns: vec![vec![0; width]; columns.slots.len()],
            finite: true,
        };
        let mut bad = 0;
        for (thresholds, row) in rows.iter().zip(scores.chunks(stride)) {
            let first = thresholds.first().copied().unwrap_or(f32::INFINITY);
            let (in_row, bad_in_row) =
                count_row(row, first, &columns.slots[0], &mut part.of_columns[0]);
            bad += bad_in_row;
            let mut counts = Vec::with_capacity(thresholds.len());
            counts.push(in_row);
            let row = &row[..width.min(row.len())];
            for &threshold in thresholds.iter().skip(1) {
                counts.push(count_reaching(row, threshold));
            }
            part.of_rows.push(counts);
            for (slot, counts) in columns.slots.iter().zip(&mut part.of_columns).skip(1) {
                count_columns(row, slot, counts);
            }
        }
        part.finite = bad == 0;
        part
    }
}

/// Scores that reach the image's first threshold, and scores that are not finite; the first count of
/// every column grows, too.
#[inline(always)]
fn count_row(row: &[f32], first: f32, columns: &[f32], of_columns: &mut [u32]) -> (u32, u32) {
    let (mut count, mut bad) = (0, 0);
    for ((&score, &threshold), of_column) in row.iter().zip(columns).zip(of_columns) {
        count += u32::from(score >= first);
        *of_column += u32::from(score >= threshold);
        bad += u32::from(!score.is_finite());
    }
    (count, bad)
}

#[inline(always)]
fn count_reaching(row: &[f32], threshold: f32) -> u32 {
    let mut count = 0;
    for &score in row {
        count += u32::from(score >= threshold);
    }
    count
}

#[inline(always)]
fn count_columns(row: &[f32], thresholds: &[f32], counts: &mut [u32]) {
    for ((&score, &threshold), count) in row.iter().zip(thresholds).zip(counts) {
        *count += u32::from(score >= threshold);
    }
}

/// Names the first score of a tile that is not finite.
fn not_finite(scores: &[f32], stride: usize, tile: &Tile<'_>) -> Error {
    let rows = (tile.images.iter()).zip(scores.chunks(stride));
    let mut all = rows.flat_map(|(image, row)| {
        let row = tile.captions.iter().zip(row);
        row.map(move |(caption, score)| (image, caption, score))
    });
    let (image, caption, score) = (all.find(|(.., score)| !score.is_finite()))
        .expect("a tile is refused because of a score in it");
    unusable(*image, *caption, *score)
}

pub(super) fn unusable(image: u32, caption: u32, score: f32) -> Error {
    Error::argument(
        format!("the score of image {image} and caption {caption} is {score}"),
        "ranks need finite scores of at most 3.4e38, the largest number of single precision; look for NaN in the features \
         or a diverged matcher, or scale the scores",
    )
}
