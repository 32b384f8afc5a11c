//! The noise rate on a scale from nothing to everything, with its interval.

use truepair_core::audit::{Findings, NoiseRate, Outcome};

use crate::report::number::{estimate, interval, percent};

/// The bar below the headline and the words that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateBar {
    /// The inline `<svg>`; numbers and fixed words only.
    pub(crate) svg: String,
    pub(crate) caption: String,
}

/// Absent when the audit refused or holds beliefs, whose rate has no interval.
pub(crate) fn rate_bar(findings: &Findings) -> Option<RateBar> {
    if matches!(findings.outcome, Outcome::Refused { .. } | Outcome::Beliefs) {
        return None;
    }
    let truth = findings.truth.as_ref().map(|truth| truth.realized);
    Some(bar_of("Noise rate", &findings.noise_rate, truth))
}

/// A rate, called `what`, with its interval, and the true rate where it is known.
pub(crate) fn bar_of(what: &str, rate: &NoiseRate, truth: Option<f64>) -> RateBar {
    let mut numbers = format!(
        "{}; the bracket is its 95\u{a0}% interval {}.",
        estimate(rate),
        interval(rate)
    );
    if let Some(truth) = truth {
        numbers.push_str(&format!(
            " The pin marks the true rate, {}.",
            percent(truth)
        ));
    }
    RateBar {
        // What is drawn holds numbers and fixed words only.
        svg: draw(rate, truth, &format!("Noise rate {numbers}")),
        caption: format!("{what} {numbers}"),
    }
}

/// Heights in pixels, widths in percent: the bar stretches, its text does not.
fn draw(rate: &NoiseRate, truth: Option<f64>, description: &str) -> String {
    let at = |fraction: f64| {
        if fraction.is_nan() {
            0.0
        } else {
            100.0 * fraction.clamp(0.0, 1.0)
        }
    };
    let (low, middle, high) = (at(rate.low), at(rate.estimate), at(rate.high));
    let mut svg = format!(
        r#"<svg class="rate-bar" role="img" aria-label="{description}"><rect class="good" x="0" y="14" width="100%" height="22" rx="4"/><rect class="bad" x="0" y="14" width="{middle:.3}%" height="22" rx="4"/><line class="whisker" x1="{low:.3}%" y1="44" x2="{high:.3}%" y2="44"/><line class="whisker" x1="{low:.3}%" y1="40" x2="{low:.3}%" y2="48"/><line class="whisker" x1="{high:.3}%" y1="40" x2="{high:.3}%" y2="48"/>"#,
    );
    if let Some(truth) = truth.map(at) {
        svg.push_str(&format!(
            r#"<line class="truth-mark" x1="{truth:.3}%" y1="4" x2="{truth:.3}%" y2="36"/><circle class="truth-dot" cx="{truth:.3}%" cy="5" r="4.5"/>"#
        ));
    }
    for (percent, anchor) in [
        (0, "start"),
        (25, "middle"),
        (50, "middle"),
        (75, "middle"),
        (100, "end"),
    ] {
        svg.push_str(&format!(
            r#"<text class="tick" x="{percent}%" y="66" text-anchor="{anchor}">{percent}&#160;%</text>"#
        ));
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn the_bar_shows_estimate_interval_and_truth() {
        let (_, mut findings, _) = specimen::audited();
        findings.noise_rate = NoiseRate {
            estimate: 0.31,
            low: 0.29,
            high: 0.335,
        };
        findings.truth.as_mut().unwrap().realized = 0.3;
        let bar = rate_bar(&findings).unwrap();
        for part in [
            r#"width="31.000%""#,
            r#"x1="29.000%""#,
            r#"x1="33.500%""#,
            r#"cx="30.000%""#,
        ] {
            assert!(bar.svg.contains(part), "{part} in {}", bar.svg);
        }
        assert!(bar.caption.contains("true rate, 30"), "{}", bar.caption);
        findings.truth = None;
        assert!(!rate_bar(&findings).unwrap().svg.contains("truth"));
    }

    #[test]
    fn a_refused_audit_has_no_rate() {
        let (_, findings, _) = specimen::refused();
        assert_eq!(rate_bar(&findings), None);
    }
}
