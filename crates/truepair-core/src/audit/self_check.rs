//! The audit held against noise that was injected on top of whatever the data holds.

use super::calibration::{auc, calibration_error, precision_recall, reliability};
use super::{NoiseRate, SelfCheck};

/// Pairs that the first audit held clean.
const CLEAN: f64 = 0.1;

impl SelfCheck {
    /// Compares two audits of the same pairs, before and after re-shuffling the captions of those
    /// flagged in `injected`; posteriors and flags are `[n]`.
    ///
    /// With rate `pi` before and a share `r` injected, the rate after is `pi + r (1 - pi)`. AUC,
    /// precision and recall compare injected pairs with those of a first posterior below 0.1; the
    /// reliability diagram takes the first posterior as the truth of a pair that was not injected.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn measure(
        first: &[f64],
        second: &[f64],
        injected: &[bool],
        first_rate: NoiseRate,
        recovered_rate: NoiseRate,
    ) -> SelfCheck {
        assert_eq!(first.len(), second.len(), "two audits of the same pairs");
        assert_eq!(first.len(), injected.len(), "one flag per pair");
        let n_injected = injected.iter().filter(|&&injected| injected).count();
        let share = n_injected as f64 / injected.len().max(1) as f64;
        let compared = (0..first.len()).filter(|&n| injected[n] || first[n] < CLEAN);
        let (posteriors, flags): (Vec<f64>, Vec<bool>) =
            compared.map(|n| (second[n], injected[n])).unzip();
        let (precision, recall) = precision_recall(&posteriors, &flags);
        let belief = first
            .iter()
            .zip(injected)
            .map(|(&p, &bad)| if bad { 1.0 } else { p });
        let reliability = reliability(second, &belief.collect::<Vec<f64>>());
        SelfCheck {
            injected: share,
            expected_rate: first_rate.estimate + share * (1.0 - first_rate.estimate),
            recovered_rate,
            auc: auc(&posteriors, &flags),
            precision,
            recall,
            ece: calibration_error(&reliability),
            reliability,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_pairs_of_the_first_audit_are_not_counted_as_clean() {
        let rate = |estimate| NoiseRate {
            estimate,
            low: 0.0,
            high: 1.0,
        };
        let first = [0.0, 0.0, 0.9, 0.0];
        let second = [1.0, 0.0, 0.9, 0.0];
        let injected = [true, false, false, false];
        let check = SelfCheck::measure(&first, &second, &injected, rate(0.2), rate(0.4));
        assert_eq!(
            (check.auc, check.precision, check.recall, check.ece),
            (1.0, 1.0, 1.0, 0.0)
        );
        assert_eq!(check.injected, 0.25);
        assert!((check.expected_rate - 0.4).abs() < 1e-12);
    }
}
