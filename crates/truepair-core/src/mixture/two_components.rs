//! What mixtures of two components over losses have in common: scaled losses, the order of the
//! components, and the guard.

use crate::error::{Error, Result};

/// Scales losses to [0, 1] by their smallest and largest; `None` when all are equal.
///
/// # Errors
/// If there is no loss, or a loss is NaN or infinite (the pair is named).
pub fn normalize(losses: &[f32]) -> Result<Option<Vec<f64>>> {
    if let Some(pair) = losses.iter().position(|loss| !loss.is_finite()) {
        return Err(Error::argument(
            format!("the loss of pair {pair} is {}", losses[pair]),
            "look for NaN in the features, or lower the learning rate",
        ));
    }
    if losses.is_empty() {
        return Err(Error::argument(
            "no losses to divide",
            "give at least one pair",
        ));
    }
    let low = losses.iter().copied().fold(f32::INFINITY, f32::min);
    let high = losses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if low == high {
        return Ok(None);
    }
    // The difference of two finite numbers can overflow in f32, never in f64.
    let (low, range) = (f64::from(low), f64::from(high) - f64::from(low));
    Ok(Some(
        losses
            .iter()
            .map(|&loss| (f64::from(loss) - low) / range)
            .collect(),
    ))
}

/// A fitted mixture of two components in one dimension.
pub(super) trait TwoComponents: Sized {
    /// Means of the components.
    fn means(&self) -> [f64; 2];

    /// Logarithms of both weighted densities at a value.
    fn log_joint(&self, value: f64) -> [f64; 2];

    /// The same mixture with the second component first.
    fn swapped(self) -> Self;

    /// The same mixture with the smaller mean first.
    fn ascending(self) -> Self {
        let [first, second] = self.means();
        if first <= second {
            self
        } else {
            self.swapped()
        }
    }

    /// Probability that a value comes from the first component.
    fn first(&self, value: f64) -> f64 {
        let [first, second] = self.log_joint(value);
        1.0 / (1.0 + (second - first).exp())
    }

    /// The same, but certain below the low mean and above the high one. Without this guard a narrow low
    /// component gives the smallest values to the wide one.
    fn first_or_certain(&self, value: f64) -> f64 {
        let [low, high] = self.means();
        if value < low {
            1.0
        } else if value > high {
            0.0
        } else {
            self.first(value)
        }
    }
}

/// The numbers of both components, swapped.
pub(super) fn swap([a, b]: [f64; 2]) -> [f64; 2] {
    [b, a]
}

#[cfg(test)]
pub(super) mod tests {
    use crate::rng::{Seed, normal, unit};

    /// Losses, a share `noisy` of which is large.
    pub(in crate::mixture) fn two_groups(n: usize, noisy: f64) -> Vec<f32> {
        let mut rng = Seed(1).stream("test", &[]);
        let draw = |_| {
            if unit(&mut rng) < noisy {
                0.7 + 0.1 * normal(&mut rng) as f32
            } else {
                0.1 + 0.03 * normal(&mut rng) as f32
            }
        };
        (0..n).map(draw).collect()
    }
}
