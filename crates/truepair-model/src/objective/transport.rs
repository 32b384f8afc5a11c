//! Partial optimal transport: which images and captions of a batch belong together, when only a
//! share of them does.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::positive;

/// Settings of a transport plan between the images and the captions of a batch.
///
/// ```text
/// min ⟨C, π⟩ − ε H(π),   π 1 ≤ 1/b,   πᵀ 1 ≤ 1/b,   1ᵀ π 1 = s
/// ```
/// solved in the logarithmic domain by Sinkhorn's iteration over a batch that is extended by a dummy
/// image and a dummy caption, which take what is not transported.
/// # Source
/// Han et al., CVPR 2024; code read at hhc1997/L2RM@a766c22 (golden `u04_l2rm_ot`). Extension by
/// dummies: Chapel et al., NeurIPS 2020.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialTransport {
    /// s: the share of the batch that is matched, (0, 1).
    pub mass: f64,
    /// ε: larger spreads the plan, in units of the cost.
    pub regularization: f64,
    /// Stop when the images' potentials move by less than this, in units of the cost.
    pub tolerance: f64,
    /// Most iterations.
    pub max_iterations: usize,
    /// Whether an image is never matched with its own caption.
    pub mask_given: bool,
}

impl Default for PartialTransport {
    fn default() -> Self {
        Self {
            mass: 0.1,
            regularization: 0.01,
            tolerance: 1e-3,
            max_iterations: 1000,
            mask_given: true,
        }
    }
}

/// A dummy costs this many times the largest cost, so that nothing is transported at a loss.
const DUMMY_COST: f64 = 100.0;

impl PartialTransport {
    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// If the mass is not in (0, 1), or another setting is not positive.
    pub fn check(&self) -> Result<(), Error> {
        positive("transport.regularization", self.regularization)?;
        positive("transport.tolerance", self.tolerance)?;
        if !(self.mass > 0.0 && self.mass < 1.0) {
            return Err(Error::argument(
                format!("transport.mass = {} is not in (0, 1)", self.mass),
                "the paper uses 0.1",
            ));
        }
        Ok(())
    }

    /// The plan `[b * b]` for costs `[b * b]`, both row-major with images as rows; costs are at
    /// least 0. Because the iteration stops early, the plan's sum is near `mass` and not equal.
    ///
    /// # Panics
    /// If the number of costs is no square.
    pub fn plan(&self, cost: &[f32]) -> Vec<f32> {
        let b = cost.len().isqrt();
        assert_eq!(b * b, cost.len(), "costs of a batch are square");
        let kernel = self.log_kernel(cost, b);
        let side = b + 1;
        let transposed: Vec<f64> = (0..side * side)
            .map(|at| kernel[at % side * side + at / side])
            .collect();
        let log_share: Vec<f64> = (0..side)
            .map(|at| match at == b {
                true => (1.0 - self.mass).ln(),
                false => -(b as f64).ln(),
            })
            .collect();
        let (mut images, mut captions) = (vec![0.0; side], vec![0.0; side]);
        for _ in 0..self.max_iterations {
            let next = potentials(&kernel, &captions, &log_share);
            let moved: f64 = (next.iter().zip(&images))
                .map(|(a, b)| (a - b).powi(2))
                .sum();
            images = next;
            captions = potentials(&transposed, &images, &log_share);
            if moved.sqrt() * self.regularization < self.tolerance {
                break;
            }
        }
        (0..b * b)
            .map(|at| {
                let (i, j) = (at / b, at % b);
                (kernel[i * side + j] + images[i] + captions[j]).exp() as f32
            })
            .collect()
    }

    /// `−C / ε` with a dummy row and column, `[(b + 1) * (b + 1)]`; −∞ where matching is forbidden.
    fn log_kernel(&self, cost: &[f32], b: usize) -> Vec<f64> {
        let largest = cost.iter().fold(0.0f64, |m, &c| m.max(c.into()));
        let dummy = DUMMY_COST * largest;
        (0..(b + 1) * (b + 1))
            .map(|at| {
                let cost = match (at / (b + 1), at % (b + 1)) {
                    (i, j) if i == b && j == b => 2.0 * dummy + largest,
                    (i, j) if i == b || j == b => dummy,
                    (i, j) if i == j && self.mask_given => return f64::NEG_INFINITY,
                    (i, j) => cost[i * b + j].into(),
                };
                -cost / self.regularization
            })
            .collect()
    }
}

/// The potentials of the rows that give every row its share: `log pᵢ − log Σⱼ exp(Kᵢⱼ + gⱼ)`.
fn potentials(kernel: &[f64], others: &[f64], log_share: &[f64]) -> Vec<f64> {
    (kernel.chunks_exact(others.len()).zip(log_share))
        .map(|(row, share)| {
            let exponents = || row.iter().zip(others).map(|(k, g)| k + g);
            let largest = exponents().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = exponents().map(|x| (x - largest).exp()).sum();
            share - largest - sum.ln()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(b: usize) -> Vec<f32> {
        (0..b * b)
            .map(|at| 1.0 + ((at * at + 3 * at) as f32 * 0.37).sin())
            .collect()
    }

    #[test]
    fn the_cheapest_matches_get_the_mass_and_no_item_more_than_its_share() {
        let b = 6;
        let mut cost = vec![1.0; b * b];
        (0..b).for_each(|i| cost[i * b + i] = 0.0);
        cost[b + 2] = 0.1;
        let transport = PartialTransport {
            tolerance: 1e-9,
            max_iterations: 20_000,
            ..PartialTransport::default()
        };
        let plan = transport.plan(&cost);
        let sum: f32 = plan.iter().sum();
        assert!((sum - 0.1).abs() < 1e-4, "{sum}");
        assert!((plan[b + 2] - 0.1).abs() < 1e-3, "{plan:?}");
        assert!(
            (0..b).all(|i| plan[i * b + i] == 0.0),
            "given pairs are masked"
        );
        for row in transport.plan(&costs(b)).chunks_exact(b) {
            assert!(row.iter().sum::<f32>() < 1.0 / b as f32 + 1e-4);
        }
    }

    #[test]
    fn free_matches_and_the_smallest_batches_give_finite_plans() {
        let transport = PartialTransport::default();
        for b in 2..4 {
            let plan = transport.plan(&vec![0.0; b * b]);
            assert!(plan.iter().all(|x| x.is_finite()), "{plan:?}");
        }
        assert_eq!(transport.plan(&[0.4]), [0.0]);
    }
}
