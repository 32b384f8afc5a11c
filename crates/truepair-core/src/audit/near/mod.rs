//! How near misses are told from matched pairs: by what planted ones look like.
//!
//! Some of the pairs that rank well among random items may be near misses. Planted near misses that
//! rank as well show what their surroundings look like; a [`Monotone`](super::monotone::Monotone) model,
//! fitted to the pairs of other images, gives every pair a logit, and a pair's place among the planted
//! ones' logits is its p-value: uniform for a near miss of that kind, small for a matched pair. From
//! there on near misses are counted as mismatched pairs are, by Storey's estimate.
//!
//! The given pairs that the model learns from are a mixture: after a first fit each pair is weighted by
//! the probability that it is not a near miss, and the model is fitted again.

mod examples;
mod models;

use super::bootstrap::Bootstrap;
use super::legibility::Readable;
use super::nearby::Planted;
use super::poor_ranks::PoorRanks;
use super::posterior::{DecreasingDensity, posteriors_at};
use super::{FoldStatistics, NoiseRate, RateFit, RateInput, estimate_rate};
use crate::rng::Seed;

use self::examples::{Example, Examples, SIBLINGS, ascending};
use self::models::Models;

/// p-value among re-pairings up to which a pair may be a near miss; others are far.
const RANKS_WELL: f64 = 0.1;

/// Largest share of far pairs that may be wrong together with all other captions of their image, which
/// they resemble more than three quarters of the re-pairings do. Measured: 0.85 to 1 where images were
/// exchanged, at most 0.45 where they were not (f8k, emoji, openclipart).
const TOGETHER: f64 = 0.4;

/// With fewer planted pairs that rank well than this, nothing can be learned.
const FEWEST: usize = 100;

/// Share of the pairs that rank well which must differ clearly from planted ones.
const TOLD_APART: f64 = 0.25;

/// p-value among planted pairs above which a pair looks near.
const LAMBDA: f64 = 0.5;

/// The pairs and their places among re-pairings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked<'a> {
    /// p-values `[n_pairs]`.
    pub(super) p_far: &'a [f64],
    /// What makes pairs dependent, `[n_pairs]`.
    pub(super) image: &'a [u32],
    /// Pairs that could be compared.
    pub(super) judged: &'a [usize],
}

/// What was learned about near misses.
#[derive(Debug)]
pub(super) struct NearEvidence<'a> {
    pairs: Ranked<'a>,
    /// Aligned with the pairs.
    given: Vec<Judged>,
    /// The planted pairs of each kind.
    planted: Vec<Vec<Judged>>,
    repaired: Vec<Judged>,
    /// The place of every pair among re-pairings that are as readable, by what was learned about these,
    /// (0, 1]; `None` where the captions of an image are wrong together.
    pub(super) p_far: Option<Vec<f64>>,
    /// Whether the matcher reads the pairs unevenly. Those that it reads poorly look like planted ones.
    is_uneven: bool,
}

/// A pair as judged by the models.
#[derive(Debug, Clone, Copy)]
struct Judged {
    /// p-value among re-pairings.
    p_far: f64,
    /// The higher, the less like a planted pair; NaN for a pair that could not be compared.
    logit: f64,
    /// Whether image and caption are among the more legible half.
    is_legible: [bool; 2],
}

impl Judged {
    fn ranks_well(&self) -> bool {
        self.p_far <= RANKS_WELL
    }
}

/// Pairs among which near misses are counted.
///
/// Near misses can be as legible as any pair, and so can planted ones; a pair that looks near because
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

/// Shares of near misses and of others among all pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NearRate {
    pub(super) near: NoiseRate,
    pub(super) far: NoiseRate,
    /// Whether many pairs that rank well clearly differ from planted ones. Where hardly any do, the
    /// likeness of the others to planted pairs says nothing about them.
    pub(super) is_told_apart: bool,
}

/// Learns from the surroundings that `folds` describe. `image_group` names what makes images of planted
/// pairs dependent. `None` where nothing was planted, or too little that ranks well.
pub(super) fn learn<'a>(
    folds: &[FoldStatistics],
    pairs: Ranked<'a>,
    image_group: &[u32],
    readable: &Readable,
    seed: Seed,
) -> Option<NearEvidence<'a>> {
    let examples = Examples::of(folds, pairs, image_group, readable);
    let ranks_well = |example: &&Example| example.p_far <= RANKS_WELL;
    let planted = examples.planted.iter().map(|(_, example)| example);
    let planted: Vec<&Example> = planted.filter(ranks_well).collect();
    if planted.len() < FEWEST {
        return None;
    }
    let given: Vec<&Example> = examples.given.iter().flatten().filter(ranks_well).collect();
    let models = Models::fit(&given, &planted, seed);
    let judge = |example: &Example| Judged {
        p_far: example.p_far,
        logit: models.logit(example),
        is_legible: example.is_legible,
    };
    let of_kind = |kind: Planted| -> Vec<Judged> {
        let of_kind = examples.planted.iter().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, example)| judge(example)).collect()
    };
    let is_enough = |planted: &Vec<Judged>| {
        let well = planted.iter().filter(|planted| planted.ranks_well());
        well.count() >= FEWEST / 2
    };
    let logits = models.logits(&examples.given);
    let given = examples.given.iter().zip(&logits).zip(pairs.p_far);
    Some(NearEvidence {
        pairs,
        given: given
            .map(|((example, &logit), &p_far)| Judged {
                p_far,
                logit,
                is_legible: example.map_or([false; 2], |example| example.is_legible),
            })
            .collect(),
        planted: (Planted::ALL.map(of_kind).into_iter())
            .filter(is_enough)
            .collect(),
        repaired: examples.repaired.iter().map(judge).collect(),
        p_far: (!wrong_together(&examples)).then(|| far_p_values(&examples, readable, seed)),
        is_uneven: readable.is_uneven,
    })
}

/// Whether captions of an image are wrong together. They still resemble one another then, so what was
/// learned from re-pairings, whose captions resemble nothing around them, does not hold for them. A
/// matched pair that ranks poorly resembles the image's other captions too, but these rank well. Where
/// hardly any pair is far, this is assumed.
fn wrong_together(examples: &Examples) -> bool {
    let known = ascending(examples.repaired.iter().map(|known| known.row[SIBLINGS]));
    let Some(&level) = known.get(known.len() * 3 / 4) else {
        return true;
    };
    let mut by_image: Vec<&Example> = examples.given.iter().flatten().collect();
    by_image.sort_by_key(|example| example.image);
    let (mut n_far, mut n_together) = (0, 0);
    for of_image in by_image.chunk_by(|a, b| a.image == b.image) {
        for (n, far) in of_image
            .iter()
            .enumerate()
            .filter(|(_, one)| one.p_far > 0.5)
        {
            let mut others = of_image.iter().enumerate().filter(|(other, _)| *other != n);
            let is_together =
                far.row[SIBLINGS] > level && others.all(|(_, other)| other.p_far > RANKS_WELL);
            n_far += 1;
            n_together += usize::from(is_together);
        }
    }
    n_far < FEWEST || n_together as f64 > TOGETHER * n_far as f64
}

/// The place of every pair among re-pairings that are as readable, by models of given pairs against
/// re-pairings.
fn far_p_values(examples: &Examples, readable: &Readable, seed: Seed) -> Vec<f64> {
    let given: Vec<&Example> = examples.given.iter().flatten().collect();
    let known: Vec<&Example> = examples.repaired.iter().collect();
    let models = Models::fit(&given, &known, seed);
    let nulls = [false, true].map(|is_readable| {
        let of_group = known
            .iter()
            .filter(|known| known.is_readable == is_readable);
        ascending(of_group.map(|known| models.logit(known)))
    });
    let null = |n: usize| {
        let own = &nulls[usize::from(readable.of_pair[n])];
        if own.is_empty() { &nulls[1] } else { own }
    };
    let logits = models.logits(&examples.given);
    let rank = |(n, logit): (usize, &f64)| rank_from_above(null(n), *logit);
    logits.iter().enumerate().map(rank).collect()
}

/// Place of a logit among those of known mismatches, counted from the highest; 1 for a pair without a logit.
fn rank_from_above(null: &[f64], logit: f64) -> f64 {
    if logit.is_nan() {
        return 1.0;
    }
    let n_above = null.len() - null.partition_point(|&other| other < logit);
    (1 + n_above) as f64 / (1 + null.len()) as f64
}

impl NearEvidence<'_> {
    /// Shares of near misses and of others among the judged pairs, where `far` is the rate read from
    /// re-pairings alone. Near misses are unlike one another: the share runs from the lower end for one
    /// kind of planting, as if all real ones looked nearer than most planted ones, to the upper end for
    /// the other. Where the matcher reads the pairs unevenly, it may be anything.
    pub(super) fn rate(&self, far: &RateFit, bootstrap: Bootstrap) -> NearRate {
        let mut is_told_apart = !self.is_uneven && !self.planted.is_empty();
        let mut near = NoiseRate {
            estimate: 1.0,
            low: 1.0,
            high: 0.0,
        };
        for among in Among::EACH {
            let mut estimate = 0.0;
            for planted in &self.planted {
                let (found, differs) = self.count(planted, among, far.rate, bootstrap);
                is_told_apart &= differs;
                estimate += found.estimate / self.planted.len() as f64;
                near.low = near.low.min(found.low);
                near.high = near.high.max(found.high);
            }
            near.estimate = near.estimate.min(estimate);
        }
        if !is_told_apart {
            // The share may be anything.
            near = NoiseRate {
                estimate: 0.0,
                low: 0.0,
                high: 1.0 - far.rate.low,
            };
        }
        NearRate {
            near,
            is_told_apart,
            far: self.far_besides(near, far),
        }
    }

    /// What remains of the share of far pairs. It was read from the level part of the p-values among
    /// re-pairings; planted pairs show how many near misses are in there.
    fn far_besides(&self, near: NoiseRate, far: &RateFit) -> NoiseRate {
        let planted = || self.planted.iter().flatten();
        let n_far = planted()
            .filter(|planted| planted.p_far > far.lambda)
            .count();
        let taken = n_far as f64 / planted().count().max(1) as f64 / (1.0 - far.lambda);
        let left = |far: f64, near: f64| (far - taken * near).max(0.0);
        NoiseRate {
            estimate: left(far.rate.estimate, near.estimate),
            low: left(far.rate.low, near.high),
            high: left(far.rate.high, near.low),
        }
    }

    /// The share by one kind of planting, and whether many pairs clearly differ from it. Near misses may
    /// all look nearer than most planted ones, so the lower end counts only those that look near.
    fn count(
        &self,
        planted: &[Judged],
        among: Among,
        far: NoiseRate,
        bootstrap: Bootstrap,
    ) -> (NoiseRate, bool) {
        let is_counted = |judged: &&Judged| judged.ranks_well() && among.holds(judged);
        let share = |known: &[Judged], is: &dyn Fn(&&Judged) -> bool| {
            known.iter().filter(is).count() as f64 / known.len().max(1) as f64
        };
        let null = planted.iter().filter(is_counted);
        let null = ascending(null.map(|planted| planted.logit));
        let counted = self.pairs.judged.iter().copied();
        let counted: Vec<usize> = counted.filter(|&n| is_counted(&&self.given[n])).collect();
        let p: Vec<f64> = (counted.iter())
            .map(|&n| rank_from_above(&null, self.given[n].logit))
            .collect();
        let image: Vec<u32> = counted.iter().map(|&n| self.pairs.image[n]).collect();
        let input = RateInput {
            p: &p,
            image: &image,
            readable: &vec![true; p.len()],
            by_cut: &[],
        };
        let found = estimate_rate(&input, bootstrap).rate;
        let share_counted = counted.len() as f64 / self.pairs.judged.len().max(1) as f64;
        let planted_counted = share(planted, &is_counted).max(1e-6);
        // Of the pairs that look near, some are far ones that rank well by chance.
        let repaired_near = share(&self.repaired, &|repaired| {
            is_counted(repaired) && rank_from_above(&null, repaired.logit) > LAMBDA
        });
        let of_all = |share: f64, far: f64| {
            let looks_near = share * share_counted - far * repaired_near / (1.0 - LAMBDA);
            (looks_near / planted_counted).clamp(0.0, 1.0)
        };
        let rate = NoiseRate {
            estimate: of_all(found.estimate, far.estimate),
            low: (1.0 - LAMBDA) * of_all(found.low, far.high),
            // How many of the far ones do is not certain, so none are subtracted.
            high: of_all(found.high, 0.0),
        };
        (rate, PoorRanks::new().well_ranked(&p) >= TOLD_APART)
    }

    /// Probability `[n_pairs]` that a pair that is not far is a near miss, if a share `rate` of all
    /// pairs are near misses, the less legible ones no more often than the others.
    pub(super) fn posterior(&self, rate: f64) -> Vec<f64> {
        let n_planted = self.planted.iter().flatten().count();
        let mut posterior = vec![0.0; self.given.len()];
        for is_legible in [false, true] {
            let is_in = |judged: &Judged| judged.is_legible[1] == is_legible;
            let known = (self.planted.iter().flatten())
                .filter(|planted| planted.ranks_well() && is_in(planted));
            let null = ascending(known.map(|planted| planted.logit));
            let p = |n: usize| rank_from_above(&null, self.given[n].logit);
            let members = self.pairs.judged.iter().copied();
            let members: Vec<usize> = members.filter(|&n| is_in(&self.given[n])).collect();
            let well = members.iter().filter(|&&n| self.given[n].ranks_well());
            let well: Vec<f64> = well.map(|&n| p(n)).collect();
            let planted_share = null.len() as f64 / n_planted.max(1) as f64;
            let share = well.len() as f64 / self.pairs.judged.len().max(1) as f64;
            let base = (rate * planted_share / share.max(1e-6)).min(1.0);
            let density = DecreasingDensity::fit(&well);
            let at: Vec<f64> = members.iter().map(|&n| p(n)).collect();
            let found = posteriors_at(&at, &well, &density, base);
            for (&n, value) in members.iter().zip(found) {
                posterior[n] = value;
            }
        }
        posterior
    }
}
