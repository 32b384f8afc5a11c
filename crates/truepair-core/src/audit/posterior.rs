//! From null-calibrated p-values to the probability that a pair is mismatched.
//!
//! ```text
//! P(mismatched | p) = pi f0(p) / f(p),   f0 = 1
//! ```
//!
//! (two-groups model: Efron, 2008), with `f` a decreasing density: the Grenander (1956) estimator, the
//! slopes of the least concave majorant of the empirical distribution function. It needs no bandwidth,
//! and the posterior it gives can only grow with p. Strimmer (2008) used it for local false discovery
//! rates.

/// A decreasing density on [0, 1] made of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct DecreasingDensity {
    /// Right end of every step, ascending; the last one is 1.
    ends: Vec<f64>,
    /// Height of every step, descending.
    heights: Vec<f64>,
    /// Median of the p-values in every step: where its height applies when steps are joined.
    centers: Vec<f64>,
}

impl DecreasingDensity {
    /// Fits p-values in (0, 1], in any order, by pooling adjacent violators: O(n log n).
    ///
    /// A value represents the interval down to the next smaller one, which is what a rank among null
    /// draws means, so ties and finite resolution need no special care. No values give the uniform
    /// density.
    pub fn fit(p: &[f64]) -> Self {
        let mut sorted = p.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let blocks = pooled(&sorted);
        let mut end = 0.0;
        let mut n_before = 0;
        let mut fitted = Self {
            ends: Vec::new(),
            heights: Vec::new(),
            centers: Vec::new(),
        };
        for block in &blocks {
            let start = end;
            end += block.width;
            fitted.ends.push(end);
            fitted
                .heights
                .push(block.count as f64 / sorted.len().max(1) as f64 / block.width);
            let middle = n_before + block.count / 2;
            let empty = block.count == 0;
            fitted.centers.push(if empty {
                (start + end) / 2.0
            } else {
                sorted[middle]
            });
            n_before += block.count;
        }
        if sorted.is_empty() {
            fitted.heights = vec![1.0];
        }
        *fitted
            .ends
            .last_mut()
            .expect("pooling leaves at least one block") = 1.0;
        fitted
    }

    /// `(right end, height)` of every step.
    pub fn steps(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.ends.iter().copied().zip(self.heights.iter().copied())
    }

    /// The height of the step that holds `p` in (0, 1].
    pub fn at(&self, p: f64) -> f64 {
        let step = self.ends.partition_point(|&end| end < p);
        self.heights[step.min(self.heights.len() - 1)]
    }

    /// The height at `p` with the steps' centers joined by straight lines on a logarithmic scale,
    /// so that pairs of one step keep the order of their p-values.
    pub fn joined_at(&self, p: f64) -> f64 {
        let right = self.centers.partition_point(|&center| center < p);
        if right == 0 || right == self.centers.len() {
            return self.heights[right.min(self.heights.len() - 1)];
        }
        let (x0, x1) = (self.centers[right - 1], self.centers[right]);
        let [y0, y1] =
            [right - 1, right].map(|step| self.heights[step].max(f64::MIN_POSITIVE).ln());
        (y0 + (y1 - y0) * (p - x0) / (x1 - x0)).exp()
    }
}

/// A run of p-values on one slope of the majorant.
struct Block {
    width: f64,
    count: usize,
}

fn pooled(sorted: &[f64]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut left = 0.0;
    let atoms = sorted
        .chunk_by(|a, b| a == b)
        .map(|atom| (atom[0], atom.len()));
    let tail = sorted
        .last()
        .is_none_or(|&last| last < 1.0)
        .then_some((1.0, 0));
    for (right, count) in atoms.chain(tail) {
        let mut block = Block {
            width: right - left,
            count,
        };
        left = right;
        while let Some(last) = blocks.pop() {
            if last.count as f64 * block.width > block.count as f64 * last.width {
                blocks.push(last);
                break;
            }
            block = Block {
                width: last.width + block.width,
                count: last.count + block.count,
            };
        }
        blocks.push(block);
    }
    blocks
}

/// Posterior `[n]` that each pair is mismatched, from its null-calibrated p-value `[n]`, the
/// density of these values and the noise rate.
///
/// Where the density falls below the noise rate by chance the posterior is capped at 1, which lowers
/// its mean; the ratio is scaled so that the mean is the noise rate again.
///
/// ```
/// use truepair_core::audit::{DecreasingDensity, posteriors};
///
/// // Eight matched pairs rank far in front, two pairs anywhere.
/// let p = [0.01, 0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02, 0.4, 0.9];
/// let found = posteriors(&p, &DecreasingDensity::fit(&p), 0.2);
/// assert!(found[0] < 0.05 && found[9] > 0.9);
/// ```
pub fn posteriors(p: &[f64], density: &DecreasingDensity, noise_rate: f64) -> Vec<f64> {
    posteriors_at(p, p, density, noise_rate)
}

/// Posteriors at the values `at`, which may differ from the values `p` whose mean posterior is the
/// noise rate.
pub(super) fn posteriors_at(
    at: &[f64],
    p: &[f64],
    density: &DecreasingDensity,
    noise_rate: f64,
) -> Vec<f64> {
    let heights: Vec<f64> = p.iter().map(|&p| density.joined_at(p)).collect();
    let capped = |scale: f64, height: f64| if height > scale { scale / height } else { 1.0 };
    let mean = |scale: f64| {
        heights
            .iter()
            .map(|&height| capped(scale, height))
            .sum::<f64>()
            / p.len().max(1) as f64
    };
    if noise_rate <= 0.0 || noise_rate >= 1.0 {
        return vec![noise_rate.clamp(0.0, 1.0); at.len()];
    }
    // The mean grows with the scale; joining steps moves it by little, so a factor 2 brackets it.
    let (mut low, mut high) = (noise_rate / 2.0, noise_rate * 2.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if mean(middle) < noise_rate {
            low = middle
        } else {
            high = middle
        }
    }
    (at.iter().map(|&p| capped(high, density.joined_at(p)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, below, unit};

    /// Least concave majorant by definition: at every knot the highest chord over it, O(n²) chords.
    fn majorant_at(sorted: &[f64], x: f64) -> f64 {
        let n = sorted.len() as f64;
        let mut points = vec![(0.0, 0.0), (1.0, 1.0)];
        points.extend(
            sorted
                .iter()
                .enumerate()
                .map(|(i, &p)| (p, (i + 1) as f64 / n)),
        );
        let mut best: f64 = 0.0;
        for &(x0, y0) in &points {
            for &(x1, y1) in &points {
                if x0 <= x && x <= x1 {
                    let t = if x1 > x0 { (x - x0) / (x1 - x0) } else { 1.0 };
                    best = best.max(if x1 > x0 {
                        y0 + t * (y1 - y0)
                    } else {
                        y0.max(y1)
                    });
                }
            }
        }
        best
    }

    #[test]
    fn steps_integrate_to_the_least_concave_majorant() {
        let stream = &mut Seed(3).stream("test", &[]);
        for n in [1, 2, 7, 40] {
            // Few distinct values, so that there are ties.
            let mut p: Vec<f64> = (0..n)
                .map(|_| (1 + below(stream, 25)) as f64 / 25.0)
                .collect();
            let density = DecreasingDensity::fit(&p);
            p.sort_unstable_by(f64::total_cmp);
            let (mut integral, mut left) = (0.0, 0.0);
            for (end, height) in density.steps() {
                integral += height * (end - left);
                left = end;
                assert!(
                    (integral - majorant_at(&p, end)).abs() < 1e-12,
                    "{p:?} at {end}"
                );
            }
            assert!((integral - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn heights_and_joined_heights_never_grow() {
        let stream = &mut Seed(4).stream("test", &[]);
        let p: Vec<f64> = (0..500).map(|_| (1.0 - unit(stream)).powi(3)).collect();
        let density = DecreasingDensity::fit(&p);
        let at: Vec<f64> = (1..=1000)
            .map(|i| density.at(f64::from(i) / 1000.0))
            .collect();
        let joined: Vec<f64> = (1..=1000)
            .map(|i| density.joined_at(f64::from(i) / 1e3))
            .collect();
        assert!(at.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(joined.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12));
    }

    #[test]
    fn posteriors_grow_with_p_and_average_to_the_rate() {
        let stream = &mut Seed(5).stream("test", &[]);
        let draw = |i: usize| {
            let u = 1.0 - unit(stream);
            if i < 800 { u } else { u.powi(20) }
        };
        let mut p: Vec<f64> = (0..2000).map(draw).collect();
        p.sort_unstable_by(f64::total_cmp);
        let posteriors = posteriors(&p, &DecreasingDensity::fit(&p), 0.4);
        assert!(posteriors.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        assert!(
            posteriors
                .iter()
                .all(|posterior| (0.0..=1.0).contains(posterior))
        );
        let mean = posteriors.iter().sum::<f64>() / 2000.0;
        assert!((mean - 0.4).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn no_values_are_uniform_and_a_rate_of_0_is_certain() {
        let density = DecreasingDensity::fit(&[]);
        assert_eq!((density.at(0.3), density.joined_at(0.3)), (1.0, 1.0));
        let one = DecreasingDensity::fit(&[0.25]);
        assert_eq!((one.at(0.25), one.at(0.26)), (4.0, 0.0));
        assert_eq!(posteriors(&[0.2, 0.9], &density, 0.0), [0.0, 0.0]);
    }
}
