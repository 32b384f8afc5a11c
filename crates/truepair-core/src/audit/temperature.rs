//! How sharply scores tell items apart, estimated from the pairs as given.
//!
//! ```text
//! max over β, ε   Σ_n ln((1 − ε) M P_n + ε),   P_n = e^{β S(i, t)} / Σ_m e^{β S(i, t_m)}
//! ```
//!
//! over both directions, with the pair itself among the `M` items of its sum: matched pairs follow the
//! softmax, and a share `ε` of the pairs is spread evenly over all items. A mismatched pair cannot
//! flatten the softmax by much, because it costs no more than the share of such pairs allows.

use rayon::prelude::*;

use super::Links;
use super::softmax::Softmax;
use super::sweep::Gallery;
use crate::error::Result;
use crate::pair::Pair;
use crate::scores::{Direction, Scorer};

/// The search covers values between these for the sharpness times the standard deviation of the scores.
const FLATTEST: f64 = 0.3;
const SHARPEST: f64 = 40.0;

/// Steps of the search by golden sections: the last interval is 2 % wide.
const STEPS: usize = 12;

/// Steps for the share of pairs that do not follow the softmax.
const SHARE_STEPS: usize = 30;

/// The sharpness `β` that makes `pairs` most likely among the items of the galleries.
///
/// # Errors
/// If the scorer fails.
pub(super) fn fit(
    scorer: &dyn Scorer,
    pairs: &[Pair],
    links: &Links,
    [captions, images]: [&Gallery; 2],
) -> Result<f64> {
    let (rows, columns) = (
        Rows::new(scorer, pairs, links, captions, Direction::ImageToText)?,
        Rows::new(scorer, pairs, links, images, Direction::TextToImage)?,
    );
    let deviation = rows.deviation();
    if deviation <= 0.0 {
        return Ok(1.0);
    }
    let likelihood = |log: f64| {
        let sharpness = log.exp() / deviation;
        log_likelihood(&[rows.ratios(sharpness), columns.ratios(sharpness)].concat())
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (FLATTEST.ln(), SHARPEST.ln());
    let inner = |low: f64, high: f64| (high - golden * (high - low), low + golden * (high - low));
    let (mut left, mut right) = inner(low, high);
    let (mut at_left, mut at_right) = (likelihood(left), likelihood(right));
    for _ in 0..STEPS {
        if at_left >= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = inner(low, high).0;
            at_left = likelihood(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = inner(low, high).1;
            at_right = likelihood(right);
        }
    }
    Ok(((low + high) / 2.0).exp() / deviation)
}

/// The largest mean of `ln((1 − ε) r + ε)` over ε.
fn log_likelihood(ratios: &[f64]) -> f64 {
    let n = ratios.len().max(1) as f64;
    let mut share: f64 = 0.2;
    for _ in 0..SHARE_STEPS {
        let blamed = |ratio: &f64| share / ((1.0 - share) * ratio + share);
        share = (ratios.iter().map(blamed).sum::<f64>() / n).clamp(1e-4, 1.0 - 1e-4);
    }
    let log = |ratio: &f64| ((1.0 - share) * ratio + share).ln();
    ratios.iter().map(log).sum::<f64>() / n
}

/// The score of every pair, and those of the items that it is compared with.
struct Rows {
    own: Vec<f32>,
    others: Vec<Vec<f32>>,
}

impl Rows {
    fn new(
        scorer: &dyn Scorer,
        pairs: &[Pair],
        links: &Links,
        gallery: &Gallery,
        direction: Direction,
    ) -> Result<Self> {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for pair in pairs {
            let mut score = [0.0];
            scorer.tile(&[pair.image], &[pair.caption], &mut score)?;
            let mut row = vec![0.0; gallery.items.len()];
            let excluded = match direction {
                Direction::ImageToText => {
                    scorer.tile(&[pair.image], &gallery.items, &mut row)?;
                    links.captions_of(pair.image)
                }
                Direction::TextToImage => {
                    scorer.tile(&gallery.items, &[pair.caption], &mut row)?;
                    links.images_of(pair.caption)
                }
            };
            gallery.exclude(excluded, &mut row);
            row.retain(|score| score.is_finite());
            own.push(score[0]);
            others.push(row);
        }
        Ok(Self { own, others })
    }

    /// Standard deviation of all scores.
    fn deviation(&self) -> f64 {
        let scores = || self.others.iter().flatten().map(|score| f64::from(*score));
        let n = scores().count().max(1) as f64;
        let mean = scores().sum::<f64>() / n;
        let variance = scores().map(|score| (score - mean).powi(2)).sum::<f64>() / n;
        // Rounding leaves a trace of variance in equal scores.
        if variance > 1e-12 * mean * mean {
            variance.sqrt()
        } else {
            0.0
        }
    }

    /// `M P_n` of every pair.
    fn ratios(&self, sharpness: f64) -> Vec<f64> {
        let pairs = self.own.par_iter().zip(&self.others);
        pairs
            .map(|(&own, others)| {
                let top = others.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let softmax = Softmax::of(others, sharpness, top);
                let surprisal = softmax.surprisal(own, std::iter::empty());
                (others.len() + 1) as f64 * (-surprisal).exp()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, below, unit};
    use crate::scores::{Matrix, ScoreMatrix};

    /// Images and captions whose given pairs are drawn by a softmax of sharpness 4, but for a share
    /// of pairs that are drawn anywhere.
    fn sharpness_found(mismatched: f64) -> f64 {
        let n = 400;
        let mut rng = Seed(5).stream("test", &[]);
        let scores: Vec<f32> = (0..n * n)
            .map(|_| unit(&mut rng) as f32 * 2.0 - 1.0)
            .collect();
        let pairs: Vec<Pair> = (0..n)
            .map(|image| {
                let row = &scores[image * n..][..n];
                let total: f64 = row.iter().map(|s| (4.0 * f64::from(*s)).exp()).sum();
                let mut left = unit(&mut rng) * total;
                let drawn = row.iter().position(|s| {
                    left -= (4.0 * f64::from(*s)).exp();
                    left <= 0.0
                });
                let caption = match unit(&mut rng) < mismatched {
                    true => below(&mut rng, n as u64) as u32,
                    false => drawn.unwrap_or(n - 1) as u32,
                };
                Pair {
                    image: image as u32,
                    caption,
                }
            })
            .collect();
        let links = Links::without_duplicates(&pairs, n, n).unwrap();
        let items: Vec<u32> = (0..n as u32).collect();
        let gallery = Gallery::new(items.clone(), &items);
        fit(
            &ScoreMatrix(Matrix::new(scores, n)),
            &pairs,
            &links,
            [&gallery, &gallery],
        )
        .unwrap()
    }

    #[test]
    fn the_sharpness_that_drew_the_pairs_is_found_with_and_without_mismatched_pairs() {
        for mismatched in [0.0, 0.4] {
            let found = sharpness_found(mismatched);
            assert!((3.0..5.5).contains(&found), "{mismatched}: {found}");
        }
    }

    #[test]
    fn equal_scores_are_told_apart_by_nothing() {
        let pairs = [Pair {
            image: 0,
            caption: 1,
        }];
        let links = Links::without_duplicates(&pairs, 3, 3).unwrap();
        let gallery = Gallery::new(vec![0, 1, 2], &[0, 1, 2]);
        let scorer = ScoreMatrix(Matrix::new(vec![0.3; 9], 3));
        assert_eq!(
            fit(&scorer, &pairs, &links, [&gallery, &gallery]).unwrap(),
            1.0
        );
    }
}
