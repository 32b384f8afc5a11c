//! The audit compared with noise that was injected in addition to what the data holds.

use super::calibration::{auc, calibration_error, precision_recall, reliability};
use super::{InjectedKind, InjectionKind, NoiseRate, SelfCheck};

/// Posterior below which the first audit considered a pair clean.
const CLEAN: f64 = 0.1;

impl SelfCheck {
    /// Compares two audits of the same pairs, before and after changing those named in `injected`;
    /// posteriors and names are `[n]`. Illegible pairs appear only among the kinds.
    ///
    /// With rate `pi` before and a share `r` injected, the rate after is `pi + r (1 - pi)`. AUC,
    /// precision and recall compare injected pairs with those whose first posterior was below 0.1; the
    /// reliability diagram takes the first posterior as the truth of a pair that was not injected.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn measure(
        first: &[f64],
        second: &[f64],
        changed: &[Option<InjectionKind>],
        first_rate: NoiseRate,
        recovered_rate: NoiseRate,
    ) -> SelfCheck {
        assert_eq!(first.len(), second.len(), "two audits of the same pairs");
        assert_eq!(first.len(), changed.len(), "one entry per pair");
        let kinds = kinds(first, second, changed);
        let counted = |n: &usize| changed[*n].is_none_or(InjectionKind::is_mismatch);
        let counted: Vec<usize> = (0..first.len()).filter(counted).collect();
        let injected: Vec<bool> = counted.iter().map(|&n| changed[n].is_some()).collect();
        let of_counted = |values: &[f64]| counted.iter().map(|&n| values[n]).collect::<Vec<f64>>();
        let (first, second) = (&of_counted(first)[..], &of_counted(second)[..]);
        let n_injected = injected.iter().filter(|&&injected| injected).count();
        let share = n_injected as f64 / injected.len().max(1) as f64;
        let compared = (0..first.len()).filter(|&n| injected[n] || first[n] < CLEAN);
        let (posteriors, flags): (Vec<f64>, Vec<bool>) =
            compared.map(|n| (second[n], injected[n])).unzip();
        let (precision, recall) = precision_recall(&posteriors, &flags);
        let belief = first
            .iter()
            .zip(&injected)
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
            kinds,
        }
    }
}

fn kinds(first: &[f64], second: &[f64], changed: &[Option<InjectionKind>]) -> Vec<InjectedKind> {
    let n = first.len();
    let of_kind = |kind: InjectionKind| {
        let members: Vec<usize> = (0..n).filter(|&n| changed[n] == Some(kind)).collect();
        if members.is_empty() {
            return None;
        }
        let clean = (0..n).filter(|&n| changed[n].is_none() && first[n] < CLEAN);
        let compared = members
            .iter()
            .map(|&n| (n, true))
            .chain(clean.map(|n| (n, false)));
        let (posteriors, flags): (Vec<f64>, Vec<bool>) = compared
            .map(|(n, is_of_kind)| (second[n], is_of_kind))
            .unzip();
        let called = members.iter().filter(|&&n| second[n] > 0.5).count();
        Some(InjectedKind {
            kind,
            injected: members.len() as f64 / n as f64,
            auc: auc(&posteriors, &flags),
            called_mismatched: called as f64 / members.len() as f64,
            mean_posterior: members.iter().map(|&n| second[n]).sum::<f64>() / members.len() as f64,
        })
    };
    InjectionKind::ALL.into_iter().filter_map(of_kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegible_pairs_count_as_neither_clean_nor_mismatched() {
        let rate = NoiseRate {
            estimate: 0.0,
            low: 0.0,
            high: 1.0,
        };
        let changed = [
            Some(InjectionKind::Illegible),
            Some(InjectionKind::Near),
            None,
            None,
        ];
        let check = SelfCheck::measure(&[0.0; 4], &[0.9, 1.0, 0.0, 0.0], &changed, rate, rate);
        assert_eq!((check.precision, check.injected), (1.0, 1.0 / 3.0));
        let kinds: Vec<_> = check.kinds.iter().map(|kind| kind.kind).collect();
        assert_eq!(kinds, [InjectionKind::Near, InjectionKind::Illegible]);
        assert_eq!(check.kinds[1].called_mismatched, 1.0);
    }

    #[test]
    fn doubtful_pairs_of_the_first_audit_are_not_counted_as_clean() {
        let rate = |estimate| NoiseRate {
            estimate,
            low: 0.0,
            high: 1.0,
        };
        let first = [0.0, 0.0, 0.9, 0.0];
        let second = [1.0, 0.0, 0.9, 0.0];
        let injected = [Some(InjectionKind::Random), None, None, None];
        let check = SelfCheck::measure(&first, &second, &injected, rate(0.2), rate(0.4));
        assert_eq!(
            (check.auc, check.precision, check.recall, check.ece),
            (1.0, 1.0, 1.0, 0.0)
        );
        assert_eq!(check.injected, 0.25);
        assert_eq!(
            (check.kinds.len(), check.kinds[0].called_mismatched),
            (1, 1.0)
        );
        assert!((check.expected_rate - 0.4).abs() < 1e-12);
    }
}
