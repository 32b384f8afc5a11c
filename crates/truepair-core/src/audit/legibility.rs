//! Strata of pairs by how well the matcher reads them.
//!
//! A matcher that cannot read a caption or an image ranks the matched pair as a random one, so the
//! p-values of illegible pairs are uniform whether they are mismatched or not. Legibility is
//! measured without looking at how image and caption fit, and re-pairings have it too, so a
//! mismatched pair is distributed like a re-pairing in legibility and statistic together:
//!
//! ```text
//! P(mismatched | p, stratum s) = pi w_s / (o_s f_s(p))
//! ```
//!
//! with `w_s` the share of the re-pairings and `o_s` that of the pairs in the stratum (two groups
//! with a covariate: Boca and Leek, 2018). The tail height of every stratum bounds `pi` from above,
//! most closely where the matcher reads best.

use super::{FoldStatistics, NullStatistic, PairStatistics};

/// Cells to start from. Halved while some fold has fewer than [`FEWEST`] re-pairings in a cell.
const CELLS: usize = 8;
const FEWEST: usize = 200;

/// What pairs are held against re-pairings by; small values speak for a match.
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

    fn of_null(self, null: &NullStatistic) -> f64 {
        match self {
            Statistic::LogRank => null.log_rank,
            Statistic::Surprisal => null.surprisal,
        }
    }
}

/// The cell of every pair and re-pairing; cell 0 is the most legible.
#[derive(Debug)]
pub(super) struct Cells {
    of_pair: Vec<usize>,
    /// Per fold, aligned with its re-pairings.
    of_null: Vec<Vec<usize>>,
    /// Share of the re-pairings in every cell.
    pub(super) shares: Vec<f64>,
}

impl Cells {
    /// Cuts the folds by quantiles of their own re-pairings' legibility.
    pub(super) fn new(n_pairs: usize, folds: &[FoldStatistics]) -> Self {
        let mut n_cells = CELLS;
        loop {
            let (cells, fewest) = Self::cut(n_pairs, folds, n_cells);
            if n_cells == 1 || fewest >= FEWEST {
                return cells;
            }
            n_cells /= 2;
        }
    }

    /// The cells with the least number of re-pairings in a cell of a fold.
    fn cut(n_pairs: usize, folds: &[FoldStatistics], n_cells: usize) -> (Self, usize) {
        let mut of_pair = vec![0; n_pairs];
        let mut totals = vec![0; n_cells];
        let mut fewest = usize::MAX;
        let mut of_null = Vec::new();
        for fold in folds {
            let null = fold.null.iter().filter(|null| !null.log_rank.is_nan());
            let mut sorted: Vec<f64> = null.map(|null| null.legibility).collect();
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let cell = |legibility: f64| {
                let n_above = sorted.partition_point(|&other| other > legibility);
                (n_above * n_cells / sorted.len().max(1)).min(n_cells - 1)
            };
            for row in &fold.pairs {
                of_pair[row.pair as usize] = cell(row.legibility);
            }
            let mut counts = vec![0; n_cells];
            sorted
                .iter()
                .for_each(|&legibility| counts[cell(legibility)] += 1);
            fewest = counts.iter().copied().fold(fewest, usize::min);
            totals
                .iter_mut()
                .zip(&counts)
                .for_each(|(total, count)| *total += count);
            of_null.push(fold.null.iter().map(|null| cell(null.legibility)).collect());
        }
        let n = totals.iter().sum::<usize>().max(1) as f64;
        let shares = match n_cells {
            1 => vec![1.0],
            _ => totals.iter().map(|&total| total as f64 / n).collect(),
        };
        let cells = Self {
            of_pair,
            of_null,
            shares,
        };
        (cells, fewest)
    }

    /// Cell of the pair with this index.
    pub(super) fn of(&self, pair: usize) -> usize {
        self.of_pair[pair]
    }

    /// The rank of every pair's statistic among its own fold's re-pairings of its stratum, as a
    /// p-value `[n_pairs]`; `stratum` `[cells]`. Folds have different matchers and therefore
    /// different nulls.
    pub(super) fn calibrate(
        &self,
        folds: &[FoldStatistics],
        stratum: &[usize],
        statistic: Statistic,
    ) -> Vec<f64> {
        let mut p = vec![1.0; self.of_pair.len()];
        for (fold, of_null) in folds.iter().zip(&self.of_null) {
            let mut nulls = vec![Vec::new(); stratum.len()];
            for (null, &cell) in fold.null.iter().zip(of_null) {
                if !null.log_rank.is_nan() {
                    nulls[stratum[cell]].push(statistic.of_null(null));
                }
            }
            nulls
                .iter_mut()
                .for_each(|null| null.sort_unstable_by(f64::total_cmp));
            for row in fold.pairs.iter().filter(|row| !row.log_rank.is_nan()) {
                let null = &nulls[stratum[self.of_pair[row.pair as usize]]];
                let own = statistic.of_pair(row);
                let n_below = null.partition_point(|&null| null <= own);
                p[row.pair as usize] = (1 + n_below) as f64 / (1 + null.len()) as f64;
            }
        }
        p
    }
}

/// Stratum of every cell, from the number of pairs in every cell's `tails` with its variance over
/// images, and the cells' `shares` of the re-pairings. From the most legible cell on, a cell joins
/// the stratum before it unless its tail is higher by more than chance lets one of so many cells
/// differ. Where all cells agree there is one stratum.
pub(super) fn join(tails: &[Tail], shares: &[f64]) -> Vec<usize> {
    let apart = standard_errors(tails.len().saturating_sub(1));
    let (mut stratum, mut tail, mut share) = (0, Tail::default(), 0.0);
    let mut strata = Vec::with_capacity(tails.len());
    for (next, &next_share) in tails.iter().zip(shares) {
        let variance = |tail: &Tail, share: f64| tail.variance.max(1.0) / (share * share);
        let error = (variance(&tail, share) + variance(next, next_share)).sqrt();
        if share > 0.0 && next.count / next_share - tail.count / share > apart * error {
            (stratum, tail, share) = (stratum + 1, Tail::default(), 0.0);
        }
        strata.push(stratum);
        tail.count += next.count;
        tail.variance += next.variance;
        share += next_share;
    }
    strata
}

/// Pairs of a cell with a p-value above one half.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Tail {
    pub(super) count: f64,
    /// Sum over images of the squared number of their pairs there: pairs of one image are dependent,
    /// so their number varies by more than a Poisson count would.
    pub(super) variance: f64,
}

/// Standard errors that one of `n` differences exceeds by chance once in twenty times.
fn standard_errors(n: usize) -> f64 {
    /// Upper 5 % points of the standard normal distribution, shared among 1 to 7 tests.
    const BONFERRONI: [f64; 7] = [1.645, 1.960, 2.128, 2.241, 2.326, 2.394, 2.450];
    BONFERRONI[n.clamp(1, BONFERRONI.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{NullStatistic, PairStatistics};
    use crate::rng::{Seed, unit};

    /// Pairs whose statistic under the null depends on their legibility.
    fn folds() -> Vec<FoldStatistics> {
        let stream = &mut Seed(3).stream("legibility", &[]);
        let mut draw = || {
            let legibility = unit(stream);
            (legibility, (1.0 + legibility) * (1.0 - unit(stream)).ln())
        };
        let n = 1500;
        let mut fold = |start: u32| FoldStatistics {
            pairs: (start..start + n).map(|pair| given(pair, draw())).collect(),
            null: (0..n * 4)
                .map(|partner| repaired(partner, draw()))
                .collect(),
            n_repairings: 4,
            n_null_captions: 100,
            n_null_images: 100,
            sharpness: 1.0,
        };
        vec![fold(0), fold(n)]
    }

    fn given(pair: u32, (legibility, surprisal): (f64, f64)) -> PairStatistics {
        PairStatistics {
            pair,
            p_i2t: 1.0,
            p_t2i: 1.0,
            log_rank: surprisal,
            surprisal,
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

    fn repaired(partner: u32, (legibility, surprisal): (f64, f64)) -> NullStatistic {
        NullStatistic {
            partner,
            log_rank: surprisal,
            surprisal,
            legibility,
        }
    }

    #[test]
    fn mismatched_pairs_are_uniform_in_every_cell() {
        let folds = folds();
        let cells = Cells::new(3000, &folds);
        assert_eq!(cells.shares.len(), CELLS);
        let p = cells.calibrate(&folds, &(0..CELLS).collect::<Vec<_>>(), Statistic::Surprisal);
        for cell in 0..CELLS {
            let of_cell: Vec<f64> = (0..3000)
                .filter(|&n| cells.of(n) == cell)
                .map(|n| p[n])
                .collect();
            for level in [0.1, 0.5, 0.9] {
                let n_below = of_cell.iter().filter(|&&p| p <= level).count();
                let share = n_below as f64 / of_cell.len() as f64;
                assert!(
                    (share - level).abs() < 0.1,
                    "cell {cell}: {share} below {level}"
                );
            }
        }
    }

    #[test]
    fn few_or_equally_legible_re_pairings_share_one_cell() {
        let mut few = folds();
        few[0].null.truncate(300);
        assert_eq!(Cells::new(3000, &few).shares, [1.0]);
        let mut alike = folds();
        for fold in &mut alike {
            fold.null.iter_mut().for_each(|null| null.legibility = 0.5);
        }
        assert_eq!(Cells::new(3000, &alike).shares, [1.0]);
    }

    #[test]
    fn cells_join_unless_their_tail_is_clearly_higher() {
        let shares = [0.25; 4];
        let joined = |counts: [f64; 4], per_image: f64| {
            let tail = |count| Tail {
                count,
                variance: count * per_image,
            };
            join(&counts.map(tail), &shares)
        };
        assert_eq!(joined([100.0, 110.0, 95.0, 90.0], 1.0), [0, 0, 0, 0]);
        assert_eq!(joined([100.0, 110.0, 200.0, 210.0], 1.0), [0, 0, 1, 1]);
        assert_eq!(joined([100.0, 180.0, 170.0, 300.0], 1.0), [0, 1, 1, 2]);
        // The same counts, but ten pairs of an image always stand together.
        assert_eq!(joined([100.0, 180.0, 170.0, 300.0], 10.0), [0, 0, 0, 1]);
    }
}
