//! The report's plots: each file draws one and says in a sentence how to read it.

mod noise_rate;
mod p_value;
mod posterior;
mod reliability;
mod storey;

use truepair_core::audit::{Findings, Outcome};

pub(super) use noise_rate::rate_bar;
pub(crate) use noise_rate::{RateBar, bar_of};

use super::chart::Chart;
use super::plot::trimmed;

/// The figures that the findings have numbers for, in reading order.
///
/// A refused audit shows only its p-values: they are the reason, and the rest means nothing.
pub(super) fn figures(findings: &Findings) -> Vec<Chart> {
    if matches!(findings.outcome, Outcome::Refused { .. }) {
        return p_value::figure(findings).into_iter().collect();
    }
    [
        posterior::figure(findings),
        reliability::figure(findings),
        p_value::figure(findings),
        storey::figure(findings),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A fraction on an axis: `40 %`.
fn percent_tick(value: f64) -> String {
    super::number::percent_to(value, 0)
}

/// A plain number on an axis, with as many decimals as it needs up to two.
fn number_tick(value: f64) -> String {
    trimmed(value, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;
    use truepair_core::audit::Fit;

    #[test]
    fn figures_appear_when_their_numbers_exist() {
        let (_, findings, _) = specimen::audited();
        assert_eq!(figures(&findings).len(), 4);
        let blind = Findings {
            truth: None,
            self_check: None,
            ..findings.clone()
        };
        assert_eq!(figures(&blind).len(), 3);
        let empty = Findings {
            fit: Fit::default(),
            ..blind
        };
        assert!(figures(&empty).is_empty());
        let (_, refused, _) = specimen::refused();
        assert_eq!(figures(&refused).len(), 1);
    }

    #[test]
    fn no_figure_holds_a_number_that_is_none() {
        let (_, mut findings, _) = specimen::audited();
        findings.fit.density[0].1 = f64::INFINITY;
        findings.fit.storey_curve[1].1 = f64::NAN;
        findings.noise_rate.high = f64::NAN;
        for figure in figures(&findings) {
            let marks: String = figure
                .svg
                .split('>')
                .filter(|tag| tag.starts_with('<'))
                .collect();
            for part in ["NaN", "inf"] {
                assert!(!marks.contains(part), "{}: {marks}", figure.title);
            }
        }
    }

    #[test]
    fn ticks_show_no_needless_decimals() {
        let shown = [0.0, 0.5, 0.25, 2.0].map(number_tick);
        assert_eq!(shown, ["0", "0.5", "0.25", "2"]);
    }
}
