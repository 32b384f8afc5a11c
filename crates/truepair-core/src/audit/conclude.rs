//! From fold statistics to findings: calibration, noise rate, posteriors, verdicts.

use super::ambiguity::pronounce;
use super::bootstrap::Bootstrap;
use super::legibility::{Readable, Statistic, calibrate_pooled};
use super::near::{self, NearEvidence, Ranked};
use super::outcome::{DETECTABLE_RATE, OPEN_RATE, notes, outcome};
use super::{
    Ambiguity, AuditOptions, Competence, DecreasingDensity, Findings, Fit, FoldStatistics,
    Judgment, Kinds, Links, NoiseRate, Outcome, PairStatistics, RateFit, RateInput, Reading,
    Verdict, count_duplicates, estimate_rate, posteriors,
};
use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::Seed;

/// Bins of the histograms in [`Fit`].
const HISTOGRAM_BINS: usize = 50;

/// Where the lower end of the share of near misses is below this, they cannot be told from matched
/// pairs among look-alikes.
const DETECTABLE_NEAR: f64 = 0.005;

/// Probability of a mismatch above which a pair is in doubt.
const UNDOUBTED: f64 = 0.1;

const BLANK: &str =
    "cannot tell: the vector of this image or caption is zeros, or one number throughout";

/// The evidence that conclusions are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The statistics of the folds that judged the pairs; every pair in one of them.
    pub folds: &'a [FoldStatistics],
    /// Where `folds` are averages, the statistics that were averaged: how much their rates differ shows
    /// how much a rate depends on the matchers.
    pub by_cut: &'a [Vec<FoldStatistics>],
    /// Whether each caption holds nothing that its matcher can have learned, `[captions]`; empty where
    /// every caption can be read.
    pub unread_captions: &'a [bool],
}

impl<'a> Evidence<'a> {
    /// The evidence of one round of judging.
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
/// If the options cannot be used, or a pair was judged by no fold or by several.
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
    let bootstrap = Bootstrap {
        n_draws: options.n_bootstrap,
        seed,
    };
    let compared = Compared::of(pairs, links, evidence, &rows);
    let rate = compared.rate(evidence, bootstrap);
    let p_far = calibrate_pooled(folds, pairs.len(), Statistic::Surprisal);
    let near = near::learn(
        folds,
        compared.ranked(&p_far),
        links.image_group(),
        &compared.readable,
        seed,
    );
    let surprisal_p = compared.readable.calibrate(folds, Statistic::Surprisal);
    let p = compared
        .learned_p(near.as_ref(), &rate)
        .unwrap_or(&surprisal_p);

    let competence = compared.competence(&surprisal_p);
    let (mut beliefs, density) = Beliefs::of(&compared, p, rate.rate.estimate);
    let n_illegible = beliefs.unknown.iter().filter(|unknown| **unknown).count();
    let kinds = near
        .as_ref()
        .map(|near| beliefs.take_near(&compared, near, &rate, bootstrap));
    let reading = compared.reading(&rate);
    let outcome = outcome(&competence, &rate, reading, kinds, compared.judged.len());
    let (verdicts, ambiguity) = match outcome {
        Outcome::Refused { .. } => (Vec::new(), Ambiguity::default()),
        Outcome::CannotBeTold { .. } => {
            beliefs.leave_open();
            verdicts(pairs, &rows, p, &beliefs)
        }
        _ => verdicts(pairs, &rows, p, &beliefs),
    };
    Ok(Findings {
        fit: fit(
            &taken(p, &compared.read),
            &beliefs.posterior,
            &rate,
            &density,
        ),
        noise_rate: noise_rate(&rate, kinds, &outcome),
        outcome,
        competence,
        reading,
        kinds,
        verdicts: blank_explained(verdicts, links),
        duplicates: count_duplicates(links.caption_group(), links.image_group()),
        illegible: n_illegible as u64,
        ambiguity,
        truth: None,
        self_check: None,
        notes: notes(kinds, pairs.len() - compared.judged.len(), n_illegible),
    })
}

/// One row per pair, in the pairs' order.
pub(super) fn rows_by_pair(
    n_pairs: usize,
    folds: &[FoldStatistics],
) -> Result<Vec<PairStatistics>> {
    let mut rows: Vec<Option<PairStatistics>> = vec![None; n_pairs];
    for row in folds.iter().flat_map(|fold| &fold.pairs) {
        let slot = rows
            .get_mut(row.pair as usize)
            .ok_or_else(|| unlike(row.pair, "not a pair of the data set"))?;
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

/// Which pairs could be compared and read, and what makes them dependent.
struct Compared {
    /// Pairs that could be compared.
    judged: Vec<usize>,
    /// The image of every pair. Copies of an image are as dependent as its captions are.
    image: Vec<u32>,
    /// Whether the caption of each pair holds nothing that its matcher can have learned, or the vector of
    /// one of its items says nothing.
    is_unread: Vec<bool>,
    readable: Readable,
    /// The judged pairs that are readable, and those that are not.
    read: Vec<usize>,
    unread: Vec<usize>,
}

impl Compared {
    fn of(pairs: &[Pair], links: &Links, evidence: &Evidence<'_>, rows: &[PairStatistics]) -> Self {
        let judged: Vec<usize> = (0..pairs.len())
            .filter(|&n| !rows[n].log_rank.is_nan())
            .collect();
        let image: Vec<u32> = (pairs.iter())
            .map(|pair| links.image_group()[pair.image as usize])
            .collect();
        let is_unread: Vec<bool> = (pairs.iter())
            .map(|pair| {
                evidence.unread_captions.get(pair.caption as usize) == Some(&true)
                    || links.is_blank(*pair)
            })
            .collect();
        let mut readable = Readable::of(evidence.folds, &image);
        let left_out: Vec<usize> = judged.iter().copied().filter(|&n| is_unread[n]).collect();
        readable.leave_out(&left_out, OPEN_RATE * judged.len() as f64);
        let (read, unread) = judged.iter().partition(|&&n| readable.of_pair[n]);
        Self {
            judged,
            image,
            is_unread,
            readable,
            read,
            unread,
        }
    }

    /// The pairs with these places among re-pairings.
    fn ranked<'a>(&'a self, p_far: &'a [f64]) -> Ranked<'a> {
        Ranked {
            p_far,
            image: &self.image,
            judged: &self.judged,
        }
    }

    /// Point and bounds of the noise rate.
    fn rate(&self, evidence: &Evidence<'_>, bootstrap: Bootstrap) -> RateFit {
        let by_cut: Vec<Vec<f64>> = (evidence.by_cut.iter())
            .map(|folds| calibrate_pooled(folds, self.image.len(), Statistic::LogRank))
            .map(|p| taken(&p, &self.judged))
            .collect();
        let p = (self.readable).calibrate(evidence.folds, Statistic::LogRank);
        let input = RateInput {
            p: &taken(&p, &self.judged),
            image: &taken(&self.image, &self.judged),
            readable: &taken(&self.readable.of_pair, &self.judged),
            by_cut: &by_cut,
        };
        let mut fit = estimate_rate(&input, bootstrap);
        if fit.rate.low < DETECTABLE_RATE {
            fit.rate.low = 0.0;
        }
        fit
    }

    /// Measures competence by ranks among random items, whatever else was learned.
    fn competence(&self, p: &[f64]) -> Competence {
        let images = self.read.iter().map(|&n| self.image[n]);
        Competence::measure(&taken(p, &self.read), distinct(images).len())
    }

    fn reading(&self, rate: &RateFit) -> Reading {
        Reading {
            readable: self.read.len() as f64 / self.judged.len().max(1) as f64,
            is_uneven: self.readable.is_uneven,
            is_sloped: rate.is_sloped,
        }
    }

    /// The p-values learned from re-pairings, where they leave room for the rate.
    fn learned_p<'a>(
        &self,
        near: Option<&'a NearEvidence<'_>>,
        rate: &RateFit,
    ) -> Option<&'a Vec<f64>> {
        near.and_then(|near| near.p_far.as_ref())
            .filter(|p| is_level(self.judged.iter().map(|&n| p[n]), rate.rate.low))
    }
}

fn taken<T: Copy>(values: &[T], at: &[usize]) -> Vec<T> {
    at.iter().map(|&n| values[n]).collect()
}

/// The rate of all mismatches. It includes near misses where they were found, and as many as there may
/// be where it cannot be told.
fn noise_rate(rate: &RateFit, kinds: Option<Kinds>, outcome: &Outcome) -> NoiseRate {
    match kinds {
        Some(kinds) if kinds.is_found => kinds.near.plus(kinds.far),
        Some(kinds) if matches!(outcome, Outcome::CannotBeTold { .. }) => NoiseRate {
            high: rate.rate.high.max(kinds.near.high),
            ..rate.rate
        },
        _ => rate.rate,
    }
}

/// Whether p-values put at least half as many pairs above 0.5 as the certain `rate` requires. Learned
/// evidence that does not was learned from re-pairings that differ from this data's mismatched pairs.
fn is_level(p: impl ExactSizeIterator<Item = f64>, rate: f64) -> bool {
    let n = p.len() as f64;
    let n_above = p.filter(|p| *p > 0.5).count() as f64;
    n_above >= 0.5 * 0.5 * rate * n
}

/// What is believed about every pair.
struct Beliefs {
    /// Probability that it is mismatched.
    posterior: Vec<f64>,
    /// The part of it that is the probability of a near miss.
    near: Vec<f64>,
    /// Whether it cannot be told what the pair is.
    unknown: Vec<bool>,
}

impl Beliefs {
    /// The beliefs, and the density of the readable pairs' p-values, [0, 1]. Other pairs have a density
    /// of their own; those about which it says little keep the probability `base` that they had
    /// beforehand, as do pairs that could not be compared.
    fn of(compared: &Compared, p: &[f64], base: f64) -> (Self, DecreasingDensity) {
        let n_pairs = p.len();
        let mut beliefs = Self {
            posterior: vec![base; n_pairs],
            near: vec![0.0; n_pairs],
            unknown: vec![false; n_pairs],
        };
        let read_p = taken(p, &compared.read);
        let density = DecreasingDensity::fit(&read_p);
        let found = posteriors(&read_p, &density, base);
        for (&n, value) in compared.read.iter().zip(found) {
            beliefs.posterior[n] = value;
        }
        let unread_p = taken(p, &compared.unread);
        let found = posteriors(&unread_p, &DecreasingDensity::fit(&unread_p), base);
        for (&n, value) in compared.unread.iter().zip(found) {
            beliefs.unknown[n] = tells_little(value, base) || compared.is_unread[n];
            beliefs.posterior[n] = if beliefs.unknown[n] { base } else { value };
        }
        (beliefs, density)
    }

    /// Adds the probability of a near miss where there certainly are some.
    fn take_near(
        &mut self,
        compared: &Compared,
        near: &NearEvidence<'_>,
        rate: &RateFit,
        bootstrap: Bootstrap,
    ) -> Kinds {
        let found = near.rate(rate, bootstrap);
        let is_found = found.is_told_apart && found.near.low >= DETECTABLE_NEAR;
        if is_found {
            let beside = near.posterior(found.near.estimate);
            for n in compared
                .judged
                .iter()
                .copied()
                .filter(|&n| !self.unknown[n])
            {
                self.near[n] = (1.0 - self.posterior[n]) * beside[n];
                self.posterior[n] += self.near[n];
            }
        }
        Kinds {
            far: if is_found { found.far } else { rate.rate },
            near: found.near,
            is_told_apart: found.is_told_apart,
            is_found,
        }
    }

    /// Calls nothing mismatched where it cannot be told whether anything is: every posterior becomes at
    /// most one half, in the same order.
    fn leave_open(&mut self) {
        for p in self.posterior.iter_mut().chain(&mut self.near) {
            *p /= 1.0 + *p;
        }
        for (unknown, p) in self.unknown.iter_mut().zip(&self.posterior) {
            *unknown |= *p > UNDOUBTED;
        }
    }
}

/// Whether the odds of a posterior are within a factor of 2 of the prior odds.
fn tells_little(posterior: f64, base: f64) -> bool {
    if posterior == base {
        return true;
    }
    let ratio = posterior * (1.0 - base) / (base * (1.0 - posterior));
    (0.5..=2.0).contains(&ratio)
}

fn verdicts(
    pairs: &[Pair],
    rows: &[PairStatistics],
    p: &[f64],
    beliefs: &Beliefs,
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
            posterior: beliefs.posterior[n],
            near: beliefs.near[n],
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
    let ambiguity = pronounce(&mut verdicts, rows, |n| beliefs.unknown[n]);
    (verdicts, ambiguity)
}

/// Says of pairs with a vector that says nothing why they are unknown.
pub(super) fn blank_explained(mut verdicts: Vec<Verdict>, links: &Links) -> Vec<Verdict> {
    for verdict in &mut verdicts {
        let (image, caption) = (verdict.image, verdict.caption);
        if links.is_blank(Pair { image, caption }) {
            verdict.reason = BLANK.to_owned();
        }
    }
    verdicts
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
