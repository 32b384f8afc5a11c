//! Which pairs the report shows, and what it says of each.

use std::collections::HashSet;

use truepair_core::audit::{Findings, Judgment, UncertaintyKind, Verdict};
use truepair_core::noise::Manifest;

use super::number::{count, percent};
use super::picture::Pictures;
use crate::verdict_table::VerdictRow;

/// One pair as shown; the template escapes every text.
#[derive(Debug)]
pub(super) struct Card<'a> {
    pub(super) row: &'a VerdictRow<'a>,
    pub(super) picture: Option<String>,
    pub(super) better_picture: Option<String>,
    /// The posterior as a percentage.
    pub(super) probability: String,
    pub(super) rank_i2t: String,
    pub(super) rank_t2i: String,
    /// How uncertain the pair is, in words; empty when that is not known.
    pub(super) uncertainty: String,
    /// Whether the pair is mismatched in truth, when that is known.
    pub(super) planted: Option<bool>,
}

impl Card<'_> {
    /// Width of the probability meter.
    pub(super) fn meter(&self) -> String {
        format!("{:.1}", 100.0 * self.row.posterior.clamp(0.0, 1.0))
    }

    /// The picture's text for those who do not see it.
    pub(super) fn alt(&self) -> String {
        format!("Image {}", self.row.image)
    }
}

/// The `n` verdicts with the highest posteriors; equal ones by p-value, then by pair, so that the
/// order is the same everywhere.
pub(super) fn worst(verdicts: &[Verdict], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..verdicts.len()).collect();
    let key = |index: &usize| {
        let verdict = &verdicts[*index];
        (verdict.posterior, verdict.p)
    };
    order.sort_by(|a, b| {
        let ((posterior_a, p_a), (posterior_b, p_b)) = (key(a), key(b));
        posterior_b
            .total_cmp(&posterior_a)
            .then(p_b.total_cmp(&p_a))
            .then(a.cmp(b))
    });
    order.truncate(n);
    order
}

/// The `n` verdicts closest to one half, if they are within [0.25, 0.75], highest first.
pub(super) fn borderline(verdicts: &[Verdict], n: usize) -> Vec<usize> {
    let doubt = |index: usize| (verdicts[index].posterior - 0.5).abs();
    let mut order: Vec<usize> = (0..verdicts.len())
        .filter(|&index| doubt(index) <= 0.25)
        .collect();
    order.sort_by(|&a, &b| doubt(a).total_cmp(&doubt(b)).then(a.cmp(&b)));
    order.truncate(n);
    order.sort_by(|&a, &b| {
        verdicts[b]
            .posterior
            .total_cmp(&verdicts[a].posterior)
            .then(a.cmp(&b))
    });
    order
}

/// The most uncertain ambiguous verdict of each image, the `n` most uncertain ones first.
pub(super) fn ambiguous(verdicts: &[Verdict], n: usize) -> Vec<usize> {
    let uncertainty = |index: usize| verdicts[index].uncertainty.unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<usize> = (0..verdicts.len())
        .filter(|&index| verdicts[index].judgment == Judgment::Ambiguous)
        .collect();
    order.sort_by(|&a, &b| uncertainty(b).total_cmp(&uncertainty(a)).then(a.cmp(&b)));
    // Pairs of one image are about equally ambiguous: the first of them stands for all.
    let mut shown = HashSet::new();
    order.retain(|&index| shown.insert(verdicts[index].image));
    order.truncate(n);
    order
}

/// The `n` most probable near misses: pairs more likely mismatched than not, and more likely near
/// misses than far off.
pub(super) fn near(verdicts: &[Verdict], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..verdicts.len())
        .filter(|&index| is_near(&verdicts[index]))
        .collect();
    order.sort_by(|&a, &b| {
        verdicts[b]
            .near
            .total_cmp(&verdicts[a].near)
            .then(a.cmp(&b))
    });
    order.truncate(n);
    order
}

/// Whether a pair is more likely a near miss than anything else.
pub(super) fn is_near(verdict: &Verdict) -> bool {
    verdict.posterior > 0.5 && verdict.near > verdict.posterior / 2.0
}

/// An uncertainty in words.
pub(super) fn uncertainty_words(kind: UncertaintyKind, uncertainty: Option<f64>) -> String {
    match (uncertainty, kind) {
        (None, _) => String::new(),
        (Some(candidates), UncertaintyKind::Candidates) => {
            format!("as if {candidates:.1} candidates fitted equally well")
        }
        (Some(share), UncertaintyKind::Variance) => format!("uncertainty {}", percent(share)),
    }
}

/// The cards of the chosen rows, with their own pictures but not yet those of the suggestions.
pub(super) fn cards<'a>(
    chosen: &[usize],
    rows: &'a [VerdictRow<'a>],
    findings: &Findings,
    manifest: Option<&Manifest>,
    pictures: &mut Pictures<'_>,
) -> Vec<Card<'a>> {
    let (verdicts, kind) = (&findings.verdicts, findings.ambiguity.uncertainty);
    let card = |&index: &usize| {
        let (row, verdict) = (&rows[index], &verdicts[index]);
        Card {
            row,
            picture: pictures.embed(verdict.image),
            better_picture: None,
            probability: percent(row.posterior),
            rank_i2t: count(row.rank_i2t.into()),
            rank_t2i: count(row.rank_t2i.into()),
            uncertainty: uncertainty_words(kind, row.uncertainty),
            planted: manifest
                .and_then(|manifest| manifest.mismatched.get(row.pair as usize).copied()),
        }
    };
    chosen.iter().map(card).collect()
}

/// Adds the pictures of suggested images; called after every card has its own picture, so that
/// suggestions only spend what is left of the budget.
pub(super) fn add_suggestions(
    cards: &mut [Card<'_>],
    chosen: &[usize],
    verdicts: &[Verdict],
    pictures: &mut Pictures<'_>,
) {
    for (card, &index) in cards.iter_mut().zip(chosen) {
        card.better_picture = verdicts[index]
            .better_image
            .and_then(|image| pictures.embed(image));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    fn verdicts(posteriors: &[f64]) -> Vec<Verdict> {
        let (_, findings, _) = specimen::audited();
        let template = &findings.verdicts[0];
        let with = |posterior: &f64| Verdict {
            posterior: *posterior,
            p: 0.5,
            ..template.clone()
        };
        posteriors.iter().map(with).collect()
    }

    #[test]
    fn worst_come_first_and_ties_follow_p_then_the_pair() {
        let mut verdicts = verdicts(&[0.2, 1.0, 0.9, 1.0, 1.0]);
        verdicts[4].p = 0.9;
        assert_eq!(worst(&verdicts, 4), [4, 1, 3, 2]);
        assert_eq!(worst(&verdicts, 100).len(), 5);
        assert!(worst(&[], 3).is_empty());
    }

    #[test]
    fn borderline_pairs_surround_one_half() {
        let verdicts = verdicts(&[0.0, 0.30, 0.49, 0.52, 0.69, 0.76, 1.0]);
        assert_eq!(borderline(&verdicts, 3), [4, 3, 2]);
        assert_eq!(borderline(&verdicts, 2), [3, 2]);
        assert_eq!(borderline(&verdicts, 99), [4, 3, 2, 1]);
    }

    #[test]
    fn ambiguous_pairs_are_sorted_by_their_uncertainty() {
        let mut verdicts = verdicts(&[0.0; 5]);
        for (n, uncertainty) in [2.0, 5.0, 3.0, 9.0, 5.0].into_iter().enumerate() {
            verdicts[n].uncertainty = Some(uncertainty);
            verdicts[n].judgment = Judgment::Ambiguous;
            verdicts[n].image = n as u32;
        }
        verdicts[3].judgment = Judgment::Matched;
        assert_eq!(ambiguous(&verdicts, 3), [1, 4, 2]);
        verdicts[4].image = 1;
        assert_eq!(ambiguous(&verdicts, 3), [1, 2, 0]);
        verdicts[4].image = 4;
        let words = uncertainty_words;
        assert_eq!(
            words(UncertaintyKind::Candidates, Some(3.0751)),
            "as if 3.1 candidates fitted equally well"
        );
        assert!(words(UncertaintyKind::Variance, Some(0.25)).starts_with("uncertainty 25"));
        assert_eq!(words(UncertaintyKind::Variance, None), "");
    }

    #[test]
    fn own_pictures_come_before_suggestions() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = specimen::with_pictures(dir.path());
        let (_, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let one = Pictures::new(&dataset, usize::MAX).embed(0).unwrap().len();
        let mut pictures = Pictures::new(&dataset, 3 * one + one / 2);
        let chosen = worst(&findings.verdicts, 3);
        let mut cards = cards(&chosen, &rows, &findings, None, &mut pictures);
        add_suggestions(&mut cards, &chosen, &findings.verdicts, &mut pictures);
        assert!(cards.iter().all(|card| card.picture.is_some()));
        assert!(cards.iter().all(|card| card.better_picture.is_none()));
    }
}
