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
//! 0.8 ends; on planted noise its error is smaller than that of any single lambda.

use rayon::prelude::*;

use super::NoiseRate;
use super::convex::{BINS, ConvexModel, FLAT_FROM, bin};
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
}

/// Estimates the noise rate from null-calibrated p-values `p` `[n]` in (0, 1] of pairs with images
/// `image` `[n]`. The interval is a bootstrap over images (`n_bootstrap` draws), because the pairs
/// of one image are dependent, and contains the estimate. Without pairs the estimate is 1 and the interval [0, 1].
///
/// # Panics
/// If the slices differ in length.
pub fn estimate_rate(p: &[f64], image: &[u32], n_bootstrap: usize, seed: Seed) -> RateFit {
    assert_eq!(p.len(), image.len(), "one image per p-value");
    let model = ConvexModel::new();
    let clusters = Clusters::new(p, image);
    let estimate = model.uniform_share(&clusters.counts());
    let mut draws: Vec<f64> = (0..n_bootstrap as u64)
        .into_par_iter()
        .map(|draw| model.uniform_share(&clusters.resample(&mut seed.stream("bootstrap", &[draw]))))
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
        curve: storey_curve(p),
        lambda: FLAT_FROM,
    }
}

fn storey_curve(p: &[f64]) -> Vec<(f64, f64)> {
    let lambdas = (0..20).map(|step| f64::from(step) * 0.05);
    let share =
        |lambda: f64| p.iter().filter(|&&p| p > lambda).count() as f64 / p.len().max(1) as f64;
    lambdas
        .map(|lambda| (lambda, share(lambda) / (1.0 - lambda)))
        .collect()
}

/// The bin of every pair's p-value, by image.
struct Clusters {
    starts: Vec<u32>,
    bins: Vec<u8>,
}

impl Clusters {
    fn new(p: &[f64], image: &[u32]) -> Self {
        let cluster = |n: u32| image[n as usize] % MAX_CLUSTERS as u32;
        let mut order: Vec<u32> = (0..p.len() as u32).collect();
        order.sort_by_key(|&n| cluster(n));
        let mut starts = vec![0];
        for members in order.chunk_by(|&a, &b| cluster(a) == cluster(b)) {
            starts.push(starts[starts.len() - 1] + members.len() as u32);
        }
        Self {
            starts,
            bins: order.iter().map(|&n| bin(p[n as usize]) as u8).collect(),
        }
    }

    fn counts(&self) -> [u32; BINS] {
        let mut counts = [0; BINS];
        self.bins
            .iter()
            .for_each(|&bin| counts[usize::from(bin)] += 1);
        counts
    }

    /// Counts of as many clusters as there are, drawn with replacement.
    fn resample(&self, stream: &mut Stream) -> [u32; BINS] {
        let mut counts = [0; BINS];
        let n_clusters = self.starts.len() - 1;
        for _ in 0..n_clusters {
            let drawn = below(stream, n_clusters as u64) as usize;
            let members = self.starts[drawn] as usize..self.starts[drawn + 1] as usize;
            self.bins[members]
                .iter()
                .for_each(|&bin| counts[usize::from(bin)] += 1);
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

    #[test]
    fn planted_rates_lie_in_their_intervals_and_near_the_estimate() {
        for (draw, rate) in [0.1, 0.2, 0.4, 0.6].into_iter().enumerate() {
            let (p, images) = planted(4000, rate, draw as u64);
            let found = estimate_rate(&p, &images, 40, Seed(draw as u64)).rate;
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
        let fit = estimate_rate(&[0.01, 0.02, 0.6, 0.9], &[0, 1, 2, 3], 0, Seed(1));
        let (lambda, share) = fit.curve[10];
        assert!((lambda - 0.5).abs() < 1e-12 && (share - 1.0).abs() < 1e-12);
        assert_eq!((fit.rate.low, fit.rate.high), (0.0, 1.0));
        assert_eq!(estimate_rate(&[], &[], 40, Seed(1)).rate.estimate, 1.0);
    }

    #[test]
    fn nothing_but_small_values_is_no_noise() {
        let p: Vec<f64> = (1..=2000).map(|i| f64::from(i) / 1e5).collect();
        let images: Vec<u32> = (0..2000).collect();
        let rate = estimate_rate(&p, &images, 40, Seed(1)).rate;
        assert!(rate.estimate < 1e-3 && rate.low < 1e-3, "{rate:?}");
    }
}
