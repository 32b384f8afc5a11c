//! A fold of pairs to judge, and what judging says about them.

use super::Links;
use super::nearby::{NearbyStatistics, Plan};
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
    /// Indices of the pairs to judge. Their captions and images are also the null.
    pub judged: &'a [u32],
    /// Which captions belong to which images, duplicates included.
    pub links: &'a Links,
    /// For repeated cross-fitting: per pair `[n_pairs]`, a label that is equal only for pairs that
    /// share a fold in every repeat. Re-pairings then stay within a cell and repeats can be
    /// averaged; see [`average_repeats`](super::average_repeats).
    pub cells: Option<&'a [u32]>,
    /// What to plant, where surroundings are to be looked at.
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
    /// Notes how uncertain the embeddings of the judged pairs are, in the pairs' order.
    ///
    /// # Panics
    /// If there is not one value a pair.
    pub fn set_variance(&mut self, variances: &[f64]) {
        assert_eq!(variances.len(), self.pairs.len(), "one variance a pair");
        for (row, variance) in self.pairs.iter_mut().zip(variances) {
            row.variance = Some(*variance);
        }
    }
}

/// Rank statistics of one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairStatistics {
    /// Index of the pair.
    pub pair: u32,
    /// Rank p-value of the caption for the image, (0, 1].
    pub p_i2t: f64,
    /// Rank p-value of the image for the caption, (0, 1].
    pub p_t2i: f64,
    /// `(ln p_i2t + ln p_t2i) / 2`, at most 0; NaN when there was nothing to compare with.
    pub log_rank: f64,
    /// Mean over both directions of the negative logarithm of the pair's share of the softmax, in
    /// nats, at least 0: small for pairs that stand out. NaN when there was nothing to compare with.
    pub surprisal: f64,
    /// How far the best score of the image, and of the caption, stands out of its scores with a random
    /// sample of all items of the other side, in standard deviations. It does not look at what they
    /// are paired with.
    pub legibility: [f64; 2],
    /// Entropy in nats of which items the image and the caption could mean, mean over both: 0 where
    /// one item stands out, `ln k` where `k` do.
    pub entropy: f64,
    /// Share of the variance in the squared length of the pair's embeddings, [0, 1), where they are
    /// Gaussians; see [`FoldStatistics::set_variance`].
    pub variance: Option<f64>,
    /// 1-based rank of the caption among those compared with, ties against it.
    pub rank_i2t: u32,
    /// 1-based rank of the image among those compared with, ties against it.
    pub rank_t2i: u32,
    /// Captions compared with.
    pub n_captions: u32,
    /// Images compared with.
    pub n_images: u32,
    /// Best null caption for the image, when it scores above the given one.
    pub better_caption: Option<u32>,
    /// Best null image for the caption, when it scores above the given one.
    pub better_image: Option<u32>,
}

/// The statistic of an image with a caption that is known not to be its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NullStatistic {
    /// Index of the pair that lent its caption; `u32::MAX` where none could.
    pub partner: u32,
    /// As in [`PairStatistics::log_rank`]; NaN where none could be computed.
    pub log_rank: f64,
    /// As in [`PairStatistics::surprisal`]; NaN where none could be computed.
    pub surprisal: f64,
    /// As in [`PairStatistics::legibility`], of the image and of the lent caption.
    pub legibility: [f64; 2],
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
