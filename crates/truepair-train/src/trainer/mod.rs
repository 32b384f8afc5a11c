//! The one epoch loop.
//!
//! The trainer is handed splits, never paths, and no truth about noise; it cannot open a test
//! split. It alone reduces pair losses, calls `backward` and steps.

pub(crate) mod batches;
mod mean;
mod prepare;
mod search;
mod selection;
mod step;
mod teacher;

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use truepair_core::Error as CoreError;
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;
use truepair_core::rng::{self, Seed};

use crate::config::{Config, Keep, Sampling};
use crate::error::{Error, Result};
use crate::run::{Criterion, EpochRecord, Run, Session, Snapshot};
use crate::strategy::{Epoch, Strategy};
use crate::trained::Trained;
use mean::Mean;
use selection::{Ensemble, Selection};
use teacher::Teacher;
use truepair_model::backbone::InputShape;
use truepair_model::encoding::Input;
use truepair_model::matcher::Matcher;
use truepair_model::optimizer::{Adam, groups};
use truepair_model::parameters::{self, Parameters};
use truepair_model::pretrained::WordVectors;
use truepair_model::reader::{Reader, Texts, check_widths, input_shapes};

/// Trains a matcher on `train`. The best epoch is chosen on `dev`, or, when there is none, on
/// held-out pairs of `train` by the audit's own statistic.
///
/// ```
/// # use truepair_core::dataset::{Dataset, Features, NamedFeatures};
/// # use truepair_core::pair::Pair;
/// # use truepair_core::rng::{normal, Seed};
/// # let stream = &mut Seed(1).stream("toy", &[]);
/// # let images: Vec<f32> = (0..64 * 4).map(|_| normal(stream) as f32).collect();
/// # let data = Dataset {
/// #     name: "toy".into(), format: "memory", split: "train".into(),
/// #     images: Features::from_rows(images.clone(), 4),
/// #     image_ids: (0..64).map(|n| n.to_string()).collect(), image_files: Vec::new(), captions: None,
/// #     caption_features: Some(NamedFeatures { name: "toy".into(), features: Features::from_rows(images, 4) }),
/// #     pairs: (0..64).map(|n| Pair { image: n, caption: n }).collect(), labels: None, files: Vec::new(), account: Default::default(),
/// # };
/// use std::sync::atomic::AtomicBool;
/// use truepair_model::Accelerator;
/// use truepair_train::{Recipe, Session, train};
///
/// // `data` holds 64 pairs of vectors. The closed form fits them in one step.
/// let recipe = r#"
///     [matcher.image]
///     kind = "projection"
///     [matcher.caption]
///     kind = "projection"
/// "#;
/// let config = Recipe::from_toml(recipe).unwrap().resolve(&data)?;
/// let (stop, watch) = (AtomicBool::new(false), &mut ());
/// let mut session = Session::unkept(Accelerator::Cpu, &stop, watch, || 0.0);
/// let trained = train(&data, None, &config, Seed(0), &mut session)?;
/// assert_eq!((trained.n_peers(), trained.ledgers[0].len()), (1, 64));
/// # Ok::<(), truepair_train::Error>(())
/// ```
///
/// # Errors
/// If the data cannot be read, a loss is not finite, the session is stopped, or the run directory
/// cannot be written or does not fit the config.
pub fn train(
    train: &Dataset,
    dev: Option<&Dataset>,
    config: &Config,
    seed: Seed,
    session: &mut Session<'_>,
) -> Result<Trained> {
    let strategy = config.strategy.build(config.training.epochs)?;
    run(strategy, Splits { train, dev }, config, seed, session)
}

/// The splits that a run reads.
#[derive(Debug, Clone, Copy)]
pub struct Splits<'a> {
    /// What is trained on.
    pub train: &'a Dataset,
    /// What chooses the epoch; without it, held-out pairs of `train` do.
    pub dev: Option<&'a Dataset>,
}

/// As [`train`](fn@train), by a strategy of your own instead of the one that `config` names.
///
/// A run directory holds a config from which the run can be repeated. A strategy without a row in the
/// table of strategies has no name to stand there, so such a run is not kept.
///
/// # Errors
/// As [`train`](fn@train), and if the session has a directory.
pub fn train_by(
    strategy: Box<dyn Strategy>,
    splits: Splits<'_>,
    config: &Config,
    seed: Seed,
    session: &mut Session<'_>,
) -> Result<Trained> {
    if let Some(dir) = session.dir {
        return Err(CoreError::argument(
            format!(
                "{}: a run directory names its strategy, and this one has no name",
                dir.display()
            ),
            "give the strategy a row in the table of strategies, or train without a directory",
        )
        .into());
    }
    run(strategy, splits, config, seed, session)
}

fn run(
    strategy: Box<dyn Strategy>,
    Splits { train, dev }: Splits<'_>,
    config: &Config,
    seed: Seed,
    session: &mut Session<'_>,
) -> Result<Trained> {
    let device = session.accelerator.device()?.autodiff();
    let texts = Texts::of(&config.matcher, train, seed)?;
    if let Some(dev) = dev {
        check_widths(dev, input_shapes(train, texts.as_ref())?, texts.as_ref())?;
    }
    let selection = Selection::new(train, dev, config, seed)?;
    let kept = selection.training_split(train);
    let max_tokens = config.training.max_tokens;
    let reader = Reader::new(&kept, texts.as_ref(), max_tokens, &device)?;
    if let Some(warning) = reader.captions.warning(max_tokens) {
        session.watch.warn(&warning);
    }
    if kept.pairs.len() < 2 {
        return Err(CoreError::argument(
            format!(
                "`{}` has {} pairs to train on",
                train.name,
                kept.pairs.len()
            ),
            "training compares pairs with one another and needs at least 2",
        )
        .into());
    }
    check_caption_drop(config, texts.as_ref())?;
    let mut run = Run::open(session, config, seed, texts.as_ref(), train)?;
    let word_vectors = word_vectors(config, texts.as_ref(), session, &run)?;
    let inputs = Inputs {
        strategy,
        reader: &reader,
        texts,
        word_vectors,
    };
    let mut trainer = Trainer::new(&kept, config, seed, inputs, selection, &device)?;
    let start = match run.snapshot()? {
        Some(snapshot) => trainer.restore(snapshot, &run)?,
        None => 0,
    };
    for index in start..trainer.n_epochs() {
        trainer.epoch(index, session, &mut run)?;
    }
    trainer.finish(&run)
}

/// # Errors
/// If words are to be dropped and captions are read as none.
fn check_caption_drop(config: &Config, texts: Option<&Texts>) -> Result<()> {
    let share = config.training.caption_drop;
    if share == 0.0 || texts.and_then(Texts::vocabulary).is_some() {
        return Ok(());
    }
    Err(CoreError::argument(
        format!("training.caption_drop = {share}, but the caption backbone reads no words"),
        "use a caption backbone that does, or leave out training.caption_drop",
    )
    .into())
}

/// The word vectors that the config names; words without one are told, and listed in the run's
/// folder.
///
/// # Errors
/// If their file cannot be read, captions are no tokens, or the list cannot be written.
fn word_vectors(
    config: &Config,
    texts: Option<&Texts>,
    session: &mut Session<'_>,
    run: &Run,
) -> Result<Option<WordVectors>> {
    let Some(path) = &config.training.word_vectors else {
        return Ok(None);
    };
    let Some(vocabulary) = texts.and_then(Texts::vocabulary) else {
        return Err(CoreError::argument(
            "word vectors are given, but the caption backbone reads no words",
            "use a caption backbone that does, or leave out training.word_vectors",
        )
        .into());
    };
    let vectors = WordVectors::read(path, vocabulary)?;
    run.write_words_without_vector(&vectors.missing)?;
    if let Some(warning) = vectors.warning() {
        session.watch.warn(&warning);
    }
    Ok(Some(vectors))
}

/// The method, and what pairs are read with.
struct Inputs<'a> {
    strategy: Box<dyn Strategy>,
    reader: &'a Reader<'a>,
    texts: Option<Texts>,
    word_vectors: Option<WordVectors>,
}

struct Peer {
    matcher: Matcher,
    optimizer: Adam,
    ledger: Ledger,
    teacher: Option<Teacher>,
}

struct Trainer<'a> {
    data: &'a Dataset,
    config: &'a Config,
    seed: Seed,
    texts: Option<Texts>,
    word_vectors: Option<WordVectors>,
    reader: &'a Reader<'a>,
    selection: Selection<'a>,
    strategy: Box<dyn Strategy>,
    /// The class of every image, where batches are drawn by class.
    classes: Option<&'a [i64]>,
    shapes: (InputShape, InputShape),
    sample: (Input, Input),
    peers: Vec<Peer>,
    /// Pairs that the epoch's plan put together.
    rematched: Vec<Pair>,
    /// Share of the epoch's deviations that were at their upper limit.
    at_limit: Mean,
    history: Vec<EpochRecord>,
    best: Option<Best>,
    plain_device: Device,
}

struct Best {
    epoch: usize,
    /// Whether the epoch belongs to the warm-up, when the method has not begun: any later epoch
    /// replaces it.
    warm_up: bool,
    value: f64,
    weights: Vec<Parameters>,
}

impl<'a> Trainer<'a> {
    fn new(
        data: &'a Dataset,
        config: &'a Config,
        seed: Seed,
        inputs: Inputs<'a>,
        selection: Selection<'a>,
        device: &Device,
    ) -> Result<Self> {
        let Inputs {
            strategy,
            reader,
            texts,
            word_vectors,
        } = inputs;
        let shapes = input_shapes(data, texts.as_ref())?;
        let mut trainer = Self {
            data,
            config,
            seed,
            texts,
            word_vectors,
            reader,
            selection,
            strategy,
            classes: classes(data, config.training.sampling)?,
            shapes,
            sample: sample(data, reader, seed)?,
            peers: Vec::new(),
            rematched: Vec::new(),
            at_limit: Mean::default(),
            history: Vec::new(),
            best: None,
            plain_device: device.clone().without_autodiff(),
        };
        for peer in 0..trainer.strategy.n_peers() as u64 {
            let matcher = trainer.fresh(seed.child("peer", peer), device)?;
            trainer.peers.push(Peer {
                teacher: (trainer.strategy.teacher_decay())
                    .map(|decay| Teacher::new(decay, &matcher)),
                matcher,
                optimizer: config.optimizer.build(),
                ledger: Ledger::with_columns(data.pairs.len(), trainer.strategy.columns()),
            });
        }
        Ok(trainer)
    }

    /// A matcher before its first step.
    fn fresh(&self, seed: Seed, device: &Device) -> Result<Matcher> {
        let (image, caption) = self.shapes;
        let precision = self.config.training.precision;
        let config = &self.config.matcher;
        let matcher = config.build(image, caption, seed, device, precision)?;
        let mut matcher = config.pretrained(matcher)?;
        if let Some(vectors) = &self.word_vectors {
            matcher.caption = vectors.apply(matcher.caption)?;
        }
        Ok(matcher.measure(&self.sample.0, &self.sample.1))
    }

    fn n_epochs(&self) -> usize {
        self.strategy.n_warm_up() + self.config.training.epochs
    }

    fn epoch(&mut self, index: usize, session: &mut Session<'_>, run: &mut Run) -> Result<()> {
        let epoch = Epoch {
            index,
            n_warm_up: self.strategy.n_warm_up(),
            n_main: self.config.training.epochs,
        };
        if let Some(audit) = self.strategy.wants_audit(epoch) {
            self.audit(epoch, audit, session)?;
        }
        self.search(epoch, session)?;
        if self.strategy.restarts(epoch) {
            self.restart(epoch)?;
        }
        self.survey(epoch, session)?;
        let mut plan = self.plan(epoch)?;
        self.rematched = std::mem::take(&mut plan.rematched);
        self.at_limit = Mean::default();
        let fitted = self.fit_closed_form(epoch, &plan, session)?;
        self.set_shares(epoch)?;
        let losses = if self.config.matcher.is_closed_form() {
            Vec::new()
        } else {
            self.train_peers(epoch, &plan, session)?
        };
        let clipped = clipped(self.at_limit.value());
        let note = [plan.note, fitted, clipped];
        let note = note
            .into_iter()
            .flatten()
            .reduce(|a, b| format!("{a}; {b}"));
        let record = self.judge(epoch, losses, note, session)?;
        if record.best {
            run.write_weights(&self.best_weights(), self.shapes)?;
        }
        session.watch.epoch(&record);
        let ledgers: Vec<&Ledger> = self.peers.iter().map(|peer| &peer.ledger).collect();
        (session.watch).beliefs(index, &ledgers, self.selection.trained());
        self.history.push(record);
        run.finish_epoch(&self.snapshot(index + 1), &self.history, (session.now)())
    }

    fn judge(
        &mut self,
        epoch: Epoch,
        losses: Vec<f64>,
        note: Option<String>,
        session: &mut Session<'_>,
    ) -> Result<EpochRecord> {
        let matchers: Vec<Matcher> = self.peers.iter().map(|peer| peer.matcher.clone()).collect();
        let ensemble = Ensemble {
            peers: &matchers,
            texts: self.texts.as_ref(),
            device: &self.plain_device,
            limits: &self.config.training,
        };
        let judged = self.selection.judge(&ensemble, &mut *session.watch)?;
        let value = judged.criterion.as_ref().map(Criterion::merit);
        let begins = (self.best.as_ref()).is_some_and(|best| best.warm_up && !epoch.is_warm_up());
        let best = match (self.config.training.keep, value, &self.best) {
            (Keep::Last, _, _) | (_, None, _) | (_, _, None) => true,
            (Keep::Best, Some(value), Some(best)) => begins || value > best.value,
        };
        if best {
            self.best = Some(Best {
                epoch: epoch.index,
                warm_up: epoch.is_warm_up(),
                value: value.unwrap_or(0.0),
                weights: matchers.iter().map(parameters::export).collect(),
            });
        }
        Ok(EpochRecord {
            epoch: epoch.index,
            warm_up: epoch.is_warm_up(),
            rate: self.config.optimizer.settings().rate * self.rate_factor(epoch, 1.0),
            losses,
            criterion: judged.criterion,
            dev: judged.dev,
            best,
            note,
        })
    }

    fn rate_factor(&self, epoch: Epoch, share: f64) -> f64 {
        let epoch = self.strategy.schedule_epoch(epoch);
        if epoch.is_warm_up() {
            return 1.0;
        }
        self.config
            .schedule
            .factor(epoch.main_index() as f64 + share, epoch.n_main as f64)
    }

    /// Sets the rate of every parameter as the config's groups say; those that are frozen take no gradient.
    fn set_shares(&mut self, epoch: Epoch) -> Result<()> {
        if self.config.groups.is_empty() {
            return Ok(());
        }
        for peer in &mut self.peers {
            let names = parameters::names(&peer.matcher);
            let shares = groups::shares(&self.config.groups, &names, epoch.index)?;
            peer.matcher = groups::freeze(peer.matcher.clone(), &shares);
            peer.optimizer.set_shares(shares);
        }
        Ok(())
    }

    fn check_stop(&self, epoch: Epoch, session: &Session<'_>) -> Result<()> {
        if session.is_stopped() {
            let is_saved = |dir: &&Path| dir.join(crate::run::file::CHECKPOINT).exists();
            let dir = session.dir.filter(is_saved).map(Path::to_path_buf);
            return Err(Error::Stopped {
                epoch: epoch.index,
                dir,
            });
        }
        Ok(())
    }

    fn best_weights(&self) -> Vec<Parameters> {
        self.best
            .as_ref()
            .map(|best| best.weights.clone())
            .unwrap_or_default()
    }

    fn snapshot(&self, next_epoch: usize) -> Snapshot {
        Snapshot {
            next_epoch,
            best_epoch: self.best.as_ref().map_or(0, |best| best.epoch),
            best_value: self.best.as_ref().map_or(0.0, |best| best.value),
            peers: self
                .peers
                .iter()
                .map(|peer| {
                    let (steps, moments) = peer.optimizer.state();
                    crate::run::PeerSnapshot {
                        weights: parameters::export(&peer.matcher),
                        teacher: peer.teacher.as_ref().map(|teacher| teacher.weights.clone()),
                        steps,
                        moments: (parameters::names(&peer.matcher).into_iter())
                            .zip(moments)
                            .collect(),
                        ledger: peer.ledger.clone(),
                    }
                })
                .collect(),
            strategy: self.strategy.state(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, run: &Run) -> Result<usize> {
        for (peer, saved) in self.peers.iter_mut().zip(snapshot.peers) {
            peer.matcher = parameters::import(peer.matcher.clone(), saved.weights)?;
            let mut moments = saved.moments;
            // Before the first step there are none at all.
            let names = match moments.is_empty() {
                true => Vec::new(),
                false => parameters::names(&peer.matcher),
            };
            let ordered = names.iter();
            let ordered = ordered.map(|name| moments.remove(name).unwrap_or_default());
            let ordered = ordered.collect();
            peer.optimizer.restore(saved.steps, ordered);
            peer.ledger = saved.ledger;
            if let (Some(teacher), Some(weights)) = (&mut peer.teacher, saved.teacher) {
                teacher.weights = weights;
                teacher.steps = saved.steps;
            }
        }
        self.strategy.restore(&snapshot.strategy);
        self.history = run.history()?;
        self.history.truncate(snapshot.next_epoch);
        self.best = Some(Best {
            epoch: snapshot.best_epoch,
            warm_up: snapshot.best_epoch < self.strategy.n_warm_up(),
            value: snapshot.best_value,
            weights: run.best_weights()?,
        });
        Ok(snapshot.next_epoch)
    }

    fn finish(self, run: &Run) -> Result<Trained> {
        let best = self
            .best
            .expect("a run has at least one epoch, and its first is the best");
        let mut peers = Vec::new();
        let mut ledgers = Vec::new();
        for (peer, weights) in self.peers.into_iter().zip(best.weights) {
            peers.push(parameters::import(peer.matcher.valid(), weights)?);
            ledgers.push(match self.selection.trained() {
                Some(trained) => peer.ledger.spread(trained),
                None => peer.ledger,
            });
        }
        run.write_ledgers(&ledgers)?;
        Ok(Trained {
            config: self.config.clone(),
            texts: self.texts,
            device: self.plain_device,
            inputs: self.shapes,
            peers,
            ledgers,
            history: self.history,
            best_epoch: best.epoch,
        })
    }
}

/// What was clipped of Gaussians' deviations, where it is worth a word.
fn clipped(at_limit: f64) -> Option<String> {
    (at_limit >= 0.001).then(|| {
        format!(
            "{:.1} % of the embeddings' deviations were clipped at their upper limit",
            100.0 * at_limit
        )
    })
}

/// The class of every image, when batches are to be drawn by class.
///
/// # Errors
/// If the data has no classes, an image that is trained on has none, or all have the same.
fn classes(data: &Dataset, sampling: Sampling) -> Result<Option<&[i64]>> {
    if sampling == Sampling::Shuffled {
        return Ok(None);
    }
    let unusable = |problem: String| {
        CoreError::argument(
            format!("training.sampling = \"one-per-class\": {problem}"),
            "use data with classes, such as `cub`, or leave training.sampling out",
        )
    };
    let Some(labels) = data.labels.as_deref() else {
        return Err(unusable(format!("`{}` has no classes", data.name)).into());
    };
    let mut found: Vec<i64> = (data.pairs.iter())
        .map(|pair| labels[pair.image as usize])
        .collect();
    if let Some(at) = found.iter().position(|class| *class < 0) {
        let image = &data.image_ids[data.pairs[at].image as usize];
        return Err(unusable(format!("image {image} of `{}` has no class", data.name)).into());
    }
    found.sort_unstable();
    found.dedup();
    if found.len() < 2 {
        return Err(unusable(format!("all images of `{}` are of one class", data.name)).into());
    }
    Ok(Some(labels))
}

/// Images and captions of a few thousand random pairs.
fn sample(data: &Dataset, reader: &Reader<'_>, seed: Seed) -> Result<(Input, Input)> {
    const SIZE: usize = 4096;
    // No backbone measures pixels: a few pictures show the shape.
    let size = if data.images.are_pictures() { 4 } else { SIZE };
    let rows = rng::sample(&mut seed.stream("sample", &[]), data.pairs.len(), size);
    let pairs = rows.iter().map(|&row| data.pairs[row as usize]);
    let (images, captions): (Vec<u32>, Vec<u32>) =
        pairs.map(|pair| (pair.image, pair.caption)).unzip();
    Ok((
        reader.images.read(&images)?,
        reader.captions.read(&captions)?,
    ))
}
