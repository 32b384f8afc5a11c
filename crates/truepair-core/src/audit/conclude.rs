//! From fold statistics to findings: calibration, noise rate, posteriors, verdicts.

use super::reason::{Compared, reason};
use super::{
    AuditOptions, Competence, DecreasingDensity, Findings, Fit, FoldStatistics, Links, Outcome,
    PairStatistics, RateFit, Verdict, count_duplicates, estimate_rate, posteriors,
};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::Seed;

/// Bins of the histograms in [`Fit`].
const HISTOGRAM_BINS: usize = 50;

/// Rates below this cannot be told from matched pairs that the matcher itself ranks badly; such
/// pairs alone read as 0.1 to 0.3 percent on clean captions of photographs.
const DETECTABLE_RATE: f64 = 0.005;

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
    let p = calibrated_by_pair(pairs.len(), folds);
    let judged: Vec<usize> = (0..pairs.len()).filter(|&n| !rows[n].z.is_nan()).collect();
    let judged_p: Vec<f64> = judged.iter().map(|&n| p[n]).collect();
    let images: Vec<u32> = judged.iter().map(|&n| pairs[n].image).collect();

    let competence = Competence::measure(&judged_p, n_distinct(&images));
    let rate = estimate_rate(&judged_p, &images, options.n_bootstrap, seed);
    let density = DecreasingDensity::fit(&judged_p);
    // A pair that could not be compared keeps the probability it had before looking.
    let mut posterior = vec![rate.rate.estimate; pairs.len()];
    for (&n, value) in judged
        .iter()
        .zip(posteriors(&judged_p, &density, rate.rate.estimate))
    {
        posterior[n] = value;
    }
    let outcome = outcome(&competence, &rate, judged.len());
    let fit = fit(&judged_p, &posterior, &rate, &density);
    let verdicts = match outcome {
        Outcome::Refused { .. } => Vec::new(),
        _ => verdicts(pairs, &rows, &p, &posterior),
    };
    Ok(Findings {
        outcome,
        noise_rate: rate.rate,
        competence,
        verdicts,
        fit,
        duplicates: count_duplicates(links.caption_group(), links.image_group()),
        truth: None,
        self_check: None,
        notes: notes(pairs.len() - judged.len()),
    })
}

fn rows_by_pair(n_pairs: usize, folds: &[FoldStatistics]) -> Result<Vec<PairStatistics>> {
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

/// The rank of every pair's statistic among its own fold's re-pairings, as a p-value. Folds have
/// different matchers and therefore different nulls.
fn calibrated_by_pair(n_pairs: usize, folds: &[FoldStatistics]) -> Vec<f64> {
    let mut p = vec![1.0; n_pairs];
    for fold in folds {
        let null = fold.null.iter().map(|null| null.z).filter(|z| !z.is_nan());
        let mut null: Vec<f64> = null.collect();
        null.sort_unstable_by(f64::total_cmp);
        for row in fold.pairs.iter().filter(|row| !row.z.is_nan()) {
            let n_below = null.partition_point(|&z| z <= row.z);
            p[row.pair as usize] = (1 + n_below) as f64 / (1 + null.len()) as f64;
        }
    }
    p
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

fn verdicts(pairs: &[Pair], rows: &[PairStatistics], p: &[f64], posterior: &[f64]) -> Vec<Verdict> {
    let verdict = |row: &PairStatistics| {
        let n = row.pair as usize;
        let mut verdict = Verdict {
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
            reason: String::new(),
        };
        let compared = Compared {
            captions: row.n_captions,
            images: row.n_images,
        };
        verdict.reason = reason(&verdict, compared);
        verdict
    };
    rows.iter().map(verdict).collect()
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

fn histogram(values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; HISTOGRAM_BINS];
    for value in values {
        counts[((value * HISTOGRAM_BINS as f64) as usize).min(HISTOGRAM_BINS - 1)] += 1;
    }
    counts
}

fn notes(n_not_compared: usize) -> Vec<String> {
    let mut notes = vec![NEAR_MISSES.to_owned()];
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
