//! The most suspicious labels as cards, and the classes that are confused.

use truepair_core::labeled::LabelVerdict;

use super::words::witnesses;
use super::{LabelReport, ShownItems};
use crate::report::number::{count, percent};
use crate::report::picture::Pictures;

/// Labels shown where some are called wrong, and where none is.
const SHOWN: usize = 60;
const SHOWN_WITHOUT_EVIDENCE: usize = 12;
/// Pairs of classes in the table.
const CONFUSIONS: usize = 15;

/// One label as shown; the template escapes every text.
pub(super) struct LabelCard<'a> {
    pub(super) item: u32,
    pub(super) posterior: f64,
    pub(super) probability: String,
    pub(super) given: String,
    pub(super) likely: String,
    /// Probability of the likeliest class.
    pub(super) support: String,
    pub(super) modality: &'a str,
    pub(super) judgment: &'static str,
    pub(super) id: Option<&'a str>,
    pub(super) caption: Option<&'a str>,
    pub(super) picture: Option<String>,
    /// Whether the label is wrong in truth, when that is known.
    pub(super) planted: Option<bool>,
}

impl LabelCard<'_> {
    /// Width of the probability meter.
    pub(super) fn meter(&self) -> String {
        format!("{:.1}", 100.0 * self.posterior.clamp(0.0, 1.0))
    }

    /// The picture's text for those who do not see it.
    pub(super) fn alt(&self) -> String {
        match self.id {
            Some(id) => format!("Picture {id}"),
            None => format!("Item {}", self.item),
        }
    }
}

/// A class whose items bear the label of another.
pub(super) struct ConfusionLine<'a> {
    pub(super) of: String,
    pub(super) given: String,
    pub(super) modality: &'a str,
    pub(super) share: String,
    pub(super) called: String,
}

/// The labels with the highest probabilities of being wrong, the highest first.
pub(super) fn cards<'a>(
    report: &'a LabelReport<'_>,
    pictures: &mut Pictures<'_>,
) -> Vec<LabelCard<'a>> {
    let findings = report.findings;
    let mut all: Vec<(usize, &LabelVerdict)> = Vec::new();
    for (at, found) in witnesses(findings).iter().enumerate() {
        all.extend(found.verdicts.iter().map(|verdict| (at, verdict)));
    }
    all.sort_by(|(at_a, a), (at_b, b)| {
        let order = b.posterior.total_cmp(&a.posterior);
        order.then(a.item.cmp(&b.item)).then(at_a.cmp(at_b))
    });
    if findings.outcome.is_found() {
        all.retain(|(_, verdict)| verdict.posterior > 0.5);
        all.truncate(SHOWN);
    } else {
        all.truncate(SHOWN_WITHOUT_EVIDENCE);
    }
    let name = |class: u32| report.data.class_name(class);
    let ShownItems { ids, captions, .. } = &report.shown;
    let mut cards = Vec::with_capacity(all.len());
    for (at, verdict) in all {
        let item = verdict.item as usize;
        cards.push(LabelCard {
            item: verdict.item,
            posterior: verdict.posterior,
            probability: percent(verdict.posterior),
            given: name(verdict.given),
            likely: name(verdict.suggested),
            support: percent(verdict.support),
            modality: match findings.shared {
                true => "all modalities",
                false => &findings.modalities[at].name,
            },
            judgment: findings.judgment(verdict).name(),
            id: ids.get(item).map(String::as_str),
            caption: captions.get(item).and_then(Option::as_deref),
            picture: pictures.embed(verdict.item),
            planted: (report.manifest)
                .and_then(|manifest| manifest.wrong.get(at)?.get(item).copied()),
        });
    }
    cards
}

/// The pairs of classes that are confused most, by the labels that are called wrong so, then by the model.
pub(super) fn confusions<'a>(report: &'a LabelReport<'_>) -> Vec<ConfusionLine<'a>> {
    let (findings, k) = (report.findings, report.set.n_classes);
    let mut all = Vec::new();
    for found in witnesses(findings) {
        let mut called = vec![0u64; k * k];
        for verdict in &found.verdicts {
            if verdict.posterior > 0.5 && findings.outcome.is_found() {
                called[verdict.suggested as usize * k + verdict.given as usize] += 1;
            }
        }
        let cells = found.confusion.iter().zip(called).enumerate();
        let cells =
            cells.filter(|(cell, (share, n))| cell / k != cell % k && (*n > 0 || **share > 0.005));
        all.extend(cells.map(|(cell, (share, n))| (n, *share, cell, found.name.as_str())));
    }
    all.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    all.truncate(CONFUSIONS);
    let name = |class: usize| report.data.class_name(class as u32);
    let lines = all
        .into_iter()
        .map(|(n, share, cell, modality)| ConfusionLine {
            of: name(cell / k),
            given: name(cell % k),
            modality: if findings.shared { "all" } else { modality },
            share: percent(share),
            called: count(n),
        });
    lines.collect()
}
