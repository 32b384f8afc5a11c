//! The row of figures below the headline, and what other thresholds would do.

use truepair_core::audit::{Findings, Judgment, Outcome};

use super::headline::PairCounts;
use super::number::{count, estimate, interval, percent, percent_pair};

/// One figure with its name and one line of explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SummaryTile {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) detail: String,
}

impl SummaryTile {
    fn new(name: &'static str, value: String, detail: String) -> Self {
        Self {
            name,
            value,
            detail,
        }
    }
}

/// The figures in reading order; those without a basis are absent.
pub(super) fn tiles(findings: &Findings, counts: PairCounts) -> Vec<SummaryTile> {
    let mut tiles = Vec::new();
    if !findings.verdicts.is_empty() {
        let of_pairs = |share: f64| count((share * counts.pairs as f64).round() as u64);
        let rate = &findings.noise_rate;
        if findings.outcome.is_found() {
            tiles.push(SummaryTile::new(
                "Expected mismatched",
                of_pairs(rate.estimate),
                format!("of {} pairs, from the noise rate", count(counts.pairs)),
            ));
            tiles.push(SummaryTile::new(
                "Probably mismatched",
                count(counts.probable),
                "pairs with a probability above one half".to_owned(),
            ));
        } else if findings.outcome != Outcome::Beliefs {
            tiles.push(SummaryTile::new(
                "Mismatched at most",
                of_pairs(rate.high),
                format!(
                    "of {} pairs, the upper end of the rate",
                    count(counts.pairs)
                ),
            ));
        }
        if let Some(kinds) = findings.kinds.filter(|kinds| kinds.is_found) {
            tiles.push(SummaryTile::new(
                "Near misses",
                of_pairs(kinds.near.estimate),
                format!(
                    "of these, pairs of the right scene with a wrong detail: {} of all pairs",
                    interval(&kinds.near)
                ),
            ));
        }
        let dropped = counts.pairs - counts.kept;
        tiles.push(SummaryTile::new(
            "Kept",
            count(counts.kept),
            format!("in the cleaned list; {} dropped", count(dropped)),
        ));
    }
    tiles.push(competence(findings));
    tiles.extend(truth(findings));
    tiles.extend(self_check(findings));
    tiles
}

/// How many pairs are called what, and what the word means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JudgmentLine {
    pub(super) name: &'static str,
    pub(super) count: String,
    pub(super) meaning: &'static str,
}

/// A line for every word that verdicts use; none without verdicts.
pub(super) fn judgments(findings: &Findings) -> Vec<JudgmentLine> {
    if findings.verdicts.is_empty() {
        return Vec::new();
    }
    let line = |judgment: Judgment| {
        let called = findings
            .verdicts
            .iter()
            .filter(|verdict| verdict.judgment == judgment);
        JudgmentLine {
            name: judgment.name(),
            count: count(called.count() as u64),
            meaning: meaning(judgment),
        }
    };
    Judgment::ALL.into_iter().map(line).collect()
}

/// What a judgment says, in one sentence.
const fn meaning(judgment: Judgment) -> &'static str {
    match judgment {
        Judgment::Matched => {
            "Image and caption belong together: the probability of a mismatch is at most 0.1, and \
             little else fits as well."
        }
        Judgment::Ambiguous => {
            "Image and caption belong together, but one of them fits many others too, such as \"a dog\" \
             among fifty dogs. Not a reproach, and not a reason to drop the pair."
        }
        Judgment::Doubtful => "The probability of a mismatch lies between 0.1 and 0.5.",
        Judgment::Mismatched => {
            "More likely mismatched than not: the probability of a mismatch is 0.5 or more."
        }
        Judgment::Unknown => {
            "Cannot be told: nothing to compare with, or the matcher cannot read image or caption. \
             The probability is then that of any pair, not evidence against this one."
        }
    }
}

fn competence(findings: &Findings) -> SummaryTile {
    let competence = &findings.competence;
    SummaryTile::new(
        "Read by the matcher",
        percent(competence.share_below_5_percent),
        format!(
            "of the pairs rank among the best 5\u{a0}% of their own image's and caption's candidates; \
             guessing gives at most {}",
            percent(competence.chance)
        ),
    )
}

fn truth(findings: &Findings) -> Vec<SummaryTile> {
    let Some(truth) = &findings.truth else {
        return Vec::new();
    };
    vec![
        SummaryTile::new(
            "Truly mismatched",
            percent(truth.realized),
            "known, because the noise was injected".to_owned(),
        ),
        SummaryTile::new(
            "Area under the ROC curve",
            format!("{:.3}", truth.auc),
            "chance that a mismatched pair gets the higher probability".to_owned(),
        ),
        SummaryTile::new(
            "Calibration error",
            format!("{:.3}", truth.ece),
            "mean gap between stated probability and truth".to_owned(),
        ),
        SummaryTile::new(
            "Precision and recall",
            percent_pair(truth.precision, truth.recall),
            "when pairs above one half are called mismatched".to_owned(),
        ),
    ]
}

fn self_check(findings: &Findings) -> Option<SummaryTile> {
    let check = findings.self_check.as_ref()?;
    Some(SummaryTile::new(
        "Self-check",
        estimate(&check.recovered_rate),
        format!(
            "found ({}) after shuffling a further {}; {} expected",
            interval(&check.recovered_rate),
            percent(check.injected),
            percent(check.expected_rate)
        ),
    ))
}

/// Consequences of setting aside the pairs above one threshold, by the posteriors themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    /// Pairs above this probability are set aside.
    pub(super) threshold: f64,
    pub(super) dropped: u64,
    /// Expected number of good pairs among the dropped.
    pub(super) good_dropped: f64,
    /// Expected share of mismatched pairs among the kept, 0 when none is kept.
    pub(super) share_bad_kept: f64,
}

/// Thresholds from strict cleaning to certainty only.
const THRESHOLDS: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// What each of [`THRESHOLDS`] would do.
pub(super) fn cuts(posteriors: &[f64]) -> Vec<Cut> {
    THRESHOLDS
        .iter()
        .map(|&threshold| cut(posteriors, threshold))
        .collect()
}

fn cut(posteriors: &[f64], threshold: f64) -> Cut {
    let mut cut = Cut {
        threshold,
        dropped: 0,
        good_dropped: 0.0,
        share_bad_kept: 0.0,
    };
    for &posterior in posteriors {
        if posterior > threshold {
            cut.dropped += 1;
            cut.good_dropped += 1.0 - posterior;
        } else {
            cut.share_bad_kept += posterior;
        }
    }
    let kept = posteriors.len() as u64 - cut.dropped;
    cut.share_bad_kept /= kept.max(1) as f64;
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn a_cut_counts_expected_errors_on_both_sides() {
        let cut = cut(&[0.1, 0.3, 0.6, 1.0], 0.5);
        assert_eq!(cut.dropped, 2);
        assert!((cut.good_dropped - 0.4).abs() < 1e-12);
        assert!((cut.share_bad_kept - 0.2).abs() < 1e-12);
    }

    #[test]
    fn dropping_everything_leaves_no_share() {
        let cut = cut(&[1.0, 1.0], 0.5);
        assert_eq!((cut.dropped, cut.share_bad_kept), (2, 0.0));
    }

    #[test]
    fn truth_and_verdicts_decide_which_figures_exist() {
        let (_, findings, keep) = specimen::audited();
        let names = |findings: &Findings| -> Vec<&str> {
            tiles(findings, PairCounts::new(findings, &keep))
                .iter()
                .map(|tile| tile.name)
                .collect()
        };
        assert!(names(&findings).contains(&"Calibration error"));
        let without = Findings {
            truth: None,
            self_check: None,
            ..findings
        };
        assert!(!names(&without).contains(&"Calibration error"));
        assert!(!names(&without).contains(&"Self-check"));
        let (_, refused, keep) = specimen::refused();
        assert_eq!(tiles(&refused, PairCounts::new(&refused, &keep)).len(), 1);
    }
}
