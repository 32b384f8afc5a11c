//! What a fold's scores say about one pair, and about one re-pairing.

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
    /// sample of all items of the other side, in standard deviations. What they are paired with plays
    /// no part.
    pub legibility: [f64; 2],
    /// Entropy in nats over the items that the image and the caption could mean, averaged over both: 0
    /// where one item stands out, `ln k` where `k` do.
    pub entropy: f64,
    /// Share of the variance in the squared length of the pair's embeddings, [0, 1), where they are
    /// Gaussians; see [`FoldStatistics::set_variance`](super::FoldStatistics::set_variance).
    pub variance: Option<f64>,
    /// 1-based rank of the caption among those compared with, ties against it.
    pub rank_i2t: u32,
    /// 1-based rank of the image among those compared with, ties against it.
    pub rank_t2i: u32,
    /// Number of captions compared with.
    pub n_captions: u32,
    /// Number of images compared with.
    pub n_images: u32,
    /// Best null caption for the image, when it scores above the given one.
    pub better_caption: Option<u32>,
    /// Best null image for the caption, when it scores above the given one.
    pub better_image: Option<u32>,
}

/// The statistic of an image with a caption that is known not to be its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NullStatistic {
    /// Index of the pair that lent its caption; `u32::MAX` if none could.
    pub partner: u32,
    /// As in [`PairStatistics::log_rank`]; NaN where none could be computed.
    pub log_rank: f64,
    /// As in [`PairStatistics::surprisal`]; NaN where none could be computed.
    pub surprisal: f64,
    /// As in [`PairStatistics::legibility`], of the image and of the lent caption.
    pub legibility: [f64; 2],
}
