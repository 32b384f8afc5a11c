//! Two-component Gaussian mixture over per-pair losses.

use serde::{Deserialize, Serialize};

use super::two_components::{TwoComponents, normalize, swap};
use crate::error::Result;

/// Settings of the fit and of its guards.
///
/// The defaults of the fit are those of the NCR release: the loose tolerance stops expectation
/// maximization after a few steps by design, and a better fit would divide the pairs differently.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianConfig {
    /// Most steps of expectation maximization.
    pub max_iterations: u32,
    /// Stop when the mean log-likelihood changes by less than this.
    pub tolerance: f64,
    /// Added to both variances in every step; losses lie in [0, 1].
    pub variance_floor: f64,
    /// Whether losses below the low mean are certainly clean and those above the high mean certainly
    /// noisy. Without it a narrow low component can give the smallest losses to the wide one.
    pub monotone: bool,
    /// What to do when the fitted density has a single peak.
    pub on_unimodal: UnimodalRule,
}

/// What to believe when the losses show a single group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnimodalRule {
    /// Keep the posterior, which still orders the pairs by loss. Under heavy noise the two groups
    /// overlap into one peak, and considering all pairs clean would be worse than a vague posterior.
    #[default]
    Keep,
    /// Consider every pair clean.
    AllClean,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self {
            max_iterations: 10,
            tolerance: 1e-2,
            variance_floor: 5e-4,
            monotone: true,
            on_unimodal: UnimodalRule::Keep,
        }
    }
}

impl GaussianConfig {
    /// The fit without any guard, as the NCR release computes it.
    pub fn unguarded() -> Self {
        Self {
            monotone: false,
            ..Self::default()
        }
    }
}

/// Beliefs about all pairs, and what the fit was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CleanPosterior {
    /// P(pair is clean), `[n_pairs]` in [0, 1].
    pub posterior: Vec<f32>,
    /// The fitted mixture; `None` when all losses are equal.
    pub mixture: Option<Mixture>,
    /// Whether the fitted density has a single peak, that is, whether the losses show only one group.
    pub unimodal: bool,
}

/// Probability that each pair is clean, from one loss per pair `[n_pairs]`.
///
/// Losses are scaled to [0, 1] by their smallest and largest; a pair's posterior is that of the
/// component with the smaller mean, after the guards of `config`. When all losses are equal nothing
/// distinguishes the pairs, and every posterior is 1.
///
/// ```
/// use truepair_core::mixture::{GaussianConfig, clean_posterior};
///
/// let found = clean_posterior(&[0.1, 0.12, 0.09, 0.11, 0.9, 0.95], &GaussianConfig::default())?;
/// assert!(found.posterior[0] > 0.9 && found.posterior[5] < 0.1);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If there is no loss, or a loss is NaN or infinite (the pair is named).
///
/// # Source
/// Huang et al., NeurIPS 2021, section 3.2. Code read at
/// XLearning-SCU/2021-NeurIPS-NCR@60256ba (`eval_train`), which fails on equal losses and has no
/// guard.
pub fn clean_posterior(losses: &[f32], config: &GaussianConfig) -> Result<CleanPosterior> {
    let Some(values) = normalize(losses)? else {
        let posterior = vec![1.0; losses.len()];
        return Ok(CleanPosterior {
            posterior,
            mixture: None,
            unimodal: true,
        });
    };
    let mixture = Mixture::fit(&values, config);
    let unimodal = mixture.is_unimodal();
    let posterior = match (unimodal, config.on_unimodal) {
        (true, UnimodalRule::AllClean) => vec![1.0; values.len()],
        _ => {
            let clean = if config.monotone {
                Mixture::first_or_certain
            } else {
                Mixture::first
            };
            let values = values.iter();
            values.map(|&value| clean(&mixture, value) as f32).collect()
        }
    };
    Ok(CleanPosterior {
        posterior,
        mixture: Some(mixture),
        unimodal,
    })
}

/// A mixture of two Gaussians in one dimension, the component with the smaller mean first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Means, ascending.
    pub means: [f64; 2],
    /// Variances, including the floor.
    pub variances: [f64; 2],
    /// Shares of the components, sum 1.
    pub weights: [f64; 2],
    /// Steps of expectation maximization taken.
    pub n_iter: u32,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

impl Mixture {
    /// Fits by expectation maximization, from the best division of `values` into two intervals.
    ///
    /// ```text
    /// rₙₖ = πₖ N(xₙ; μₖ, σₖ²) / Σⱼ πⱼ N(xₙ; μⱼ, σⱼ²)
    /// Nₖ = Σₙ rₙₖ,  μₖ = Σₙ rₙₖ xₙ / Nₖ,  σₖ² = Σₙ rₙₖ (xₙ − μₖ)² / Nₖ + floor,  πₖ = Nₖ / N
    /// ```
    ///
    /// The guards of `config` play no part here.
    ///
    /// # Panics
    /// If `values` is empty or holds NaN.
    ///
    /// # Source
    /// scikit-learn 1.9.1, `GaussianMixture(n_components=2)`.
    ///
    /// # Deviations
    /// 1. scikit-learn starts from k-means with random centers, which can miss the optimum; in one
    ///    dimension the optimal two means are found exactly by sorting, so the fit is
    ///    deterministic.
    pub fn fit(values: &[f64], config: &GaussianConfig) -> Self {
        assert!(!values.is_empty(), "a mixture of no values");
        let boundary = two_means_boundary(values);
        let hard = |x: f64| if x <= boundary { 1.0 } else { 0.0 };
        let mut mixture = Self::maximize(values, config.variance_floor, hard);
        let mut likelihood = f64::NEG_INFINITY;
        for iteration in 1..=config.max_iterations {
            let before = std::mem::replace(&mut likelihood, mixture.mean_log_likelihood(values));
            let now = mixture;
            mixture = Self::maximize(values, config.variance_floor, |x| now.first(x));
            mixture.n_iter = iteration;
            if (likelihood - before).abs() < config.tolerance {
                mixture.converged = true;
                break;
            }
        }
        mixture.ascending()
    }

    /// Probability that `value` comes from the component with the smaller mean.
    pub fn posterior(&self, value: f64) -> f64 {
        self.first(value)
    }

    /// Whether the density has a single peak (approximately: the gap of the means is at most the
    /// sum of the standard deviations).
    ///
    /// # Source
    /// The sum of the deviations is the bound for components of equal deviation and share
    /// (Schilling et al., The American Statistician 56, 2002); for others it is a rule of thumb.
    pub fn is_unimodal(&self) -> bool {
        self.means[1] - self.means[0] <= self.variances[0].sqrt() + self.variances[1].sqrt()
    }

    /// The mixture that fits responsibilities `first(x)` of the first component best.
    fn maximize(values: &[f64], floor: f64, first: impl Fn(f64) -> f64) -> Self {
        // An empty component divides by this instead of by zero, as scikit-learn does.
        let mut counts = [10.0 * f64::EPSILON; 2];
        let (mut sums, mut squares) = ([0.0; 2], [0.0; 2]);
        let share = |x: f64| {
            let share = first(x);
            [share, 1.0 - share]
        };
        for &x in values {
            for (k, r) in share(x).into_iter().enumerate() {
                counts[k] += r;
                sums[k] += r * x;
            }
        }
        let means = [sums[0] / counts[0], sums[1] / counts[1]];
        for &x in values {
            for (k, r) in share(x).into_iter().enumerate() {
                squares[k] += r * (x - means[k]).powi(2);
            }
        }
        let total = counts[0] + counts[1];
        Self {
            means,
            variances: [
                squares[0] / counts[0] + floor,
                squares[1] / counts[1] + floor,
            ],
            weights: [counts[0] / total, counts[1] / total],
            n_iter: 0,
            converged: false,
        }
    }

    fn mean_log_likelihood(&self, values: &[f64]) -> f64 {
        let sum: f64 = values
            .iter()
            .map(|&value| {
                let [a, b] = self.log_joint(value);
                a.max(b) + (-(a - b).abs()).exp().ln_1p()
            })
            .sum();
        sum / values.len() as f64
    }
}

impl TwoComponents for Mixture {
    fn means(&self) -> [f64; 2] {
        self.means
    }

    fn log_joint(&self, value: f64) -> [f64; 2] {
        [0, 1].map(|k| {
            let variance = self.variances[k];
            let distance = (value - self.means[k]).powi(2) / variance;
            self.weights[k].ln() - 0.5 * ((std::f64::consts::TAU * variance).ln() + distance)
        })
    }

    fn swapped(self) -> Self {
        Self {
            means: swap(self.means),
            variances: swap(self.variances),
            weights: swap(self.weights),
            ..self
        }
    }
}

/// The largest value of the lower of the two groups with the least squared distance to their
/// means; the largest value of all when they are equal.
///
/// In one dimension the groups are intervals, so one pass over the sorted values with running sums
/// finds the optimum: it is where the sum of squared group means, weighted by size, is largest.
fn two_means_boundary(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let total: f64 = sorted.iter().sum();
    let (mut sum, mut best, mut boundary) = (0.0, f64::NEG_INFINITY, sorted[sorted.len() - 1]);
    for (below, ends) in sorted.windows(2).enumerate() {
        sum += ends[0];
        let (low, high) = ((below + 1) as f64, (sorted.len() - below - 1) as f64);
        let between = sum * sum / low + (total - sum).powi(2) / high;
        if ends[0] < ends[1] && between > best {
            (best, boundary) = (between, ends[0]);
        }
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::super::two_components::tests::two_groups;
    use super::*;
    use crate::rng::{Seed, normal, unit};

    /// Smallest squared distance over all ways to cut the sorted values, from the definition.
    fn oracle_boundary(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let distance = |group: &[f64]| {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            group.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
        };
        let cuts = 1..sorted.len();
        let cost = |&cut: &usize| distance(&sorted[..cut]) + distance(&sorted[cut..]);
        let best = cuts.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap();
        sorted[best - 1]
    }

    #[test]
    fn the_start_is_the_exact_optimum() {
        let mut rng = Seed(9).stream("test", &[]);
        for n in [2, 3, 10, 57] {
            let values: Vec<f64> = (0..n).map(|_| unit(&mut rng).powi(2)).collect();
            assert_eq!(two_means_boundary(&values), oracle_boundary(&values));
        }
        assert_eq!(two_means_boundary(&[0.0, 0.0, 0.0, 1.0]), 0.0);
        assert_eq!(two_means_boundary(&[3.0, 3.0]), 3.0);
    }

    #[test]
    fn one_step_follows_the_equations() {
        let values = [0.0, 0.1, 0.3, 0.8, 1.0];
        let config = GaussianConfig {
            max_iterations: 1,
            ..GaussianConfig::default()
        };
        let mixture = Mixture::fit(&values, &config);
        let (means, variances, weights) = (
            [0.4 / 3.0, 0.9],
            [0.14 / 9.0 + 5e-4, 0.01 + 5e-4],
            [0.6, 0.4],
        );
        let density = |x: f64, k: usize| -> f64 {
            let z = (x - means[k]).powi(2) / variances[k];
            weights[k] * (-z / 2.0).exp() / (std::f64::consts::TAU * variances[k]).sqrt()
        };
        let r: Vec<f64> = values
            .iter()
            .map(|&x| density(x, 0) / (density(x, 0) + density(x, 1)))
            .collect();
        let count: f64 = r.iter().sum();
        let mean = r.iter().zip(values).map(|(r, x)| r * x).sum::<f64>() / count;
        let variance = r
            .iter()
            .zip(values)
            .map(|(r, x)| r * (x - mean).powi(2))
            .sum::<f64>()
            / count
            + 5e-4;
        assert!((mixture.means[0] - mean).abs() < 1e-9);
        assert!((mixture.variances[0] - variance).abs() < 1e-9);
        assert!((mixture.weights[0] - count / 5.0).abs() < 1e-9);
        assert!(!mixture.converged && mixture.n_iter == 1);
    }

    #[test]
    fn planted_groups_are_found() {
        let losses = two_groups(4000, 0.3);
        let found = clean_posterior(&losses, &GaussianConfig::default()).unwrap();
        let clean = found
            .posterior
            .iter()
            .filter(|&&posterior| posterior > 0.5)
            .count();
        assert!((clean as f64 / 4000.0 - 0.7).abs() < 0.03, "{clean}");
        assert!(!found.unimodal);
    }

    #[test]
    fn equal_losses_are_all_clean() {
        let found = clean_posterior(&[0.3; 8], &GaussianConfig::default()).unwrap();
        assert_eq!(found.posterior, [1.0; 8]);
        assert!(found.mixture.is_none() && found.unimodal);
    }

    #[test]
    fn two_losses_and_one_loss_are_fine() {
        let config = GaussianConfig::default();
        assert_eq!(clean_posterior(&[2.0], &config).unwrap().posterior, [1.0]);
        let found = clean_posterior(&[2.0, -1.0], &config).unwrap().posterior;
        assert!(found[0] < 0.01 && found[1] > 0.99, "{found:?}");
    }

    #[test]
    fn a_loss_that_is_not_finite_is_named_and_none_is_refused() {
        let config = GaussianConfig::default();
        for bad in [f32::NAN, f32::INFINITY] {
            let error = clean_posterior(&[0.1, 0.2, bad], &config)
                .unwrap_err()
                .to_string();
            assert!(error.contains("pair 2"), "{error}");
        }
        assert!(clean_posterior(&[], &config).is_err());
        assert!(clean_posterior(&[f32::MAX, f32::MIN], &config).is_ok());
    }

    /// A narrow low group inside a wide high one: raw posteriors of the lowest losses fall.
    #[test]
    fn the_monotone_guard_keeps_the_smallest_losses_clean() {
        let mut losses = vec![0.0f32];
        losses.extend((0..200).map(|n| 0.3 + 1e-4 * n as f32));
        losses.extend((0..60).map(|n| 0.01 * n as f32 + 0.35));
        let raw = clean_posterior(&losses, &GaussianConfig::unguarded())
            .unwrap()
            .posterior;
        let guarded = clean_posterior(&losses, &GaussianConfig::default())
            .unwrap()
            .posterior;
        assert!(raw[0] < 0.5 && raw[100] > 0.5, "{} {}", raw[0], raw[100]);
        assert_eq!(guarded[0], 1.0);
        assert_eq!(*guarded.last().unwrap(), 0.0);
    }

    #[test]
    fn one_group_is_reported_and_can_be_held_clean() {
        let mut rng = Seed(5).stream("test", &[]);
        let losses: Vec<f32> = (0..2000).map(|_| normal(&mut rng) as f32).collect();
        let config = GaussianConfig::default();
        let kept = clean_posterior(&losses, &config).unwrap();
        assert!(kept.unimodal && kept.posterior.iter().any(|&posterior| posterior < 0.5));
        let config = GaussianConfig {
            on_unimodal: UnimodalRule::AllClean,
            ..config
        };
        assert!(
            clean_posterior(&losses, &config)
                .unwrap()
                .posterior
                .iter()
                .all(|&p| p == 1.0)
        );
    }
}
