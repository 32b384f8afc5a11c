//! Whether the scores know anything: held-out ranking against chance.

use super::Competence;

/// p-value up to which a pair counts as ranked well.
const LEVEL: f64 = 0.05;

/// Standard errors above chance that are put down to chance: exceeded about once in 700.
const MARGIN: f64 = 3.0;

impl Competence {
    /// Counts null-calibrated p-values `[n]` at or below 0.05. Pairs of one image are dependent,
    /// so the sampling error is that of `n_images` independent draws.
    pub fn measure(p: &[f64], n_images: usize) -> Competence {
        let n_below = p.iter().filter(|&&p| p <= LEVEL).count();
        let error = (LEVEL * (1.0 - LEVEL) / n_images.max(1) as f64).sqrt();
        Competence {
            share_below_5_percent: n_below as f64 / p.len().max(1) as f64,
            chance: LEVEL + MARGIN * error,
        }
    }

    /// Whether the scores rank held-out pairs better than chance.
    pub fn is_sufficient(&self) -> bool {
        self.share_below_5_percent > self.chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_values_are_chance_and_small_ones_are_not() {
        let uniform: Vec<f64> = (1..=1000).map(|i| f64::from(i) / 1000.0).collect();
        assert!(!Competence::measure(&uniform, 1000).is_sufficient());
        let good: Vec<f64> = uniform.iter().map(|p| p * p).collect();
        assert!(Competence::measure(&good, 1000).is_sufficient());
        assert!(!Competence::measure(&good, 5).is_sufficient());
    }
}
