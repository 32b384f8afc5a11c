//! From fold statistics to findings: calibration, noise rate, posteriors, verdicts.

use super::ambiguity::pronounce;
use super::legibility::{Readable, Statistic, calibrate_pooled};
use super::near::{self, Ranked};
use super::{
    Ambiguity, AuditOptions, Competence, DecreasingDensity, Findings, Fit, FoldStatistics,
    Judgment, Kinds, Links, Outcome, PairStatistics, RateFit, RateInput, Reading, Verdict,
    count_duplicates, estimate_rate, posteriors,
};
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::Seed;

/// Bins of the histograms in [`Fit`].
const HISTOGRAM_BINS: usize = 50;

/// Rates below this cannot be told from matched pairs that the matcher itself ranks badly; such
/// pairs alone read as 0.1 to 0.3 percent on clean captions of photographs.
pub(super) const DETECTABLE_RATE: f64 = 0.005;

/// A lower end of the share of near misses below this cannot be told from matched pairs among look-alikes.
const DETECTABLE_NEAR: f64 = 0.005;

/// Share of near misses that is not proven, yet too large to speak of no evidence.
const OPEN_NEAR: f64 = 0.05;

/// Where the scores leave more than this open, it cannot be told whether pairs are mismatched.
const OPEN_RATE: f64 = 0.02;

/// Probability of a mismatch above which a pair is in doubt.
const UNDOUBTED: f64 = 0.1;

const NOT_LOOKED_FOR: &str = "Near misses (right scene, wrong detail) were not looked for: they rank as \
     well as matched pairs, so their probabilities are understated.";
const NEAR_MISSES: &str = "Near misses are found as far as they are like the planted ones: a caption with \
     an image that looks like its own, or with that of a caption that reads like it. A wrong color, number \
     or name that neighbors do not show is not seen.";
const NOT_TOLD_APART: &str = "Near misses cannot be told from matched pairs here, because captions of \
     images that look alike fit one another about as well: no share of them can be excluded.";

/// What conclusions are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The statistics of the folds that judged the pairs; every pair in one of them.
    pub folds: &'a [FoldStatistics],
    /// Where `folds` are averages, the statistics that were averaged: by how much their rates differ
    /// tells how much a rate depends on the matchers.
    pub by_cut: &'a [Vec<FoldStatistics>],
    /// Per caption whether it holds nothing that its matcher can have learned, `[captions]`; empty where
    /// every caption may be read.
    pub unread_captions: &'a [bool],
}

impl<'a> Evidence<'a> {
    /// Of one round of judging.
    pub fn of(folds: &'a [FoldStatistics]) -> Self {
        Self {
            folds,
            by_cut: &[],
            unread_captions: &[],
        }
    }
}

/// Draws conclusions about all `pairs`.
///
/// # Errors
/// If the options are unusable, or a pair was judged by no fold or by several.
pub fn conclude(
    pairs: &[Pair],
    links: &Links,
    evidence: &Evidence<'_>,
    options: &AuditOptions,
    seed: Seed,
) -> Result<Findings> {
    options.check()?;
    let folds = evidence.folds;
    let rows = rows_by_pair(pairs.len(), folds)?;
    let judged: Vec<usize> = (0..pairs.len())
        .filter(|&n| !rows[n].log_rank.is_nan())
        .collect();
    // Copies of an image are as dependent as its captions are.
    let image: Vec<u32> = (pairs.iter())
        .map(|pair| links.image_group()[pair.image as usize])
        .collect();
    let is_unread = |n: usize| {
        let caption = pairs[n].caption as usize;
        evidence.unread_captions.get(caption) == Some(&true)
    };
    let mut readable = Readable::of(folds, &image);
    let left_out: Vec<usize> = judged.iter().copied().filter(|&n| is_unread(n)).collect();
    readable.leave_out(&left_out, OPEN_RATE * judged.len() as f64);
    let rate = rate(evidence, &judged, &image, &readable, options, seed);
    let p_pooled = calibrate_pooled(folds, pairs.len(), Statistic::Surprisal);
    let ranked = Ranked {
        p_far: &p_pooled,
        image: &image,
        judged: &judged,
    };
    let near_evidence = near::learn(folds, ranked, links.image_group(), &readable, seed);
    let surprisal_p = readable.calibrate(folds, Statistic::Surprisal);
    let learned_p = (near_evidence.as_ref())
        .and_then(|evidence| evidence.p_far.clone())
        .filter(|p| is_level(judged.iter().map(|&n| p[n]), rate.rate.low));
    let p = learned_p.unwrap_or_else(|| surprisal_p.clone());
    let (read, unread): (Vec<usize>, Vec<usize>) =
        judged.iter().partition(|&&n| readable.of_pair[n]);
    let readable_p: Vec<f64> = read.iter().map(|&n| p[n]).collect();
    let readable_images: Vec<u32> = read.iter().map(|&n| image[n]).collect();

    // Ranks among random items, whatever else was learned.
    let ranked_p: Vec<f64> = read.iter().map(|&n| surprisal_p[n]).collect();
    let competence = Competence::measure(&ranked_p, n_distinct(&readable_images));
    let density = DecreasingDensity::fit(&readable_p);
    // A pair that could not be compared keeps the probability it had before looking.
    let base = rate.rate.estimate;
    let mut posterior = vec![base; pairs.len()];
    let mut illegible = vec![false; pairs.len()];
    for (&n, value) in read.iter().zip(posteriors(&readable_p, &density, base)) {
        posterior[n] = value;
    }
    let unread_p: Vec<f64> = unread.iter().map(|&n| p[n]).collect();
    let unread_density = DecreasingDensity::fit(&unread_p);
    for (&n, value) in unread
        .iter()
        .zip(posteriors(&unread_p, &unread_density, base))
    {
        illegible[n] = tells_little(value, base) || is_unread(n);
        posterior[n] = if illegible[n] { base } else { value };
    }
    let n_illegible = illegible.iter().filter(|&&illegible| illegible).count();
    let mut near = vec![0.0; pairs.len()];
    let mut noise_rate = rate.rate;
    let kinds = near_evidence.map(|evidence| {
        let found = evidence.rate(ranked, &rate, readable.is_uneven, options.n_bootstrap, seed);
        let is_found = found.is_told_apart && found.near.low >= DETECTABLE_NEAR;
        if is_found {
            let beside = evidence.posterior(ranked, found.near.estimate);
            for n in judged.iter().copied().filter(|&n| !illegible[n]) {
                near[n] = (1.0 - posterior[n]) * beside[n];
                posterior[n] += near[n];
            }
            noise_rate = found.near.plus(found.far);
        }
        Kinds {
            far: if is_found { found.far } else { rate.rate },
            near: found.near,
            is_told_apart: found.is_told_apart,
            is_found,
        }
    });
    let reading = Reading {
        readable: read.len() as f64 / judged.len().max(1) as f64,
        is_uneven: readable.is_uneven,
        is_sloped: rate.is_sloped,
    };
    let outcome = outcome(&competence, &rate, reading, kinds, judged.len());
    if let (Outcome::CannotBeTold { .. }, Some(kinds)) = (&outcome, kinds) {
        noise_rate.high = noise_rate.high.max(kinds.near.high);
    }
    let (verdicts, ambiguity) = match outcome {
        Outcome::Refused { .. } => (Vec::new(), Ambiguity::default()),
        Outcome::CannotBeTold { .. } => {
            // Nothing is called mismatched where it cannot be told whether anything is: at most as
            // likely as not, in the same order.
            for values in [&mut posterior, &mut near] {
                values.iter_mut().for_each(|p| *p /= 1.0 + *p);
            }
            let is_unknown = illegible.iter().zip(&posterior);
            let is_unknown: Vec<bool> = is_unknown
                .map(|(illegible, p)| *illegible || *p > UNDOUBTED)
                .collect();
            verdicts(pairs, &rows, &p, [&posterior, &near], &is_unknown)
        }
        _ => verdicts(pairs, &rows, &p, [&posterior, &near], &illegible),
    };
    let fit = fit(&readable_p, &posterior, &rate, &density);
    Ok(Findings {
        outcome,
        noise_rate,
        competence,
        reading,
        kinds,
        verdicts,
        fit,
        duplicates: count_duplicates(links.caption_group(), links.image_group()),
        illegible: n_illegible as u64,
        ambiguity,
        truth: None,
        self_check: None,
        notes: notes(kinds, pairs.len() - judged.len(), n_illegible),
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

/// Point and bounds of the noise rate.
fn rate(
    evidence: &Evidence<'_>,
    judged: &[usize],
    image: &[u32],
    readable: &Readable,
    options: &AuditOptions,
    seed: Seed,
) -> RateFit {
    let of_judged = |p: &[f64]| judged.iter().map(|&n| p[n]).collect::<Vec<f64>>();
    let by_cut: Vec<Vec<f64>> = (evidence.by_cut.iter())
        .map(|folds| of_judged(&calibrate_pooled(folds, image.len(), Statistic::LogRank)))
        .collect();
    let image: Vec<u32> = judged.iter().map(|&n| image[n]).collect();
    let is_readable: Vec<bool> = judged.iter().map(|&n| readable.of_pair[n]).collect();
    let input = RateInput {
        p: &of_judged(&readable.calibrate(evidence.folds, Statistic::LogRank)),
        image: &image,
        readable: &is_readable,
        by_cut: &by_cut,
    };
    let mut fit = estimate_rate(&input, options.n_bootstrap, seed);
    if fit.rate.low < DETECTABLE_RATE {
        fit.rate.low = 0.0;
    }
    fit
}

/// Whether p-values put at least half as many pairs above 0.5 as the certain `rate` asks for. Learned evidence
/// that does not was learned from re-pairings that differ from this data's mismatched pairs.
fn is_level(p: impl ExactSizeIterator<Item = f64>, rate: f64) -> bool {
    let n = p.len() as f64;
    let n_above = p.filter(|p| *p > 0.5).count() as f64;
    n_above >= 0.5 * 0.5 * rate * n
}

/// Whether the odds of a posterior are within a factor of 2 of those before looking.
fn tells_little(posterior: f64, base: f64) -> bool {
    if posterior == base {
        return true;
    }
    let ratio = posterior * (1.0 - base) / (base * (1.0 - posterior));
    (0.5..=2.0).contains(&ratio)
}

fn outcome(
    competence: &Competence,
    rate: &RateFit,
    reading: Reading,
    kinds: Option<Kinds>,
    n_judged: usize,
) -> Outcome {
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
    if kinds.is_some_and(|kinds| kinds.is_found)
        || rate.rate.low >= DETECTABLE_RATE.max(1.0 / n_judged as f64)
    {
        return Outcome::MismatchedPairs;
    }
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let stronger = "embed images and captions with a stronger encoder";
    let (reason, help) = if reading.is_uneven && rate.ceiling >= OPEN_RATE {
        let reason = format!(
            "{} of the pairs rank worse than the rest: they are mismatched, or the matcher does not \
             read their image or caption; up to {} of all pairs may be mismatched",
            percent(1.0 - reading.readable),
            percent(rate.rate.high)
        );
        (reason, "look at a sample of the pairs called unknown")
    } else if reading.is_sloped && rate.ceiling >= OPEN_RATE {
        let reason = format!(
            "many pairs rank neither as matched nor as mismatched ones do; up to {} of all pairs may \
             be mismatched",
            percent(rate.rate.high)
        );
        (
            reason,
            "look at a sample of the pairs with the highest probabilities",
        )
    } else if kinds.is_some_and(|kinds| !kinds.is_told_apart) {
        let reason = format!(
            "at most {} of the pairs belong to something else altogether, but near misses cannot be \
             told from matched pairs: captions of images that look alike fit one another about as well",
            percent(rate.rate.high)
        );
        (reason, "look at pairs beside images that look like theirs")
    } else if let Some(near) = kinds.map(|kinds| kinds.near)
        && near.estimate >= OPEN_NEAR
    {
        let reason = format!(
            "{} of the pairs look like near misses, but so may matched pairs among images that look \
             alike; up to {} of all pairs may be near misses",
            percent(near.estimate),
            percent(near.high)
        );
        (reason, "look at pairs beside images that look like theirs")
    } else {
        return Outcome::NoEvidence;
    };
    Outcome::CannotBeTold {
        reason,
        help: format!("{stronger}, or {help}"),
    }
}

fn verdicts(
    pairs: &[Pair],
    rows: &[PairStatistics],
    p: &[f64],
    [posterior, near]: [&[f64]; 2],
    is_unknown: &[bool],
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
            near: near[n],
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
    let ambiguity = pronounce(&mut verdicts, rows, |n| is_unknown[n]);
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

fn notes(kinds: Option<Kinds>, n_not_compared: usize, n_illegible: usize) -> Vec<String> {
    let of_near = match kinds {
        None => NOT_LOOKED_FOR,
        Some(kinds) if kinds.is_told_apart => NEAR_MISSES,
        Some(_) => NOT_TOLD_APART,
    };
    let mut notes = vec![of_near.to_owned()];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_p_values_must_leave_room_for_the_certain_rate() {
        let p: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0).collect();
        assert!(is_level(p.iter().copied(), 0.9));
        // All in the lower half, where two in five are certainly mismatched.
        assert!(!is_level(p.iter().map(|p| p / 2.0), 0.4));
        assert!(is_level(p.iter().map(|p| p / 2.0), 0.0));
    }
}
