//! The element-wise work on the distances of one block of images.

use rayon::prelude::*;

use super::{Distance, MatchForm};
use crate::vector::{add, dot, exp, raise, wide};

/// What all blocks of one operation share. Buffers hold distances `[images · j, m · j]`; the draws
/// of one image are `j` rows, those of one caption `j` columns.
pub(super) struct Block {
    pub(super) form: MatchForm,
    pub(super) scale: f32,
    pub(super) shift: f32,
    pub(super) m: usize,
    pub(super) j: usize,
}

/// Gradients by scale and shift, summed over blocks in their order.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) by_scale: f64,
    pub(super) by_shift: f64,
}

/// Sums of one image's slopes.
struct ImageSlopes {
    /// Over columns, one per draw of the image.
    rows: Vec<f32>,
    /// Over rows, one per draw of a caption.
    columns: Vec<f32>,
    sums: Sums,
}

/// Squared length of every row of `d` numbers.
pub(super) fn squares(rows: &[f32], d: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.len() / d];
    wide(
        #[inline(always)]
        || {
            for (out, row) in out.iter_mut().zip(rows.chunks_exact(d)) {
                *out = dot(row, row);
            }
        },
    );
    out
}

/// `out = factor · row − out`, one factor per row of `d` numbers.
pub(super) fn subtract_from_scaled(out: &mut [f32], factors: &[f32], rows: &[f32], d: usize) {
    (out.par_chunks_mut(d).with_min_len(64))
        .zip(rows.par_chunks(d))
        .zip(factors)
        .for_each(|((out, row), factor)| {
            wide(
                #[inline(always)]
                || {
                    for (out, x) in out.iter_mut().zip(row) {
                        *out = factor * x - *out;
                    }
                },
            );
        });
}

/// Scaled sums of one image's probabilities against every caption, each written for all of the
/// caption's `j` columns: `Σ p = e^top Σ p̃` and `Σ (1 − p) = e^bottom Σ q̃`.
struct Odds {
    /// `min(max t, 0)`
    top: Vec<f32>,
    /// `min(−min t, 0)`
    bottom: Vec<f32>,
    /// Sums over the image's draws, per column.
    matches: Vec<f32>,
    /// Likewise.
    mismatches: Vec<f32>,
}

impl Block {
    fn width(&self) -> usize {
        self.m * self.j
    }

    /// Distances from inner products, in place.
    pub(super) fn distances(&self, products: &mut [f32], x_squares: &[f32], y_squares: &[f32]) {
        let guard = self.form.guard as f32;
        (products.par_chunks_mut(self.width().max(1)))
            .zip(x_squares)
            .for_each(|(row, x)| {
                wide(
                    #[inline(always)]
                    || {
                        let square =
                            |product: f32, y: f32| (x + y - 2.0 * product).max(0.0) + guard;
                        let places = row.iter_mut().zip(y_squares);
                        match self.form.distance {
                            Distance::Euclidean => {
                                places.for_each(|(place, y)| *place = square(*place, *y).sqrt());
                            }
                            Distance::Squared => {
                                places.for_each(|(place, y)| *place = square(*place, *y));
                            }
                        }
                    },
                );
            });
    }

    /// Scores `[images, m]` from distances.
    pub(super) fn scores(&self, distances: &[f32], scores: &mut [f32]) {
        (distances.par_chunks((self.j * self.width()).max(1)))
            .zip(scores.par_chunks_mut(self.m.max(1)))
            .for_each(|(distances, scores)| {
                let odds = wide(
                    #[inline(always)]
                    || self.odds(distances),
                );
                for (caption, score) in scores.iter_mut().enumerate() {
                    let columns = caption * self.j..(caption + 1) * self.j;
                    let total = |values: &[f32]| values[columns.clone()].iter().sum::<f32>().ln();
                    let first = columns.start;
                    *score = (odds.top[first] + total(&odds.matches))
                        - (odds.bottom[first] + total(&odds.mismatches));
                }
            });
    }

    /// `t = factor (−a δ + b)`
    #[inline(always)]
    fn logit(&self) -> impl Fn(f32) -> f32 {
        let factor = self.form.factor as f32;
        let (slope, shift) = (-factor * self.scale, factor * self.shift);
        move |distance| slope * distance + shift
    }

    /// The sums of one image from its `j` rows of distances.
    #[inline(always)]
    fn odds(&self, distances: &[f32]) -> Odds {
        let (width, logit) = (self.width(), self.logit());
        let mut highest = vec![f32::NEG_INFINITY; width];
        let mut lowest = vec![f32::NEG_INFINITY; width];
        let mut row_logits = vec![0.0; width];
        for row in distances.chunks_exact(width) {
            (row_logits.iter_mut().zip(row)).for_each(|(t, d)| *t = logit(*d));
            raise(&mut highest, &row_logits);
            row_logits.iter_mut().for_each(|t| *t = -*t);
            raise(&mut lowest, &row_logits);
        }
        self.spread_extremes(&mut highest);
        self.spread_extremes(&mut lowest);
        let (top, bottom) = (highest, lowest);
        let mut odds = Odds {
            matches: vec![0.0; width],
            mismatches: vec![0.0; width],
            top,
            bottom,
        };
        for row in distances.chunks_exact(width) {
            (row_logits.iter_mut().zip(row)).for_each(|(t, d)| *t = logit(*d));
            let tops = row_logits.iter().zip(&odds.top);
            for (sum, (t, top)) in odds.matches.iter_mut().zip(tops) {
                *sum += scaled(*t, *top);
            }
            let bottoms = row_logits.iter().zip(&odds.bottom);
            for (sum, (t, bottom)) in odds.mismatches.iter_mut().zip(bottoms) {
                *sum += scaled(-*t, *bottom);
            }
        }
        odds
    }

    /// The largest of every caption's columns, at most 0, in all of them.
    #[inline(always)]
    fn spread_extremes(&self, values: &mut [f32]) {
        for columns in values.chunks_exact_mut(self.j) {
            let largest = columns.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
            columns.fill(largest.min(0.0));
        }
    }

    /// Replaces distances by `∂L / ∂x = Σ slope (x − y)`'s factors, adds their sums over rows to
    /// `columns` and returns those over columns; `upstream` is the gradient `[images, m]`.
    pub(super) fn slopes(
        &self,
        distances: &mut [f32],
        upstream: &[f32],
        columns: &mut [f32],
        sums: &mut Sums,
    ) -> Vec<f32> {
        let width = self.width();
        let parts: Vec<ImageSlopes> = (distances.par_chunks_mut((self.j * width).max(1)))
            .zip(upstream.par_chunks(self.m.max(1)))
            .map(|(distances, upstream)| {
                wide(
                    #[inline(always)]
                    || self.image_slopes(distances, upstream),
                )
            })
            .collect();
        let mut rows = Vec::with_capacity(parts.len() * self.j);
        for part in parts {
            rows.extend(part.rows);
            add(columns, &part.columns);
            sums.by_scale += part.sums.by_scale;
            sums.by_shift += part.sums.by_shift;
        }
        rows
    }

    /// One image's part of [`slopes`](Self::slopes).
    #[inline(always)]
    fn image_slopes(&self, distances: &mut [f32], upstream: &[f32]) -> ImageSlopes {
        let (width, logit) = (self.width(), self.logit());
        let odds = self.odds(distances);
        let spread = |sums: &[f32]| {
            let mut out = vec![0.0; width];
            for (caption, out) in out.chunks_exact_mut(self.j).enumerate() {
                let total: f32 = sums[caption * self.j..][..self.j].iter().sum();
                out.fill(upstream[caption] / total);
            }
            out
        };
        let (matches, mismatches) = (spread(&odds.matches), spread(&odds.mismatches));
        let factor = self.form.factor as f32;
        let mut rows = Vec::with_capacity(self.j);
        let mut columns = vec![0.0; width];
        let mut by_logit = vec![0.0; width];
        let mut sums = Sums::default();
        for row in distances.chunks_exact_mut(width) {
            for (at, (out, distance)) in by_logit.iter_mut().zip(&*row).enumerate() {
                let t = logit(*distance);
                let away = exp(-t);
                let (p, q) = (1.0 / (1.0 + away), away / (1.0 + away));
                *out = matches[at] * scaled(t, odds.top[at]) * q
                    + mismatches[at] * p * scaled(-t, odds.bottom[at]);
            }
            sums.by_scale -= f64::from(factor * dot(&by_logit, row));
            sums.by_shift += f64::from(factor * total(&by_logit));
            let slope = -factor * self.scale;
            let places = row.iter_mut().zip(&by_logit);
            match self.form.distance {
                Distance::Euclidean => places.for_each(|(d, g)| *d = slope * g / d.max(1e-12)),
                Distance::Squared => places.for_each(|(d, g)| *d = 2.0 * slope * g),
            }
            rows.push(total(row));
            add(&mut columns, row);
        }
        ImageSlopes {
            rows,
            columns,
            sums,
        }
    }
}

/// `σ(t) e^−level` for a level of at most 0 and not above `t` where it is below 0.
#[inline(always)]
fn scaled(t: f32, level: f32) -> f32 {
    1.0 / (exp(level - t) + exp(level))
}

/// `Σ xᵢ`
#[inline(always)]
fn total(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        add(&mut lanes, chunk);
    }
    lanes.iter().sum::<f32>() + rest
}
