//! From fold statistics to findings: calibration, noise rate, posteriors, verdicts.

use super::ambiguity::pronounce;
use super::legibility::{Cells, Statistic};
use super::{
    Ambiguity, AuditOptions, Competence, DecreasingDensity, Findings, Fit, FoldStatistics,
    Judgment, Links, Outcome, PairStatistics, RateFit, Verdict, count_duplicates, estimate_rate,
    posteriors,
};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::Seed;

/// Bins of the histograms in [`Fit`].
const HISTOGRAM_BINS: usize = 50;

/// Rates below this cannot be told from matched pairs that the matcher itself ranks badly; such
/// pairs alone read as 0.1 to 0.3 percent on clean captions of photographs.
pub(super) const DETECTABLE_RATE: f64 = 0.005;

const NEAR_MISSES: &str = "Near misses (right scene, wrong detail) are not random mismatches: they \
     rank as well as matched pairs, so their probabilities are understated.";

/// Draws conclusions about all `pairs` from the statistics of the folds that judged them.
///
/// # Errors
/// If the options are unusable, or a pair was judged by no fold or by several.
pub fn conclude(
    pairs: &[Pair],
    links: &Links,
    folds: &[FoldStatistics],
    options: &AuditOptions,
    seed: Seed,
) -> Result<Findings> {
    options.check()?;
    let rows = rows_by_pair(pairs.len(), folds)?;
    let cells = Cells::new(pairs.len(), folds);
    let judged: Vec<usize> = (0..pairs.len())
        .filter(|&n| !rows[n].log_rank.is_nan())
        .collect();
    let rate = rate_over_cells(pairs, folds, &judged, &cells, options, seed);
    let p = cells.calibrate(folds, &rate.strata, Statistic::Surprisal);
    let strata = strata(&judged, &cells, &rate);
    let legible_p: Vec<f64> = strata[0].iter().map(|&n| p[n]).collect();
    let legible_images: Vec<u32> = strata[0].iter().map(|&n| pairs[n].image).collect();

    let competence = Competence::measure(&legible_p, n_distinct(&legible_images));
    let density = DecreasingDensity::fit(&legible_p);
    // A pair that could not be compared keeps the probability it had before looking.
    let mut posterior = vec![rate.rate.estimate; pairs.len()];
    let mut illegible = vec![false; pairs.len()];
    for (stratum, members) in strata.iter().enumerate() {
        let base = base_rate(&cells, &rate, stratum, members.len(), judged.len());
        let of_stratum: Vec<f64> = members.iter().map(|&n| p[n]).collect();
        let density = DecreasingDensity::fit(&of_stratum);
        for (&n, value) in members.iter().zip(posteriors(&of_stratum, &density, base)) {
            posterior[n] = value;
            illegible[n] = stratum > 0 && tells_little(value, base);
        }
    }
    let n_illegible = illegible.iter().filter(|&&illegible| illegible).count();
    let outcome = outcome(&competence, &rate, judged.len());
    let fit = fit(&legible_p, &posterior, &rate, &density);
    let (verdicts, ambiguity) = match outcome {
        Outcome::Refused { .. } => (Vec::new(), Ambiguity::default()),
        _ => verdicts(pairs, &rows, &p, &posterior, &illegible),
    };
    Ok(Findings {
        outcome,
        noise_rate: rate.rate,
        competence,
        verdicts,
        fit,
        duplicates: count_duplicates(links.caption_group(), links.image_group()),
        illegible: n_illegible as u64,
        ambiguity,
        truth: None,
        self_check: None,
        notes: notes(pairs.len() - judged.len(), n_illegible),
    })
}

/// One row a pair, in the pairs' order.
pub(super) fn rows_by_pair(
    n_pairs: usize,
    folds: &[FoldStatistics],
) -> Result<Vec<PairStatistics>> {
    let mut rows: Vec<Option<PairStatistics>> = vec![None; n_pairs];
    for row in folds.iter().flat_map(|fold| &fold.pairs) {
        let slot = rows
            .get_mut(row.pair as usize)
            .ok_or_else(|| unlike(row.pair, "no pair"))?;
        if slot.replace(*row).is_some() {
            return Err(unlike(row.pair, "judged by two folds"));
        }
    }
    let rows = rows.into_iter().zip(0..);
    rows.map(|(row, pair)| row.ok_or_else(|| unlike(pair, "judged by no fold")))
        .collect()
}

fn unlike(pair: u32, problem: &str) -> Error {
    Error::argument(
        format!("pair {pair} is {problem}"),
        "every pair of the data set must be judged by exactly one fold",
    )
}

/// The noise rate, from p-values calibrated within every cell of legibility.
fn rate_over_cells(
    pairs: &[Pair],
    folds: &[FoldStatistics],
    judged: &[usize],
    cells: &Cells,
    options: &AuditOptions,
    seed: Seed,
) -> RateFit {
    let apart: Vec<usize> = (0..cells.shares.len()).collect();
    let p = cells.calibrate(folds, &apart, Statistic::LogRank);
    let p: Vec<f64> = judged.iter().map(|&n| p[n]).collect();
    let image: Vec<u32> = judged.iter().map(|&n| pairs[n].image).collect();
    let cell: Vec<usize> = judged.iter().map(|&n| cells.of(n)).collect();
    estimate_rate(&p, &image, &cell, &cells.shares, options.n_bootstrap, seed)
}

/// The judged pairs by stratum, the most legible first.
fn strata(judged: &[usize], cells: &Cells, rate: &RateFit) -> Vec<Vec<usize>> {
    let n_strata = 1 + rate.strata.iter().copied().max().unwrap_or(0);
    let mut strata = vec![Vec::new(); n_strata];
    for &n in judged {
        strata[rate.strata[cells.of(n)]].push(n);
    }
    strata
}

/// Share of mismatched pairs among the `n` pairs of a stratum: mismatched pairs stand in it as often
/// as re-pairings do.
fn base_rate(cells: &Cells, rate: &RateFit, stratum: usize, n: usize, n_judged: usize) -> f64 {
    let shares = cells.shares.iter().zip(&rate.strata);
    let share: f64 = shares
        .filter(|(_, of)| **of == stratum)
        .map(|(share, _)| share)
        .sum();
    (rate.rate.estimate * share * n_judged as f64 / n.max(1) as f64).min(1.0)
}

/// Whether the odds of a posterior are within a factor of 2 of those before looking.
fn tells_little(posterior: f64, base: f64) -> bool {
    let ratio = posterior * (1.0 - base) / (base * (1.0 - posterior));
    (0.5..=2.0).contains(&ratio)
}

fn outcome(competence: &Competence, rate: &RateFit, n_judged: usize) -> Outcome {
    if !competence.is_sufficient() {
        return Outcome::Refused {
            reason: format!(
                "the matcher does not rank held-out pairs better than chance ({:.1} % of the pairs \
                 are among the best 5 % of their comparisons): it has learned too little, or \
                 nearly every pair is mismatched",
                100.0 * competence.share_below_5_percent
            ),
        };
    }
    if rate.rate.low < DETECTABLE_RATE.max(1.0 / n_judged as f64) {
        return Outcome::NoEvidence;
    }
    Outcome::MismatchedPairs
}

fn verdicts(
    pairs: &[Pair],
    rows: &[PairStatistics],
    p: &[f64],
    posterior: &[f64],
    illegible: &[bool],
) -> (Vec<Verdict>, Ambiguity) {
    let verdict = |row: &PairStatistics| {
        let n = row.pair as usize;
        Verdict {
            pair: row.pair,
            image: pairs[n].image,
            caption: pairs[n].caption,
            p_i2t: row.p_i2t,
            p_t2i: row.p_t2i,
            p: p[n],
            posterior: posterior[n],
            rank_i2t: row.rank_i2t,
            rank_t2i: row.rank_t2i,
            better_caption: row.better_caption,
            better_image: row.better_image,
            uncertainty: None,
            judgment: Judgment::Unknown,
            reason: String::new(),
        }
    };
    let mut verdicts: Vec<Verdict> = rows.iter().map(verdict).collect();
    let ambiguity = pronounce(&mut verdicts, rows, |n| illegible[n]);
    (verdicts, ambiguity)
}

fn fit(p: &[f64], posterior: &[f64], rate: &RateFit, density: &DecreasingDensity) -> Fit {
    Fit {
        p_histogram: histogram(p),
        posterior_histogram: histogram(posterior),
        storey_curve: rate.curve.clone(),
        lambda: rate.lambda,
        density: density.steps().collect(),
        mean_posterior: posterior.iter().sum::<f64>() / posterior.len().max(1) as f64,
    }
}

pub(super) fn histogram(values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; HISTOGRAM_BINS];
    for value in values {
        counts[((value * HISTOGRAM_BINS as f64) as usize).min(HISTOGRAM_BINS - 1)] += 1;
    }
    counts
}

fn notes(n_not_compared: usize, n_illegible: usize) -> Vec<String> {
    let mut notes = vec![NEAR_MISSES.to_owned()];
    if n_illegible > 0 {
        notes.push(format!(
            "{n_illegible} pairs cannot be told apart, because the matcher reads their caption or \
             image too poorly; their probability stays near the noise rate."
        ));
    }
    if n_not_compared > 0 {
        notes.push(format!(
            "{n_not_compared} pairs have nothing to be compared with, because every other caption \
             or image repeats theirs; they carry the noise rate as their probability."
        ));
    }
    notes
}

fn n_distinct(images: &[u32]) -> usize {
    let mut images = images.to_vec();
    images.sort_unstable();
    images.dedup();
    images.len()
}
