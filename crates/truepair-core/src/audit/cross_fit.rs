//! Cross-fitting: scores of every pair by matchers that never trained on it.
//!
//! Pairs are cut into folds by image, so that all captions of an image and all copies of it are in one
//! fold. For each fold a matcher trains on the other folds and judges the fold. A first round finds the
//! pairs that look mismatched; the matchers whose statistics count train without them, on several cuts
//! of the data.

use serde::{Deserialize, Serialize};

use super::folds::{assign_folds, common_folds};
use super::{
    AuditOptions, Evidence, Findings, Fold, FoldStatistics, Likeness, Links, MIN_PAIRS, Plan,
    average_repeats, conclude, crowd, judge_fold,
};
use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::pair::Pair;
use crate::rng::Seed;
use crate::scores::{Scorer, TileShape};
use crate::watch::Watch;

/// How the data is cut into folds, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossFit {
    /// Folds, 2 to 1,000.
    pub folds: usize,
    /// How many times the data is cut and judged by fresh matchers, 1 to 1,000 times; their statistics are
    /// averaged before they are calibrated.
    pub repeats: usize,
    /// Whether a first round finds pairs that look mismatched, so that the matchers that judge are
    /// trained without them, and on the others weighted by the probability that they are matched.
    pub refit: bool,
}

impl Default for CrossFit {
    fn default() -> Self {
        Self {
            folds: 3,
            repeats: 2,
            refit: true,
        }
    }
}

impl CrossFit {
    /// Folds and repeats, at most.
    const MOST: usize = 1000;

    /// # Errors
    /// If there are fewer than 2 folds, no repeat, or more than 1,000 of either.
    pub fn check(&self) -> Result<()> {
        let most = CrossFit::MOST;
        if (2..=most).contains(&self.folds) && (1..=most).contains(&self.repeats) {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "cannot cross-fit with {} folds and {} repeats",
                self.folds, self.repeats
            ),
            format!("use 2 to {most} folds and 1 to {most} repeats"),
        ))
    }
}

/// Trains the matchers of a cut; `E` is the error that training may return. The closed form is
/// [`LinearLearner`](crate::linear::LinearLearner).
///
/// ```
/// # use truepair_core::dataset::{Dataset, Features, NamedFeatures};
/// # use truepair_core::pair::Pair;
/// # use truepair_core::rng::normal;
/// # let stream = &mut truepair_core::rng::Seed(1).stream("toy", &[]);
/// # let images: Vec<f32> = (0..200 * 8).map(|_| normal(stream) as f32).collect();
/// # let captions = images.iter().map(|x| 0.3 * normal(stream) as f32 - x).collect();
/// # let pair = |n| Pair { image: n, caption: if n < 40 { (n + 1) % 40 } else { n } };
/// # let data = Dataset {
/// #     name: "toy".into(), format: "memory", split: "train".into(),
/// #     images: Features::from_rows(images, 8),
/// #     image_ids: (0..200).map(|n| n.to_string()).collect(), image_files: Vec::new(), captions: None,
/// #     caption_features: Some(NamedFeatures { name: "toy".into(), features: Features::from_rows(captions, 8) }),
/// #     pairs: (0..200).map(pair).collect(), labels: None, files: Vec::new(), account: Default::default(),
/// # };
/// use truepair_core::Error;
/// use truepair_core::audit::{AuditOptions, CrossFit, Learner, Links, cross_fit};
/// use truepair_core::linear::LinearLearner;
/// use truepair_core::rng::Seed;
///
/// // `data` holds 200 pairs of which the first 40 are rotated; its two spaces have nothing in common.
/// let learner = LinearLearner::new(&data, &Default::default(), &Default::default(), Seed(0))?;
/// let learners: [&dyn Learner<Error>; 1] = [&learner];
/// let (links, schedule) = (Links::of(&data)?, CrossFit::default());
/// let (options, watch) = (AuditOptions::default(), &mut ());
/// let findings = cross_fit(&data.pairs, &links, &learners, &schedule, &options, Seed(0), watch)?;
/// assert!(findings.noise_rate.low < 0.2 && 0.2 < findings.noise_rate.high);
/// # Ok::<(), Error>(())
/// ```
pub trait Learner<E: From<Error>> {
    /// One matcher per fold, each trained on the pairs of the other folds, in the folds' order.
    ///
    /// # Errors
    /// If the data cannot be read or training fails.
    fn learn(
        &self,
        cut: &Cut<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Box<dyn HeldOut<E> + '_>>, E>;

    /// Whether each caption of the data holds nothing that a matcher of another fold can have learned;
    /// empty where every caption can be read.
    fn unread_captions(&self) -> &[bool] {
        &[]
    }

    /// The vectors by which items resemble each other; without them near misses are not looked for.
    fn likeness(&self) -> Option<&dyn Likeness> {
        None
    }
}

/// One way to cut the pairs into folds.
#[derive(Debug, Clone)]
pub struct Cut<'a> {
    /// The fold of every pair, below `n_folds`.
    pub fold_of_pair: &'a [u32],
    /// Number of folds.
    pub n_folds: usize,
    /// The weight of every pair in training, in [0, 1]; `None` = all alike.
    pub weights: Option<&'a [f32]>,
    /// The source of this cut's randomness.
    pub seed: Seed,
    /// The name under which progress is reported.
    pub stage: String,
}

/// A matcher that has not been trained on the pairs of its fold.
pub trait HeldOut<E: From<Error>> {
    /// Scores these images against these captions of the data, by their places in the lists.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn scorer(&self, images: &[u32], captions: &[u32]) -> Result<Box<dyn Scorer + '_>, E>;

    /// How uncertain the embeddings of pairs are: the mean over image and caption of the share of the
    /// variance in their mean squared length, [0, 1); `None` for matchers whose items are points.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn uncertainty(&self, pairs: &[Pair]) -> Result<Option<Vec<f64>>, E> {
        let _ = pairs;
        Ok(None)
    }
}

/// Null items of the first round, which only has to find what looks mismatched.
const FIRST_NULL: usize = 2_000;

/// Items that the first round measures legibility against.
const FIRST_CROWD: usize = 2_048;

/// Bootstrap draws of the first round.
const FIRST_BOOTSTRAP: usize = 100;

/// Audits `pairs` by cross-fitting. The first of `learners` finds what looks mismatched; the
/// statistics of all are averaged.
///
/// # Errors
/// If there are too few pairs to cut into folds, an option is out of range, or training fails.
///
/// # Panics
/// If there is no learner.
pub fn cross_fit<E: From<Error>>(
    pairs: &[Pair],
    links: &Links,
    learners: &[&dyn Learner<E>],
    schedule: &CrossFit,
    options: &AuditOptions,
    seed: Seed,
    watch: &mut dyn Watch,
) -> Result<Findings, E> {
    schedule.check()?;
    options.check()?;
    let cuts: Vec<Vec<u32>> = (0..schedule.repeats as u64)
        .map(|repeat| assign_folds(pairs, links, schedule.folds, seed.child("cut", repeat)))
        .collect();
    check_folds(&cuts, schedule.folds)?;
    let together = common_folds(&cuts, schedule.folds);
    let likeness = learners[0].likeness().filter(|_| options.near_misses);
    let plan = likeness.map(|likeness| Plan::new(pairs, links, Some(&together), likeness, seed));
    let plan = plan.transpose()?;
    let mut judge = Judge {
        pairs,
        links,
        together: &together,
        plan: None,
        seed,
    };
    let cut = |index: usize, weights| {
        let place = (index, cuts.len());
        cut(&cuts[index], place, schedule.folds, weights, seed)
    };
    let weights = if schedule.refit {
        judge.first_round(learners[0], &cut(0, None), options, watch)?
    } else {
        None
    };
    judge.plan = plan.as_ref();
    let mut rounds = Vec::new();
    for learner in learners {
        for index in 0..cuts.len() {
            let cut = cut(index, weights.as_deref());
            rounds.push(judge.cut(*learner, &cut, options, watch)?);
        }
    }
    let averaged = average_repeats(&rounds)?;
    let evidence = Evidence {
        folds: &averaged,
        by_cut: &rounds,
        unread_captions: learners[0].unread_captions(),
    };
    Ok(conclude(pairs, links, &evidence, options, seed)?)
}

/// Refuses folds that are too small to judge before anything is trained.
fn check_folds(cuts: &[Vec<u32>], n_folds: usize) -> Result<()> {
    let sizes = cuts.iter().flat_map(|cut| {
        let mut sizes = vec![0usize; n_folds];
        cut.iter().for_each(|&fold| sizes[fold as usize] += 1);
        sizes
    });
    let smallest = sizes.min().unwrap_or(0);
    if smallest >= MIN_PAIRS {
        return Ok(());
    }
    Err(Error::argument(
        format!(
            "{smallest} pairs to judge together in the smallest of {n_folds} folds, expected at least \
             {MIN_PAIRS}"
        ),
        "add pairs or use fewer folds",
    ))
}

/// The cut at position `index` of `n_cuts`.
fn cut<'a>(
    fold_of_pair: &'a [u32],
    (index, n_cuts): (usize, usize),
    n_folds: usize,
    weights: Option<&'a [f32]>,
    seed: Seed,
) -> Cut<'a> {
    let name = if weights.is_some() { "refit" } else { "fit" };
    Cut {
        fold_of_pair,
        n_folds,
        weights,
        seed: seed.child(name, index as u64),
        stage: format!("{name}, cut {} of {n_cuts}", index + 1),
    }
}

/// Pairs that are more likely mismatched than not do not count; the others count by the probability
/// that they are matched.
fn weights(findings: &Findings) -> Vec<f32> {
    let weight = |posterior: f64| {
        if posterior < 0.5 {
            1.0 - posterior
        } else {
            0.0
        }
    };
    let verdicts = findings.verdicts.iter();
    verdicts
        .map(|verdict| weight(verdict.posterior) as f32)
        .collect()
}

/// What the judgments of all cuts share.
struct Judge<'a> {
    pairs: &'a [Pair],
    links: &'a Links,
    together: &'a [u32],
    plan: Option<&'a Plan<'a>>,
    seed: Seed,
}

impl Judge<'_> {
    /// Weights for training from a quick look at one cut; `None` where no mismatch was found that could
    /// be left out, so that matchers train on all pairs.
    fn first_round<E: From<Error>>(
        &self,
        learner: &dyn Learner<E>,
        cut: &Cut<'_>,
        options: &AuditOptions,
        watch: &mut dyn Watch,
    ) -> Result<Option<Vec<f32>>, E> {
        let quick = AuditOptions {
            null_size: options.null_size.min(FIRST_NULL),
            crowd: options.crowd.min(FIRST_CROWD),
            n_bootstrap: options.n_bootstrap.min(FIRST_BOOTSTRAP),
            ..options.clone()
        };
        let first = self.cut(learner, cut, &quick, watch)?;
        let evidence = Evidence {
            unread_captions: learner.unread_captions(),
            ..Evidence::of(&first)
        };
        let findings = conclude(self.pairs, self.links, &evidence, &quick, self.seed)?;
        Ok(findings.outcome.is_found().then(|| weights(&findings)))
    }

    /// Trains the matchers of a cut and judges every fold by its own.
    fn cut<E: From<Error>>(
        &self,
        learner: &dyn Learner<E>,
        cut: &Cut<'_>,
        options: &AuditOptions,
        watch: &mut dyn Watch,
    ) -> Result<Vec<FoldStatistics>, E> {
        let matchers = learner.learn(cut, watch)?;
        assert_eq!(matchers.len(), cut.n_folds, "one matcher per fold");
        let mut statistics = Vec::with_capacity(cut.n_folds);
        for (matcher, fold) in matchers.iter().zip(0..) {
            statistics.push(self.fold(matcher.as_ref(), cut, fold, options, watch)?);
        }
        Ok(statistics)
    }

    fn fold<E: From<Error>>(
        &self,
        matcher: &dyn HeldOut<E>,
        cut: &Cut<'_>,
        fold: u32,
        options: &AuditOptions,
        watch: &mut dyn Watch,
    ) -> Result<FoldStatistics, E> {
        let judged: Vec<u32> = (0..self.pairs.len() as u32)
            .filter(|&pair| cut.fold_of_pair[pair as usize] == fold)
            .collect();
        let of_fold = || judged.iter().map(|&pair| self.pairs[pair as usize]);
        // Legibility is measured against items of all folds.
        let [images, captions] = crowd::draw(self.pairs, options.crowd, self.seed);
        let (images, captions) = (
            distinct(of_fold().map(|pair| pair.image).chain(images)),
            distinct(of_fold().map(|pair| pair.caption).chain(captions)),
        );
        let scorer = matcher.scorer(&images, &captions)?;
        let scorer = Placed::new(scorer.as_ref(), &images, &captions);
        let mut staged = Staged {
            stage: format!("{}: rank fold {} of {}", cut.stage, fold + 1, cut.n_folds),
            watch,
        };
        let input = Fold {
            scorer: &scorer,
            pairs: self.pairs,
            judged: &judged,
            links: self.links,
            cells: Some(self.together),
            plan: self.plan,
        };
        let mut statistics = judge_fold(&input, options, self.seed, &mut staged)?;
        let judged: Vec<Pair> = of_fold().collect();
        if let Some(uncertainty) = matcher.uncertainty(&judged)? {
            statistics.set_variance(&uncertainty);
        }
        Ok(statistics)
    }
}

/// A scorer of some items of the data that takes the data's own indices.
pub(super) struct Placed<'a> {
    scorer: &'a dyn Scorer,
    images: Vec<u32>,
    captions: Vec<u32>,
}

impl<'a> Placed<'a> {
    pub(super) fn new(scorer: &'a dyn Scorer, images: &[u32], captions: &[u32]) -> Self {
        let places = |items: &[u32]| {
            let mut places = vec![u32::MAX; items.last().map_or(0, |last| *last as usize + 1)];
            for (&item, place) in items.iter().zip(0..) {
                places[item as usize] = place;
            }
            places
        };
        Self {
            scorer,
            images: places(images),
            captions: places(captions),
        }
    }
}

impl Scorer for Placed<'_> {
    fn n_images(&self) -> usize {
        self.images.len()
    }

    fn n_captions(&self) -> usize {
        self.captions.len()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        let place = |places: &[u32], items: &[u32]| -> Vec<u32> {
            items.iter().map(|&item| places[item as usize]).collect()
        };
        let (images, captions) = (place(&self.images, images), place(&self.captions, captions));
        self.scorer.tile(&images, &captions, out)
    }

    fn tile_shape(&self) -> TileShape {
        self.scorer.tile_shape()
    }
}

/// Reports progress under another name.
struct Staged<'a> {
    stage: String,
    watch: &'a mut dyn Watch,
}

impl Watch for Staged<'_> {
    fn advance(&mut self, _stage: &str, done: u64, total: u64) {
        self.watch.advance(&self.stage, done, total);
    }

    fn warn(&mut self, warning: &str) {
        self.watch.warn(warning);
    }

    fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }
}
