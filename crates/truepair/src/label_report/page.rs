//! Fills the template of the page.

use anyhow::{Context, Result};
use askama::Template;
use truepair_core::labeled::{LabelOutcome, ModalityFindings};

use super::LabelReport;
use super::items::{ConfusionLine, LabelCard, cards, confusions};
use super::words::{LabelTile, headline, tiles, witnesses};
use crate::report::chart::{Chart, LegendKey};
use crate::report::number::{count, counted, percent_to};
use crate::report::picture::Pictures;
use crate::report::plot::{Axis, Plot};
use crate::report::{
    Fact, Headline, NextStep, RateBar, SCRIPT, STYLE, bar_of, filled, policy, sentence,
};

/// Bytes that all pictures may take together, as text in the page.
const PICTURE_BYTES: usize = 16 << 20;
/// Bars of a histogram.
const BINS: usize = 20;

#[derive(Template)]
#[template(path = "labels.html")]
struct LabelPage<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    data: &'a str,
    split: &'a str,
    headline: Headline,
    rate_bars: Vec<RateBar>,
    next_steps: &'a [NextStep],
    tiles: Vec<LabelTile>,
    figures: Vec<Chart>,
    gallery_title: &'static str,
    gallery_intro: &'static str,
    cards: Vec<LabelCard<'a>>,
    /// Whether cards have a field for a picture.
    pictures: bool,
    picture_note: Option<String>,
    confusions: Vec<ConfusionLine<'a>>,
    notes: Vec<String>,
    protocol: &'a [Fact],
}

/// The whole page.
///
/// # Errors
/// Never with this template; the engine's signature allows for filters that fail.
pub(super) fn render(report: &LabelReport<'_>) -> Result<String> {
    let findings = report.findings;
    let mut pictures = Pictures::of_files(&report.shown.pictures, PICTURE_BYTES);
    let (gallery_title, gallery_intro) = match findings.outcome.is_found() {
        true => (
            "The most suspicious labels",
            "Those with the highest probability of being wrong, and the class that is likelier. The verdicts \
             beside this page hold all of them.",
        ),
        false => (
            "The labels that fit worst",
            "Some labels fit worst in any data; the audit does not call them wrong.",
        ),
    };
    let cards = cards(report, &mut pictures);
    let page = LabelPage {
        style: STYLE,
        script: SCRIPT,
        policy: policy(SCRIPT),
        data: &report.data.name,
        split: &report.set.split,
        headline: headline(report),
        rate_bars: rate_bars(report),
        next_steps: &report.next_steps,
        tiles: tiles(report),
        figures: witnesses(findings)
            .iter()
            .map(|found| histogram(report, found))
            .collect(),
        gallery_title,
        gallery_intro,
        cards,
        pictures: pictures.exist(),
        picture_note: pictures.note(),
        confusions: confusions(report),
        notes: findings.notes.iter().map(|note| sentence(note)).collect(),
        protocol: &report.protocol,
    };
    filled(&page).context("the template of the label report")
}

fn rate_bars(report: &LabelReport<'_>) -> Vec<RateBar> {
    let findings = report.findings;
    if matches!(findings.outcome, LabelOutcome::Refused { .. }) {
        return Vec::new();
    }
    let bars = witnesses(findings).iter().enumerate().map(|(at, found)| {
        let what = match findings.shared {
            true => "Share of wrong labels".to_owned(),
            false => format!("Share of wrong labels in {}", found.name),
        };
        let truth = findings.truth.get(at).map(|truth| truth.realized);
        bar_of(&what, &found.noise_rate, truth)
    });
    bars.collect()
}

/// How many labels have which probability of being wrong.
fn histogram(report: &LabelReport<'_>, found: &ModalityFindings) -> Chart {
    let mut bins = [0u64; BINS];
    for verdict in &found.verdicts {
        bins[((verdict.posterior * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let tallest = bins.iter().copied().max().unwrap_or(0).max(1);
    let y = Axis::new(0.0, tallest as f64 * 1.05, 4, "labels", |value| {
        count(value as u64)
    });
    let x = Axis::new(0.0, 1.0, 4, "probability of being wrong", |value| {
        percent_to(value, 0)
    });
    let mut plot = Plot::new(x, y);
    let width = 1.0 / BINS as f64;
    for (at, &labels) in bins.iter().enumerate() {
        let from = at as f64 * width;
        let class = if at * 2 >= BINS {
            "bar bad"
        } else {
            "bar good"
        };
        plot.bar(from, from + width, labels as f64, class);
    }
    plot.upright(0.5, "rule dashed");
    let middle: u64 = bins[BINS / 10..BINS - BINS / 10].iter().sum();
    let reading = format!(
        "Two heaps at the ends mean that the audit can tell the labels apart; {} of {} have a probability \
         between 10\u{a0}% and 90\u{a0}%.",
        count(middle),
        counted(found.verdicts.len() as u64, "label")
    );
    let title = match report.findings.shared {
        true => "How sure the audit is".to_owned(),
        false => format!("How sure the audit is of {}", found.name),
    };
    let description = format!("Histogram of the probability of being wrong: {reading}");
    Chart {
        title,
        svg: plot.finish(&description),
        legend: vec![
            LegendKey::new("good", "more likely right"),
            LegendKey::new("bad", "more likely wrong"),
        ],
        reading,
    }
}
