//! A fold of pairs to judge, and what judging says about them.

use super::nearby::{NearbyStatistics, Plan};
use super::{Links, NullStatistic, PairStatistics};
use crate::lists::distinct;
use crate::pair::Pair;
use crate::scores::{Direction, Scorer};

/// Pairs to judge, and a scorer that has not been trained on them.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    /// Scores any image of the data set against any caption.
    pub scorer: &'a dyn Scorer,
    /// All pairs of the data set.
    pub pairs: &'a [Pair],
    /// Indices of the pairs to judge. Their captions and images also form the null.
    pub judged: &'a [u32],
    /// Which captions belong to which images, duplicates included.
    pub links: &'a Links,
    /// For repeated cross-fitting: per pair `[n_pairs]`, a label that is equal only for pairs that
    /// share a fold in every repeat. Re-pairings then stay within a cell and repeats can be
    /// averaged; see [`average_repeats`](super::average_repeats).
    pub cells: Option<&'a [u32]>,
    /// What to plant, where surroundings are to be examined.
    pub plan: Option<&'a Plan<'a>>,
}

/// What the scores of one fold say about its pairs, and about pairs known to be mismatched.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldStatistics {
    /// The judged pairs, ascending by index.
    pub pairs: Vec<PairStatistics>,
    /// `[pairs, n_repairings]`: the statistic of each pair's image with another pair's caption.
    pub null: Vec<NullStatistic>,
    /// Re-pairings per pair.
    pub n_repairings: usize,
    /// Null captions before exclusions.
    pub n_null_captions: usize,
    /// Null images before exclusions.
    pub n_null_images: usize,
    /// `β`: scores times this are the exponents of the softmax.
    pub sharpness: f64,
    /// What surrounds the pairs, where a plan asked for it.
    pub nearby: Option<NearbyStatistics>,
}

impl FoldStatistics {
    /// Records how uncertain the embeddings of the judged pairs are, in the pairs' order.
    ///
    /// # Panics
    /// If there is not one value per pair.
    pub fn set_variance(&mut self, variances: &[f64]) {
        assert_eq!(variances.len(), self.pairs.len(), "one variance per pair");
        for (row, variance) in self.pairs.iter_mut().zip(variances) {
            row.variance = Some(*variance);
        }
    }
}

/// The distinct captions or images of the fold, ascending, and the group of each by index.
pub(super) fn candidates<'a>(fold: &Fold<'a>, direction: Direction) -> (Vec<u32>, &'a [u32]) {
    let pairs = fold.judged.iter().map(|&pair| fold.pairs[pair as usize]);
    match direction {
        Direction::ImageToText => (
            distinct(pairs.map(|pair| pair.caption)),
            fold.links.caption_group(),
        ),
        Direction::TextToImage => (
            distinct(pairs.map(|pair| pair.image)),
            fold.links.image_group(),
        ),
    }
}
