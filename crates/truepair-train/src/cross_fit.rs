//! The audit by cross-fitting, and networks as its matchers.
//!
//! Folds train side by side, each on one thread, because small matrix products gain little from a
//! second one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use truepair_core::Error as CoreError;
use truepair_core::audit::{self, CrossFit, Cut, Findings, HeldOut, Learner, Links};
use truepair_core::dataset::Dataset;
use truepair_core::linear::LinearLearner;
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;
use truepair_core::scores::Scorer;
use truepair_core::text::unfamiliar_captions;
use truepair_core::watch::Watch;

use crate::config::{AuditMatcher, AuditSettings, Config};
use crate::error::{Error, Result};
use crate::run::{EpochRecord, Session, StepProgress, TrainWatch};
use crate::strategy::{AuditRequest, PlainConfig, RclConfig, StrategyConfig};
use crate::trained::Trained;
use crate::trainer::train;
use truepair_model::backbone::{BackboneConfig, BagOfWordsConfig, MlpConfig};
use truepair_model::objective::ObjectiveConfig;
use truepair_model::similarity::Compares;

/// Settings of a cross-fitted audit, its networks trained by any strategy.
///
/// ```
/// use truepair_train::{AuditMatcher, CrossFitConfig};
///
/// // What is written replaces that much of the audit's own recipe.
/// let config: CrossFitConfig =
///     toml::from_str("folds = 5\nmatcher = \"network\"\n[recipe.training]\nepochs = 4\n").unwrap();
/// assert_eq!((config.folds, config.matcher), (5, Some(AuditMatcher::Network)));
/// assert_eq!(config.recipe.training.epochs, 4);
/// assert_eq!(config.recipe.strategy, CrossFitConfig::default().recipe.strategy);
/// ```
pub type CrossFitConfig = AuditSettings<StrategyConfig>;

impl Default for CrossFitConfig {
    fn default() -> Self {
        Self::with_networks_by(StrategyConfig::Rcl(RclConfig::default()))
    }
}

impl From<AuditRequest> for CrossFitConfig {
    fn from(request: AuditRequest) -> Self {
        request.map_strategy(StrategyConfig::from)
    }
}

impl CrossFitConfig {
    /// What judges the pairs of `dataset`.
    ///
    /// # Errors
    /// If a recipe for networks is given and the closed form judges.
    pub fn matcher(&self, dataset: &Dataset) -> Result<AuditMatcher> {
        let matcher = self.matcher.unwrap_or(if dataset.images.are_pictures() {
            AuditMatcher::Network
        } else {
            AuditMatcher::Linear
        });
        if matcher == AuditMatcher::Linear && self.recipe != Self::default().recipe {
            return Err(CoreError::argument(
                "a recipe for the audit's networks is given, but its matcher is `linear`, which \
                 reads none",
                "add `matcher = \"network\"` (`--matcher network`), or leave out the recipe",
            )
            .into());
        }
        Ok(matcher)
    }

    fn linear_learner<'a>(&self, dataset: &'a Dataset, seed: Seed) -> Result<LinearLearner<'a>> {
        let learner = LinearLearner::new(dataset, &self.linear, &self.vectors, seed);
        Ok(learner?)
    }

    fn schedule(&self) -> CrossFit {
        CrossFit {
            folds: self.folds,
            repeats: self.repeats,
            refit: self.refit,
        }
    }
}

/// Audits `dataset` by cross-fitting.
///
/// # Errors
/// If there are too few pairs to cut into folds, a setting is out of range, training fails, or the
/// session is stopped.
pub fn cross_fit(
    dataset: &Dataset,
    links: &Links,
    config: &CrossFitConfig,
    seed: Seed,
    session: &mut Session<'_>,
) -> Result<Findings> {
    let matcher = config.matcher(dataset)?;
    let linear = match matcher {
        AuditMatcher::Network => None,
        _ => Some(config.linear_learner(dataset, seed)?),
    };
    let surroundings = Surroundings::of(session);
    let network = match matcher {
        AuditMatcher::Linear => None,
        _ => Some(NetworkLearner::new(dataset, config, surroundings)),
    };
    let linear = linear
        .as_ref()
        .map(|learner| learner as &dyn Learner<Error>);
    let network = (network.as_ref()).map(|learner| learner as &dyn Learner<Error>);
    let learners: Vec<&dyn Learner<Error>> = linear.into_iter().chain(network).collect();
    let mut watch = Stoppable {
        watch: &mut *session.watch,
        stop: session.stop,
    };
    audit::cross_fit(
        &dataset.pairs,
        links,
        &learners,
        &config.schedule(),
        &config.audit,
        seed,
        &mut watch,
    )
}

/// Shows the pairs of every fold to `visit` with the scores of a matcher that never saw them, trained as in an
/// audit's first round; of two learners by the first. See [`audit::visit_held_out`].
///
/// # Errors
/// As [`cross_fit`], and if `visit` fails.
pub(crate) fn visit_held_out(
    dataset: &Dataset,
    config: &CrossFitConfig,
    seed: Seed,
    session: &mut Session<'_>,
    visit: &mut audit::VisitFold<'_, Error>,
) -> Result<()> {
    let (linear, network);
    let learner: &dyn Learner<Error> = match config.matcher(dataset)? {
        AuditMatcher::Network => {
            network = NetworkLearner::new(dataset, config, Surroundings::of(session));
            &network
        }
        _ => {
            linear = config.linear_learner(dataset, seed)?;
            &linear
        }
    };
    let (links, schedule) = (Links::of(dataset)?, config.schedule());
    let mut watch = Stoppable {
        watch: &mut *session.watch,
        stop: session.stop,
    };
    audit::visit_held_out(
        &dataset.pairs,
        &links,
        learner,
        &schedule,
        seed,
        &mut watch,
        visit,
    )
}

/// A watch of the core that also knows when the session is asked to stop.
struct Stoppable<'a> {
    watch: &'a mut dyn TrainWatch,
    stop: &'a AtomicBool,
}

impl Watch for Stoppable<'_> {
    fn advance(&mut self, stage: &str, done: u64, total: u64) {
        self.watch.advance(stage, done, total);
    }

    fn warn(&mut self, warning: &str) {
        self.watch.warn(warning);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What of a session the folds' own sessions share.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    accelerator: truepair_model::Accelerator,
    stop: &'a AtomicBool,
    now: fn() -> f64,
}

impl<'a> Surroundings<'a> {
    fn of(session: &Session<'a>) -> Self {
        Self {
            accelerator: session.accelerator,
            stop: session.stop,
            now: session.now,
        }
    }
}

/// Trains networks on the folds of a data set.
struct NetworkLearner<'a> {
    dataset: &'a Dataset,
    config: &'a CrossFitConfig,
    /// Captions that hold no word of another image's, where texts are read.
    unread: Vec<bool>,
    session: Surroundings<'a>,
}

impl<'a> NetworkLearner<'a> {
    fn new(dataset: &'a Dataset, config: &'a CrossFitConfig, session: Surroundings<'a>) -> Self {
        let unread = match (&dataset.captions, &dataset.caption_features) {
            (Some(captions), None) => unfamiliar_captions(captions, &dataset.pairs),
            _ => Vec::new(),
        };
        Self {
            dataset,
            config,
            unread,
            session,
        }
    }
}

impl Learner<Error> for NetworkLearner<'_> {
    fn unread_captions(&self) -> &[bool] {
        &self.unread
    }

    /// As many folds at a time as there are threads.
    fn learn(
        &self,
        cut: &Cut<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Box<dyn HeldOut<Error> + '_>>> {
        let round = match cut.weights {
            Some(_) => Round::Refit,
            None => Round::First,
        };
        let config = resolve(self.dataset, self.config, round)?;
        let n_epochs =
            config.strategy.build(config.training.epochs)?.n_warm_up() + config.training.epochs;
        let n_workers = rayon::current_num_threads().clamp(1, cut.n_folds);
        let (sender, receiver) = std::sync::mpsc::channel();
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<Trained>>>> =
            (0..cut.n_folds).map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for _ in 0..n_workers {
                let sender = sender.clone();
                let (next, results, config) = (&next, &results, &config);
                scope.spawn(move || {
                    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                    let work = || loop {
                        let fold = next.fetch_add(1, Ordering::Relaxed);
                        if fold >= cut.n_folds {
                            return;
                        }
                        let mut told = Told(sender.clone());
                        let trained = self.train(fold as u32, cut, config, &mut told);
                        *results[fold]
                            .lock()
                            .expect("a slot is locked by one worker only") = Some(trained);
                    };
                    match one {
                        Ok(pool) => pool.install(work),
                        Err(_) => work(),
                    }
                });
            }
            drop(sender);
            // Ends when the last worker drops its end.
            for (done, message) in receiver.iter().enumerate() {
                if let Some(warning) = message {
                    watch.warn(&warning);
                }
                watch.advance(&cut.stage, done as u64 + 1, (cut.n_folds * n_epochs) as u64);
            }
        });
        let trained = results.into_iter().map(|slot| {
            let slot = slot.into_inner().expect("no worker panics");
            let trained = slot.expect("every fold was trained")?;
            let dataset = self.dataset;
            Ok(Box::new(Network { trained, dataset }) as Box<dyn HeldOut<Error> + '_>)
        });
        trained.collect()
    }
}

impl NetworkLearner<'_> {
    fn train(
        &self,
        fold: u32,
        cut: &Cut<'_>,
        config: &Config,
        watch: &mut dyn TrainWatch,
    ) -> Result<Trained> {
        let counts = |pair: usize| cut.weights.is_none_or(|weights| weights[pair] > 0.0);
        let keep: Vec<bool> = (cut.fold_of_pair.iter().enumerate())
            .map(|(pair, &of)| of != fold && counts(pair))
            .collect();
        let data = self.dataset.with_pairs_kept(&keep);
        let Surroundings {
            accelerator,
            stop,
            now,
        } = self.session;
        let mut session = Session::unkept(accelerator, stop, watch, now);
        train(
            &data,
            None,
            config,
            cut.seed.child("fold", u64::from(fold)),
            &mut session,
        )
    }
}

/// Which of the audit's two rounds trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// On all other pairs.
    First,
    /// On those that the first round keeps.
    Refit,
}

/// Backbones that the recipe leaves open are the fast ones: an audit's matchers only have to rank.
/// Pixels, and strategies whose embeddings are more than vectors, keep the heads that read them. What
/// the first round keeps trains by the plain objective.
fn resolve(dataset: &Dataset, config: &CrossFitConfig, round: Round) -> Result<Config> {
    let mut recipe = config.recipe.clone();
    let strategy = recipe.strategy.as_ref();
    let reads_vectors = round == Round::Refit
        || strategy.is_none_or(|own| own.similarity().compares() == Compares::Vectors);
    let matcher = &mut recipe.matcher;
    if matcher.image.is_none() && reads_vectors && !dataset.images.are_pictures() {
        matcher.image = Some(BackboneConfig::Mlp(MlpConfig::default()));
    }
    if matcher.caption.is_none() && reads_vectors && dataset.caption_features.is_none() {
        matcher.caption = Some(BackboneConfig::BagOfWords(BagOfWordsConfig::default()));
    }
    if round == Round::Refit {
        let objective = ObjectiveConfig::default();
        recipe.strategy = Some(StrategyConfig::Plain(PlainConfig {
            objective,
            ..PlainConfig::default()
        }));
    }
    recipe.resolve(dataset)
}

/// A network with the data that it scores.
struct Network<'a> {
    trained: Trained,
    dataset: &'a Dataset,
}

impl HeldOut<Error> for Network<'_> {
    fn scorer(&self, images: &[u32], captions: &[u32]) -> Result<Box<dyn Scorer + '_>> {
        self.trained
            .scorer(&self.dataset.items(images, captions), &mut ())
    }

    fn uncertainty(&self, pairs: &[Pair]) -> Result<Option<Vec<f64>>> {
        let Some(uncertainty) = self.trained.uncertainty(self.dataset, &mut ())? else {
            return Ok(None);
        };
        Ok(Some(
            pairs
                .iter()
                .map(|pair| uncertainty.of_pair(*pair))
                .collect(),
        ))
    }
}

/// Tells the thread that watches: nothing at the end of an epoch, and warnings.
struct Told(std::sync::mpsc::Sender<Option<String>>);

impl Watch for Told {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for Told {
    fn step(&mut self, _progress: &StepProgress) {}

    fn epoch(&mut self, _record: &EpochRecord) {
        // Nobody listens any more only when the watching thread has panicked.
        let _ = self.0.send(None);
    }
}
