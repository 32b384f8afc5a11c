//! What an audit's verdicts mean for training: which pairs are kept.

use std::collections::BTreeMap;

use truepair_core::Error;
use truepair_core::audit::{Findings, Outcome};
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;
use truepair_model::objective::positive;

use crate::error::Result;

/// Excess of wholly lost images over chance from which on whole images changed places, as a share of what it can
/// be. It is far from 1 even then: of five captions that are each found nine times in ten, all are in 0.6 of the
/// images.
const TOGETHER: f64 = 0.25;

/// Takes an audit's verdicts for the ledgers' beliefs, clean posterior and soft label alike; says what
/// the reader of the log should know where there is none.
pub(super) fn believe(findings: &Findings, ledgers: &mut [Ledger]) -> Option<String> {
    match &findings.outcome {
        // Held-out judges have no beliefs.
        Outcome::MismatchedPairs | Outcome::Beliefs => {}
        Outcome::NoEvidence => {
            return Some(
                "the audit finds no evidence of mismatched pairs, all pairs are used".to_owned(),
            );
        }
        Outcome::CannotBeTold { reason, .. } => {
            return Some(format!(
                "whether pairs are mismatched cannot be told, all pairs are used: {reason}"
            ));
        }
        Outcome::Refused { reason } => {
            return Some(format!(
                "the audit gives no verdict, all pairs are used: {reason}"
            ));
        }
    }
    for ledger in ledgers {
        for verdict in &findings.verdicts {
            let clean = 1.0 - verdict.posterior as f32;
            ledger.clean_posterior[verdict.pair as usize] = clean;
            ledger.soft_label[verdict.pair as usize] = clean;
        }
    }
    None
}

/// Pairs whose probability of being mismatched is below `keep_below`; all, with a note, when that
/// leaves too few to train on.
pub(super) fn kept(ledger: &Ledger, keep_below: f64) -> (Vec<u32>, Option<String>) {
    let all = 0..ledger.len() as u32;
    let mismatched = |pair: u32| 1.0 - f64::from(ledger.clean_posterior[pair as usize]);
    let kept: Vec<u32> = (all.clone())
        .filter(|&pair| mismatched(pair) < keep_below)
        .collect();
    if kept.len() >= 2 {
        return (kept, None);
    }
    let note = format!("{} pairs are held matched; all are used", kept.len());
    (all.collect(), Some(note))
}

/// Refuses a `keep_below` outside (0, 1].
pub(super) fn check(keep_below: f64) -> Result<()> {
    positive("strategy.keep_below", keep_below)?;
    if keep_below <= 1.0 {
        return Ok(());
    }
    Err(Error::argument(
        format!("strategy.keep_below = {keep_below} is above 1"),
        "it is a probability; 0.5 drops what is more likely mismatched than not",
    )
    .into())
}

/// Whether captions are lost together with the others of their image, as after whole images changed places:
///
/// ```text
/// W − E ≥ TOGETHER (L − E)
/// ```
/// with L the lost captions of images that have several, W those of images that lost all, and E what W would be on
/// average if each caption were lost by itself. Where all captions are lost this is not seen.
pub(super) fn are_lost_together(pairs: &[Pair], is_lost: &[bool]) -> bool {
    let mut images: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for (pair, &lost) in pairs.iter().zip(is_lost) {
        let (n_captions, n_lost) = images.entry(pair.image).or_default();
        *n_captions += 1;
        *n_lost += u32::from(lost);
    }
    images.retain(|_, (n_captions, _)| *n_captions > 1);
    let sum = |value: &dyn Fn(u32, u32) -> f64| -> f64 {
        let values = images
            .values()
            .map(|&(n_captions, n_lost)| value(n_captions, n_lost));
        values.sum()
    };
    let n_captions = sum(&|n_captions, _| f64::from(n_captions));
    let lost = sum(&|_, n_lost| f64::from(n_lost));
    let whole = sum(&|n_captions, n_lost| {
        if n_captions == n_lost {
            f64::from(n_lost)
        } else {
            0.0
        }
    });
    let share = lost / n_captions.max(1.0);
    let by_chance =
        sum(&|n_captions, n_lost| f64::from(n_lost) * share.powf(f64::from(n_captions - 1)));
    lost > by_chance && whole - by_chance >= TOGETHER * (lost - by_chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::{Seed, normal};

    #[test]
    fn captions_are_searched_together_where_whole_images_changed_places() {
        let pairs: Vec<Pair> = (0..500)
            .map(|caption| Pair {
                image: caption / 5,
                caption,
            })
            .collect();
        let together = |lost: &dyn Fn(u32) -> bool| {
            let is_lost: Vec<bool> = (0..500).map(lost).collect();
            are_lost_together(&pairs, &is_lost)
        };
        // Whole images, with one caption in ten taken for matched.
        assert!(together(&|caption| caption / 5 % 5 < 4 && caption % 10 > 0));
        // Four captions in five, each by itself; one caption of every image; none.
        let rng = &mut Seed(2).stream("lost", &[]);
        let drawn: Vec<bool> = (0..500).map(|_| normal(rng) < 0.84).collect();
        assert!(!together(&|caption| drawn[caption as usize]));
        assert!(!together(&|caption| caption % 5 == 0));
        assert!(!together(&|_| false));
    }
}
