//! Cross-fitting: scores of every pair by matchers that never trained on it.
//!
//! Pairs are cut into folds by image, so that all captions of an image and all copies of it stand in
//! one fold. For each fold a matcher trains on the other folds and judges the fold. The data is cut
//! several times, and a last round trains on what the rounds before keep. Folds run side by side,
//! each on one thread, because small matrix products gain little from a second one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;
use truepair_core::audit::{
    AuditOptions, Findings, Fold, FoldStatistics, Links, Outcome, average_repeats, conclude,
    judge_fold,
};
use truepair_core::dataset::Dataset;
use truepair_core::rng::{Seed, shuffle};
use truepair_core::watch::Watch;

use crate::backbone::{BackboneConfig, BagOfWordsConfig, MlpConfig};
use crate::config::{Config, Keep, Recipe, TrainingConfig};
use crate::error::Result;
use crate::objective::ObjectiveConfig;
use crate::session::{EpochRecord, Session, StepProgress, TrainWatch};
use crate::similarity::SimilarityConfig;
use crate::strategy::{PlainConfig, RclConfig, StrategyConfig};
use crate::trainer::train;

/// Settings of a cross-fitted audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossFitConfig {
    /// Folds, at least 2.
    pub folds: usize,
    /// Times that the data is cut anew and judged by fresh matchers, at least 1; the statistics are
    /// averaged before they are calibrated.
    pub repeats: usize,
    /// Whether the pairs that these repeats hold matched train one more round of matchers, whose
    /// statistics join the average.
    pub refit: bool,
    /// How a matcher of the first pass is trained.
    pub recipe: Recipe,
    /// The statistics.
    pub audit: AuditOptions,
}

impl Default for CrossFitConfig {
    fn default() -> Self {
        Self {
            folds: 3,
            repeats: 2,
            refit: true,
            recipe: recipe(StrategyConfig::Rcl(RclConfig::default())),
            audit: AuditOptions::default(),
        }
    }
}

/// The audit's training recipe: small heads, few epochs, the last epoch kept.
fn recipe(strategy: StrategyConfig) -> Recipe {
    Recipe {
        strategy: Some(strategy),
        training: TrainingConfig {
            epochs: 12,
            batch: 256,
            keep: Keep::Last,
            ..TrainingConfig::default()
        },
        ..Recipe::default()
    }
}

/// Audits `dataset` by cross-fitting.
///
/// # Errors
/// If there are too few pairs to cut into folds, training fails, or the session is stopped.
pub fn cross_fit(
    dataset: &Dataset,
    links: &Links,
    config: &CrossFitConfig,
    seed: Seed,
    session: &mut Session<'_>,
) -> Result<Findings> {
    if config.folds < 2 || config.repeats < 1 {
        return Err(CoreError::argument(
            format!(
                "cannot cross-fit with {} folds and {} repeats",
                config.folds, config.repeats
            ),
            "use at least 2 folds and 1 repeat",
        )
        .into());
    }
    let cuts: Vec<Vec<u32>> = (0..config.repeats as u64)
        .map(|repeat| assign_folds(dataset, links, config.folds, seed.child("cut", repeat)))
        .collect();
    let cells = cells(&cuts, config.folds);
    let mut statistics = Vec::new();
    for (repeat, fold_of_pair) in cuts.iter().enumerate() {
        let round = Round {
            dataset,
            links,
            config,
            fold_of_pair,
            cells: &cells,
            resolved: resolve(dataset, config, false)?,
            kept: None,
            index: repeat as u64,
            seed,
        };
        statistics.push(round.run(session)?);
    }
    let conclude = |statistics: &[Vec<FoldStatistics>]| -> Result<Findings> {
        let averaged = average_repeats(statistics)?;
        Ok(conclude(
            &dataset.pairs,
            links,
            &averaged,
            &config.audit,
            seed,
        )?)
    };
    let findings = conclude(&statistics)?;
    // Without a mismatch to leave out, a refit would be one more repeat.
    if !config.refit || findings.outcome != Outcome::MismatchedPairs {
        return Ok(findings);
    }
    let kept = findings
        .verdicts
        .iter()
        .map(|verdict| verdict.posterior < 0.5)
        .collect();
    let round = Round {
        dataset,
        links,
        config,
        fold_of_pair: &cuts[0],
        cells: &cells,
        resolved: resolve(dataset, config, true)?,
        kept: Some(kept),
        index: config.repeats as u64,
        seed,
    };
    statistics.push(round.run(session)?);
    conclude(&statistics)
}

/// Per pair, a label that is equal only for pairs that share a fold in every cut.
fn cells(cuts: &[Vec<u32>], n_folds: usize) -> Vec<u32> {
    let label = |pair: usize| {
        cuts.iter()
            .fold(0, |cell, cut| cell * n_folds as u32 + cut[pair])
    };
    (0..cuts[0].len()).map(label).collect()
}

/// Backbones that the recipe leaves open are the fast ones: an audit's matchers only have to rank.
/// Pixels, and strategies whose embeddings are more than vectors, keep the heads that read them.
fn resolve(dataset: &Dataset, config: &CrossFitConfig, refit: bool) -> Result<Config> {
    let mut recipe = config.recipe.clone();
    let strategy = recipe.strategy.as_ref();
    let reads_vectors =
        refit || strategy.is_none_or(|own| matches!(own.similarity(), SimilarityConfig::Cosine(_)));
    let matcher = &mut recipe.matcher;
    if matcher.image.is_none() && reads_vectors && !dataset.images.are_pictures() {
        matcher.image = Some(BackboneConfig::Mlp(MlpConfig::default()));
    }
    if matcher.caption.is_none() && reads_vectors && dataset.caption_features.is_none() {
        matcher.caption = Some(BackboneConfig::BagOfWords(BagOfWordsConfig::default()));
    }
    if refit {
        let objective = ObjectiveConfig::default();
        recipe.strategy = Some(StrategyConfig::Plain(PlainConfig {
            objective,
            ..PlainConfig::default()
        }));
    }
    recipe.resolve(dataset)
}

/// One round of cross-fitting: every fold judged once.
struct Round<'a> {
    dataset: &'a Dataset,
    links: &'a Links,
    config: &'a CrossFitConfig,
    fold_of_pair: &'a [u32],
    cells: &'a [u32],
    resolved: Config,
    /// Pairs that may be trained on; `None` = all.
    kept: Option<Vec<bool>>,
    index: u64,
    seed: Seed,
}

impl Round<'_> {
    /// Judges every fold, as many at a time as there are threads.
    fn run(&self, session: &mut Session<'_>) -> Result<Vec<FoldStatistics>> {
        let n_folds = self.config.folds;
        let n_workers = rayon::current_num_threads().clamp(1, n_folds);
        let stage = match self.index {
            0 => "cross-fit".to_owned(),
            round if (round as usize) < self.config.repeats => {
                format!("cross-fit, repeat {}", round + 1)
            }
            _ => "cross-fit, refit".to_owned(),
        };
        let shared = Mutex::new(Shared {
            watch: &mut *session.watch,
            stage,
            epochs: 0,
            n_epochs: n_folds * self.n_epochs()?,
        });
        let (stop, now, accelerator) = (session.stop, session.now, session.accelerator);
        let next = AtomicUsize::new(0);
        let mut results: Vec<Option<Result<FoldStatistics>>> = (0..n_folds).map(|_| None).collect();
        let slots: Vec<Mutex<&mut Option<Result<FoldStatistics>>>> =
            results.iter_mut().map(Mutex::new).collect();
        std::thread::scope(|scope| {
            for _ in 0..n_workers {
                scope.spawn(|| {
                    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                    let work = || loop {
                        let fold = next.fetch_add(1, Ordering::Relaxed);
                        if fold >= n_folds {
                            return;
                        }
                        let mut local = Local { shared: &shared };
                        let mut session = Session {
                            dir: None,
                            resume: false,
                            matched: None,
                            accelerator,
                            stop,
                            watch: &mut local,
                            now,
                        };
                        let result = self.judge(fold as u32, &mut session);
                        **slots[fold]
                            .lock()
                            .expect("a slot is locked by one worker only") = Some(result);
                    };
                    match one {
                        Ok(pool) => pool.install(work),
                        Err(_) => work(),
                    }
                });
            }
        });
        drop(slots);
        results
            .into_iter()
            .map(|result| result.expect("every fold was judged"))
            .collect()
    }

    fn n_epochs(&self) -> Result<usize> {
        let training = &self.resolved.training;
        Ok(self.resolved.strategy.build(training.epochs)?.n_warm_up() + training.epochs)
    }

    fn judge(&self, fold: u32, session: &mut Session<'_>) -> Result<FoldStatistics> {
        let keep: Vec<bool> = (self.fold_of_pair.iter().enumerate())
            .map(|(pair, &of)| of != fold && self.kept.as_ref().is_none_or(|kept| kept[pair]))
            .collect();
        let data = self.dataset.with_pairs_kept(&keep);
        let seed = (self.seed.child("round", self.index)).child("fold", u64::from(fold));
        let trained = train(&data, None, &self.resolved, seed, session)?;
        let scorer = trained.scorer(self.dataset, &mut ())?;
        let judged: Vec<u32> = (0..self.fold_of_pair.len() as u32)
            .filter(|&pair| self.fold_of_pair[pair as usize] == fold)
            .collect();
        let fold = Fold {
            scorer: &*scorer,
            pairs: &self.dataset.pairs,
            judged: &judged,
            links: self.links,
            cells: Some(self.cells),
        };
        let mut statistics = judge_fold(&fold, &self.config.audit, self.seed, &mut ())?;
        if let Some(uncertainty) = trained.uncertainty(self.dataset, &mut ())? {
            statistics.set_variance(|pair| uncertainty.of_pair(self.dataset.pairs[pair as usize]));
        }
        Ok(statistics)
    }
}

/// Fold of every pair. Pairs that share an image, a copy of it, or a caption row go together, unless
/// that would chain most of the data into one piece; then only images bind.
fn assign_folds(dataset: &Dataset, links: &Links, n_folds: usize, seed: Seed) -> Vec<u32> {
    let n_groups = links.image_group().len();
    let group = |pair: &truepair_core::pair::Pair| links.image_group()[pair.image as usize];
    let mut joined = Joined::new(n_groups);
    let mut first_group = vec![u32::MAX; dataset.n_captions()];
    for pair in &dataset.pairs {
        match &mut first_group[pair.caption as usize] {
            first if *first == u32::MAX => *first = group(pair),
            first => joined.join(*first, group(pair)),
        }
    }
    let mut sizes = vec![0usize; n_groups];
    dataset
        .pairs
        .iter()
        .for_each(|pair| sizes[joined.root(group(pair)) as usize] += 1);
    if sizes
        .iter()
        .max()
        .is_some_and(|&largest| largest > dataset.pairs.len() / (2 * n_folds))
    {
        joined = Joined::new(n_groups);
        sizes.fill(0);
        dataset
            .pairs
            .iter()
            .for_each(|pair| sizes[group(pair) as usize] += 1);
    }
    let mut pieces: Vec<u32> = (0..n_groups as u32)
        .filter(|&piece| sizes[piece as usize] > 0)
        .collect();
    shuffle(&mut seed.stream("folds", &[]), &mut pieces);
    let mut fold_of_piece = vec![0u32; n_groups];
    let mut filled = vec![0usize; n_folds];
    for piece in pieces {
        let emptiest = (0..n_folds)
            .min_by_key(|&fold| filled[fold])
            .expect("folds exist");
        filled[emptiest] += sizes[piece as usize];
        fold_of_piece[piece as usize] = emptiest as u32;
    }
    dataset
        .pairs
        .iter()
        .map(|pair| fold_of_piece[joined.root(group(pair)) as usize])
        .collect()
}

/// Disjoint sets.
struct Joined(Vec<u32>);

impl Joined {
    fn new(n: usize) -> Self {
        Self((0..n as u32).collect())
    }

    fn root(&mut self, mut at: u32) -> u32 {
        while self.0[at as usize] != at {
            self.0[at as usize] = self.0[self.0[at as usize] as usize];
            at = self.0[at as usize];
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// Progress of all folds together.
struct Shared<'a> {
    watch: &'a mut dyn TrainWatch,
    stage: String,
    epochs: usize,
    n_epochs: usize,
}

/// One worker's view of the shared progress.
struct Local<'a, 'b> {
    shared: &'a Mutex<Shared<'b>>,
}

impl Watch for Local<'_, '_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for Local<'_, '_> {
    fn step(&mut self, _progress: &StepProgress) {}

    fn epoch(&mut self, _record: &EpochRecord) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.epochs += 1;
            let Shared {
                watch,
                stage,
                epochs,
                n_epochs,
            } = &mut *shared;
            watch.advance(stage, *epochs as u64, *n_epochs as u64);
        }
    }
}
