//! Findings from what a trained method believes about the pairs it was trained on.
//!
//! Such beliefs are not held out: a network believes what it has memorized. They are reported as they
//! are, with a note to that effect; ranks and suggestions come from the method's own scores.

use super::ambiguity::pronounce;
use super::bootstrap::{Bootstrap, MAX_CLUSTERS, quantile};
use super::conclude::{Evidence, blank_explained, conclude, histogram, rows_by_pair};
use super::outcome::DETECTABLE_RATE;
use super::{AuditOptions, Findings, FoldStatistics, Links, NoiseRate, Outcome};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::{Seed, below};

const NOT_HELD_OUT: &str = "These are the beliefs of matchers about pairs they were trained on: not \
     calibrated, and too optimistic where wrong pairs were memorized. Ranks and p-values are too \
     optimistic for the same reason. An audit without a run trains matchers that never see what they judge.";

/// Findings whose posteriors are `1 - clean`: `clean` `[n_pairs]` is a method's belief that a pair
/// is matched, [0, 1], and `folds` are judged by its own scores. The noise rate is the mean of the
/// posteriors; its interval is a bootstrap over images and does not include the method's own error.
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
    let bootstrap = Bootstrap {
        n_draws: options.n_bootstrap,
        seed,
    };
    findings.noise_rate = rate(pairs, &posterior, bootstrap);
    findings.outcome = if findings.noise_rate.low < DETECTABLE_RATE {
        Outcome::NoEvidence
    } else {
        Outcome::MismatchedPairs
    };
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

/// Mean posterior with a 95 % percentile interval over images.
fn rate(pairs: &[Pair], posterior: &[f64], bootstrap: Bootstrap) -> NoiseRate {
    let n_images = 1 + pairs.iter().map(|pair| pair.image).max().unwrap_or(0) as usize;
    let mut clusters = vec![(0.0, 0.0); n_images.min(MAX_CLUSTERS)];
    for (pair, posterior) in pairs.iter().zip(posterior) {
        let (sum, count) = &mut clusters[pair.image as usize % MAX_CLUSTERS];
        *sum += posterior;
        *count += 1.0;
    }
    let mean = |(sum, count): (f64, f64)| if count > 0.0 { sum / count } else { 0.0 };
    let add = |a: (f64, f64), b: (f64, f64)| (a.0 + b.0, a.1 + b.1);
    let estimate = mean(clusters.iter().copied().fold((0.0, 0.0), add));
    let n = clusters.len();
    let draws = bootstrap.draw("belief bootstrap", |stream| {
        let drawn = (0..n).map(|_| clusters[below(stream, n as u64) as usize]);
        mean(drawn.fold((0.0, 0.0), add))
    });
    let end = |q: f64| quantile(draws.clone(), q).unwrap_or(estimate);
    NoiseRate {
        estimate,
        low: end(0.025).min(estimate),
        high: end(0.975).max(estimate),
    }
}
