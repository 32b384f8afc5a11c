//! Bootstrap draws of the audit. Every draw has its own random stream, so draws can run side by side
//! and the number of threads changes nothing.

use rayon::prelude::*;

use crate::rng::{Seed, Stream};

/// Beyond this many images, images are pooled before they are resampled, which leaves the variance of
/// an estimate as it is and bounds the cost.
pub(super) const MAX_CLUSTERS: usize = 20_000;

/// How many draws to make, and from which seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bootstrap {
    /// Number of draws.
    pub(crate) n_draws: usize,
    /// The source of the draws' randomness.
    pub(crate) seed: Seed,
}

impl Bootstrap {
    /// The results of all draws, each from its own stream under `name`.
    pub(crate) fn draw<T: Send>(
        self,
        name: &str,
        draw: impl Fn(&mut Stream) -> T + Sync,
    ) -> Vec<T> {
        (0..self.n_draws as u64)
            .into_par_iter()
            .map(|n| draw(&mut self.seed.stream(name, &[n])))
            .collect()
    }
}

/// The value at quantile `q` in [0, 1] of `values`; `None` if there are none.
pub(super) fn quantile(mut values: Vec<f64>, q: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let at = (q * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied()
}
