//! Stated probability against the share that was truly mismatched.

use truepair_core::audit::{Findings, ReliabilityBin};

use super::percent_tick;
use crate::report::chart::{Chart, LegendKey};
use crate::report::plot::{Axis, Plot};

/// From injected noise when its truth is known, else from the self-check; absent without either.
pub(super) fn figure(findings: &Findings) -> Option<Chart> {
    let (bins, ece, source) = match (&findings.truth, &findings.self_check) {
        (Some(truth), _) => (&truth.reliability, truth.ece, "the injected noise"),
        (None, Some(check)) => (&check.reliability, check.ece, "the self-check"),
        (None, None) => return None,
    };
    let bins: Vec<&ReliabilityBin> = bins.iter().filter(|bin| bin.count > 0).collect();
    let largest = bins.iter().map(|bin| bin.count).max()?;
    let mut plot = Plot::new(
        Axis::new(0.0, 1.0, 4, "stated probability", percent_tick),
        Axis::new(0.0, 1.0, 4, "truly mismatched", percent_tick),
    );
    plot.line((0.0, 0.0), (1.0, 1.0), "rule dashed");
    for bin in &bins {
        let (low, high) = wilson_interval(bin);
        plot.line(
            (bin.mean_posterior, low),
            (bin.mean_posterior, high),
            "whisker",
        );
    }
    for bin in &bins {
        // Area, not radius, stands for the count; the smallest stays visible.
        let radius = 3.0 + 6.0 * (bin.count as f64 / largest as f64).sqrt();
        plot.dot(
            (bin.mean_posterior, bin.share_mismatched),
            radius,
            "point fit",
        );
    }
    let description = format!(
        "Reliability diagram with {} bins; the expected calibration error is {ece:.3}.",
        bins.len()
    );
    Some(Chart {
        title: "Whether the probabilities are true".to_owned(),
        svg: plot.finish(&description),
        legend: vec![
            LegendKey::new("fit", "pairs in a bin; larger means more"),
            LegendKey::new("rule", "perfect calibration"),
        ],
        reading: format!(
            "Checked on {source}: of the pairs called 80\u{a0}%, eight in ten should be \
             mismatched, so dots belong on the diagonal. The mean gap is {ece:.3}; lines show \
             95\u{a0}% intervals."
        ),
    })
}

/// Wilson's score interval of the bin's share at 95 % (Wilson 1927): unlike the normal one it
/// stays within [0, 1] and has a width at shares 0 and 1.
fn wilson_interval(bin: &ReliabilityBin) -> (f64, f64) {
    let (z, n, share) = (1.959_964, bin.count as f64, bin.share_mismatched);
    let denominator = 1.0 + z * z / n;
    let center = (share + z * z / (2.0 * n)) / denominator;
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / denominator;
    (center - half, center + half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    fn bin(count: u64, share_mismatched: f64) -> ReliabilityBin {
        ReliabilityBin {
            count,
            mean_posterior: 0.5,
            share_mismatched,
        }
    }

    #[test]
    fn wilson_agrees_with_a_value_computed_by_hand() {
        // n = 10, share 0.2: (0.2 + 0.19207) / 1.38415 = 0.28326; half width 0.22658.
        let (low, high) = wilson_interval(&bin(10, 0.2));
        assert!(
            (low - 0.05668).abs() < 1e-4 && (high - 0.50984).abs() < 1e-4,
            "{low} {high}"
        );
        let (low, high) = wilson_interval(&bin(50, 0.0));
        assert!(low.abs() < 1e-12 && high > 0.05, "{low} {high}");
    }

    #[test]
    fn empty_bins_have_no_dot_and_truth_precedes_the_self_check() {
        let (_, mut findings, _) = specimen::audited();
        let truth = findings.truth.as_mut().unwrap();
        truth.reliability = vec![bin(5, 0.1), bin(0, 0.0), bin(7, 0.9)];
        let figure = figure(&findings).unwrap();
        assert_eq!(figure.svg.matches("<circle").count(), 2);
        assert!(figure.reading.contains("injected noise"));
        findings.truth = None;
        assert!(
            super::figure(&findings)
                .unwrap()
                .reading
                .contains("self-check")
        );
    }
}
