//! Fills the template; every text of the data passes through its escaping.

use anyhow::{Context, Result};
use askama::Template;
use truepair_core::audit::Findings;
use truepair_core::dataset::Dataset;
use truepair_core::noise::Manifest;

use super::chart::Chart;
use super::figure::{RateBar, figures, rate_bar};
use super::gallery::{self, Card};
use super::headline::{Headline, PairCounts, headline, sentence};
use super::number::{count, counted, percent};
use super::picture::Pictures;
use super::summary::{JudgmentLine, SummaryTile, cuts, judgments, tiles};
use super::{Fact, NextStep, ReportContext, filled, policy};
use crate::remote;
use crate::verdict_table::VerdictRow;

pub(crate) const STYLE: &str = include_str!("../../templates/report.css");
pub(crate) const SCRIPT: &str = concat!(
    include_str!("../../templates/theme.js"),
    include_str!("../../templates/report.js")
);

/// Pairs shown when nothing was found, where a long gallery would accuse without evidence.
const SHOWN_WITHOUT_EVIDENCE: usize = 12;

/// Everything that a report is made of.
pub(super) struct ReportContent<'a> {
    pub(super) context: &'a ReportContext<'a>,
    pub(super) dataset: &'a Dataset,
    pub(super) findings: &'a Findings,
    pub(super) keep: &'a [bool],
    /// One row per verdict, in the verdicts' order.
    pub(super) rows: &'a [VerdictRow<'a>],
}

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    style: &'static str,
    script: &'static str,
    /// Content security policy: nothing is loaded, and only the report's own script runs.
    policy: String,
    dataset: &'a Dataset,
    headline: Headline,
    rate_bar: Option<RateBar>,
    next_steps: &'a [NextStep],
    tiles: Vec<SummaryTile>,
    judgments: Vec<JudgmentLine>,
    figures: Vec<Chart>,
    cuts: Vec<CutLine>,
    worst: Gallery<'a>,
    near: Gallery<'a>,
    borderline: Gallery<'a>,
    ambiguous: Gallery<'a>,
    picture_note: Option<String>,
    /// What stands out in the data, a sentence each.
    diagnoses: Vec<String>,
    notes: Vec<String>,
    protocol: Vec<Fact>,
}

/// A sentence without the marks that Markdown puts around code.
fn plain(text: &str) -> String {
    sentence(&text.replace('`', ""))
}

/// A list of cards with its words.
struct Gallery<'a> {
    title: &'static str,
    intro: String,
    cards: Vec<Card<'a>>,
    /// Whether cards have a field for a picture.
    pictures: bool,
}

/// One line of the table of thresholds, as shown.
struct CutLine {
    threshold: String,
    dropped: String,
    good_dropped: String,
    share_bad_kept: String,
}

/// The whole page.
///
/// # Errors
/// Never with this template; the engine's signature allows for filters that fail.
pub(super) fn render(content: &ReportContent<'_>) -> Result<String> {
    let findings = content.findings;
    let counts = PairCounts::new(findings, content.keep);
    let mut pictures = Pictures::new(content.dataset, content.context.limits.picture_bytes);
    let (worst, borderline) = galleries(content, &mut pictures);
    let near = near(content, &mut pictures);
    let ambiguous = ambiguous(content, &mut pictures);
    let page = ReportPage {
        style: STYLE,
        script: SCRIPT,
        policy: policy(SCRIPT),
        dataset: content.dataset,
        headline: headline(findings, counts),
        rate_bar: rate_bar(findings),
        next_steps: &content.context.next_steps,
        tiles: tiles(findings, counts),
        judgments: judgments(findings),
        figures: figures(findings),
        cuts: cut_lines(findings),
        worst,
        near,
        borderline,
        ambiguous,
        picture_note: pictures.note(),
        diagnoses: (content.context.diagnoses.iter())
            .map(|one| plain(&one.sentence()))
            .collect(),
        notes: findings.notes.iter().map(|note| plain(note)).collect(),
        protocol: protocol(content),
    };
    filled(&page).context("the report's template")
}

fn galleries<'a>(
    content: &ReportContent<'a>,
    pictures: &mut Pictures<'_>,
) -> (Gallery<'a>, Gallery<'a>) {
    let (verdicts, limits) = (&content.findings.verdicts, content.context.limits);
    let found = content.findings.outcome.is_found();
    let n_worst = if found {
        limits.worst
    } else {
        limits.worst.min(SHOWN_WITHOUT_EVIDENCE)
    };
    let n_borderline = if found { limits.borderline } else { 0 };
    let n_near = verdicts
        .iter()
        .filter(|verdict| gallery::is_near(verdict))
        .count();
    let mut worst = gallery::worst(verdicts, n_worst + n_near);
    if found {
        // In small data the limit reaches pairs that are probably good; they are not "the worst".
        worst.retain(|&index| verdicts[index].posterior > 0.5);
        // Near misses stand in a gallery of their own.
        worst.retain(|&index| !gallery::is_near(&verdicts[index]));
    }
    worst.truncate(n_worst);
    let mut borderline = gallery::borderline(verdicts, n_borderline);
    borderline.retain(|index| !worst.contains(index));

    let manifest = content.context.manifest;
    let findings = content.findings;
    let mut worst_cards = gallery::cards(&worst, content.rows, findings, manifest, pictures);
    let mut borderline_cards =
        gallery::cards(&borderline, content.rows, findings, manifest, pictures);
    gallery::add_suggestions(&mut worst_cards, &worst, verdicts, pictures);
    gallery::add_suggestions(&mut borderline_cards, &borderline, verdicts, pictures);

    let exist = pictures.exist();
    let (title, intro) = if found {
        worst_words(worst.len(), verdicts.len())
    } else {
        lowest_words()
    };
    (
        Gallery {
            title,
            intro,
            cards: worst_cards,
            pictures: exist,
        },
        Gallery {
            title: "Borderline pairs",
            intro:
                "The audit cannot decide these alone; a minute of looking at them tells whether \
                    a stricter or a laxer threshold suits your data."
                    .to_owned(),
            cards: borderline_cards,
            pictures: exist,
        },
    )
}

fn near<'a>(content: &ReportContent<'a>, pictures: &mut Pictures<'_>) -> Gallery<'a> {
    let (findings, manifest) = (content.findings, content.context.manifest);
    let n = if findings.outcome.is_found() {
        content.context.limits.worst
    } else {
        0
    };
    let chosen = gallery::near(&findings.verdicts, n);
    let mut cards = gallery::cards(&chosen, content.rows, findings, manifest, pictures);
    gallery::add_suggestions(&mut cards, &chosen, &findings.verdicts, pictures);
    Gallery {
        title: "Near misses",
        intro: "Pairs of the right scene with a wrong detail, as far as can be told: they rank well \
                among random items, but images that look alike fit the caption better, or the image's \
                other captions say something else."
            .to_owned(),
        cards,
        pictures: pictures.exist(),
    }
}

fn ambiguous<'a>(content: &ReportContent<'a>, pictures: &mut Pictures<'_>) -> Gallery<'a> {
    let (findings, manifest) = (content.findings, content.context.manifest);
    let chosen = gallery::ambiguous(&findings.verdicts, content.context.limits.ambiguous);
    Gallery {
        title: "Ambiguous pairs",
        intro: "Probably right, but image or caption fit others about as well: generic captions, \
                near duplicates. They rank badly without being mismatched; the most uncertain come \
                first."
            .to_owned(),
        cards: gallery::cards(&chosen, content.rows, findings, manifest, pictures),
        pictures: pictures.exist(),
    }
}

/// The words above the worst pairs.
fn worst_words(shown: usize, all: usize) -> (&'static str, String) {
    let intro = format!(
        "The {} with the highest probability of being mismatched, of {}. The verdict tables beside \
         this report hold all of them.",
        counted(shown as u64, "pair"),
        count(all as u64)
    );
    ("The worst pairs", intro)
}

/// The words above the same pairs when nothing was found.
fn lowest_words() -> (&'static str, String) {
    let intro = "These rank lowest, as some pairs must; the audit does not call them mismatched.";
    ("The pairs that rank lowest", intro.to_owned())
}

fn cut_lines(findings: &Findings) -> Vec<CutLine> {
    if !findings.outcome.is_found() {
        return Vec::new();
    }
    let posteriors: Vec<f64> = findings
        .verdicts
        .iter()
        .map(|verdict| verdict.posterior)
        .collect();
    let lines = cuts(&posteriors).into_iter().map(|cut| CutLine {
        threshold: percent(cut.threshold),
        dropped: count(cut.dropped),
        good_dropped: count(cut.good_dropped.round() as u64),
        share_bad_kept: percent(cut.share_bad_kept),
    });
    lines.collect()
}

fn protocol(content: &ReportContent<'_>) -> Vec<Fact> {
    let (context, dataset) = (content.context, content.dataset);
    let duplicates = content.findings.duplicates;
    let mut facts = vec![
        fact("Data", remote::name_of(dataset)),
        fact("Format", dataset.format.to_owned()),
        fact("Split", dataset.split.clone()),
        fact("Pairs", count(dataset.pairs.len() as u64)),
        fact("Matcher", context.matcher.replace('`', "")),
        fact("Seed", context.seed.to_string()),
        fact(
            "Captions whose text occurs elsewhere too",
            count(duplicates.captions),
        ),
        fact(
            "Images whose features occur elsewhere too",
            count(duplicates.images),
        ),
    ];
    match context.manifest {
        Some(manifest) => {
            facts.push(fact("Injected noise", noise_words(manifest)));
            facts.push(fact("Noise index SHA-256", manifest.sha256.clone()));
            facts.extend(
                manifest
                    .notes
                    .iter()
                    .map(|note| fact("On the noise", note.clone())),
            );
        }
        None => facts.push(fact("Injected noise", "none".to_owned())),
    }
    facts.extend(context.protocol.iter().cloned());
    facts
}

fn noise_words(manifest: &Manifest) -> String {
    let mut words = format!(
        "{}, realized {}",
        manifest.protocol,
        percent(manifest.realized)
    );
    if let Some(requested) = manifest.requested {
        words.push_str(&format!(", requested {}", percent(requested)));
    }
    if let Some(seed) = manifest.seed {
        words.push_str(&format!(", seed {seed}"));
    }
    if let Some(file) = &manifest.file {
        words.push_str(&format!(", file {file}"));
    }
    words
}

fn fact(name: &str, value: String) -> Fact {
    Fact {
        name: name.to_owned(),
        value,
    }
}
