//! How many pairs have which probability of being mismatched.

use truepair_core::audit::Findings;

use super::percent_tick;
use crate::report::chart::{Chart, LegendKey};
use crate::report::number::{count, counted, percent};
use crate::report::plot::{Axis, Plot};

pub(super) fn figure(findings: &Findings) -> Option<Chart> {
    let bins = &findings.fit.posterior_histogram;
    let tallest = *bins.iter().max().filter(|tallest| **tallest > 0)?;
    let y = Axis::new(0.0, tallest as f64 * 1.05, 4, "pairs", |value| {
        count(value as u64)
    });
    let x = Axis::new(0.0, 1.0, 4, "probability of being mismatched", percent_tick);
    let mut plot = Plot::new(x, y);
    let width = 1.0 / bins.len() as f64;
    for (index, &pairs) in bins.iter().enumerate() {
        let from = index as f64 * width;
        let class = if from + width / 2.0 > 0.5 {
            "bar bad"
        } else {
            "bar good"
        };
        plot.bar(from, from + width, pairs as f64, class);
    }
    plot.upright(0.5, "rule dashed");

    let pairs: u64 = bins.iter().sum();
    let doubtful = doubtful(bins);
    let shape = if bins[bins.len() / 2..].iter().any(|count| *count > 0) {
        "Two heaps at the ends mean that the audit can tell the pairs apart"
    } else {
        "A single heap at the left means that no pair stands out"
    };
    let middle = if doubtful == 1 { "lies" } else { "lie" };
    let reading = format!(
        "{shape}; {} of {} {middle} between 10\u{a0}% and 90\u{a0}%.",
        count(doubtful),
        counted(pairs, "pair"),
    );
    let description = format!(
        "Histogram of the probability of being mismatched over {pairs} pairs; {} lie between 10 \
         and 90 percent. The mean is {}.",
        percent(doubtful as f64 / pairs as f64),
        percent(findings.fit.mean_posterior),
    );
    Some(Chart {
        title: "How sure the audit is".to_owned(),
        svg: plot.finish(&description),
        legend: vec![
            LegendKey::new("good", "more likely matched"),
            LegendKey::new("bad", "more likely mismatched"),
        ],
        reading,
    })
}

/// Pairs in bins whose middle lies strictly between 10 % and 90 %.
fn doubtful(bins: &[u64]) -> u64 {
    let middle = |index: usize| (index as f64 + 0.5) / bins.len() as f64;
    let inside = |index: &usize| (0.1..0.9).contains(&middle(*index));
    (0..bins.len())
        .filter(inside)
        .map(|index| bins[index])
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doubtful_middle_excludes_the_end_bins() {
        assert_eq!(doubtful(&[100, 1, 2, 3, 4, 5, 6, 7, 8, 100]), 36);
        assert_eq!(doubtful(&[]), 0);
    }

    #[test]
    fn bars_change_color_at_one_half() {
        let (_, mut findings, _) = crate::report::specimen::audited();
        findings.fit.posterior_histogram = vec![5, 1, 1, 3];
        let svg = figure(&findings).unwrap().svg;
        assert_eq!(svg.matches("bar good").count(), 2);
        assert_eq!(svg.matches("bar bad").count(), 2);
        findings.fit.posterior_histogram = vec![5, 1, 0, 0];
        assert!(
            figure(&findings)
                .unwrap()
                .reading
                .starts_with("A single heap")
        );
        findings.fit.posterior_histogram = vec![0; 4];
        assert_eq!(figure(&findings), None);
    }
}
