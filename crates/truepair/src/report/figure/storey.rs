//! The noise rate as read at different cuts of the p-values.

use truepair_core::audit::Findings;

use super::{number_tick, percent_tick};
use crate::report::chart::{Chart, LegendKey};
use crate::report::number::{estimate, interval, percent};
use crate::report::plot::{Axis, Plot};

/// Smallest height of the y axis, so that sampling noise does not fill the plot.
const MIN_SPAN: f64 = 0.12;

pub(super) fn figure(findings: &Findings) -> Option<Chart> {
    let curve = &findings.fit.storey_curve;
    let (first, last) = (curve.first()?.0, curve.last()?.0);
    let rate = &findings.noise_rate;
    let truth = findings.truth.as_ref().map(|truth| truth.realized);
    let heights = curve
        .iter()
        .map(|point| point.1)
        .chain([rate.low, rate.high])
        .chain(truth);
    let (low, high) = range_of(heights);
    let mut plot = Plot::new(
        Axis::new(
            first,
            last,
            4,
            "p-values above this are counted (λ)",
            number_tick,
        ),
        Axis::new(low, high, 4, "noise rate", percent_tick),
    );
    plot.band(rate.low, rate.high, "band");
    if let Some(truth) = truth {
        plot.level(truth, "rule truth");
    }
    plot.curve(curve, "curve fit");
    plot.dot((findings.fit.lambda, rate.estimate), 5.0, "point bad");

    let mut legend = vec![
        LegendKey::new("fit", "estimate by λ"),
        LegendKey::new("bad", format!("reported: {}", estimate(rate))),
        LegendKey::new("band", format!("95\u{a0}% interval {}", interval(rate))),
    ];
    legend.extend(truth.map(|truth| LegendKey::new("truth", format!("true: {}", percent(truth)))));
    let description = format!(
        "Storey's estimate of the noise rate over lambda from {first:.2} to {last:.2}; read at \
         {:.2} as {}.",
        findings.fit.lambda,
        estimate(rate)
    );
    Some(Chart {
        title: "How steady the noise rate is".to_owned(),
        svg: plot.finish(&description),
        legend,
        reading: "A level curve means that the estimate does not depend on where it is read; a \
                  falling one, that the matcher ranks some good pairs badly and the rate errs \
                  upward."
            .to_owned(),
    })
}

/// A range around all finite heights, at least [`MIN_SPAN`] high and never below zero.
fn range_of(heights: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = heights.filter(|height| height.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), height| {
        (low.min(height), high.max(height))
    });
    let middle = (low + high) / 2.0;
    let half = ((high - low) * 0.65).max(MIN_SPAN / 2.0);
    let bottom = (middle - half).max(0.0);
    (bottom, bottom + 2.0 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_holds_every_height_and_has_a_least_span() {
        let (low, high) = range_of([0.30, 0.31, f64::NAN].into_iter());
        assert!(low < 0.30 && high > 0.31 && high - low >= MIN_SPAN - 1e-12);
        let (low, high) = range_of([0.0, 0.004].into_iter());
        assert!(low == 0.0 && high >= MIN_SPAN - 1e-12);
        let (low, high) = range_of([0.1, 0.9].into_iter());
        assert!(low <= 0.1 && high >= 0.9);
    }

    #[test]
    fn truth_is_drawn_only_when_known() {
        let (_, mut findings, _) = crate::report::specimen::audited();
        assert!(figure(&findings).unwrap().svg.contains("rule truth"));
        findings.truth = None;
        assert!(!figure(&findings).unwrap().svg.contains("rule truth"));
        findings.fit.storey_curve.clear();
        assert_eq!(figure(&findings), None);
    }
}
