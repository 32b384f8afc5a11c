//! Near misses told from matched pairs by what planted ones look like.
//!
//! Of the pairs that rank well among random items, a part may be near misses. Planted near misses that
//! rank as well show what their surroundings look like; a [`Monotone`] model, fitted to the pairs of
//! other images, gives every pair a logit, and a pair's place among the planted ones' logits is its
//! p-value: uniform for a near miss of that kind, small for a matched pair. From there on near misses
//! are counted as mismatched pairs are, by Storey's estimate.
//!
//! The given pairs that the model learns from are a mixture: after a first fit each counts by the
//! probability that it is not a near miss, and the model is fitted again.

use rayon::prelude::*;

use super::legibility::Readable;
use super::monotone::Monotone;
use super::nearby::{Features, N_FEATURES, Planted};
use super::poor_ranks::PoorRanks;
use super::posterior::{DecreasingDensity, posteriors_at};
use super::{FoldStatistics, NoiseRate, RateInput, estimate_rate};
use crate::rng::{Seed, sample};

/// p-value among re-pairings up to which a pair may be a near miss; others are far.
pub(super) const RANKS_WELL: f64 = 0.1;

/// Features with the two softmax and rank statistics in front.
const N: usize = N_FEATURES + 2;

/// Parts by image; each is judged by models fitted to the others.
const PARTS: usize = 4;

/// Times that the model is fitted anew to pairs that count by what was found.
const ROUNDS: usize = 2;

/// Given pairs that a model is fitted to, at most.
const FITTED: usize = 40_000;

/// Fewer planted pairs that rank well than this teach nothing.
const FEWEST: usize = 100;

/// Share of the pairs that rank well which must differ clearly from planted ones.
const TOLD_APART: f64 = 0.25;

/// p-value among planted pairs above which a pair looks near.
const LAMBDA: f64 = 0.5;

type Row = [f64; N];

/// What was learned of near misses.
#[derive(Debug)]
pub(super) struct NearEvidence {
    /// Per pair and kind of planting its place among planted pairs that rank well, (0, 1]; one list
    /// a kind.
    pub(super) p: Vec<Vec<f64>>,
    /// Per kind what a planted pair and a re-pairing do.
    pub(super) shares: Vec<Shares>,
    /// Per pair its place among re-pairings that are as readable, by what was learned of these, (0, 1].
    pub(super) p_far: Vec<f64>,
}

/// Where pairs known to be mismatched fall, in shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Planted pairs with a p-value among re-pairings above `lambda`.
    planted_far: f64,
    /// Planted pairs that rank well.
    planted_well: f64,
    /// Re-pairings that rank well and have a p-value among planted ones above one half.
    repaired_near: f64,
}

/// Shares of near misses and of others among all pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NearRate {
    pub(super) near: NoiseRate,
    pub(super) far: NoiseRate,
    /// Whether many pairs that rank well clearly differ from planted ones. Where hardly any does, the
    /// likeness of the others to planted pairs says nothing about them.
    pub(super) is_told_apart: bool,
}

/// A pair known to be mismatched, with its place among re-pairings.
struct Known {
    image: u32,
    p: f64,
    row: Row,
    readable: bool,
}

/// Learns from the surroundings that `folds` describe. `p_far` `[n_pairs]` are the pairs' places among
/// re-pairings, `image` `[n_pairs]` what makes pairs dependent, and `lambda` from where on pairs count
/// as far. `None` where nothing was planted, or too little that ranks well.
pub(super) fn learn(
    folds: &[FoldStatistics],
    p_far: &[f64],
    image: &[u32],
    image_group: &[u32],
    lambda: f64,
    readable: &Readable,
    seed: Seed,
) -> Option<NearEvidence> {
    let nearby = || {
        folds
            .iter()
            .filter_map(|fold| Some((fold, fold.nearby.as_ref()?)))
    };
    let mut given: Vec<Option<Row>> = vec![None; p_far.len()];
    for (fold, nearby) in nearby() {
        for (pair, features) in fold.pairs.iter().zip(&nearby.given) {
            if !pair.log_rank.is_nan() {
                given[pair.pair as usize] = Some(row(pair.surprisal, pair.log_rank, features));
            }
        }
    }
    let mut planted: Vec<(Planted, Known)> = Vec::new();
    let mut repaired: Vec<Known> = Vec::new();
    for (f, fold) in folds.iter().enumerate() {
        let Some(nearby) = &fold.nearby else { continue };
        let mut null: Vec<f64> = (fold.null.iter().map(|null| null.surprisal))
            .filter(|surprisal| !surprisal.is_nan())
            .collect();
        null.sort_unstable_by(f64::total_cmp);
        let p = |surprisal: f64| {
            let n_below = null.partition_point(|&null| null <= surprisal);
            (1 + n_below) as f64 / (1 + null.len()) as f64
        };
        planted.extend(
            nearby
                .planted
                .iter()
                .filter(|planted| !planted.surprisal.is_nan())
                .map(|found| {
                    let known = Known {
                        image: image_group[found.planting.image as usize],
                        p: p(found.surprisal),
                        row: row(found.surprisal, found.log_rank, &found.features),
                        readable: true,
                    };
                    (found.planting.kind, known)
                }),
        );
        for (place, features) in &nearby.repaired {
            let at = *place as usize * fold.n_repairings;
            let null = &fold.null[at];
            if !null.surprisal.is_nan() {
                repaired.push(Known {
                    image: image[fold.pairs[*place as usize].pair as usize],
                    p: p(null.surprisal),
                    row: row(null.surprisal, null.log_rank, features),
                    readable: readable.of_null(f, at),
                });
            }
        }
    }
    let n_well = planted
        .iter()
        .filter(|(_, known)| known.p <= RANKS_WELL)
        .count();
    if n_well < FEWEST {
        return None;
    }
    let well: Vec<usize> = (0..given.len())
        .filter(|&n| given[n].is_some() && p_far[n] <= RANKS_WELL)
        .collect();
    let near: Vec<&Known> = planted
        .iter()
        .map(|(_, known)| known)
        .filter(|known| known.p <= RANKS_WELL)
        .collect();
    let models = Models::fit(&given, &well, &near, image, seed);
    let logits = models.logits(&given, image);
    let logit = |image: u32, row: &Row| models.logit(image, row);
    let all: Vec<usize> = (0..given.len()).filter(|&n| given[n].is_some()).collect();
    let p_far = {
        let models = Models::fit(
            &given,
            &all,
            &repaired.iter().collect::<Vec<_>>(),
            image,
            seed,
        );
        let logits = models.logits(&given, image);
        let nulls = [false, true].map(|readable| {
            let of_group = repaired.iter().filter(|known| known.readable == readable);
            sorted(of_group.map(|known| models.logit(known.image, &known.row)))
        });
        let rank = |(n, logit): (usize, &f64)| {
            rank_from_above(&nulls[usize::from(readable.of_pair[n])], *logit)
        };
        logits.iter().enumerate().map(rank).collect()
    };
    let (mut p, mut shares) = (Vec::new(), Vec::new());
    for kind in Planted::ALL {
        let of_kind = || {
            planted
                .iter()
                .filter(|(other, _)| *other == kind)
                .map(|(_, known)| known)
        };
        let well = of_kind().filter(|known| known.p <= RANKS_WELL);
        let null = sorted(well.map(|known| logit(known.image, &known.row)));
        if null.len() < FEWEST / 2 {
            continue;
        }
        let rank = |logit: f64| rank_from_above(&null, logit);
        let share = |known: &mut dyn Iterator<Item = bool>| {
            let (n, yes) = known.fold((0.0, 0.0), |(n, yes), is| {
                (n + 1.0, yes + f64::from(u8::from(is)))
            });
            yes / f64::max(n, 1.0)
        };
        let is_near =
            |known: &Known| known.p <= RANKS_WELL && rank(logit(known.image, &known.row)) > LAMBDA;
        shares.push(Shares {
            planted_far: share(&mut of_kind().map(|known| known.p > lambda)),
            planted_well: share(&mut of_kind().map(|known| known.p <= RANKS_WELL)),
            repaired_near: share(&mut repaired.iter().map(is_near)),
        });
        p.push(logits.iter().map(|logit| rank(*logit)).collect());
    }
    (!p.is_empty()).then_some(NearEvidence { p, shares, p_far })
}

impl NearEvidence {
    /// Shares of near misses and of others among the pairs `judged`, where `far` is what was read of
    /// re-pairings alone, at `lambda`. Near misses are unlike one another, so the share runs from the
    /// lower end for one kind of planting to the upper end for the other.
    pub(super) fn rate(
        &self,
        p_far: &[f64],
        image: &[u32],
        judged: &[usize],
        far: NoiseRate,
        lambda: f64,
        n_bootstrap: usize,
        seed: Seed,
    ) -> NearRate {
        let well: Vec<usize> = judged
            .iter()
            .copied()
            .filter(|&n| p_far[n] <= RANKS_WELL)
            .collect();
        let share_well = well.len() as f64 / judged.len().max(1) as f64;
        let image: Vec<u32> = well.iter().map(|&n| image[n]).collect();
        let readable = vec![true; well.len()];
        let mut is_told_apart = true;
        let kinds = self.p.iter().zip(&self.shares).map(|(p, shares)| {
            let p: Vec<f64> = well.iter().map(|&n| p[n]).collect();
            let input = RateInput {
                p: &p,
                image: &image,
                readable: &readable,
                by_cut: &[],
            };
            let found = estimate_rate(&input, n_bootstrap, seed).rate;
            is_told_apart &= PoorRanks::new().well_ranked(&p) >= TOLD_APART;
            // Of the pairs that look near, some are far ones that rank well by chance.
            let of_all = |share: f64, far: f64| {
                let looks_near = share * share_well - far * shares.repaired_near / (1.0 - LAMBDA);
                (looks_near / shares.planted_well.max(1e-6)).clamp(0.0, 1.0)
            };
            let near = NoiseRate {
                estimate: of_all(found.estimate, far.estimate),
                low: of_all(found.low, far.high),
                high: of_all(found.high, far.low),
            };
            (near, shares.planted_far / (1.0 - lambda))
        });
        let kinds: Vec<(NoiseRate, f64)> = kinds.collect();
        let n = kinds.len() as f64;
        let over = |of: fn(&NoiseRate) -> f64, fold: fn(f64, f64) -> f64, from: f64| {
            kinds.iter().map(|(near, _)| of(near)).fold(from, fold)
        };
        let near = NoiseRate {
            estimate: over(|near| near.estimate, |a, b| a + b, 0.0) / n,
            low: over(|near| near.low, f64::min, 1.0),
            high: over(|near| near.high, f64::max, 0.0),
        };
        // What of the level part of the p-values among re-pairings are near misses.
        let taken = kinds.iter().map(|(_, taken)| taken).sum::<f64>() / n;
        let left = |far: f64, near: f64| (far - taken * near).max(0.0);
        NearRate {
            near,
            is_told_apart,
            far: NoiseRate {
                estimate: left(far.estimate, near.estimate),
                low: left(far.low, near.high),
                high: left(far.high, near.low),
            },
        }
    }

    /// Probability `[n_pairs]` that a pair that is not far is a near miss, where they are the share
    /// `rate` of all pairs.
    pub(super) fn posterior(&self, p_far: &[f64], judged: &[usize], rate: f64) -> Vec<f64> {
        let n_kinds = self.p.len() as f64;
        let p: Vec<f64> = (0..p_far.len())
            .map(|n| self.p.iter().map(|p| p[n]).sum::<f64>() / n_kinds)
            .collect();
        let is_well = |n: &usize| p_far[*n] <= RANKS_WELL;
        let well: Vec<f64> = judged
            .iter()
            .copied()
            .filter(is_well)
            .map(|n| p[n])
            .collect();
        let planted_well = self
            .shares
            .iter()
            .map(|shares| shares.planted_well)
            .sum::<f64>()
            / n_kinds;
        let share_well = well.len() as f64 / judged.len().max(1) as f64;
        let base = (rate * planted_well / share_well.max(1e-6)).min(1.0);
        let density = DecreasingDensity::fit(&well);
        posteriors_at(&p, &well, &density, base)
    }
}

/// Larger the better the items fit.
fn row(surprisal: f64, log_rank: f64, features: &Features) -> Row {
    let mut row = [
        -surprisal, -log_rank, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ];
    row[2..].copy_from_slice(features);
    row
}

/// The part of an image.
fn part(image: u32) -> usize {
    // Neighboring numbers may be alike, so they are spread.
    (image.wrapping_mul(0x9E37_79B9) >> 16) as usize % PARTS
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Place of a logit among those of known mismatches, from the highest; 1 for a pair without one.
fn rank_from_above(null: &[f64], logit: f64) -> f64 {
    if logit.is_nan() {
        return 1.0;
    }
    let n_above = null.len() - null.partition_point(|&other| other < logit);
    (1 + n_above) as f64 / (1 + null.len()) as f64
}

/// Per part a model of given pairs against known mismatches, fitted without that part's images.
struct Models(Vec<Monotone<N>>);

impl Models {
    fn fit(
        given: &[Option<Row>],
        from: &[usize],
        known: &[&Known],
        image: &[u32],
        seed: Seed,
    ) -> Self {
        let chosen = sample(&mut seed.stream("fitted", &[]), from.len(), FITTED);
        let chosen: Vec<usize> = chosen.into_iter().map(|at| from[at as usize]).collect();
        let of_part = |held_out: usize| {
            let mut a: Vec<(Row, f64)> = (chosen.iter().filter(|&&n| part(image[n]) != held_out))
                .filter_map(|&n| Some((given[n]?, 1.0)))
                .collect();
            let b: Vec<(Row, f64)> = (known.iter())
                .filter(|known| part(known.image) != held_out)
                .map(|known| (known.row, 1.0))
                .collect();
            let mut model = Monotone::fit(&a, &b);
            for _ in 0..ROUNDS {
                let share = mismatched_share(&model, &a, &b);
                for (row, weight) in &mut a {
                    *weight = 1.0 - (share * (-model.logit(row)).exp()).min(1.0);
                }
                model = Monotone::fit(&a, &b);
            }
            model
        };
        Self((0..PARTS).into_par_iter().map(of_part).collect())
    }

    fn logit(&self, image: u32, row: &Row) -> f64 {
        self.0[part(image)].logit(row)
    }

    /// NaN for pairs that could not be compared.
    fn logits(&self, given: &[Option<Row>], image: &[u32]) -> Vec<f64> {
        let rows = given.par_iter().zip(image);
        rows.map(|(row, image)| row.as_ref().map_or(f64::NAN, |row| self.logit(*image, row)))
            .collect()
    }
}

/// Share of mismatches among the given pairs `a`, by their places among the known ones `b`.
fn mismatched_share(model: &Monotone<N>, a: &[(Row, f64)], b: &[(Row, f64)]) -> f64 {
    let known = sorted(b.iter().map(|(row, _)| model.logit(row)));
    let middle = known.get(known.len() / 2).copied().unwrap_or(0.0);
    let n_below = a
        .iter()
        .filter(|(row, _)| model.logit(row) < middle)
        .count();
    (n_below as f64 / a.len().max(1) as f64 / LAMBDA).min(1.0)
}
