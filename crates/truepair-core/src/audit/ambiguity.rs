//! What each pair is called: how ambiguous pairs are told from mismatched ones.

use super::reason::{Compared, reason};
use super::{Ambiguity, Judgment, PairStatistics, UncertaintyKind, Verdict};

/// Clear pairs below this probability of a mismatch set the level of ambiguity.
const CLEAR: f64 = 0.1;

/// Share of the clear pairs that lie above the level.
const ABOVE_LEVEL: f64 = 0.1;

/// Fewer clear pairs than this set no level.
const FEWEST_CLEAR: usize = 40;

/// Effective number of candidates below which a ranking is never called ambiguous.
const LEAST_CROWD: f64 = 1.5;

/// Fills the uncertainty, the judgment and the reason of every verdict; `rows` and `illegible` are
/// aligned with them.
pub(super) fn pronounce(
    verdicts: &mut [Verdict],
    rows: &[PairStatistics],
    illegible: impl Fn(usize) -> bool,
) -> Ambiguity {
    // Uncertainties of two kinds cannot be compared, so that of Gaussians is used only where all pairs
    // have it.
    let kind = match rows.iter().all(|row| row.variance.is_some()) {
        true => UncertaintyKind::Variance,
        false => UncertaintyKind::Candidates,
    };
    for (verdict, row) in verdicts.iter_mut().zip(rows) {
        verdict.uncertainty = Some(match (kind, row.variance) {
            (UncertaintyKind::Variance, Some(variance)) => variance,
            _ => row.entropy.exp(),
        });
    }
    let ambiguity = Ambiguity {
        uncertainty: kind,
        level: level(verdicts, kind),
    };
    for (n, (verdict, row)) in verdicts.iter_mut().zip(rows).enumerate() {
        let compared = Compared {
            captions: row.n_captions,
            images: row.n_images,
            illegible: illegible(n),
        };
        verdict.judgment = judgment(verdict, compared, ambiguity.level);
        verdict.reason = reason(verdict, compared, kind);
    }
    ambiguity
}

/// The quantile of clear pairs' uncertainties.
fn level(verdicts: &[Verdict], kind: UncertaintyKind) -> Option<f64> {
    let clear = verdicts.iter().filter(|verdict| {
        verdict.posterior <= CLEAR && verdict.rank_i2t == 1 && verdict.rank_t2i == 1
    });
    let mut clear: Vec<f64> = clear.filter_map(|verdict| verdict.uncertainty).collect();
    if clear.len() < FEWEST_CLEAR {
        return None;
    }
    clear.sort_unstable_by(f64::total_cmp);
    let level = clear[((1.0 - ABOVE_LEVEL) * (clear.len() - 1) as f64).ceil() as usize];
    Some(match kind {
        UncertaintyKind::Candidates => level.max(LEAST_CROWD),
        UncertaintyKind::Variance => level,
    })
}

fn judgment(verdict: &Verdict, compared: Compared, level: Option<f64>) -> Judgment {
    let ambiguous =
        || matches!((verdict.uncertainty, level), (Some(own), Some(level)) if own > level);
    if compared.captions == 0 || compared.images == 0 || compared.illegible {
        Judgment::Unknown
    } else if verdict.posterior > 0.5 {
        Judgment::Mismatched
    } else if ambiguous() {
        Judgment::Ambiguous
    } else if verdict.posterior > CLEAR {
        Judgment::Doubtful
    } else {
        Judgment::Matched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pair: u32, rank: u32, entropy: f64, variance: Option<f64>) -> PairStatistics {
        PairStatistics {
            pair,
            p_i2t: 0.01,
            p_t2i: 0.01,
            log_rank: -4.0,
            surprisal: 1.0,
            legibility: [1.0; 2],
            entropy,
            variance,
            rank_i2t: rank,
            rank_t2i: rank,
            n_captions: 99,
            n_images: 99,
            better_caption: None,
            better_image: None,
        }
    }

    fn verdict(row: &PairStatistics, posterior: f64) -> Verdict {
        Verdict {
            pair: row.pair,
            image: row.pair,
            caption: row.pair,
            p_i2t: row.p_i2t,
            p_t2i: row.p_t2i,
            p: 0.01,
            posterior,
            near: 0.0,
            rank_i2t: row.rank_i2t,
            rank_t2i: row.rank_t2i,
            better_caption: None,
            better_image: None,
            uncertainty: None,
            judgment: Judgment::Unknown,
            reason: String::new(),
        }
    }

    /// A hundred clear pairs with uncertainties of 1 to 1.99, and four of rank 3.
    fn judged(variance: impl Fn(u32) -> Option<f64>) -> (Ambiguity, Vec<Verdict>) {
        let crowd = |n: u32| f64::from(100 + n) / 100.0;
        let mut rows: Vec<PairStatistics> = (0..100)
            .map(|n| row(n, 1, crowd(n).ln(), variance(n)))
            .collect();
        rows.extend((100..104).map(|n| row(n, 3, 4f64.ln(), variance(n))));
        let posterior = |n: u32| [0.05, 0.4, 0.9, 0.05].get(n as usize).copied();
        let mut verdicts: Vec<Verdict> = (rows.iter())
            .map(|row| verdict(row, posterior(row.pair.wrapping_sub(100)).unwrap_or(0.0)))
            .collect();
        let found = pronounce(&mut verdicts, &rows, |n| n == 103);
        (found, verdicts)
    }

    #[test]
    fn the_level_is_that_of_clear_pairs() {
        let (found, verdicts) = judged(|_| None);
        assert_eq!(found.uncertainty, UncertaintyKind::Candidates);
        let level = found.level.unwrap();
        assert!((level - 1.9).abs() < 1e-9, "{level}");
        let of = |n: usize| verdicts[n].judgment;
        assert_eq!([of(0), of(99)], [Judgment::Matched, Judgment::Ambiguous]);
        let rest = [
            Judgment::Ambiguous,
            Judgment::Ambiguous,
            Judgment::Mismatched,
            Judgment::Unknown,
        ];
        assert_eq!([of(100), of(101), of(102), of(103)], rest);
        assert!((verdicts[100].uncertainty.unwrap() - 4.0).abs() < 1e-9);
        assert!(
            verdicts[100].reason.contains("ambiguous"),
            "{}",
            verdicts[100].reason
        );
    }

    #[test]
    fn variances_count_where_every_pair_has_one() {
        let share = |n: u32| Some(f64::from(n) / 1000.0);
        let (found, verdicts) = judged(share);
        assert_eq!(found.uncertainty, UncertaintyKind::Variance);
        assert_eq!(verdicts[42].uncertainty, Some(0.042));
        assert_eq!(verdicts[100].judgment, Judgment::Ambiguous);
        let (found, _) = judged(|n| share(n).filter(|_| n != 7));
        assert_eq!(found.uncertainty, UncertaintyKind::Candidates);
    }

    #[test]
    fn few_clear_pairs_set_no_level() {
        let rows: Vec<PairStatistics> = (0..30).map(|n| row(n, 1, 0.0, None)).collect();
        let mut verdicts: Vec<Verdict> = rows.iter().map(|row| verdict(row, 0.3)).collect();
        let found = pronounce(&mut verdicts, &rows, |_| false);
        assert_eq!(found.level, None);
        assert!(verdicts.iter().all(|v| v.judgment == Judgment::Doubtful));
    }

    #[test]
    fn verdicts_and_findings_without_the_columns_are_read() {
        let mut verdict = serde_json::to_value(verdict(&row(3, 1, 0.0, None), 0.2)).unwrap();
        let fields = verdict.as_object_mut().unwrap();
        for column in ["uncertainty", "judgment"] {
            assert!(fields.remove(column).is_some(), "{column}");
        }
        let read: Verdict = serde_json::from_value(verdict).unwrap();
        assert_eq!((read.uncertainty, read.judgment), (None, Judgment::Unknown));
        assert_eq!(read.posterior, 0.2);
    }

    #[test]
    fn names_are_those_in_files() {
        for judgment in Judgment::ALL {
            assert_eq!(serde_json::to_value(judgment).unwrap(), judgment.name());
        }
    }
}
