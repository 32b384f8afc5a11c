//! The verdict on the labels in plain words, and the figures beside it.

use truepair_core::labeled::{LabelFindings, LabelJudgment, LabelOutcome, ModalityFindings};

use super::LabelReport;
use crate::report::number::{count, counted, estimate, interval, percent};
use crate::report::{Headline, sentence};

/// A figure with its name.
pub(super) struct LabelTile {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) detail: String,
}

/// Labels that are called wrong in a modality.
pub(super) fn n_wrong(findings: &LabelFindings, found: &ModalityFindings) -> u64 {
    let wrong = found.verdicts.iter();
    wrong
        .filter(|verdict| findings.judgment(verdict) == LabelJudgment::Wrong)
        .count() as u64
}

/// The modalities that have findings of their own: the first alone where labels are shared.
pub(super) fn witnesses(findings: &LabelFindings) -> &[ModalityFindings] {
    let n = if findings.shared {
        1
    } else {
        findings.modalities.len()
    };
    &findings.modalities[..n.min(findings.modalities.len())]
}

/// The headline that the outcome calls for.
pub(super) fn headline(report: &LabelReport<'_>) -> Headline {
    let findings = report.findings;
    let items = counted(report.set.len() as u64, "item");
    let (state, title, lede) = match &findings.outcome {
        LabelOutcome::WrongLabels => ("found", found_title(report), found_lede(report)),
        LabelOutcome::NoEvidence => (
            "clear",
            format!("No evidence of wrong labels among {items}"),
            format!(
                "Labels that are all right explain the predictions as well. At most {} of the labels could be \
                 wrong without being noticed here (upper end of the 95\u{a0}% interval).",
                percent(highest(findings))
            ),
        ),
        LabelOutcome::CannotBeTold { reason, help } => (
            "open",
            format!("Whether labels are wrong cannot be told for these {items}"),
            format!(
                "{} To find out: {} No label is called wrong, and no item is dropped.",
                sentence(reason),
                sentence(help)
            ),
        ),
        LabelOutcome::Refused { reason } => (
            "refused",
            format!("No verdict on the labels of these {items}"),
            format!(
                "{} Calling labels wrong on such evidence would be guessing, so none is called.",
                sentence(reason)
            ),
        ),
    };
    Headline { state, title, lede }
}

fn highest(findings: &LabelFindings) -> f64 {
    let rates = findings
        .modalities
        .iter()
        .map(|found| found.noise_rate.high);
    rates.fold(0.0, f64::max)
}

fn found_title(report: &LabelReport<'_>) -> String {
    let of_one = |found: &ModalityFindings| match report.findings.shared {
        true => estimate(&found.noise_rate),
        false => format!("{} in {}", estimate(&found.noise_rate), found.name),
    };
    let rates: Vec<String> = witnesses(report.findings).iter().map(of_one).collect();
    format!(
        "An estimated {} of the labels of {} are wrong",
        rates.join(" and "),
        counted(report.set.len() as u64, "item")
    )
}

fn found_lede(report: &LabelReport<'_>) -> String {
    let findings = report.findings;
    let of_one = |found: &ModalityFindings| {
        let interval = interval(&found.noise_rate);
        let wrong = counted(n_wrong(findings, found), "label");
        match findings.shared {
            true => format!(
                "The 95\u{a0}% interval is {interval}; {wrong} more likely wrong than right."
            ),
            false => format!(
                "{}: 95\u{a0}% interval {interval}, {wrong} more likely wrong than right.",
                found.name
            ),
        }
    };
    let sentences: Vec<String> = witnesses(findings).iter().map(of_one).collect();
    format!(
        "{} {} of {} stay in the cleaned list, those without a label that is called wrong.",
        sentences.join(" "),
        count(n_kept(report)),
        counted(report.set.len() as u64, "item")
    )
}

fn n_kept(report: &LabelReport<'_>) -> u64 {
    report.keep.iter().filter(|keep| **keep).count() as u64
}

/// The figures below the headline.
pub(super) fn tiles(report: &LabelReport<'_>) -> Vec<LabelTile> {
    let findings = report.findings;
    let tile = |name, value, detail: String| LabelTile {
        name,
        value,
        detail,
    };
    let modalities = report.set.modalities.iter();
    let names: Vec<&str> = modalities.map(|modality| modality.name.as_str()).collect();
    let mut tiles = vec![
        tile(
            "Items",
            count(report.set.len() as u64),
            format!(
                "of {} classes, in {}",
                report.set.n_classes,
                names.join(" and ")
            ),
        ),
        tile(
            "Agreement",
            percent(findings.agreement),
            format!(
                "of held-out labels are predicted; at most {} would be chance",
                percent(findings.chance)
            ),
        ),
    ];
    tiles.extend(rate_tiles(findings));
    if findings.outcome.is_found() {
        tiles.push(tile(
            "Cleaned list",
            count(n_kept(report)),
            format!(
                "{} dropped",
                counted(report.keep.len() as u64 - n_kept(report), "item")
            ),
        ));
    }
    tiles
}

/// The rate of every modality, and how well planted labels were found.
fn rate_tiles(findings: &LabelFindings) -> Vec<LabelTile> {
    let tile = |name, value, detail: String| LabelTile {
        name,
        value,
        detail,
    };
    let mut tiles = Vec::new();
    for (at, found) in witnesses(findings).iter().enumerate() {
        let detail = |text: String| match findings.shared {
            true => text,
            false => format!("{}: {text}", found.name),
        };
        tiles.push(tile(
            "Wrong labels",
            estimate(&found.noise_rate),
            detail(format!(
                "{} called wrong; surest items say {}, confident counts {}",
                counted(n_wrong(findings, found), "label"),
                percent(found.anchor_rate),
                percent(found.confident_rate)
            )),
        ));
        if let Some(truth) = findings.truth.get(at) {
            let text = format!(
                "AUC against the {} planted; calibration error {:.3}",
                percent(truth.realized),
                truth.ece
            );
            tiles.push(tile("Planted", format!("{:.3}", truth.auc), detail(text)));
        }
    }
    tiles
}
