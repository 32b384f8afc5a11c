//! How much of the level part of the p-values must be uniform when matched pairs may rank poorly.
//!
//! ```text
//! f(p) = pi + Σ_k w_k φ(z - mu_k) / φ(z),   z = Φ⁻¹(1 - p),   pi + Σ_k w_k = 1
//! ```
//!
//! A matched pair whose score exceeds those of mismatched ones by `mu` standard deviations has a
//! p-value of this kind. Shifts as small as half a standard deviation are allowed; their density falls
//! slowly over all of [0, 1], so the best-fitting weight `pi` errs downward: it is a lower bound.

use statrs::function::erf::{erfc, erfc_inv};

/// Shifts of matched pairs, in standard deviations.
const SHIFTS: [f64; 12] = [0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0];

/// The smallest shift of matched pairs that count as well ranked.
const WELL_RANKED: f64 = 1.5;

/// Bins that p-values are counted in: up to 0.02, to 0.05, to 0.1, then 45 of width 0.02.
pub(super) const BINS: usize = 48;
const FINE: [f64; 3] = [0.02, 0.05, 0.1];

/// Expectation-maximization steps.
const STEPS: usize = 150;

/// Index of the bin that holds `p` in (0, 1].
pub(super) fn bin(p: f64) -> usize {
    match FINE.iter().position(|&edge| p <= edge) {
        Some(bin) => bin,
        // The right end belongs to the bin; rounding must not push it out.
        None => (FINE.len() + ((p - 0.1) * 50.0 - 1e-9).max(0.0) as usize).min(BINS - 1),
    }
}

/// The first bin above `lambda`, a multiple of 0.02 from 0.1 on.
pub(super) fn first_bin_above(lambda: f64) -> usize {
    FINE.len() + ((lambda - 0.1) * 50.0).round() as usize
}

/// Right end of a bin.
fn edge(bin: usize) -> f64 {
    if bin < FINE.len() {
        FINE[bin]
    } else {
        0.1 + (bin + 1 - FINE.len()) as f64 / 50.0
    }
}

/// Probabilities of the bins under every component, the uniform one first.
pub(super) struct PoorRanks {
    components: Vec<[f64; BINS]>,
}

impl PoorRanks {
    pub(super) fn new() -> Self {
        let uniform = masses(|p| p);
        let shifted = SHIFTS.iter().map(|shift| {
            masses(|p| {
                if p <= 0.0 || p >= 1.0 {
                    return p.clamp(0.0, 1.0);
                }
                // P(Z + shift >= z_p).
                let z = std::f64::consts::SQRT_2 * erfc_inv(2.0 * p);
                0.5 * erfc((z - shift) / std::f64::consts::SQRT_2)
            })
        });
        Self {
            components: std::iter::once(uniform).chain(shifted).collect(),
        }
    }

    /// The weight of the uniform component that fits `counts` best, [0, 1]; 1 without counts.
    pub(super) fn level_share(&self, counts: &[u32; BINS]) -> f64 {
        self.weights(counts)[0].clamp(0.0, 1.0)
    }

    /// The weight of matched pairs whose scores exceed those of mismatched ones by at least 1.5 standard
    /// deviations, [0, 1], as it fits the p-values `p` best.
    pub(super) fn well_ranked(&self, p: &[f64]) -> f64 {
        let mut counts = [0; BINS];
        p.iter().for_each(|p| counts[bin(*p)] += 1);
        let weights = self.weights(&counts);
        let shifted = weights[1..].iter().zip(SHIFTS);
        shifted
            .filter(|(_, shift)| *shift >= WELL_RANKED)
            .map(|(weight, _)| weight)
            .sum()
    }

    /// The weights of all components, the uniform one first.
    fn weights(&self, counts: &[u32; BINS]) -> Vec<f64> {
        let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
        if n == 0.0 {
            return std::iter::once(1.0).chain(SHIFTS.map(|_| 0.0)).collect();
        }
        let mut weights = vec![0.5 / SHIFTS.len() as f64; 1 + SHIFTS.len()];
        weights[0] = 0.5;
        for _ in 0..STEPS {
            let mut density = [0.0; BINS];
            for (weight, component) in weights.iter().zip(&self.components) {
                (density.iter_mut().zip(component)).for_each(|(sum, mass)| *sum += weight * mass);
            }
            let ratio: [f64; BINS] =
                std::array::from_fn(|bin| f64::from(counts[bin]) / n / density[bin].max(1e-300));
            for (weight, component) in weights.iter_mut().zip(&self.components) {
                *weight *= component
                    .iter()
                    .zip(&ratio)
                    .map(|(a, b)| a * b)
                    .sum::<f64>();
            }
        }
        weights
    }
}

fn masses(cumulative: impl Fn(f64) -> f64) -> [f64; BINS] {
    std::array::from_fn(|bin| {
        let left = if bin == 0 { 0.0 } else { edge(bin - 1) };
        cumulative(edge(bin)) - cumulative(left)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_between_the_edges_of_its_bin() {
        for i in 1..=100_000 {
            let p = f64::from(i) / 100_000.0;
            let bin = bin(p);
            let left = if bin == 0 { 0.0 } else { edge(bin - 1) };
            assert!(left - 1e-9 <= p && p <= edge(bin) + 1e-9, "{p} in {bin}");
        }
        assert!((edge(BINS - 1) - 1.0).abs() < 1e-12);
        for lambda in [0.3, 0.5, 0.8] {
            assert!((edge(first_bin_above(lambda) - 1) - lambda).abs() < 1e-12);
        }
    }

    #[test]
    fn components_are_distributions() {
        for component in PoorRanks::new().components {
            assert!((component.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(component.iter().all(|mass| *mass >= 0.0));
        }
    }

    #[test]
    fn a_uniform_share_is_recovered_from_below() {
        let model = PoorRanks::new();
        let share = |shifted: usize| -> [u32; BINS] {
            std::array::from_fn(|bin| {
                let mass = 0.3 * model.components[0][bin] + 0.7 * model.components[shifted][bin];
                (mass * 1e7).round() as u32
            })
        };
        // Well ranked matches leave the uniform part alone; poorly ranked ones take from it.
        let well = model.level_share(&share(9));
        assert!((0.25..=0.31).contains(&well), "{well}");
        let poorly = model.level_share(&share(3));
        assert!((0.1..=0.32).contains(&poorly), "{poorly}");
        assert_eq!(model.level_share(&[0; BINS]), 1.0);
    }
}
