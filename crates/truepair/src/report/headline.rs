//! The verdict on the whole data set in plain words.

use truepair_core::audit::{Findings, Outcome};

use super::number::{count, counted, estimate, interval, percent};

/// The first thing that a reader sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headline {
    /// Style of the page's top: `found`, `clear`, `open` or `refused`.
    pub(crate) state: &'static str,
    pub(crate) title: String,
    pub(crate) lede: String,
}

/// What is counted over the verdicts, once for all sections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PairCounts {
    pub(super) pairs: u64,
    /// Pairs with a posterior above one half.
    pub(super) probable: u64,
    /// Pairs on the cleaned list.
    pub(super) kept: u64,
}

impl PairCounts {
    pub(super) fn new(findings: &Findings, keep: &[bool]) -> Self {
        let probable = findings
            .verdicts
            .iter()
            .filter(|verdict| verdict.posterior > 0.5)
            .count();
        let kept = keep.iter().filter(|keep| **keep).count();
        Self {
            pairs: keep.len() as u64,
            probable: probable as u64,
            kept: kept as u64,
        }
    }
}

/// The headline that the outcome calls for.
pub(super) fn headline(findings: &Findings, counts: PairCounts) -> Headline {
    match &findings.outcome {
        Outcome::MismatchedPairs => found(findings, counts),
        Outcome::NoEvidence => clear(findings, counts),
        Outcome::CannotBeTold { reason, help } => open(counts, reason, help),
        Outcome::Beliefs => beliefs(findings, counts),
        Outcome::Refused { reason } => refused(findings, counts, reason),
    }
}

fn found(findings: &Findings, counts: PairCounts) -> Headline {
    let rate = &findings.noise_rate;
    let verb = if counts.probable == 1 { "has" } else { "have" };
    Headline {
        state: "found",
        title: format!(
            "An estimated {} of {} are mismatched",
            estimate(rate),
            counted(counts.pairs, "pair")
        ),
        lede: format!(
            "The 95\u{a0}% interval is {}{}. {} {verb} a probability above one half of being \
             mismatched; {} are kept in the cleaned list.",
            interval(rate),
            assumption(findings),
            counted(counts.probable, "pair"),
            count(counts.kept),
        ),
    }
}

/// What the point assumes, where it assumes something.
fn assumption(findings: &Findings) -> String {
    let reading = findings.reading;
    if !reading.is_uneven {
        return String::new();
    }
    format!(
        "; the estimate holds if mismatches fall evenly over the {} of the pairs that the matcher \
         reads and the rest",
        percent(reading.readable)
    )
}

fn clear(findings: &Findings, counts: PairCounts) -> Headline {
    Headline {
        state: "clear",
        title: format!(
            "No evidence of mismatched pairs among {}",
            count(counts.pairs)
        ),
        lede: format!(
            "The pairs' ranks show no excess of bad ones beyond chance. At most {} could be \
             mismatched at random without being noticed here (upper end of the 95\u{a0}% interval).",
            percent(findings.noise_rate.high),
        ),
    }
}

fn open(counts: PairCounts, reason: &str, help: &str) -> Headline {
    Headline {
        state: "open",
        title: format!(
            "Whether pairs are mismatched cannot be told for these {}",
            counted(counts.pairs, "pair")
        ),
        lede: format!(
            "{} To find out: {} No pair is dropped.",
            sentence(reason),
            sentence(help)
        ),
    }
}

fn beliefs(findings: &Findings, counts: PairCounts) -> Headline {
    Headline {
        state: "open",
        title: format!(
            "What a run believes of the {} it was trained on",
            counted(counts.pairs, "pair")
        ),
        lede: format!(
            "Not a verdict: beliefs about pairs that a method has seen are not calibrated, and too \
             optimistic where wrong pairs were memorized. On average it believes that {} of them are \
             mismatched, and it is more certain than not of {}. No pair is dropped; an audit without \
             a run judges by matchers that never saw the pairs.",
            percent(findings.noise_rate.estimate),
            counted(counts.probable, "pair"),
        ),
    }
}

fn refused(findings: &Findings, counts: PairCounts, reason: &str) -> Headline {
    let competence = &findings.competence;
    Headline {
        state: "refused",
        title: format!("No verdict on these {}", counted(counts.pairs, "pair")),
        lede: format!(
            "{} A matcher that knows nothing puts up to {} of the pairs into the best 5\u{a0}% of \
             ranks; this one put {} there. Calling pairs mismatched on such evidence would be \
             guessing, so nothing is called.",
            sentence(reason),
            percent(competence.chance),
            percent(competence.share_below_5_percent),
        ),
    }
}

/// `reason` with a capital letter and a full stop.
pub(crate) fn sentence(reason: &str) -> String {
    let reason = reason.trim();
    let mut chars = reason.chars();
    let mut text: String = chars
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    text.push_str(chars.as_str());
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn found_states_rate_interval_and_counts() {
        let (_, mut findings, keep) = specimen::audited();
        findings.noise_rate.estimate = 0.31;
        findings.noise_rate.low = 0.29;
        findings.noise_rate.high = 0.33;
        let counts = PairCounts {
            pairs: 5_315,
            probable: 1_640,
            kept: 3_675,
        };
        let headline = headline(&findings, counts);
        assert_eq!(
            headline.title,
            "An estimated 31\u{a0}% of 5,315\u{a0}pairs are mismatched"
        );
        for part in [
            "29–\u{2060}33\u{a0}%",
            "1,640\u{a0}pairs have",
            "3,675 are kept",
        ] {
            assert!(headline.lede.contains(part), "{part} in {}", headline.lede);
        }
        let counts = PairCounts::new(&findings, &keep);
        assert_eq!(counts.pairs, findings.verdicts.len() as u64);
    }

    #[test]
    fn beliefs_are_no_verdict_and_drop_nothing() {
        let (_, mut findings, keep) = specimen::audited();
        findings.outcome = Outcome::Beliefs;
        let headline = headline(&findings, PairCounts::new(&findings, &keep));
        assert!(
            headline.title.starts_with("What a run believes"),
            "{}",
            headline.title
        );
        assert!(
            headline.lede.contains("not calibrated"),
            "{}",
            headline.lede
        );
        assert!(!headline.lede.contains("interval"), "{}", headline.lede);
    }

    #[test]
    fn clear_states_the_upper_bound_and_accuses_nobody() {
        let (_, findings, keep) = specimen::clear();
        let headline = headline(&findings, PairCounts::new(&findings, &keep));
        assert_eq!(headline.state, "clear");
        assert!(headline.title.starts_with("No evidence"));
        assert!(headline.lede.contains(&percent(findings.noise_rate.high)));
    }

    #[test]
    fn refused_gives_the_reason_as_a_sentence() {
        let (_, findings, keep) = specimen::refused();
        let headline = headline(&findings, PairCounts::new(&findings, &keep));
        assert_eq!(headline.state, "refused");
        assert!(
            headline.lede.starts_with("The matcher does not rank"),
            "{}",
            headline.lede
        );
        assert_eq!(sentence("done!"), "Done!");
        assert_eq!(sentence(""), ".");
    }
}
