//! The share of mismatched pairs, from the shape of the null-calibrated p-values' distribution.
//!
//! p-values of mismatched pairs are uniform and those of matched pairs crowd near 0, so the lowest
//! value of the density is the share of mismatched pairs. Storey's (2002) curve
//!
//! ```text
//! pi(lambda) = #{n : p_n > lambda} / ((1 - lambda) N)
//! ```
//!
//! shows it: it errs upward by the matched pairs above `lambda`, and its variance grows with
//! `lambda`. The estimate is the height at which a convex decreasing density that is flat above
//! 0.8 ends; on planted noise its error is smaller than that of any single lambda. It is read in the
//! most legible stratum, because illegible pairs are uniform too.

use rayon::prelude::*;

use super::NoiseRate;
use super::convex::{BINS, ConvexModel, FLAT_FROM, UPPER_HALF, bin};
use super::legibility::{Tail, join};
use crate::rng::{Seed, Stream, below};

/// Beyond this many images, images are pooled before resampling, which leaves the variance of the
/// estimate as it is and bounds the cost.
const MAX_CLUSTERS: usize = 20_000;

/// The noise rate with the curve it can be compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct RateFit {
    /// Estimate and 95 % interval.
    pub rate: NoiseRate,
    /// Storey's `(lambda, pi(lambda))` for lambda = 0, 0.05, ..., 0.95; may exceed 1.
    pub curve: Vec<(f64, f64)>,
    /// The density is flat from here on; its height there is the estimate.
    pub lambda: f64,
    /// Stratum of every cell of legibility; 0 is the most legible, from which the rate is read.
    pub strata: Vec<usize>,
}

/// Estimates the noise rate from p-values `p` `[n]` in (0, 1] of pairs with images `image` `[n]`,
/// calibrated within cells `cell` `[n]` of legibility (0 the most legible) that hold the `shares`
/// `[cells]` of the re-pairings. Cells join where their tails agree, in every bootstrap draw anew,
/// and the most legible stratum gives the rate. The interval is a bootstrap over images (`n_bootstrap` draws), because the pairs
/// of one image are dependent, and contains the estimate. Without pairs the estimate is 1 and the
/// interval [0, 1].
///
/// # Panics
/// If `p`, `image` and `cell` differ in length or a cell has no share.
pub fn estimate_rate(
    p: &[f64],
    image: &[u32],
    cell: &[usize],
    shares: &[f64],
    n_bootstrap: usize,
    seed: Seed,
) -> RateFit {
    assert_eq!(p.len(), image.len(), "one image per p-value");
    assert_eq!(p.len(), cell.len(), "one cell per p-value");
    let model = ConvexModel::new();
    let clusters = Clusters::new(p, image, cell, shares.len());
    let read = |counts: &[Counts]| read_rate(&model, counts, shares);
    let (estimate, strata) = read(&clusters.counts());
    let mut draws: Vec<f64> = (0..n_bootstrap as u64)
        .into_par_iter()
        .map(|draw| read(&clusters.resample(&mut seed.stream("bootstrap", &[draw]))).0)
        .collect();
    draws.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| draws[(q * (draws.len() - 1) as f64).round() as usize];
    let (low, high) = if draws.is_empty() || p.is_empty() {
        (0.0, 1.0)
    } else {
        (quantile(0.025).min(estimate), quantile(0.975).max(estimate))
    };
    RateFit {
        rate: NoiseRate {
            estimate,
            low,
            high,
        },
        curve: storey_curve(p, cell, shares, &strata),
        lambda: FLAT_FROM,
        strata,
    }
}

/// Pairs of one cell by the bin of their p-value, and how those in the upper half spread over images.
#[derive(Debug, Clone, Copy)]
struct Counts {
    bins: [u32; BINS],
    tail: Tail,
}

impl Counts {
    const NONE: Self = Self {
        bins: [0; BINS],
        tail: Tail {
            count: 0.0,
            variance: 0.0,
        },
    };
}

/// The rate that the most legible stratum shows, and the stratum of every cell.
fn read_rate(model: &ConvexModel, counts: &[Counts], shares: &[f64]) -> (f64, Vec<usize>) {
    let total = |counts: &[u32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
    let tails: Vec<Tail> = counts.iter().map(|cell| cell.tail).collect();
    let strata = join(&tails, shares);
    let (mut legible, mut share) = ([0; BINS], 0.0);
    for ((cell, cell_share), _) in counts
        .iter()
        .zip(shares)
        .zip(&strata)
        .filter(|(_, s)| **s == 0)
    {
        legible
            .iter_mut()
            .zip(&cell.bins)
            .for_each(|(sum, count)| *sum += count);
        share += cell_share;
    }
    let n = counts.iter().map(|cell| total(&cell.bins)).sum::<f64>();
    // Mismatched pairs stand in the stratum as often as re-pairings, others may more or less often.
    let crowding = if n > 0.0 {
        total(&legible) / n / share
    } else {
        1.0
    };
    ((model.uniform_share(&legible) * crowding).min(1.0), strata)
}

/// The curve of the most legible stratum, as a share of all mismatched pairs.
fn storey_curve(p: &[f64], cell: &[usize], shares: &[f64], strata: &[usize]) -> Vec<(f64, f64)> {
    let shares = shares
        .iter()
        .zip(strata)
        .filter(|(_, stratum)| **stratum == 0);
    let legible: f64 = shares.map(|(share, _)| share).sum();
    let p_legible = || p.iter().zip(cell).filter(|(_, cell)| strata[**cell] == 0);

    let lambdas = (0..20).map(|step| f64::from(step) * 0.05);
    let share = |lambda: f64| {
        p_legible().filter(|(p, _)| **p > lambda).count() as f64 / p.len().max(1) as f64 / legible
    };
    lambdas
        .map(|lambda| (lambda, share(lambda) / (1.0 - lambda)))
        .collect()
}

/// The cell and the bin of every pair's p-value, by image.
struct Clusters {
    starts: Vec<u32>,
    places: Vec<(u8, u8)>,
    n_cells: usize,
}

impl Clusters {
    fn new(p: &[f64], image: &[u32], cell: &[usize], n_cells: usize) -> Self {
        let cluster = |n: u32| image[n as usize] % MAX_CLUSTERS as u32;
        let mut order: Vec<u32> = (0..p.len() as u32).collect();
        order.sort_by_key(|&n| cluster(n));
        let mut starts = vec![0];
        for members in order.chunk_by(|&a, &b| cluster(a) == cluster(b)) {
            starts.push(starts[starts.len() - 1] + members.len() as u32);
        }
        Self {
            starts,
            places: (order.iter().map(|&n| n as usize))
                .map(|n| (cell[n] as u8, bin(p[n]) as u8))
                .collect(),
            n_cells,
        }
    }

    fn n_clusters(&self) -> usize {
        self.starts.len() - 1
    }

    fn counts(&self) -> Vec<Counts> {
        self.count(0..self.n_clusters())
    }

    /// Counts of as many clusters as there are, drawn with replacement.
    fn resample(&self, stream: &mut Stream) -> Vec<Counts> {
        let n = self.n_clusters();
        self.count((0..n).map(|_| below(stream, n as u64) as usize))
    }

    fn count(&self, clusters: impl Iterator<Item = usize>) -> Vec<Counts> {
        let mut counts = vec![Counts::NONE; self.n_cells];
        let mut in_tail = vec![0u32; self.n_cells];
        for cluster in clusters {
            let members = self.starts[cluster] as usize..self.starts[cluster + 1] as usize;
            for &(cell, bin) in &self.places[members] {
                let (cell, bin) = (usize::from(cell), usize::from(bin));
                counts[cell].bins[bin] += 1;
                in_tail[cell] += u32::from(bin >= UPPER_HALF);
            }
            for (counts, n) in counts.iter_mut().zip(&mut in_tail) {
                let n = f64::from(std::mem::take(n));
                counts.tail.count += n;
                counts.tail.variance += n * n;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::unit;

    /// Pairs of `n / 5` images; matched ones have p = (u v)^8 with a tail to 1.
    fn planted(n: usize, rate: f64, draw: u64) -> (Vec<f64>, Vec<u32>) {
        let stream = &mut Seed(11).stream("planted", &[draw]);
        let p = (0..n).map(|i| {
            let mismatched = (i as f64) < rate * n as f64;
            let u = 1.0 - unit(stream);
            if mismatched {
                u
            } else {
                (u * (1.0 - unit(stream))).powi(8)
            }
        });
        let p: Vec<f64> = p.collect();
        // Mismatched pairs are spread evenly over the images.
        let images = (0..n).map(|i| (i % (n / 5)) as u32).collect();
        (p, images)
    }

    fn pooled(p: &[f64], images: &[u32], n_bootstrap: usize, seed: Seed) -> RateFit {
        estimate_rate(p, images, &vec![0; p.len()], &[1.0], n_bootstrap, seed)
    }

    #[test]
    fn illegible_pairs_do_not_count_as_mismatched() {
        let (mut p, images) = planted(4000, 0.3, 9);
        // Pairs of odd images cannot be read.
        let cells: Vec<usize> = images.iter().map(|image| (image % 2) as usize).collect();
        let stream = &mut Seed(2).stream("illegible", &[]);
        for (p, _) in p.iter_mut().zip(&cells).filter(|(_, cell)| **cell == 1) {
            *p = 1.0 - unit(stream);
        }
        let fit = estimate_rate(&p, &images, &cells, &[0.5; 2], 100, Seed(1));
        assert_eq!(fit.strata, [0, 1]);
        assert!((fit.rate.estimate - 0.3).abs() < 0.04, "{:?}", fit.rate);
        assert!(
            fit.rate.low < 0.31 && fit.rate.high > 0.29,
            "{:?}",
            fit.rate
        );
        assert!(pooled(&p, &images, 0, Seed(1)).rate.estimate > 0.5);
    }

    #[test]
    fn cells_that_agree_give_the_pooled_rate() {
        let (p, images) = planted(4000, 0.3, 7);
        let cells: Vec<usize> = images.iter().map(|image| (image % 4) as usize).collect();
        let fit = estimate_rate(&p, &images, &cells, &[0.25; 4], 0, Seed(1));
        assert_eq!(fit.strata, [0; 4]);
        let pooled = pooled(&p, &images, 0, Seed(1));
        assert!((fit.rate.estimate - pooled.rate.estimate).abs() < 1e-9);
    }

    #[test]
    fn planted_rates_lie_in_their_intervals_and_near_the_estimate() {
        for (draw, rate) in [0.1, 0.2, 0.4, 0.6].into_iter().enumerate() {
            let (p, images) = planted(4000, rate, draw as u64);
            let found = pooled(&p, &images, 40, Seed(draw as u64)).rate;
            assert!((found.estimate - rate).abs() < 0.03, "{rate}: {found:?}");
            assert!(
                found.low - 0.01 <= rate && rate <= found.high + 0.01,
                "{rate}: {found:?}"
            );
            assert!(found.high - found.low < 0.12, "{found:?}");
        }
    }

    #[test]
    fn the_curve_is_storeys() {
        let fit = pooled(&[0.01, 0.02, 0.6, 0.9], &[0, 1, 2, 3], 0, Seed(1));
        let (lambda, share) = fit.curve[10];
        assert!((lambda - 0.5).abs() < 1e-12 && (share - 1.0).abs() < 1e-12);
        assert_eq!((fit.rate.low, fit.rate.high), (0.0, 1.0));
        assert_eq!(pooled(&[], &[], 40, Seed(1)).rate.estimate, 1.0);
    }

    #[test]
    fn nothing_but_small_values_is_no_noise() {
        let p: Vec<f64> = (1..=2000).map(|i| f64::from(i) / 1e5).collect();
        let images: Vec<u32> = (0..2000).collect();
        let rate = pooled(&p, &images, 40, Seed(1)).rate;
        assert!(rate.estimate < 1e-3 && rate.low < 1e-3, "{rate:?}");
    }
}
