//! Which pairs the matcher reads, on both sides.
//!
//! A matcher that cannot read a caption or an image ranks the matched pair as a random one, so the
//! p-values of unreadable pairs are uniform whether they are mismatched or not. How well an item is
//! read is measured without looking at what it is paired with ([`crowd`](super::crowd)). Re-pairings
//! have a legibility too, so mismatched pairs are distributed like re-pairings in legibility and
//! statistic jointly.
//!
//! Pairs are cut into cells by the legibility of their image and, separately, of their caption. Where
//! no cell has a larger share of p-values in the upper half than the more legible cells together, all
//! pairs are readable. Where one has a far larger share, either the matcher reads those pairs worse or
//! more of them are mismatched; which of the two cannot be told from the scores. Then only the cells
//! before the first such cell count as readable.

use rayon::prelude::*;

use super::{FoldStatistics, NullStatistic, PairStatistics};

/// Cells per side, and how many pairs one must hold.
const CELLS: usize = 8;
const PAIRS_PER_CELL: usize = 150;

/// Standard errors by which a cell's tail must stand out for the pairs to count as unevenly read: by
/// chance about once in 140, over the cells of both sides.
const UNEVEN: f64 = 3.3;

/// Standard errors by which the tail of the first cell that is not readable stands out.
const UNREADABLE: f64 = 2.0;

/// The statistic by which pairs are compared with re-pairings; small values suggest a match.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statistic {
    /// [`PairStatistics::log_rank`]
    LogRank,
    /// [`PairStatistics::surprisal`]
    Surprisal,
}

impl Statistic {
    fn of_pair(self, row: &PairStatistics) -> f64 {
        match self {
            Statistic::LogRank => row.log_rank,
            Statistic::Surprisal => row.surprisal,
        }
    }

    pub(super) fn of_null(self, null: &NullStatistic) -> f64 {
        match self {
            Statistic::LogRank => null.log_rank,
            Statistic::Surprisal => null.surprisal,
        }
    }
}

/// Which pairs and re-pairings are readable.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) of_pair: Vec<bool>,
    /// Per fold, aligned with its re-pairings.
    nulls: Vec<Vec<bool>>,
    /// Whether some images or captions are read worse, or mismatched more often, than others.
    pub(super) is_uneven: bool,
}

impl Readable {
    /// Tells the readable pairs of `folds` from others; `image` `[n_pairs]` names what makes pairs dependent.
    pub(super) fn of(folds: &[FoldStatistics], image: &[u32]) -> Self {
        let sides = [0, 1].map(|side| Cells::new(folds, image.len(), side));
        let prefixes = sides
            .each_ref()
            .map(|cells| cells.readable_prefix(folds, image));
        let reads = |cells: [usize; 2]| {
            let mut sides = prefixes.iter().zip(cells);
            sides.all(|(prefix, cell)| prefix.is_none_or(|prefix| cell < prefix))
        };
        let [images, captions] = &sides;
        let read = |images: &[usize], captions: &[usize]| -> Vec<bool> {
            let cells = images.iter().zip(captions);
            cells.map(|(i, c)| reads([*i, *c])).collect()
        };
        let nulls = images.of_null.iter().zip(&captions.of_null);
        Self {
            of_pair: read(&images.of_pair, &captions.of_pair),
            nulls: nulls.map(|(i, c)| read(i, c)).collect(),
            is_uneven: prefixes.iter().any(Option::is_some),
        }
    }

    /// Counts these pairs as not readable; if there are more than `uneven_from` of them, pairs are read
    /// unevenly.
    pub(super) fn leave_out(&mut self, unread: &[usize], uneven_from: f64) {
        unread.iter().for_each(|&n| self.of_pair[n] = false);
        self.is_uneven |= unread.len() as f64 > uneven_from;
    }

    /// Whether a fold's re-pairing is readable.
    pub(super) fn of_null(&self, fold: usize, at: usize) -> bool {
        self.nulls[fold][at]
    }

    /// The rank of every pair's statistic among its own fold's re-pairings that are as readable, as a
    /// p-value `[n_pairs]`.
    pub(super) fn calibrate(&self, folds: &[FoldStatistics], statistic: Statistic) -> Vec<f64> {
        let groups = Groups {
            n: 2,
            of_pair: &|pair| usize::from(self.of_pair[pair]),
            of_null: &|fold, at| usize::from(self.of_null(fold, at)),
        };
        calibrate(folds, self.of_pair.len(), statistic, &groups)
    }
}

/// The rank of every pair's statistic among all re-pairings of its own fold, `[n_pairs]`.
pub(super) fn calibrate_pooled(
    folds: &[FoldStatistics],
    n_pairs: usize,
    statistic: Statistic,
) -> Vec<f64> {
    let groups = Groups {
        n: 1,
        of_pair: &|_| 0,
        of_null: &|_, _| 0,
    };
    calibrate(folds, n_pairs, statistic, &groups)
}

/// Groups of pairs that are compared with the re-pairings of the same group.
struct Groups<'a> {
    n: usize,
    of_pair: &'a (dyn Fn(usize) -> usize + Sync),
    /// The group of a re-pairing, given its fold and its place there.
    of_null: &'a (dyn Fn(usize, usize) -> usize + Sync),
}

/// The rank of every pair's statistic among its own fold's re-pairings of its group, as a p-value
/// `[n_pairs]`. Folds have different matchers and therefore different nulls.
fn calibrate(
    folds: &[FoldStatistics],
    n_pairs: usize,
    statistic: Statistic,
    groups: &Groups<'_>,
) -> Vec<f64> {
    let mut p = vec![1.0; n_pairs];
    for (f, fold) in folds.iter().enumerate() {
        let mut nulls = vec![Vec::new(); groups.n];
        for (at, null) in fold.null.iter().enumerate() {
            if !null.log_rank.is_nan() {
                nulls[(groups.of_null)(f, at)].push(statistic.of_null(null));
            }
        }
        nulls
            .par_iter_mut()
            .for_each(|null| null.par_sort_unstable_by(f64::total_cmp));
        for row in fold.pairs.iter().filter(|row| !row.log_rank.is_nan()) {
            // A group without re-pairings is compared with those of another.
            let group = (groups.of_pair)(row.pair as usize);
            let null = Some(&nulls[group])
                .filter(|null| !null.is_empty())
                .or(nulls.iter().max_by_key(|null| null.len()))
                .expect("there is a group");
            let own = statistic.of_pair(row);
            let n_below = null.partition_point(|&null| null <= own);
            p[row.pair as usize] = (1 + n_below) as f64 / (1 + null.len()) as f64;
        }
    }
    p
}

/// The cell of every pair and re-pairing by the legibility of one side; cell 0 is the most legible.
struct Cells {
    n_cells: usize,
    of_pair: Vec<usize>,
    of_null: Vec<Vec<usize>>,
}

impl Cells {
    /// Cuts every fold by quantiles of its own pairs, because folds have different matchers.
    fn new(folds: &[FoldStatistics], n_pairs: usize, side: usize) -> Self {
        let n_cells = (n_pairs / PAIRS_PER_CELL).clamp(1, CELLS);
        let mut of_pair = vec![0; n_pairs];
        let mut of_null = Vec::with_capacity(folds.len());
        for fold in folds {
            let mut sorted: Vec<f64> = fold.pairs.iter().map(|row| row.legibility[side]).collect();
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let cell = |legibility: f64| {
                let n_above = sorted.partition_point(|&other| other > legibility);
                (n_above * n_cells / sorted.len().max(1)).min(n_cells - 1)
            };
            for row in &fold.pairs {
                of_pair[row.pair as usize] = cell(row.legibility[side]);
            }
            of_null.push(
                fold.null
                    .iter()
                    .map(|null| cell(null.legibility[side]))
                    .collect(),
            );
        }
        Self {
            n_cells,
            of_pair,
            of_null,
        }
    }

    /// How many cells are readable, where the pairs are read unevenly.
    fn readable_prefix(&self, folds: &[FoldStatistics], image: &[u32]) -> Option<usize> {
        let groups = Groups {
            n: self.n_cells,
            of_pair: &|pair| self.of_pair[pair],
            of_null: &|fold, at| self.of_null[fold][at],
        };
        let p = calibrate(folds, self.of_pair.len(), Statistic::LogRank, &groups);
        let mut in_cells: Vec<(u32, usize, bool)> = (folds.iter().flat_map(|fold| &fold.pairs))
            .filter(|row| !row.log_rank.is_nan())
            .map(|row| row.pair as usize)
            .map(|pair| (image[pair], self.of_pair[pair], p[pair] > 0.5))
            .collect();
        in_cells.sort_unstable();
        let mut tails = vec![Tail::default(); self.n_cells];
        for of_image in in_cells.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let in_tail = of_image.iter().filter(|(_, _, in_tail)| *in_tail).count() as f64;
            let tail = &mut tails[of_image[0].1];
            tail.n += of_image.len() as f64;
            tail.count += in_tail;
            tail.variance += in_tail * in_tail;
        }
        readable_prefix(&tails)
    }
}

/// Pairs of a cell and those of them with a p-value above one half.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tail {
    n: f64,
    count: f64,
    /// Sum over images of the squared number of their pairs there: pairs of one image are dependent,
    /// so their number varies by more than a Poisson count would.
    variance: f64,
}

/// How many of the cells, the most legible first, are readable; `None` where no tail stands out.
fn readable_prefix(tails: &[Tail]) -> Option<usize> {
    let (mut before, mut prefix, mut is_uneven) = (Tail::default(), None, false);
    for (cell, next) in tails.iter().enumerate() {
        let share = |tail: &Tail| tail.count / tail.n.max(1.0);
        let variance = |tail: &Tail| tail.variance.max(1.0) / (tail.n * tail.n).max(1.0);
        if before.n > 0.0 && next.n > 0.0 {
            let z = (share(next) - share(&before)) / (variance(next) + variance(&before)).sqrt();
            is_uneven |= z > UNEVEN;
            if z > UNREADABLE && prefix.is_none() {
                prefix = Some(cell);
            }
        }
        before.n += next.n;
        before.count += next.count;
        before.variance += next.variance;
    }
    prefix.filter(|_| is_uneven)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{NullStatistic, PairStatistics};
    use crate::rng::{Seed, unit};

    fn given(pair: u32, legibility: [f64; 2], log_rank: f64) -> PairStatistics {
        PairStatistics {
            pair,
            p_i2t: 1.0,
            p_t2i: 1.0,
            log_rank,
            surprisal: log_rank,
            legibility,
            entropy: 0.0,
            variance: None,
            rank_i2t: 1,
            rank_t2i: 1,
            n_captions: 100,
            n_images: 100,
            better_caption: None,
            better_image: None,
        }
    }

    /// One fold of `n` pairs; matched ones rank well where `legibility` of the caption is above 0.4.
    fn fold(n: u32, rate: f64, legibility: impl Fn(f64) -> f64) -> FoldStatistics {
        let stream = &mut Seed(3).stream("legibility", &[]);
        let mut pairs = Vec::new();
        let mut null = Vec::new();
        for pair in 0..n {
            let [image, caption] = [(); 2].map(|()| legibility(unit(stream)));
            let reads = caption > 0.4 && unit(stream) >= rate;
            let rank = (1.0 - unit(stream)).ln() * if reads { 20.0 } else { 1.0 };
            pairs.push(given(pair, [image, caption], rank));
            for _ in 0..4 {
                let log_rank = (1.0 - unit(stream)).ln();
                null.push(NullStatistic {
                    partner: 0,
                    log_rank,
                    surprisal: log_rank,
                    legibility: [(); 2].map(|()| legibility(unit(stream))),
                });
            }
        }
        FoldStatistics {
            pairs,
            null,
            n_repairings: 4,
            n_null_captions: 100,
            n_null_images: 100,
            sharpness: 1.0,
            nearby: None,
        }
    }

    #[test]
    fn pairs_whose_caption_is_not_read_are_told() {
        let folds = [fold(3000, 0.2, |u| u)];
        let image: Vec<u32> = (0..3000).collect();
        let readable = Readable::of(&folds, &image);
        assert!(readable.is_uneven);
        for row in &folds[0].pairs {
            let reads = readable.of_pair[row.pair as usize];
            // Cells are eighths, one of which is cut by the limit.
            assert!(reads || row.legibility[1] < 0.52, "{row:?}");
            assert!(!reads || row.legibility[1] > 0.36, "{row:?}");
        }
        let p = readable.calibrate(&folds, Statistic::LogRank);
        let tail: Vec<f64> = (0..3000)
            .filter(|&n| !readable.of_pair[n])
            .map(|n| p[n])
            .collect();
        let share = tail.iter().filter(|p| **p > 0.5).count() as f64 / tail.len() as f64;
        assert!((share - 0.5).abs() < 0.06, "{share}");
    }

    #[test]
    fn equally_read_or_few_pairs_are_all_readable() {
        for folds in [[fold(3000, 0.2, |_| 0.5)], [fold(200, 0.2, |u| u)]] {
            let image: Vec<u32> = (0..folds[0].pairs.len() as u32).collect();
            let readable = Readable::of(&folds, &image);
            assert!(!readable.is_uneven && readable.of_pair.iter().all(|reads| *reads));
        }
    }

    #[test]
    fn cells_are_readable_up_to_the_first_whose_tail_is_higher() {
        let prefix = |counts: [f64; 4], per_image: f64| {
            readable_prefix(&counts.map(|count| Tail {
                n: 1000.0,
                count,
                variance: count * per_image,
            }))
        };
        assert_eq!(prefix([100.0, 110.0, 95.0, 90.0], 1.0), None);
        assert_eq!(prefix([100.0, 110.0, 200.0, 210.0], 1.0), Some(2));
        assert_eq!(prefix([100.0, 140.0, 100.0, 250.0], 1.0), Some(1));
        // The same counts, but ten pairs of an image always stand together.
        assert_eq!(prefix([100.0, 110.0, 160.0, 150.0], 10.0), None);
    }
}
