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
use super::nearby::{N_FEATURES, NearbyFeatures, Planted};
use super::poor_ranks::PoorRanks;
use super::posterior::{DecreasingDensity, posteriors_at};
use super::{FoldStatistics, NoiseRate, RateFit, RateInput, estimate_rate};
use crate::rng::{Seed, sample};

/// p-value among re-pairings up to which a pair may be a near miss; others are far.
const RANKS_WELL: f64 = 0.1;

/// Features with the two softmax and rank statistics in front.
const N: usize = N_FEATURES + 2;

/// The median likeness to the image's other captions.
const SIBLINGS: usize = 6;

/// Largest share of far pairs that may be wrong together with all other captions of their image, which
/// they resemble more than three quarters of the re-pairings do. Measured: 0.85 to 1 where images were
/// exchanged, at most 0.45 where they were not (f8k, emoji, openclipart).
const TOGETHER: f64 = 0.4;

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
    given: Vec<Judged>,
    /// Per kind of planting the planted pairs.
    planted: Vec<Vec<Judged>>,
    repaired: Vec<Judged>,
    /// Per pair its place among re-pairings that are as readable, by what was learned of these, (0, 1];
    /// `None` where captions of an image are wrong together.
    pub(super) p_far: Option<Vec<f64>>,
}

/// A pair as the models see it.
#[derive(Debug, Clone, Copy)]
struct Judged {
    /// Place among re-pairings.
    p_far: f64,
    /// The higher, the less like a planted pair; NaN for a pair that could not be compared.
    logit: f64,
    /// Whether image and caption are among the more legible half.
    is_legible: [bool; 2],
}

/// Pairs among which near misses are counted.
///
/// A near miss can be read as well as any pair, and so can planted ones; a pair that looks near because
/// its caption says little cannot. So the share of near misses is counted among all pairs and among
/// those with the more legible images and captions, and the lowest count bounds it from below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    All,
    LegibleImages,
    LegibleCaptions,
}

impl Among {
    const EACH: [Among; 3] = [Among::All, Among::LegibleImages, Among::LegibleCaptions];

    fn holds(self, judged: &Judged) -> bool {
        match self {
            Among::All => true,
            Among::LegibleImages => judged.is_legible[0],
            Among::LegibleCaptions => judged.is_legible[1],
        }
    }
}

impl Judged {
    fn ranks_well(&self) -> bool {
        self.p_far <= RANKS_WELL
    }
}

/// The pairs by their places among re-pairings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked<'a> {
    /// p-values `[n_pairs]`.
    pub(super) p_far: &'a [f64],
    /// What makes pairs dependent, `[n_pairs]`.
    pub(super) image: &'a [u32],
    /// Pairs that could be compared.
    pub(super) judged: &'a [usize],
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
    is_legible: [bool; 2],
}

/// Learns from the surroundings that `folds` describe. `image_group` names what makes images of planted
/// pairs dependent. `None` where nothing was planted, or too little that ranks well.
pub(super) fn learn(
    folds: &[FoldStatistics],
    pairs: Ranked<'_>,
    image_group: &[u32],
    readable: &Readable,
    seed: Seed,
) -> Option<NearEvidence> {
    let Ranked { p_far, image, .. } = pairs;
    let mut given: Vec<Option<Row>> = vec![None; p_far.len()];
    let mut is_legible = vec![[false; 2]; p_far.len()];
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
        // What half of the planted pairs exceed; folds have different matchers.
        let middle = [0, 1].map(|side| {
            let values = sorted(
                nearby
                    .planted
                    .iter()
                    .map(|planted| planted.legibility[side]),
            );
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        });
        let legible = |values: [f64; 2]| [0, 1].map(|side| values[side] >= middle[side]);
        for (pair, features) in fold.pairs.iter().zip(&nearby.given) {
            if !pair.log_rank.is_nan() {
                given[pair.pair as usize] = Some(row(pair.surprisal, pair.log_rank, features));
                is_legible[pair.pair as usize] = legible(pair.legibility);
            }
        }
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
                        is_legible: legible(found.legibility),
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
                    is_legible: legible(null.legibility),
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
    let judge = |known: &Known| Judged {
        p_far: known.p,
        logit: models.logit(known.image, &known.row),
        is_legible: known.is_legible,
    };
    let judged_repaired: Vec<Judged> = repaired.iter().map(judge).collect();
    let p_far = (!wrong_together(&given, pairs, &repaired)).then(|| {
        let all: Vec<usize> = (0..given.len()).filter(|&n| given[n].is_some()).collect();
        let known: Vec<&Known> = repaired.iter().collect();
        let models = Models::fit(&given, &all, &known, image, seed);
        let nulls = [false, true].map(|readable| {
            let of_group = repaired.iter().filter(|known| known.readable == readable);
            sorted(of_group.map(|known| models.logit(known.image, &known.row)))
        });
        let logits = models.logits(&given, image);
        let null = |n: usize| {
            let own = &nulls[usize::from(readable.of_pair[n])];
            if own.is_empty() { &nulls[1] } else { own }
        };
        let rank = |(n, logit): (usize, &f64)| rank_from_above(null(n), *logit);
        logits.iter().enumerate().map(rank).collect()
    });
    let of_kind = |kind: Planted| -> Vec<Judged> {
        let of_kind = planted.iter().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, known)| judge(known)).collect()
    };
    let planted = Planted::ALL.map(of_kind).into_iter();
    let is_enough = |planted: &Vec<Judged>| {
        planted
            .iter()
            .filter(|planted| planted.ranks_well())
            .count()
            >= FEWEST / 2
    };
    let given = logits.iter().zip(pairs.p_far).zip(is_legible);
    Some(NearEvidence {
        given: given
            .map(|((&logit, &p_far), is_legible)| Judged {
                p_far,
                logit,
                is_legible,
            })
            .collect(),
        planted: planted.filter(is_enough).collect(),
        repaired: judged_repaired,
        p_far,
    })
}

/// Shares of near misses among some pairs, by one kind of planting.
struct Counted {
    rate: NoiseRate,
    is_told_apart: bool,
}

impl NearEvidence {
    /// Shares of near misses and of others among the judged pairs, where `far` is what was read of
    /// re-pairings alone. Near misses are unlike one another: the share runs from the lower end for one
    /// kind of planting, as if all real ones looked nearer than most planted ones, to the upper end for
    /// the other. Where the matcher reads the pairs unevenly, it may be anything.
    pub(super) fn rate(
        &self,
        pairs: Ranked<'_>,
        far: &RateFit,
        is_uneven: bool,
        n_bootstrap: usize,
        seed: Seed,
    ) -> NearRate {
        let (far, lambda) = (far.rate, far.lambda);
        // Pairs that the matcher reads poorly look like planted ones.
        let mut is_told_apart = !is_uneven && !self.planted.is_empty();
        let mut near = NoiseRate {
            estimate: 1.0,
            low: 1.0,
            high: 0.0,
        };
        for among in Among::EACH {
            let mut estimate = 0.0;
            for planted in &self.planted {
                let found = self.count(planted, among, pairs, far, n_bootstrap, seed);
                is_told_apart &= found.is_told_apart;
                estimate += found.rate.estimate / self.planted.len() as f64;
                near.low = near.low.min(found.rate.low);
                near.high = near.high.max(found.rate.high);
            }
            near.estimate = near.estimate.min(estimate);
        }
        // What of the level part of the p-values among re-pairings are near misses.
        let planted_far = self
            .planted
            .iter()
            .flatten()
            .filter(|planted| planted.p_far > lambda);
        let n_planted = self.planted.iter().flatten().count().max(1);
        let taken = planted_far.count() as f64 / n_planted as f64 / (1.0 - lambda);
        let left = |far: f64, near: f64| (far - taken * near).max(0.0);
        // Where pairs are not told apart, the share may be anything.
        let near = if is_told_apart {
            near
        } else {
            NoiseRate {
                estimate: 0.0,
                low: 0.0,
                high: 1.0 - far.low,
            }
        };
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

    /// The share by one kind of planting. Near misses may all look nearer than most planted ones, so its
    /// lower end takes only those for near misses that look near.
    fn count(
        &self,
        planted: &[Judged],
        among: Among,
        pairs: Ranked<'_>,
        far: NoiseRate,
        n_bootstrap: usize,
        seed: Seed,
    ) -> Counted {
        let is_counted = |judged: &&Judged| judged.ranks_well() && among.holds(judged);
        let share = |known: &[Judged], is: &dyn Fn(&&Judged) -> bool| {
            known.iter().filter(is).count() as f64 / known.len().max(1) as f64
        };
        let null = sorted(
            planted
                .iter()
                .filter(is_counted)
                .map(|planted| planted.logit),
        );
        let counted: Vec<usize> = (pairs.judged.iter().copied())
            .filter(|&n| is_counted(&&self.given[n]))
            .collect();
        let p: Vec<f64> = counted
            .iter()
            .map(|&n| rank_from_above(&null, self.given[n].logit))
            .collect();
        let image: Vec<u32> = counted.iter().map(|&n| pairs.image[n]).collect();
        let readable = vec![true; p.len()];
        let input = RateInput {
            p: &p,
            image: &image,
            readable: &readable,
            by_cut: &[],
        };
        let found = estimate_rate(&input, n_bootstrap, seed).rate;
        let share_counted = counted.len() as f64 / pairs.judged.len().max(1) as f64;
        let planted_counted = share(planted, &is_counted).max(1e-6);
        // Of the pairs that look near, some are far ones that rank well by chance.
        let repaired_near = share(&self.repaired, &|repaired| {
            is_counted(repaired) && rank_from_above(&null, repaired.logit) > LAMBDA
        });
        let of_all = |share: f64, far: f64| {
            let looks_near = share * share_counted - far * repaired_near / (1.0 - LAMBDA);
            (looks_near / planted_counted).clamp(0.0, 1.0)
        };
        Counted {
            rate: NoiseRate {
                estimate: of_all(found.estimate, far.estimate),
                low: (1.0 - LAMBDA) * of_all(found.low, far.high),
                // How many of the far ones do is not certain, so none is taken off.
                high: of_all(found.high, 0.0),
            },
            is_told_apart: PoorRanks::new().well_ranked(&p) >= TOLD_APART,
        }
    }

    /// Probability `[n_pairs]` that a pair that is not far is a near miss, where they are the share
    /// `rate` of all pairs, the less legible no more often than the others.
    pub(super) fn posterior(&self, pairs: Ranked<'_>, rate: f64) -> Vec<f64> {
        let planted: Vec<&Judged> = self.planted.iter().flatten().collect();
        let mut posterior = vec![0.0; self.given.len()];
        for legible in [false, true] {
            let is_in = |judged: &Judged| judged.is_legible[1] == legible;
            let is_counted = |judged: &Judged| judged.ranks_well() && is_in(judged);
            let known = planted.iter().filter(|planted| is_counted(planted));
            let null = sorted(known.map(|planted| planted.logit));
            let p = |n: usize| rank_from_above(&null, self.given[n].logit);
            let members = pairs
                .judged
                .iter()
                .copied()
                .filter(|&n| is_in(&self.given[n]));
            let members: Vec<usize> = members.collect();
            let well = members.iter().filter(|&&n| self.given[n].ranks_well());
            let well: Vec<f64> = well.map(|&n| p(n)).collect();
            let planted_share = null.len() as f64 / planted.len().max(1) as f64;
            let share = well.len() as f64 / pairs.judged.len().max(1) as f64;
            let base = (rate * planted_share / share.max(1e-6)).min(1.0);
            let density = DecreasingDensity::fit(&well);
            let at: Vec<f64> = members.iter().map(|&n| p(n)).collect();
            for (&n, value) in members
                .iter()
                .zip(posteriors_at(&at, &well, &density, base))
            {
                posterior[n] = value;
            }
        }
        posterior
    }
}

/// Larger the better the items fit.
fn row(surprisal: f64, log_rank: f64, features: &NearbyFeatures) -> Row {
    let mut row = [0.0; N];
    row[..2].copy_from_slice(&[-surprisal, -log_rank]);
    row[2..].copy_from_slice(features);
    row
}

/// The part of an image.
fn part(image: u32) -> usize {
    // Neighboring numbers may be alike, so they are spread.
    (image.wrapping_mul(0x9E37_79B9) >> 16) as usize % PARTS
}

/// Whether captions of an image are wrong together. They resemble one another all the same then, so what
/// was learned of re-pairings, whose captions resemble nothing around them, does not hold for them. A
/// matched pair that ranks poorly resembles the image's other captions too, but these rank well. Where
/// hardly any pair is far, it is assumed.
fn wrong_together(given: &[Option<Row>], pairs: Ranked<'_>, repaired: &[Known]) -> bool {
    let known = sorted(repaired.iter().map(|known| known.row[SIBLINGS]));
    let Some(&level) = known.get(known.len() * 3 / 4) else {
        return true;
    };
    let mut by_image: Vec<usize> = (pairs.judged.iter().copied())
        .filter(|&n| given[n].is_some())
        .collect();
    by_image.sort_by_key(|&n| pairs.image[n]);
    let (mut n_far, mut n_together) = (0, 0);
    for of_image in by_image.chunk_by(|&a, &b| pairs.image[a] == pairs.image[b]) {
        for &n in of_image.iter().filter(|&&n| pairs.p_far[n] > 0.5) {
            let resembles = given[n].is_some_and(|row| row[SIBLINGS] > level);
            let mut others = of_image.iter().filter(|&&other| other != n);
            n_far += 1;
            n_together +=
                usize::from(resembles && others.all(|&other| pairs.p_far[other] > RANKS_WELL));
        }
    }
    n_far < FEWEST || n_together as f64 > TOGETHER * n_far as f64
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
