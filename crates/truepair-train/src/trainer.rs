//! The one epoch loop.
//!
//! The trainer is handed splits, never paths, and no truth about noise; it cannot open a test
//! split. It alone reduces pair losses, calls `backward` and steps.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use truepair_core::Error as CoreError;
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::rng::{self, Seed};
use truepair_core::text::Vocabulary;

use crate::batches::Batches;
use crate::config::{Config, Keep, Reduction};
use crate::encode::plain;
use crate::encoding::Input;
use crate::error::{Error, Result};
use crate::matcher::{Forward, Matcher};
use crate::mode::Mode;
use crate::optimizer::{Adam, floats};
use crate::parameters::{self, Parameters};
use crate::reader::{Reader, check_widths, input_shapes};
use crate::run::{Run, Snapshot};
use crate::selection::Selection;
use crate::session::{EpochRecord, Session, StepProgress};
use crate::strategy::{BatchView, Consult, Epoch, PeerPlan, Plan, Strategy};
use crate::trained::Trained;

/// Trains a matcher on `train`. The best epoch is chosen on `dev`, or, when there is none, on
/// held-out pairs of `train` by the audit's own statistic.
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
    let device = session.accelerator.device()?.autodiff();
    let vocabulary = match config.matcher.caption.reads_tokens() {
        true => Some(vocabulary_of(train)?),
        false => None,
    };
    if let Some(dev) = dev {
        check_widths(dev, input_shapes(train, vocabulary.as_ref())?)?;
    }
    let selection = Selection::new(train, dev, config, seed)?;
    let kept = selection.training_split(train);
    let max_tokens = config.training.max_tokens;
    let reader = Reader::new(&kept, vocabulary.as_ref(), max_tokens, &device)?;
    if let Some(warning) = reader.warning(max_tokens) {
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
    let mut run = Run::open(session, config, seed, vocabulary.as_ref(), train)?;
    let mut trainer = Trainer::new(&kept, config, seed, vocabulary, &reader, selection, &device)?;
    let start = match run.snapshot()? {
        Some(snapshot) => trainer.restore(snapshot, &run)?,
        None => 0,
    };
    for index in start..trainer.n_epochs() {
        trainer.epoch(index, session, &mut run)?;
    }
    trainer.finish(&run)
}

/// The vocabulary convention of the published precomputed data sets.
const MIN_WORD_COUNT: u32 = 4;

fn vocabulary_of(train: &Dataset) -> Result<Vocabulary> {
    let captions = train.require_captions()?;
    Ok(Vocabulary::build(
        captions.iter().map(String::as_str),
        MIN_WORD_COUNT,
    ))
}

struct Peer {
    matcher: Matcher,
    optimizer: Adam,
    ledger: Ledger,
}

struct Trainer<'a> {
    data: &'a Dataset,
    config: &'a Config,
    seed: Seed,
    vocabulary: Option<Vocabulary>,
    reader: &'a Reader<'a>,
    selection: Selection<'a>,
    strategy: Box<dyn Strategy>,
    peers: Vec<Peer>,
    history: Vec<EpochRecord>,
    best: Option<Best>,
    plain_device: Device,
}

struct Best {
    epoch: usize,
    value: f64,
    weights: Vec<Parameters>,
}

impl<'a> Trainer<'a> {
    fn new(
        data: &'a Dataset,
        config: &'a Config,
        seed: Seed,
        vocabulary: Option<Vocabulary>,
        reader: &'a Reader<'a>,
        selection: Selection<'a>,
        device: &Device,
    ) -> Result<Self> {
        let strategy = config.strategy.build(config.training.epochs)?;
        let (image, caption) = input_shapes(data, vocabulary.as_ref())?;
        let sample = sample(data, reader, seed)?;
        let peers = (0..strategy.n_peers() as u64)
            .map(|peer| {
                let seed = seed.child("peer", peer);
                let matcher = config.matcher.build(
                    image,
                    caption,
                    seed,
                    device,
                    config.training.precision,
                )?;
                Ok(Peer {
                    matcher: matcher.measure(&sample.0, &sample.1),
                    optimizer: config.optimizer.build(),
                    ledger: Ledger::new(data.pairs.len()),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            data,
            config,
            seed,
            vocabulary,
            reader,
            selection,
            strategy,
            peers,
            history: Vec::new(),
            best: None,
            plain_device: device.clone().without_autodiff(),
        })
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
        if self.strategy.wants_survey(epoch) {
            self.survey(epoch, session)?;
        }
        let plan = self.plan(epoch)?;
        let losses = self.train_peers(epoch, &plan, session)?;
        let record = self.judge(epoch, losses, plan.note, session)?;
        if record.best {
            run.write_weights(&self.best_weights(), self.shapes()?)?;
        }
        session.watch.epoch(&record);
        let ledgers: Vec<&Ledger> = self.peers.iter().map(|peer| &peer.ledger).collect();
        (session.watch).beliefs(index, &ledgers, self.selection.trained());
        self.history.push(record);
        run.finish_epoch(&self.snapshot(index + 1), &self.history, (session.now)())
    }

    fn plan(&mut self, epoch: Epoch) -> Result<Plan> {
        let mut ledgers: Vec<Ledger> = self
            .peers
            .iter_mut()
            .map(|peer| std::mem::take(&mut peer.ledger))
            .collect();
        let plan = self.strategy.plan(epoch, &mut ledgers);
        for (peer, ledger) in self.peers.iter_mut().zip(ledgers) {
            peer.ledger = ledger;
        }
        plan
    }

    /// Measures every pair's loss under every peer in evaluation mode, in shuffled batches.
    fn survey(&mut self, epoch: Epoch, session: &mut Session<'_>) -> Result<()> {
        let all: Vec<u32> = (0..self.data.pairs.len() as u32).collect();
        for at in 0..self.peers.len() {
            let matcher = self.peers[at].matcher.valid();
            let key = [epoch.index as u64, at as u64, u64::MAX];
            let mut batches = Batches::new(all.clone(), self.config.training.batch, self.seed, key);
            for step in 0..batches.per_round() {
                self.check_stop(epoch, session)?;
                let pairs = batches.next_batch();
                let (images, captions) = self.inputs(&pairs)?;
                let scores = evaluate(&matcher, images, captions);
                let Some(losses) = self.strategy.survey(epoch, &scores) else {
                    return Ok(());
                };
                for (&pair, loss) in pairs.iter().zip(losses) {
                    self.peers[at].ledger.loss[pair as usize] = loss;
                }
                session
                    .watch
                    .advance("measure pairs", step as u64 + 1, batches.per_round() as u64);
            }
        }
        Ok(())
    }

    fn train_peers(
        &mut self,
        epoch: Epoch,
        plan: &Plan,
        session: &mut Session<'_>,
    ) -> Result<Vec<f64>> {
        let mut losses = vec![0.0; self.peers.len()];
        let mut batches: Vec<Vec<Batches>> = Vec::new();
        for PeerPlan { peer, groups } in &plan.peers {
            batches.push(
                (groups.iter().enumerate())
                    .map(|(group, pairs)| {
                        let key = [epoch.index as u64, *peer as u64, group as u64];
                        Batches::new(pairs.clone(), self.config.training.batch, self.seed, key)
                    })
                    .collect(),
            );
        }
        let n_steps: usize = batches.iter().map(|groups| groups[0].per_round()).sum();
        let mut done = 0;
        for (PeerPlan { peer, .. }, mut groups) in plan.peers.iter().zip(batches) {
            let n_peer_steps = groups[0].per_round();
            let mut total = Mean::default();
            for step in 0..n_peer_steps {
                self.check_stop(epoch, session)?;
                let factor = self.rate_factor(epoch, step as f64 / n_peer_steps as f64);
                let mut loss = 0.0;
                for (group, batches) in groups.iter_mut().enumerate() {
                    let pairs = batches.next_batch();
                    let place = StepPlace {
                        epoch,
                        peer: *peer,
                        group,
                        step,
                    };
                    loss = self.step(place, &pairs, factor)?;
                    total.add(loss, pairs.len());
                }
                done += 1;
                session.watch.step(&StepProgress {
                    epoch: epoch.index,
                    n_epochs: self.n_epochs(),
                    step: done,
                    n_steps,
                    loss,
                });
            }
            losses[*peer] = total.value();
        }
        Ok(losses)
    }

    /// One optimizer step of one peer on one batch; returns the mean loss per pair.
    fn step(&mut self, place: StepPlace, pairs: &[u32], factor: f64) -> Result<f64> {
        let StepPlace {
            epoch,
            peer,
            group,
            step,
        } = place;
        let (images, captions) = self.inputs(pairs)?;
        let opinions = self.opinions(place, &images, &captions);
        let key = [epoch.index as u64, peer as u64, group as u64, step as u64];
        let mut dropout = self.seed.stream("dropout", &key);
        let Forward { scores, auxiliary } =
            self.peers[peer]
                .matcher
                .forward(&images, &captions, &mut Mode::Train(&mut dropout));
        let judgement = {
            let ledgers: Vec<Ledger> = self
                .peers
                .iter_mut()
                .map(|peer| std::mem::take(&mut peer.ledger))
                .collect();
            let mut rng = self.seed.stream("strategy", &key);
            let mut view = BatchView {
                peer,
                group,
                pairs,
                scores: &scores,
                opinions: &opinions,
                ledgers: &ledgers,
                rng: &mut rng,
            };
            let judgement = self.strategy.pair_loss(epoch, &mut view);
            for (peer, ledger) in self.peers.iter_mut().zip(ledgers) {
                peer.ledger = ledger;
            }
            judgement
        };
        let per_pair = floats(judgement.loss.0.clone().inner());
        let mean = per_pair.iter().map(|x| f64::from(*x)).sum::<f64>() / per_pair.len() as f64;
        if !mean.is_finite() {
            return Err(Error::Diverged {
                what: "the loss",
                epoch: epoch.index,
                step,
            });
        }
        self.remember(epoch, peer, pairs, &per_pair, judgement.soft_labels);
        let reduced: Tensor<1> = match self.config.training.reduction {
            Reduction::Mean => judgement.loss.0.mean(),
            Reduction::Sum => judgement.loss.0.sum(),
        };
        drop(scores);
        let objective = match auxiliary {
            Some(auxiliary) => reduced + auxiliary,
            None => reduced,
        };
        let mut gradients = objective.backward();
        let clip = self.config.training.clip_norm;
        let peer = &mut self.peers[peer];
        let (matcher, norm) = peer.optimizer.step(
            peer.matcher.clone(),
            &mut gradients,
            factor,
            (clip > 0.0).then_some(clip),
        );
        peer.matcher = matcher;
        if !norm.is_finite() {
            return Err(Error::Diverged {
                what: "the gradient",
                epoch: epoch.index,
                step,
            });
        }
        Ok(mean)
    }

    fn inputs(&self, pairs: &[u32]) -> Result<(Input, Input)> {
        let pairs = pairs.iter().map(|&pair| self.data.pairs[pair as usize]);
        let (images, captions): (Vec<u32>, Vec<u32>) =
            pairs.map(|pair| (pair.image, pair.caption)).unzip();
        Ok((
            self.reader.images(&images)?,
            self.reader.captions(&captions)?,
        ))
    }

    fn opinions(&self, place: StepPlace, images: &Input, captions: &Input) -> Vec<Vec<f32>> {
        let consult = self.strategy.consults(place.epoch, place.group);
        let asked = |peer: usize| match consult {
            Consult::Nobody => false,
            Consult::Own => peer == place.peer,
            Consult::Everyone => true,
        };
        (self.peers.iter().enumerate())
            .map(|(at, peer)| match asked(at) {
                true => evaluate(&peer.matcher.valid(), images.clone(), captions.clone()),
                false => Vec::new(),
            })
            .collect()
    }

    fn remember(
        &mut self,
        epoch: Epoch,
        peer: usize,
        pairs: &[u32],
        losses: &[f32],
        soft_labels: Option<Vec<f32>>,
    ) {
        let surveyed = self.strategy.wants_survey(epoch);
        let ledger = &mut self.peers[peer].ledger;
        for (at, &pair) in pairs.iter().enumerate() {
            if !surveyed {
                ledger.loss[pair as usize] = losses[at];
            }
            if let Some(labels) = &soft_labels {
                ledger.soft_label[pair as usize] = labels[at];
            }
        }
    }

    fn judge(
        &mut self,
        epoch: Epoch,
        losses: Vec<f64>,
        note: Option<String>,
        session: &mut Session<'_>,
    ) -> Result<EpochRecord> {
        let matchers: Vec<Matcher> = self.peers.iter().map(|peer| peer.matcher.clone()).collect();
        let judged = self.selection.judge(
            &matchers,
            self.vocabulary.as_ref(),
            &self.plain_device,
            &self.config.training,
            &mut *session.watch,
        )?;
        let value = judged.criterion.as_ref().map(|criterion| criterion.value);
        let best = match (self.config.training.keep, value, &self.best) {
            (Keep::Last, _, _) | (_, None, _) | (_, _, None) => true,
            (Keep::Best, Some(value), Some(best)) => value > best.value,
        };
        if best {
            self.best = Some(Best {
                epoch: epoch.index,
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
        if epoch.is_warm_up() {
            return 1.0;
        }
        self.config
            .schedule
            .factor(epoch.main_index() as f64 + share, epoch.n_main as f64)
    }

    fn check_stop(&self, epoch: Epoch, session: &Session<'_>) -> Result<()> {
        if session.is_stopped() {
            let dir = session.dir.map(|dir| dir.to_path_buf());
            return Err(Error::Stopped {
                epoch: epoch.index,
                dir,
            });
        }
        Ok(())
    }

    fn shapes(&self) -> Result<(crate::backbone::InputShape, crate::backbone::InputShape)> {
        input_shapes(self.data, self.vocabulary.as_ref())
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
                        steps,
                        moments: (parameters::names(&peer.matcher).into_iter())
                            .zip(moments)
                            .collect(),
                        ledger: peer.ledger.clone(),
                    }
                })
                .collect(),
        }
    }

    fn restore(&mut self, snapshot: Snapshot, run: &Run) -> Result<usize> {
        for (peer, saved) in self.peers.iter_mut().zip(snapshot.peers) {
            peer.matcher = parameters::import(peer.matcher.clone(), saved.weights)?;
            let mut moments = saved.moments;
            let ordered = (parameters::names(&peer.matcher).iter())
                .map(|name| moments.remove(name).unwrap_or_default())
                .collect();
            peer.optimizer.restore(saved.steps, ordered);
            peer.ledger = saved.ledger;
        }
        self.history = run.history()?;
        self.history.truncate(snapshot.next_epoch);
        self.best = Some(Best {
            epoch: snapshot.best_epoch,
            value: snapshot.best_value,
            weights: run.best_weights()?,
        });
        Ok(snapshot.next_epoch)
    }

    fn finish(self, run: &Run) -> Result<Trained> {
        let best = self
            .best
            .expect("a run has at least one epoch, and its first is the best");
        let inputs = input_shapes(self.data, self.vocabulary.as_ref())?;
        let mut peers = Vec::new();
        let mut ledgers = Vec::new();
        for (peer, weights) in self.peers.into_iter().zip(best.weights) {
            peers.push(parameters::import(peer.matcher.valid(), weights)?);
            ledgers.push(match self.selection.trained() {
                Some(trained) => spread(&peer.ledger, trained),
                None => peer.ledger,
            });
        }
        run.write_ledgers(&ledgers)?;
        Ok(Trained {
            config: self.config.clone(),
            vocabulary: self.vocabulary,
            device: self.plain_device,
            inputs,
            peers,
            ledgers,
            history: self.history,
            best_epoch: best.epoch,
        })
    }
}

/// Images and captions of a few thousand random pairs.
fn sample(data: &Dataset, reader: &Reader<'_>, seed: Seed) -> Result<(Input, Input)> {
    const SIZE: usize = 4096;
    let rows = rng::sample(&mut seed.stream("sample", &[]), data.pairs.len(), SIZE);
    let pairs = rows.iter().map(|&row| data.pairs[row as usize]);
    let (images, captions): (Vec<u32>, Vec<u32>) =
        pairs.map(|pair| (pair.image, pair.caption)).unzip();
    Ok((reader.images(&images)?, reader.captions(&captions)?))
}

/// The ledger of all given pairs from that of the pairs trained on; the others keep the beliefs
/// from before any evidence.
fn spread(ledger: &Ledger, trained: &[bool]) -> Ledger {
    let mut whole = Ledger::new(trained.len());
    for (row, pair) in (0..trained.len()).filter(|&pair| trained[pair]).enumerate() {
        whole.loss[pair] = ledger.loss[row];
        whole.clean_posterior[pair] = ledger.clean_posterior[row];
        whole.soft_label[pair] = ledger.soft_label[row];
        whole.uncertainty[pair] = ledger.uncertainty[row];
        whole.memory[pair] = ledger.memory[row];
    }
    whole
}

/// Where in the run a step is.
#[derive(Debug, Clone, Copy)]
struct StepPlace {
    epoch: Epoch,
    peer: usize,
    group: usize,
    step: usize,
}

/// Scores `[b * b]` without gradients or dropout.
fn evaluate(matcher: &Matcher, images: Input, captions: Input) -> Vec<f32> {
    floats(matcher.scores(&plain(images), &plain(captions), &mut Mode::Evaluate))
}

/// A running mean weighted by counts.
#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, mean: f64, count: usize) {
        self.sum += mean * count as f64;
        self.count += count;
    }

    fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}
