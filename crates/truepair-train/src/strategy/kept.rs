//! What an audit's verdicts mean for training: which pairs are kept.

use truepair_core::Error;
use truepair_core::audit::{Findings, Outcome};
use truepair_core::ledger::Ledger;
use truepair_model::objective::positive;

use crate::error::Result;

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
    let note = format!("the audit holds {} pairs matched; all are used", kept.len());
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
