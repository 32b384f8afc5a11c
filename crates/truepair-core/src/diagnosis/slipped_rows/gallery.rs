//! Some rows' captions against every image: slips too long to be tried one by one, and sets that match one
//! to one in an order that no rule names.

use super::compare::Compare;
use super::sequence::Sequence;
use crate::error::Result;
use crate::lists::{distinct, place};

/// Captions that are held against all images, most and fewest, and multiplications for it.
const ASKED: usize = 256;
const LEAST_ASKED: usize = 64;
const PRODUCTS: usize = 1 << 34;

/// Items that are scored at a time.
const BLOCK: usize = 2048;

/// Share of the captions that must agree on a slip for it to be tried, and how many.
const AGREED: f64 = 0.05;
const FEWEST_AGREED: usize = 8;

/// In sets that match in another order, captions whose best image has no better caption, at least, and
/// captions whose best image is their own, at most. Of unrelated items half of the first are expected.
const MUTUAL: f64 = 0.7;
const OWN: f64 = 0.1;
/// Minus the logarithm of the chance of as many by a fair coin.
const CERTAIN: f64 = 12.0;

/// What the best images of some captions are.
pub(super) struct Gallery {
    asked: Vec<u32>,
    /// Per asked row the position of its best image.
    best: Vec<u32>,
}

/// How many captions fit another image, and it them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mutual {
    pub(super) asked: usize,
    pub(super) mutual: usize,
}

impl Gallery {
    /// `None` where there are too many images, or too few rows that tell.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn ask(
        sequence: &Sequence<'_>,
        compare: &dyn Compare,
        dim: usize,
    ) -> Result<Option<Self>> {
        let telling: Vec<u32> = (0..sequence.len() as u32)
            .filter(|&row| sequence.tells[row as usize])
            .collect();
        let cost = (sequence.n_positions() + sequence.len()) * dim;
        let n = ASKED.min(PRODUCTS / cost.max(1)).min(telling.len());
        if n < LEAST_ASKED {
            return Ok(None);
        }
        let asked: Vec<u32> = (0..n).map(|at| telling[at * telling.len() / n]).collect();
        let mut best = vec![(f32::NEG_INFINITY, 0); n];
        let all: Vec<u32> = (0..sequence.n_positions() as u32).collect();
        for positions in all.chunks(BLOCK) {
            let tile = compare.tile(positions, &asked)?;
            for (&position, scores) in positions.iter().zip(tile.chunks_exact(n)) {
                for (best, &score) in best.iter_mut().zip(scores) {
                    if score > best.0 {
                        *best = (score, position);
                    }
                }
            }
        }
        Ok(Some(Self {
            asked,
            best: best.into_iter().map(|(_, position)| position).collect(),
        }))
    }

    /// The distance in rows from captions to their best images on which most agree, where many do.
    pub(super) fn slip(&self, sequence: &Sequence<'_>) -> Option<i64> {
        let each = sequence.captions_an_image()? as i64;
        let own = self
            .asked
            .iter()
            .map(|&row| sequence.rows.position[row as usize]);
        let mut slips: Vec<i64> = (own.zip(&self.best))
            .map(|(own, &best)| i64::from(best) - i64::from(own))
            .filter(|slip| *slip != 0)
            .collect();
        slips.sort_unstable();
        let most = slips
            .chunk_by(|a, b| a == b)
            .max_by_key(|slips| slips.len())?;
        let enough = most.len() >= FEWEST_AGREED.max((AGREED * self.asked.len() as f64) as usize);
        enough.then_some(most[0] * each)
    }

    /// Whether captions and images match one to one in another order.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn mutual(
        &self,
        sequence: &Sequence<'_>,
        compare: &dyn Compare,
    ) -> Result<Option<Mutual>> {
        let pairs: Vec<(u32, u32)> = self.asked.iter().copied().zip(self.best.clone()).collect();
        let is_own = |(row, best): &&(u32, u32)| {
            sequence.is_same(sequence.rows.position[*row as usize], *best)
        };
        let n_own = pairs.iter().filter(is_own).count();
        if n_own as f64 > OWN * pairs.len() as f64 {
            return Ok(None);
        }
        let n_mutual = self.n_mutual(sequence, compare, &pairs)?;
        let (share, n) = (n_mutual as f64 / pairs.len() as f64, pairs.len() as f64);
        // Kullback and Leibler's divergence from a fair coin.
        let part = |share: f64| {
            if share > 0.0 {
                share * (2.0 * share).ln()
            } else {
                0.0
            }
        };
        let evidence = n * (part(share) + part(1.0 - share));
        Ok((share >= MUTUAL && evidence >= CERTAIN).then_some(Mutual {
            asked: pairs.len(),
            mutual: n_mutual,
        }))
    }

    /// Captions that are among the best of their best image, as many as an image has.
    fn n_mutual(
        &self,
        sequence: &Sequence<'_>,
        compare: &dyn Compare,
        pairs: &[(u32, u32)],
    ) -> Result<usize> {
        let positions = distinct(self.best.iter().copied());
        let own = compare.tile(&positions, &self.asked)?;
        let own: Vec<f32> = (pairs.iter().enumerate())
            .map(|(at, (_, best))| own[place(&positions, *best) as usize * pairs.len() + at])
            .collect();
        let mut better = vec![0usize; pairs.len()];
        let all: Vec<u32> = (0..sequence.len() as u32).collect();
        for rows in all.chunks(BLOCK) {
            let tile = compare.tile(&positions, rows)?;
            for ((better, own), (_, best)) in better.iter_mut().zip(&own).zip(pairs) {
                let at = place(&positions, *best) as usize;
                let scores = &tile[at * rows.len()..(at + 1) * rows.len()];
                *better += scores.iter().filter(|score| *score > own).count();
            }
        }
        let each = sequence.len().div_ceil(sequence.n_positions());
        Ok(better.into_iter().filter(|better| *better < each).count())
    }
}
