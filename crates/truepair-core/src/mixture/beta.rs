//! Two-component beta mixture over per-pair losses.

use serde::{Deserialize, Serialize};

use super::two_components::{TwoComponents, normalize, swap};
use crate::error::Result;

/// A component whose values are all equal would have no variance, and its density no bound.
const MIN_VARIANCE: f64 = 1e-9;

/// Settings of the fit and of its guard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BetaConfig {
    /// Steps of expectation maximization; there is no other stopping rule.
    pub iterations: u32,
    /// Losses scaled to [0, 1] are kept this far from 0 and 1, where densities have poles; in (0, 0.5).
    pub clip: f64,
    /// Least weighted density of a component at a loss during the fit, so that every loss influences
    /// both components.
    pub density_floor: f64,
    /// Whether losses below the low mean are certainly clean and those above the high mean certainly
    /// noisy. Without it a narrow low component gives the smallest losses to the wide one.
    pub monotone: bool,
}

impl Default for BetaConfig {
    fn default() -> Self {
        Self {
            iterations: 10,
            clip: 1e-4,
            density_floor: 1e-12,
            monotone: true,
        }
    }
}

impl BetaConfig {
    /// The fit without the guard, as the BiCro release computes it.
    pub fn unguarded() -> Self {
        Self {
            monotone: false,
            ..Self::default()
        }
    }
}

/// Beliefs about all pairs, and the mixture that they follow from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BetaPosterior {
    /// P(pair is clean), `[n_pairs]` in [0, 1].
    pub posterior: Vec<f32>,
    /// The fitted mixture; `None` when all losses are equal.
    pub mixture: Option<BetaMixture>,
}

/// Probability that each pair is clean, from one loss per pair `[n_pairs]`, by a beta mixture.
///
/// Losses are scaled to [0, 1] by their smallest and largest and clipped; a pair's posterior is that
/// of the component with the smaller mean, after the guard of `config`. When all losses are equal
/// nothing distinguishes the pairs, and every posterior is 1.
///
/// ```
/// use truepair_core::mixture::{BetaConfig, beta_clean_posterior};
///
/// let found = beta_clean_posterior(&[0.1, 0.12, 0.09, 0.11, 0.9, 0.95], &BetaConfig::default())?;
/// assert!(found.posterior[0] > found.posterior[5]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If there is no loss, or a loss is NaN or infinite (the pair is named).
///
/// # Source
/// Yang et al., CVPR 2023. Code read at xu5zhao/BiCro@0231631 (`eval_train`, `BetaMixture1D`).
/// Golden `u03_bicro_beta_mixture`.
///
/// # Deviations
/// 1. The release evaluates posteriors at unclipped losses, where the smallest loss gets 0 or NaN.
/// 2. The release takes the first component for the clean one whatever its mean, has no guard, and
///    returns NaN for equal losses.
pub fn beta_clean_posterior(losses: &[f32], config: &BetaConfig) -> Result<BetaPosterior> {
    let Some(values) = normalize(losses)? else {
        let posterior = vec![1.0; losses.len()];
        return Ok(BetaPosterior {
            posterior,
            mixture: None,
        });
    };
    let mixture = BetaMixture::fit(&values, config);
    let clean = if config.monotone {
        BetaMixture::first_or_certain
    } else {
        BetaMixture::first
    };
    let clipped = (values.iter()).map(|value| value.clamp(config.clip, 1.0 - config.clip));
    let posterior = clipped.map(|value| clean(&mixture, value) as f32).collect();
    Ok(BetaPosterior {
        posterior,
        mixture: Some(mixture),
    })
}

/// A mixture of two beta distributions on (0, 1), the component with the smaller mean first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BetaMixture {
    /// First shape parameters a, above 0.
    pub alphas: [f64; 2],
    /// Second shape parameters b, above 0.
    pub betas: [f64; 2],
    /// Shares of the components, sum 1.
    pub weights: [f64; 2],
}

/// A loss in the forms that the density needs.
#[derive(Debug, Clone, Copy)]
struct Value {
    x: f64,
    ln: f64,
    ln_complement: f64,
}

impl Value {
    fn new(x: f64, clip: f64) -> Self {
        let x = x.clamp(clip, 1.0 - clip);
        Self {
            x,
            ln: x.ln(),
            ln_complement: (1.0 - x).ln(),
        }
    }
}

impl BetaMixture {
    /// Fits by expectation maximization with moments, from Beta(1, 2) and Beta(2, 1) in equal
    /// shares.
    ///
    /// ```text
    /// rₙₖ ∝ max(πₖ Beta(xₙ; aₖ, bₖ), floor)
    /// m = Σₙ rₙₖ xₙ / Σₙ rₙₖ,  s² = Σₙ rₙₖ (xₙ − m)² / Σₙ rₙₖ,  πₖ = Σₙ rₙₖ / N
    /// aₖ = m (m (1 − m) / s² − 1),  bₖ = aₖ (1 − m) / m
    /// ```
    /// `values` lie in [0, 1] and are clipped here.
    ///
    /// # Panics
    /// If `values` is empty or holds NaN, or the clip is not in (0, 0.5).
    pub fn fit(values: &[f64], config: &BetaConfig) -> Self {
        assert!(!values.is_empty(), "a mixture of no values");
        assert!(
            config.clip > 0.0 && config.clip < 0.5,
            "a clip of {} leaves no room for values",
            config.clip
        );
        let values: Vec<Value> = (values.iter())
            .map(|&x| Value::new(x, config.clip))
            .collect();
        let mut mixture = Self {
            alphas: [1.0, 2.0],
            betas: [2.0, 1.0],
            weights: [0.5, 0.5],
        };
        for _ in 0..config.iterations {
            let first = mixture.responsibilities(&values, config.density_floor);
            mixture = Self::maximize(&values, &first);
        }
        mixture.ascending()
    }

    /// Means of the components, ascending.
    pub fn means(&self) -> [f64; 2] {
        [0, 1].map(|k| self.alphas[k] / (self.alphas[k] + self.betas[k]))
    }

    /// Probability that a loss in (0, 1) comes from the component with the smaller mean.
    pub fn posterior(&self, value: f64) -> f64 {
        self.first(value)
    }

    /// The share of the first component in every value.
    fn responsibilities(&self, values: &[Value], floor: f64) -> Vec<f64> {
        let log_densities = self.log_densities();
        (values.iter())
            .map(|&value| {
                let [first, second] = log_densities(value).map(|log| log.exp().max(floor));
                first / (first + second)
            })
            .collect()
    }

    /// The mixture whose moments are those of values with responsibilities `first`.
    fn maximize(values: &[Value], first: &[f64]) -> Self {
        let moments = |share: &dyn Fn(f64) -> f64| {
            let weighted = || values.iter().zip(first).map(|(v, &r)| (v.x, share(r)));
            let count: f64 = weighted().map(|(_, r)| r).sum();
            let mean = weighted().map(|(x, r)| r * x).sum::<f64>() / count;
            let square: f64 = weighted().map(|(x, r)| r * (x - mean).powi(2)).sum();
            let variance = (square / count).max(MIN_VARIANCE);
            let alpha = mean * (mean * (1.0 - mean) / variance - 1.0);
            (alpha, alpha * (1.0 - mean) / mean, count)
        };
        let (low, high) = (moments(&|r| r), moments(&|r| 1.0 - r));
        let total = low.2 + high.2;
        Self {
            alphas: [low.0, high.0],
            betas: [low.1, high.1],
            weights: [low.2 / total, high.2 / total],
        }
    }

    /// Logarithms of both weighted densities.
    fn log_densities(&self) -> impl Fn(Value) -> [f64; 2] {
        let (alphas, betas) = (self.alphas, self.betas);
        let scale = [0, 1].map(|k| {
            let (a, b) = (alphas[k], betas[k]);
            self.weights[k].ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)
        });
        move |value| {
            [0, 1].map(|k| {
                scale[k] + (alphas[k] - 1.0) * value.ln + (betas[k] - 1.0) * value.ln_complement
            })
        }
    }
}

impl TwoComponents for BetaMixture {
    fn means(&self) -> [f64; 2] {
        self.means()
    }

    fn log_joint(&self, value: f64) -> [f64; 2] {
        self.log_densities()(Value::new(value, 0.0))
    }

    fn swapped(self) -> Self {
        Self {
            alphas: swap(self.alphas),
            betas: swap(self.betas),
            weights: swap(self.weights),
        }
    }
}

/// Logarithm of the gamma function of `x > 0`: Stirling's series above 10, reached by
/// `Γ(x + 1) = x Γ(x)`; exact to about 1e-12.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let inverse = x.recip();
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::super::two_components::tests::two_groups;
    use super::*;

    #[test]
    fn the_gamma_function_has_its_known_values() {
        let mut factorial = 1.0f64;
        for n in 1..20u32 {
            assert!(
                (ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-11,
                "{n}"
            );
            factorial *= f64::from(n);
        }
        let pi = std::f64::consts::PI;
        assert!((ln_gamma(0.5) - 0.5 * pi.ln()).abs() < 1e-11);
        for x in [1e-4, 0.3, 0.77] {
            let reflected = ln_gamma(x) + ln_gamma(1.0 - x);
            assert!(
                (reflected - (pi / (pi * x).sin()).ln()).abs() < 1e-10,
                "{x}"
            );
        }
    }

    #[test]
    fn a_step_keeps_the_weighted_moments() {
        let values = [0.1, 0.2, 0.25, 0.7, 0.9];
        let config = BetaConfig {
            iterations: 1,
            ..BetaConfig::default()
        };
        let mixture = BetaMixture::fit(&values, &config);
        // Beta(1, 2) and Beta(2, 1) have the densities 2 (1 − x) and 2 x.
        let count: f64 = values.iter().map(|x| 1.0 - x).sum();
        let mean = values.iter().map(|x| (1.0 - x) * x).sum::<f64>() / count;
        let variance: f64 = values
            .iter()
            .map(|x| (1.0 - x) * (x - mean).powi(2))
            .sum::<f64>()
            / count;
        let (a, b) = (mixture.alphas[0], mixture.betas[0]);
        assert!((mixture.means()[0] - mean).abs() < 1e-9);
        let fitted = a * b / ((a + b).powi(2) * (a + b + 1.0));
        assert!((fitted - variance).abs() < 1e-9);
        assert!((mixture.weights[0] - count / 5.0).abs() < 1e-9);
    }

    #[test]
    fn planted_groups_are_found_and_smaller_losses_are_never_noisier() {
        let losses = two_groups(4000, 0.3);
        let found = beta_clean_posterior(&losses, &BetaConfig::default()).unwrap();
        let clean = found.posterior.iter().filter(|&&p| p > 0.5).count();
        assert!((clean as f64 / 4000.0 - 0.7).abs() < 0.03, "{clean}");
        let mixture = found.mixture.unwrap();
        assert!(mixture.means()[0] < mixture.means()[1]);
        let lowest = (0..4000).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        assert_eq!(found.posterior[lowest.unwrap()], 1.0);
    }

    #[test]
    fn equal_losses_are_all_clean() {
        let found = beta_clean_posterior(&[0.3; 8], &BetaConfig::default()).unwrap();
        assert_eq!(found.posterior, [1.0; 8]);
        assert!(found.mixture.is_none());
    }

    #[test]
    fn few_losses_and_two_values_are_fine() {
        let config = BetaConfig::default();
        let posterior = |losses: &[f32]| beta_clean_posterior(losses, &config).unwrap().posterior;
        assert_eq!(posterior(&[2.0]), [1.0]);
        let two = posterior(&[2.0, -1.0]);
        assert!(two[0] < 0.01 && two[1] > 0.99, "{two:?}");
        let zeros_and_ones: Vec<f32> = (0..100).map(|n| f32::from(n % 3 == 0)).collect();
        for (p, loss) in posterior(&zeros_and_ones).iter().zip(&zeros_and_ones) {
            assert!((p + loss - 1.0).abs() < 1e-3, "{p} {loss}");
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_is_named_and_none_is_refused() {
        let config = BetaConfig::default();
        for bad in [f32::NAN, f32::INFINITY] {
            let error = beta_clean_posterior(&[0.1, 0.2, bad], &config)
                .unwrap_err()
                .to_string();
            assert!(error.contains("pair 2"), "{error}");
        }
        assert!(beta_clean_posterior(&[], &config).is_err());
    }
}
