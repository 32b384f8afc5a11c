//! The plot of uncertainty against the share erased, as one self-contained page.

use anyhow::{Context, Result};
use askama::Template;
use truepair_core::metric::OcclusionCurve;

use super::{Measurement, Occlusion};
use crate::report::chart::Chart;
use crate::report::plot::{Axis, Plot, trimmed};
use crate::report::{THEME, filled, theme_policy};

const STYLE: &str = concat!(
    include_str!("../../templates/report.css"),
    include_str!("../../templates/compare.css")
);

#[derive(Template)]
#[template(path = "occlusion.html")]
struct OcclusionPage<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    data: &'a str,
    split: &'a str,
    strategy: &'a str,
    figures: Vec<Chart>,
    refused: Vec<&'a str>,
}

/// The whole page.
///
/// # Errors
/// Never with this template; the engine's signature allows for filters that fail.
pub(super) fn render(occlusion: &Occlusion) -> Result<String> {
    let (mut figures, mut refused) = (Vec::new(), Vec::new());
    for (color, (name, side)) in occlusion.sides().into_iter().enumerate() {
        match side {
            Measurement::Refused { refused: reason } => refused.push(reason.as_str()),
            Measurement::Curve { erased, curve } => {
                figures.push(figure(name, erased, curve, color));
            }
        }
    }
    let page = OcclusionPage {
        style: STYLE,
        script: THEME,
        policy: theme_policy(),
        data: &occlusion.data,
        split: &occlusion.split,
        strategy: occlusion.strategy,
        figures,
        refused,
    };
    filled(&page).context("the template of the occlusion page")
}

fn figure(name: &str, erased: &str, curve: &OcclusionCurve, color: usize) -> Chart {
    let lowest = curve.points.iter().map(|point| point.low);
    let highest = curve.points.iter().map(|point| point.high);
    let (low, high) = (lowest.fold(1.0, f64::min), highest.fold(0.0, f64::max));
    let margin = (0.08 * (high - low)).max(1e-3);
    let mut plot = Plot::new(
        Axis::new(0.0, 1.0, 5, "share erased", |x| {
            format!("{:.0} %", 100.0 * x)
        }),
        Axis::new(
            (low - margin).max(0.0),
            high + margin,
            4,
            "uncertainty",
            |y| trimmed(y, 4),
        ),
    );
    let means: Vec<(f64, f64)> = (curve.points.iter())
        .map(|point| (point.share, point.uncertainty))
        .collect();
    plot.curve(&means, &format!("curve s{color}"));
    for point in &curve.points {
        let (bottom, top) = ((point.share, point.low), (point.share, point.high));
        plot.line(bottom, top, &format!("curve s{color}"));
        plot.dot(
            (point.share, point.uncertainty),
            3.5,
            &format!("point s{color}"),
        );
    }
    let (first, last) = (curve.points[0], curve.points[curve.points.len() - 1]);
    let title = format!("Uncertainty of {name} against the {erased} erased");
    let description = format!(
        "{title}: {:.4} with nothing erased, {:.4} with everything",
        first.uncertainty, last.uncertainty
    );
    Chart {
        title,
        svg: plot.finish(&description),
        legend: Vec::new(),
        reading: format!(
            "Mean over {} {name}; upright lines are 95 % intervals of a bootstrap over images. \
             Spearman {:+.3} ({:+.3} to {:+.3}).",
            curve.n, curve.correlation.rho, curve.correlation.low, curve.correlation.high
        ),
    }
}
