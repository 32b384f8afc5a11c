//! How well a matcher reads an item, measured without looking at what it is paired with.
//!
//! ```text
//! T(item) = (max_c S(item, c) - mean_c S(item, c)) / sd_c S(item, c)
//! ```
//!
//! over the crowd, a random sample of all items of the other side, so that an item whose partner was
//! exchanged has the same `T` as before.

use rayon::prelude::*;

use crate::error::Result;
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::{Seed, sample};
use crate::scores::{Direction, Scorer};

/// Items whose scores with the crowd are held at once.
const BLOCK: usize = 512;

/// Columns of these scores that one thread goes through.
const COLUMNS_PER_TASK: usize = 64;

/// The images and the captions that legibility is measured against, ascending: a random sample of all
/// that are paired, the same for every fold.
pub(super) fn draw(pairs: &[Pair], size: usize, seed: Seed) -> [Vec<u32>; 2] {
    let side = |of: fn(&Pair) -> u32, side: u64| {
        let items = distinct(pairs.iter().map(of));
        let chosen = sample(&mut seed.stream("crowd", &[side]), items.len(), size);
        let mut chosen: Vec<u32> = chosen.into_iter().map(|at| items[at as usize]).collect();
        chosen.sort_unstable();
        chosen
    };
    [side(|pair| pair.image, 0), side(|pair| pair.caption, 1)]
}

/// `T` of these images (or captions, depending on the direction) over a crowd of the other side; 0
/// without a crowd.
///
/// # Errors
/// If the scorer fails.
pub(super) fn measure(
    scorer: &dyn Scorer,
    direction: Direction,
    items: &[u32],
    crowd: &[u32],
) -> Result<Vec<f64>> {
    if crowd.is_empty() {
        return Ok(vec![0.0; items.len()]);
    }
    let mut measured = Vec::with_capacity(items.len());
    let mut tile = Vec::new();
    for block in items.chunks(BLOCK) {
        tile.resize(block.len() * crowd.len(), 0.0);
        match direction {
            Direction::ImageToText => {
                scorer.tile(block, crowd, &mut tile)?;
                let rows = tile.par_chunks_exact(crowd.len());
                measured.par_extend(rows.map(of_row));
            }
            Direction::TextToImage => {
                scorer.tile(crowd, block, &mut tile)?;
                let mut columns = vec![Moments::default(); block.len()];
                let beside = columns.par_chunks_mut(COLUMNS_PER_TASK).enumerate();
                beside.for_each(|(at, columns)| {
                    let here = at * COLUMNS_PER_TASK..at * COLUMNS_PER_TASK + columns.len();
                    for row in tile.chunks_exact(block.len()) {
                        let scores = row[here.clone()].iter().zip(&tile[here.clone()]);
                        let columns = columns.iter_mut().zip(scores);
                        columns.for_each(|(column, (score, first))| column.add(*score, *first));
                    }
                });
                measured.extend(columns.iter().map(|column| column.legibility(crowd.len())));
            }
        }
    }
    Ok(measured)
}

/// `T` of an item from its scores with the crowd.
pub(super) fn of_row(row: &[f32]) -> f64 {
    let mut moments = Moments::default();
    row.iter().for_each(|score| moments.add(*score, row[0]));
    moments.legibility(row.len())
}

/// Sums over scores, each minus the first one, so that no digits are lost.
#[derive(Debug, Clone, Copy)]
struct Moments {
    highest: f32,
    sum: f64,
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            highest: f32::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
        }
    }
}

impl Moments {
    fn add(&mut self, score: f32, first: f32) {
        let difference = score - first;
        self.highest = if difference > self.highest {
            difference
        } else {
            self.highest
        };
        self.sum += f64::from(difference);
        self.squares += f64::from(difference) * f64::from(difference);
    }

    /// 0 where all scores are alike.
    fn legibility(&self, n: usize) -> f64 {
        let mean = self.sum / n as f64;
        let variance = self.squares / n as f64 - mean * mean;
        // Rounding leaves a trace of variance in a row of equal scores.
        if variance <= 1e-12 * self.squares / n as f64 || variance.is_nan() {
            return 0.0;
        }
        (f64::from(self.highest) - mean) / variance.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::{Matrix, ScoreMatrix};

    #[test]
    fn legibility_is_the_best_score_in_standard_deviations() {
        let scores = ScoreMatrix(Matrix::new(vec![1.0, 2.0, 6.0, 5.0, 5.0, 5.0], 3));
        let images = measure(&scores, Direction::ImageToText, &[0, 1], &[0, 1, 2]).unwrap();
        // Mean 3, standard deviation sqrt(14 / 3).
        assert!((images[0] - 3.0 / f64::sqrt(14.0 / 3.0)).abs() < 1e-9 && images[1] == 0.0);
        let captions = measure(&scores, Direction::TextToImage, &[2, 0], &[0, 1]).unwrap();
        assert!((captions[0] - 1.0).abs() < 1e-9 && (captions[1] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn nobody_is_read_without_a_crowd() {
        let scores = ScoreMatrix(Matrix::new(vec![1.0, 2.0], 2));
        let found = measure(&scores, Direction::ImageToText, &[0], &[]).unwrap();
        assert_eq!(found, [0.0]);
    }
}
