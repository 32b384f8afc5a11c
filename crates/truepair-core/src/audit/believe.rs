//! Findings from what a trained method believes about the pairs it was trained on.
//!
//! Such beliefs are not held out: a network believes what it has memorized. They are reported as they
//! are, with a note to that effect; ranks and suggestions come from the method's own scores.

use super::ambiguity::pronounce;
use super::conclude::{Evidence, blank_explained, conclude, histogram, rows_by_pair};
use super::{AuditOptions, Findings, FoldStatistics, Links, NoiseRate, Outcome};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::Seed;

const NOT_HELD_OUT: &str = "These are the beliefs of matchers about pairs they were trained on: not \
     calibrated, and too optimistic where wrong pairs were memorized. Ranks and p-values are too \
     optimistic for the same reason. An audit without a run trains matchers that never see what they judge.";

/// Findings whose posteriors are `1 - clean`: `clean` `[n_pairs]` is a method's belief that a pair
/// is matched, [0, 1], and `folds` are judged by its own scores. The noise rate is the mean of the
/// posteriors between the bounds 0 and 1, because nothing is known of the method's own error, and the
/// outcome is [`Outcome::Beliefs`].
///
/// # Errors
/// As [`conclude`], and if there is not one belief in [0, 1] for each pair.
pub fn conclude_from_beliefs(
    pairs: &[Pair],
    links: &Links,
    folds: &[FoldStatistics],
    clean: &[f64],
    options: &AuditOptions,
    seed: Seed,
) -> Result<Findings> {
    check(clean, pairs.len())?;
    let mut findings = conclude(pairs, links, &Evidence::of(folds), options, seed)?;
    findings.notes.push(NOT_HELD_OUT.to_owned());
    if let Outcome::Refused { .. } = findings.outcome {
        return Ok(findings);
    }
    let posterior: Vec<f64> = clean.iter().map(|clean| 1.0 - clean).collect();
    let rows = rows_by_pair(pairs.len(), folds)?;
    for verdict in &mut findings.verdicts {
        verdict.posterior = posterior[verdict.pair as usize];
    }
    findings.ambiguity = pronounce(&mut findings.verdicts, &rows, |pair| {
        links.is_blank(pairs[pair])
    });
    findings.verdicts = blank_explained(findings.verdicts, links);
    // Nothing is known of the method's own error, so no bound but the trivial one holds.
    findings.noise_rate = NoiseRate {
        estimate: posterior.iter().sum::<f64>() / posterior.len().max(1) as f64,
        low: 0.0,
        high: 1.0,
    };
    findings.kinds = None;
    findings.outcome = Outcome::Beliefs;
    findings.illegible = 0;
    findings.fit.posterior_histogram = histogram(&posterior);
    findings.fit.mean_posterior = findings.noise_rate.estimate;
    Ok(findings)
}

fn check(clean: &[f64], n_pairs: usize) -> Result<()> {
    if clean.len() != n_pairs {
        return Err(Error::argument(
            format!("{} beliefs for {n_pairs} pairs", clean.len()),
            "give the data that the method was trained on",
        ));
    }
    match clean.iter().position(|value| !(0.0..=1.0).contains(value)) {
        None => Ok(()),
        Some(pair) => Err(Error::argument(
            format!("pair {pair}: the belief {} is not in [0, 1]", clean[pair]),
            "the ledger is damaged, or the method does not keep its beliefs there",
        )),
    }
}
