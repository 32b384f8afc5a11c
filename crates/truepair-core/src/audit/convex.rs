//! A convex decreasing density on [0, 1] that ends flat: what null-calibrated p-values look like.
//!
//! ```text
//! f(p) = pi + sum_k w_k 2 (t_k - p)+ / t_k²,   t_k <= FLAT_FROM,   pi + sum_k w_k = 1
//! ```
//!
//! Mixtures of triangles are all convex decreasing densities; the weight of the uniform part is the
//! density's lowest value and with it the estimate of the noise rate (Langaas, Lindqvist and
//! Ferkingstad, 2005). Unlike Storey's estimate at one lambda it uses the shape of the whole tail:
//! near `lambda` = 0.3 for a small variance, near 1 for a small bias.

/// From here on the density is taken as flat: matched pairs with a p-value above this are too rare
/// to be told from mismatched ones. Letting triangles reach 1 would read a chance slope of the
/// uniform part as matched pairs.
pub(super) const FLAT_FROM: f64 = 0.8;

/// Triangles, geometrically spaced from the narrowest to [`FLAT_FROM`].
const TRIANGLES: usize = 25;
const NARROWEST: f64 = 2e-4;

/// Bins that p-values are counted in: 15 geometric ones below 0.1, then 45 of width 0.02.
pub(super) const BINS: usize = 60;
const FINE_BINS: usize = 15;

/// Bins from here on lie above one half.
pub(super) const UPPER_HALF: usize = FINE_BINS + 20;

/// Expectation-maximization steps. The likelihood is flat between the uniform part and the widest
/// triangles: more steps move the estimate by less than its sampling error.
const STEPS: usize = 400;

/// Index of the bin that holds `p` in (0, 1].
pub(super) fn bin(p: f64) -> usize {
    if p > 0.1 {
        return (FINE_BINS + ((p - 0.1) * 50.0) as usize).min(BINS - 1);
    }
    let position = (p / 1e-4).ln() / 1000f64.ln() * (FINE_BINS - 1) as f64;
    position.ceil().clamp(0.0, (FINE_BINS - 1) as f64) as usize
}

/// Right end of a bin.
fn edge(bin: usize) -> f64 {
    if bin < FINE_BINS {
        1e-4 * 1000f64.powf(bin as f64 / (FINE_BINS - 1) as f64)
    } else {
        0.1 + (bin + 1 - FINE_BINS) as f64 / 50.0
    }
}

/// Probabilities of the bins under every component.
pub(super) struct ConvexModel {
    components: Vec<[f64; BINS]>,
}

impl ConvexModel {
    pub(super) fn new() -> Self {
        let ratio = FLAT_FROM / NARROWEST;
        let width = |k: usize| NARROWEST * ratio.powf(k as f64 / (TRIANGLES - 1) as f64);
        let uniform = masses(|p| p);
        let triangles = (0..TRIANGLES).map(width).map(|t| {
            masses(|p| {
                let share = (p / t).min(1.0);
                share * (2.0 - share)
            })
        });
        Self {
            components: std::iter::once(uniform).chain(triangles).collect(),
        }
    }

    /// The weight of the uniform part that fits `counts` `[BINS]` best, [0, 1]; 1 without counts.
    pub(super) fn uniform_share(&self, counts: &[u32; BINS]) -> f64 {
        let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
        if n == 0.0 {
            return 1.0;
        }
        let mut weights = vec![0.5 / TRIANGLES as f64; 1 + TRIANGLES];
        weights[0] = 0.5;
        for _ in 0..STEPS {
            let mut density = [0.0; BINS];
            for (weight, component) in weights.iter().zip(&self.components) {
                density
                    .iter_mut()
                    .zip(component)
                    .for_each(|(sum, mass)| *sum += weight * mass);
            }
            // The uniform part keeps every bin possible as long as it has weight; the floor stands
            // in once that has vanished.
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
        weights[0].clamp(0.0, 1.0)
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
        assert!((edge(UPPER_HALF - 1) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn components_are_distributions() {
        for component in ConvexModel::new().components {
            assert!((component.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_mixture_of_its_own_kind_is_recovered() {
        // A quarter uniform, the rest a triangle ending at 0.2, counted without sampling error.
        let triangle = |p: f64| (p / 0.2).min(1.0) * (2.0 - (p / 0.2).min(1.0));
        let share = masses(|p| 0.25 * p + 0.75 * triangle(p));
        let counts = share.map(|share| (share * 1e8).round() as u32);
        let found = ConvexModel::new().uniform_share(&counts);
        assert!((found - 0.25).abs() < 0.005, "{found}");
        assert_eq!(ConvexModel::new().uniform_share(&[0; BINS]), 1.0);
    }
}
