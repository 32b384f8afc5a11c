//! The share of mismatched pairs: a lower and an upper bound, and a point between them.
//!
//! p-values of mismatched pairs are uniform and those of matched pairs crowd near 0. Storey's (2002)
//!
//! ```text
//! pi(lambda) = #{n : p_n > lambda} / ((1 - lambda) N)
//! ```
//!
//! errs upward by the matched pairs above `lambda`, and its variance grows with `lambda`. Of seven
//! lambdas the one with the least sum of two squares is taken: that of the standard error over images,
//! and that of the certain excess of the estimate, which is how far it exceeds an estimate at a larger
//! lambda beyond the error of their difference (in the manner of Lepski). It cannot show which of the
//! pairs above `lambda` are matched pairs that the matcher reads poorly, so it is a point between
//! bounds:
//!
//! - **point**: Storey's estimate over the readable pairs, which is the rate of all pairs if mismatches
//!   fall evenly over readable and unreadable ones.
//! - **lower bound**: the mismatched pairs among the readable, as a share of all pairs, by the lower of
//!   Storey's estimates at the point's lambda and at 0.5. Where the p-values still fall between 0.3
//!   and 1, there are matched pairs of poor rank among them; the level part of a mixture ([`PoorRanks`])
//!   replaces Storey's estimate then.
//! - **upper bound**: the point where all pairs are readable and the p-values are level; Storey's
//!   estimate at 0.5 over all pairs, the unreadable counted as mismatched, where they are not.
//!
//! The interval runs from the lower end of the lower bound to the upper end of the upper one. Its ends
//! are the widest of a bootstrap over images, exact binomial ends at the number of independent pairs
//! that the images leave, and the disagreement between the matchers of several cuts.

use statrs::function::beta::beta_reg;

use super::NoiseRate;
use super::bootstrap::{self, Bootstrap, MAX_CLUSTERS};
use super::poor_ranks::{BINS, PoorRanks, bin, first_bin_above};
use crate::rng::{Stream, below};

/// The lambdas at which Storey's estimate may be read.
const LAMBDAS: [f64; 7] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/// Standard errors by which estimates at two lambdas may differ by chance: the probability that one of
/// their 21 differences exceeds it is 5 %.
const CHANCE: f64 = 2.82;

/// p-values above this are tested for a falling density.
const TESTED_ABOVE: f64 = 0.3;

/// Standard errors by which p-values must fall above 0.3 for poorly ranked matches to be certain.
const SLOPED: f64 = 2.326;

/// The lambda of the upper bound when the p-values are not level, of the lower bound where it is lower
/// there, and of everything where no p-value suggests another.
const MIDDLE: f64 = 0.5;

/// Standard errors on either side of a 95 % interval.
const INTERVAL: f64 = 1.96;

/// The noise rate with the curve it can be compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RateFit {
    /// Point and interval.
    pub(super) rate: NoiseRate,
    /// The upper bound as a point: the rate if every pair that may be mismatched is.
    pub(super) ceiling: f64,
    /// Whether p-values of the readable pairs still fall above 0.3: matched pairs of poor rank.
    pub(super) is_sloped: bool,
    /// Storey's `(lambda, pi(lambda))` of the readable pairs for lambda = 0, 0.05, ..., 0.95; may
    /// exceed 1.
    pub(super) curve: Vec<(f64, f64)>,
    /// Where the point was read.
    pub(super) lambda: f64,
}

/// What the rate is read from: one entry per pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateInput<'a> {
    /// p-values `[n]` in (0, 1], uniform for mismatched pairs.
    pub(super) p: &'a [f64],
    /// The image of each, `[n]`: pairs of one image are dependent.
    pub(super) image: &'a [u32],
    /// Whether the matcher reads both items of the pair, `[n]`.
    pub(super) readable: &'a [bool],
    /// p-values by the matchers of each cut alone, `[cuts, n]`; may be empty.
    pub(super) by_cut: &'a [Vec<f64>],
}

impl RateInput<'_> {
    /// The image and the p-value, out of `p`, of every pair that can be read.
    fn readable<'b>(&'b self, p: &'b [f64]) -> impl Iterator<Item = (u32, f64)> + 'b {
        (self.image.iter().zip(p).zip(self.readable))
            .filter(|(_, readable)| **readable)
            .map(|((image, p), _)| (*image, *p))
    }
}

/// Estimates the noise rate. The interval contains the point, and its width is never 0. Without
/// readable pairs the point is 1 and the interval [0, 1].
///
/// # Panics
/// If the lists differ in length.
pub(super) fn estimate_rate(input: &RateInput<'_>, bootstrap: Bootstrap) -> RateFit {
    let n = input.p.len();
    assert_eq!(n, input.image.len(), "one image per p-value");
    assert_eq!(n, input.readable.len(), "one flag per p-value");
    let readable = by_image(input.readable(input.p));
    let is_sloped = fall(&readable, TESTED_ABOVE) > SLOPED;
    let lambda = best_lambda(&readable);
    let bounds = Bounds {
        lambda,
        model: is_sloped.then(PoorRanks::new),
        all_pairs: is_sloped || input.readable.contains(&false),
    };
    let clusters = Clusters::new(input);
    let [point, floor, ceiling] = bounds.read(&clusters.counts());
    let [low, high] = if readable.is_empty() {
        [0.0, 1.0]
    } else {
        let draws = bootstrap.draw("bootstrap", |stream| {
            bounds.read(&clusters.resample(stream))
        });
        ends(input, &bounds, [point, floor, ceiling], &readable, &draws)
    };
    RateFit {
        rate: NoiseRate {
            estimate: point,
            low: low.clamp(0.0, point),
            high: high.clamp(point, 1.0),
        },
        ceiling,
        is_sloped,
        curve: storey_curve(&readable),
        lambda,
    }
}

/// Lower end of the lower bound and upper end of the upper one. `draws` are bootstrapped bounds, and
/// `readable` the pairs `(image, p)` that can be read, sorted by image.
fn ends(
    input: &RateInput<'_>,
    bounds: &Bounds,
    [point, floor, ceiling]: [f64; 3],
    readable: &[(u32, f64)],
    draws: &[[f64; 3]],
) -> [f64; 2] {
    let quantile = |bound: usize, q: f64| {
        let values = draws.iter().map(|draw| draw[bound]).collect();
        bootstrap::quantile(values, q)
    };
    let share = readable.len() as f64 / input.p.len().max(1) as f64;
    let exact = exact_ends(readable, bounds.lambda);
    let exact_high = if bounds.all_pairs {
        let pairs = input.image.iter().copied().zip(input.p.iter().copied());
        exact_ends(&by_image(pairs), MIDDLE)[1]
    } else {
        exact[1]
    };
    // A mixture's floor lies below Storey's estimate, and so do its exact ends.
    let exact_low = (exact[0] * share - (point * share - floor).max(0.0)).max(0.0);
    let between = between_cuts(input, bounds.lambda);
    let widen = |bound: f64, end: f64| (INTERVAL * between).hypot(bound - end);
    let low = quantile(1, 0.025).unwrap_or(0.0).min(exact_low).min(floor);
    let high = quantile(2, 0.975)
        .unwrap_or(1.0)
        .max(exact_high)
        .max(ceiling);
    [floor - widen(floor, low), ceiling + widen(ceiling, high)]
}

/// Pairs sorted by image.
fn by_image(pairs: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, f64)> {
    let mut pairs: Vec<(u32, f64)> = pairs.collect();
    pairs.sort_by_key(|(image, _)| *image);
    pairs
}

/// By how many standard errors there are more p-values in the lower half of what is above `lambda`
/// than in the upper half. `pairs` are `(image, p)`, sorted by image.
fn fall(pairs: &[(u32, f64)], lambda: f64) -> f64 {
    let middle = (1.0 + lambda) / 2.0;
    let (mut sum, mut variance) = (0.0, 0.0);
    for of_image in pairs.chunk_by(|a, b| a.0 == b.0) {
        let difference = |(_, p): &(u32, f64)| {
            if *p <= lambda {
                0.0
            } else if *p <= middle {
                1.0
            } else {
                -1.0
            }
        };
        let difference: f64 = of_image.iter().map(difference).sum();
        sum += difference;
        variance += difference * difference;
    }
    if variance > 0.0 {
        sum / f64::sqrt(variance)
    } else {
        0.0
    }
}

/// The lambda of least squared error, as far as the error is known. `pairs` are `(image, p)`, sorted by
/// image.
fn best_lambda(pairs: &[(u32, f64)]) -> f64 {
    const N: usize = LAMBDAS.len();
    let mut sums = [0.0; N];
    let mut products = [[0.0; N]; N];
    let mut n_images = 0.0;
    for of_image in pairs.chunk_by(|a, b| a.0 == b.0) {
        let scaled = LAMBDAS.map(|lambda| {
            of_image.iter().filter(|(_, p)| *p > lambda).count() as f64 / (1.0 - lambda)
        });
        n_images += 1.0;
        for i in 0..N {
            sums[i] += scaled[i];
            for j in 0..N {
                products[i][j] += scaled[i] * scaled[j];
            }
        }
    }
    if sums[0] == 0.0 {
        // All estimates are 0; what may have been missed should not be judged from the smallest lambda.
        return MIDDLE;
    }
    let n = pairs.len().max(1) as f64;
    let covariance = |i: usize, j: usize| {
        (products[i][j] - sums[i] * sums[j] / f64::max(n_images, 1.0)) / (n * n)
    };
    let squared_error = |i: usize| {
        let excess = (i + 1..N).map(|j| {
            let variance = covariance(i, i) + covariance(j, j) - 2.0 * covariance(i, j);
            (sums[i] - sums[j]) / n - CHANCE * variance.max(0.0).sqrt()
        });
        covariance(i, i) + excess.fold(0.0, f64::max).powi(2)
    };
    let errors: [f64; N] = std::array::from_fn(squared_error);
    let best = (0..N).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    LAMBDAS[best.unwrap_or(0)]
}

/// Clopper and Pearson's ends (1934) of the share above `lambda`, over `1 - lambda`, with the number
/// of pairs divided by the design effect of the images. `pairs` are `(image, p)`, sorted by image.
fn exact_ends(pairs: &[(u32, f64)], lambda: f64) -> [f64; 2] {
    let (mut count, mut squares) = (0.0, 0.0);
    for of_image in pairs.chunk_by(|a, b| a.0 == b.0) {
        let above = of_image.iter().filter(|(_, p)| *p > lambda).count() as f64;
        count += above;
        squares += above * above;
    }
    if pairs.is_empty() {
        return [0.0, 1.0];
    }
    let design_effect = if count > 0.0 {
        f64::max(squares / count, 1.0)
    } else {
        1.0
    };
    let (k, n) = (count / design_effect, pairs.len() as f64 / design_effect);
    clopper_pearson(k, n).map(|end| (end / (1.0 - lambda)).min(1.0))
}

/// The ends of a 95 % interval for a share when `k` of `n` were observed; neither need be a whole number.
pub(crate) fn clopper_pearson(k: f64, n: f64) -> [f64; 2] {
    // P(X >= k) = I_x(k, n - k + 1) and P(X <= k) = 1 - I_x(k + 1, n - k).
    let low = if k > 0.0 {
        root(|x| beta_reg(k, n - k + 1.0, x), 0.025)
    } else {
        0.0
    };
    let high = if n - k > 1e-9 {
        root(|x| beta_reg(k + 1.0, n - k, x), 0.975)
    } else {
        1.0
    };
    [low, high]
}

/// Where an increasing function reaches `value` on [0, 1].
fn root(function: impl Fn(f64) -> f64, value: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if function(middle) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Standard error of the mean of Storey's estimates from the single cuts.
fn between_cuts(input: &RateInput<'_>, lambda: f64) -> f64 {
    let points: Vec<f64> = (input.by_cut.iter())
        .map(|p| {
            let (n_above, n) = input.readable(p).fold((0.0, 0.0), |(above, n), (_, p)| {
                (above + f64::from(u8::from(p > lambda)), n + 1.0)
            });
            n_above / f64::max(n, 1.0) / (1.0 - lambda)
        })
        .collect();
    let n = points.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = points.iter().sum::<f64>() / n;
    let variance = points
        .iter()
        .map(|point| (point - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    (variance / n).sqrt()
}

fn storey_curve(pairs: &[(u32, f64)]) -> Vec<(f64, f64)> {
    let lambdas = (0..20).map(|step| f64::from(step) * 0.05);
    let share = |lambda: f64| {
        pairs.iter().filter(|(_, p)| *p > lambda).count() as f64 / pairs.len().max(1) as f64
    };
    lambdas
        .map(|lambda| (lambda, share(lambda) / (1.0 - lambda)))
        .collect()
}

/// How the point and the bounds are read from counts.
struct Bounds {
    lambda: f64,
    /// The model of the lower bound, where p-values are not level.
    model: Option<PoorRanks>,
    /// Whether the upper bound counts pairs that cannot be read.
    all_pairs: bool,
}

impl Bounds {
    /// The point, the lower bound and the upper bound.
    fn read(&self, counts: &Counts) -> [f64; 3] {
        let storey = |bins: &[u32; BINS], lambda: f64| {
            let n: u32 = bins.iter().sum();
            let above: u32 = bins[first_bin_above(lambda)..].iter().sum();
            if n == 0 {
                return 1.0;
            }
            (f64::from(above) / f64::from(n) / (1.0 - lambda)).min(1.0)
        };
        let total: u32 = counts.all.iter().sum();
        let share = f64::from(counts.readable.iter().sum::<u32>()) / f64::from(total.max(1));
        let point = storey(&counts.readable, self.lambda);
        let level = match &self.model {
            Some(model) => model.level_share(&counts.readable).min(point),
            None => point.min(storey(&counts.readable, MIDDLE)),
        };
        let ceiling = if self.all_pairs {
            storey(&counts.all, MIDDLE)
        } else {
            point
        };
        [point, level * share, ceiling.max(level * share)]
    }
}

/// Pairs by the bin of their p-value.
struct Counts {
    readable: [u32; BINS],
    all: [u32; BINS],
}

/// The bin of every pair's p-value and whether it is readable, by image.
struct Clusters {
    starts: Vec<u32>,
    places: Vec<(u8, bool)>,
}

impl Clusters {
    fn new(input: &RateInput<'_>) -> Self {
        let cluster = |n: u32| input.image[n as usize] % MAX_CLUSTERS as u32;
        let mut order: Vec<u32> = (0..input.p.len() as u32).collect();
        order.sort_by_key(|&n| cluster(n));
        let mut starts = vec![0];
        for members in order.chunk_by(|&a, &b| cluster(a) == cluster(b)) {
            starts.push(starts[starts.len() - 1] + members.len() as u32);
        }
        Self {
            starts,
            places: (order.iter().map(|&n| n as usize))
                .map(|n| (bin(input.p[n]) as u8, input.readable[n]))
                .collect(),
        }
    }

    fn n_clusters(&self) -> usize {
        self.starts.len() - 1
    }

    fn counts(&self) -> Counts {
        self.count(0..self.n_clusters())
    }

    /// Counts of as many clusters as there are, drawn with replacement.
    fn resample(&self, stream: &mut Stream) -> Counts {
        let n = self.n_clusters();
        self.count((0..n).map(|_| below(stream, n as u64) as usize))
    }

    fn count(&self, clusters: impl Iterator<Item = usize>) -> Counts {
        let mut counts = Counts {
            readable: [0; BINS],
            all: [0; BINS],
        };
        for cluster in clusters {
            let members = self.starts[cluster] as usize..self.starts[cluster + 1] as usize;
            for &(bin, readable) in &self.places[members] {
                counts.all[usize::from(bin)] += 1;
                counts.readable[usize::from(bin)] += u32::from(readable);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, unit};

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

    fn estimate(p: &[f64], image: &[u32], readable: &[bool], n_draws: usize) -> RateFit {
        let input = RateInput {
            p,
            image,
            readable,
            by_cut: &[],
        };
        let seed = Seed(1);
        estimate_rate(&input, Bootstrap { n_draws, seed })
    }

    fn pooled(p: &[f64], images: &[u32]) -> RateFit {
        estimate(p, images, &vec![true; p.len()], 100)
    }

    #[test]
    fn unreadable_pairs_widen_the_interval_upward_and_leave_the_point() {
        let (mut p, images) = planted(4000, 0.3, 9);
        // Pairs of odd images cannot be read.
        let readable: Vec<bool> = images.iter().map(|image| image % 2 == 0).collect();
        let stream = &mut Seed(2).stream("illegible", &[]);
        for (p, _) in p
            .iter_mut()
            .zip(&readable)
            .filter(|(_, readable)| !**readable)
        {
            *p = 1.0 - unit(stream);
        }
        let fit = estimate(&p, &images, &readable, 100);
        assert!((fit.rate.estimate - 0.3).abs() < 0.04, "{:?}", fit.rate);
        // From all unreadable pairs matched to all mismatched.
        let NoiseRate { low, high, .. } = fit.rate;
        assert!(
            (low - 0.15).abs() < 0.03 && (0.65..0.72).contains(&high),
            "{low} {high}"
        );
    }

    #[test]
    fn planted_rates_lie_in_their_intervals_and_near_the_point() {
        for (draw, rate) in [0.1, 0.2, 0.4, 0.6].into_iter().enumerate() {
            let (p, images) = planted(4000, rate, draw as u64);
            let found = pooled(&p, &images).rate;
            assert!((found.estimate - rate).abs() < 0.03, "{rate}: {found:?}");
            assert!(found.low <= rate && rate <= found.high, "{rate}: {found:?}");
            assert!(found.high - found.low < 0.14, "{found:?}");
        }
    }

    #[test]
    fn matched_pairs_of_poor_rank_lower_the_lower_end() {
        // A fifth mismatched, two fifths matched but read poorly: their p-values fall to 1.
        let stream = &mut Seed(4).stream("poor", &[]);
        let p = (0..5000).map(|n| {
            let u = 1.0 - unit(stream);
            match n % 5 {
                0 => u,
                1 | 2 => u * (1.0 - unit(stream)),
                _ => u.powi(20),
            }
        });
        let p: Vec<f64> = p.collect();
        let images: Vec<u32> = (0..5000).map(|n| n / 5).collect();
        let fit = pooled(&p, &images);
        assert!(
            fit.is_sloped && fit.rate.low < 0.2 && fit.rate.high > 0.25,
            "{fit:?}"
        );
    }

    #[test]
    fn cuts_that_disagree_widen_the_interval() {
        let (p, images) = planted(4000, 0.3, 3);
        let other: Vec<f64> = p.iter().map(|p| if *p > 0.9 { 0.01 } else { *p }).collect();
        let readable = vec![true; p.len()];
        let cuts = [p.clone(), other];
        let input = RateInput {
            p: &p,
            image: &images,
            readable: &readable,
            by_cut: &cuts,
        };
        let bootstrap = Bootstrap {
            n_draws: 100,
            seed: Seed(1),
        };
        let wide = estimate_rate(&input, bootstrap).rate;
        let narrow = pooled(&p, &images).rate;
        assert_eq!(wide.estimate, narrow.estimate);
        assert!(wide.high > narrow.high + 0.01 && wide.low < narrow.low - 0.01);
    }

    #[test]
    fn captions_that_are_wrong_together_do_not_move_the_point_by_chance() {
        // The five captions of a mismatched image share its p-value: 160 draws, not 800.
        let mut errors = Vec::new();
        for draw in 0..40 {
            let stream = &mut Seed(12).stream("together", &[draw]);
            let (mut p, mut images) = (Vec::new(), Vec::new());
            for image in 0..400 {
                let u = 1.0 - unit(stream);
                for _ in 0..5 {
                    let matched = (1.0 - unit(stream)).powi(200);
                    p.push(if image % 5 < 2 { u } else { matched });
                    images.push(image);
                }
            }
            errors.push(pooled(&p, &images).rate.estimate - 0.4);
        }
        let mean_square = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
        // At 0.3 the standard error is 0.4 * sqrt(3 / 7 / 160) = 0.021; at 0.8 it is 0.063.
        assert!(mean_square.sqrt() < 0.028, "{}", mean_square.sqrt());
    }

    #[test]
    fn the_curve_is_storeys() {
        let fit = pooled(&[0.01, 0.02, 0.6, 0.9], &[0, 1, 2, 3]);
        let (lambda, share) = fit.curve[10];
        assert!((lambda - 0.5).abs() < 1e-12 && (share - 1.0).abs() < 1e-12);
        assert_eq!(
            pooled(&[], &[]).rate,
            NoiseRate {
                estimate: 1.0,
                low: 0.0,
                high: 1.0
            }
        );
    }

    #[test]
    fn few_clean_pairs_leave_room_for_noise() {
        let p: Vec<f64> = (1..=60).map(|i| f64::from(i) / 1e4).collect();
        let images: Vec<u32> = (0..60).collect();
        let rate = pooled(&p, &images).rate;
        // No success among 60: the upper end of the share above 0.5 is 1 - 0.025^(1/60).
        let high = (1.0 - 0.025f64.powf(1.0 / 60.0)) / 0.5;
        assert!((rate.high - high).abs() < 1e-6, "{rate:?}");
        assert_eq!((rate.estimate, rate.low), (0.0, 0.0));
    }
}
