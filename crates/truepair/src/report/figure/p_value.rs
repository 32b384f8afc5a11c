//! The p-values with the share that chance alone explains.

use truepair_core::audit::{Findings, Outcome};

use super::number_tick;
use crate::report::chart::{Chart, LegendKey};
use crate::report::number::estimate;
use crate::report::plot::{Axis, Plot};

pub(super) fn figure(findings: &Findings) -> Option<Chart> {
    let bins = &findings.fit.p_histogram;
    let pairs: u64 = bins.iter().sum();
    if pairs == 0 {
        return None;
    }
    let heights = densities(bins, pairs);
    // A rate means nothing when the audit refused; the level of pure chance takes its place.
    let rate = match findings.outcome {
        Outcome::Refused { .. } => 1.0,
        _ => findings.noise_rate.estimate,
    };
    let tallest = heights.iter().copied().fold(0.0, f64::max);
    let top = visible_top(tallest, rate);
    let x = Axis::new(0.0, 1.0, 4, "p-value of the pair's ranks", number_tick);
    let mut plot = Plot::new(
        x,
        Axis::new(0.0, top, 4, "density (uniform = 1)", number_tick),
    );
    let width = 1.0 / bins.len() as f64;
    for (index, &height) in heights.iter().enumerate() {
        let from = index as f64 * width;
        plot.bar(from, from + width, height, "bar plain");
    }
    plot.curve(&steps(&findings.fit.density), "curve fit");
    plot.level(rate, "rule null");
    if tallest > top {
        let text = format!("first bar reaches {tallest:.1}");
        plot.label((1.0, top), (0, 14), "end", &text);
    }

    let description = format!(
        "Histogram of p-values over {pairs} pairs, tallest density {tallest:.1}, with the level of \
         mismatched pairs at {rate:.3}."
    );
    let refused = matches!(findings.outcome, Outcome::Refused { .. });
    let null = if refused {
        "what chance gives".to_owned()
    } else {
        let rate = estimate(&findings.noise_rate);
        format!("mismatched pairs: flat at {rate}")
    };
    Some(Chart {
        title: "What chance explains".to_owned(),
        svg: plot.finish(&description),
        legend: vec![
            LegendKey::new("null", null),
            LegendKey::new("fit", "fitted density"),
            LegendKey::new("plain", "observed pairs"),
        ],
        reading: match (refused, findings.illegible) {
            (true, _) => READING_REFUSED.to_owned(),
            (false, 0) => READING.to_owned(),
            (false, _) => format!("{READING} {READING_LEGIBLE}"),
        },
    })
}

const READING: &str = "Pairs mismatched at random spread evenly over all p-values, matched pairs \
    crowd at the left; so the height of the flat part on the right is the noise rate.";

const READING_LEGIBLE: &str = "Shown are the pairs that the matcher reads best.";

const READING_REFUSED: &str = "Under a matcher that knows something, matched pairs crowd at the \
    left. Here the pairs spread as evenly as chance would spread them.";

fn densities(bins: &[u64], pairs: u64) -> Vec<f64> {
    let scale = bins.len() as f64 / pairs as f64;
    bins.iter().map(|&count| count as f64 * scale).collect()
}

/// The matched pairs' peak at zero can be twenty times the flat part; cutting it off keeps the
/// flat part, which the figure is about, at a height where it can be read.
fn visible_top(tallest: f64, rate: f64) -> f64 {
    (1.05 * tallest).min((4.0 * rate).max(1.5))
}

/// The corners of a step function given by the right ends and heights of its steps.
fn steps(knots: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners = Vec::with_capacity(2 * knots.len());
    let mut left = 0.0;
    for &(right, height) in knots {
        corners.extend([(left, height), (right, height)]);
        left = right;
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_histogram_has_density_one() {
        assert_eq!(densities(&[7, 7, 7, 7], 28), [1.0; 4]);
    }

    #[test]
    fn a_refused_audit_is_compared_with_chance_and_states_no_rate() {
        let (_, findings, _) = crate::report::specimen::refused();
        let figure = figure(&findings).unwrap();
        assert_eq!(figure.reading, READING_REFUSED);
        assert!(figure.legend.iter().all(|key| !key.text.contains('%')));
    }

    #[test]
    fn steps_have_two_corners_each() {
        let corners = steps(&[(0.25, 3.0), (1.0, 0.5)]);
        assert_eq!(corners, [(0.0, 3.0), (0.25, 3.0), (0.25, 0.5), (1.0, 0.5)]);
    }

    #[test]
    fn a_cut_bar_says_how_tall_it_is() {
        let (_, mut findings, _) = crate::report::specimen::audited();
        findings.noise_rate.estimate = 0.2;
        findings.fit.p_histogram = vec![820, 20, 20, 20, 20, 20, 20, 20, 20, 20];
        assert!(
            figure(&findings)
                .unwrap()
                .svg
                .contains("first bar reaches 8.2")
        );
        findings.fit.p_histogram = vec![11, 10, 9, 10];
        assert!(!figure(&findings).unwrap().svg.contains("first bar reaches"));
    }
}
