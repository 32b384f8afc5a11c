//! The one epoch loop.
//!
//! The trainer is handed splits, never paths, and no truth about noise; it cannot open a test
//! split. It alone reduces pair losses, calls `backward` and steps.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use truepair_core::Error as CoreError;
use truepair_core::audit::Links;
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;
use truepair_core::rng::{self, Seed};
use truepair_core::scores::Scorer;
use truepair_core::text::Vocabulary;
use truepair_core::watch::Watch;

use crate::backbone::InputShape;
use crate::batches::Batches;
use crate::config::{Config, Keep, Reduction};
use crate::cross_fit::{CrossFitConfig, cross_fit};
use crate::encode::{self, plain};
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
use crate::strategy::{
    BatchView, Beliefs, Candidate, Consult, Epoch, Needs, Opinion, PeerPlan, Plan, Search,
    Strategy, Structure,
};
use crate::teacher::Teacher;
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
    let matched = match (config.strategy.is_oracle(), session.matched) {
        (false, _) => None,
        (true, Some(matched)) => Some(matched),
        (true, None) => {
            return Err(CoreError::argument(
                format!(
                    "strategy `{}` is an oracle and must be told which pairs are matched",
                    config.strategy.name()
                ),
                "plant noise, so that the truth is known",
            )
            .into());
        }
    };
    let mut run = Run::open(session, config, seed, vocabulary.as_ref(), train)?;
    let mut trainer = Trainer::new(&kept, config, seed, vocabulary, &reader, selection, &device)?;
    if let Some(matched) = matched {
        trainer.tell(matched);
    }
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
    teacher: Option<Teacher>,
}

struct Trainer<'a> {
    data: &'a Dataset,
    config: &'a Config,
    seed: Seed,
    vocabulary: Option<Vocabulary>,
    reader: &'a Reader<'a>,
    selection: Selection<'a>,
    strategy: Box<dyn Strategy>,
    shapes: (InputShape, InputShape),
    sample: (Input, Input),
    peers: Vec<Peer>,
    /// Pairs that the epoch's plan put together.
    rematched: Vec<Pair>,
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
        let shapes = input_shapes(data, vocabulary.as_ref())?;
        let mut trainer = Self {
            data,
            config,
            seed,
            vocabulary,
            reader,
            selection,
            strategy,
            shapes,
            sample: sample(data, reader, seed)?,
            peers: Vec::new(),
            rematched: Vec::new(),
            history: Vec::new(),
            best: None,
            plain_device: device.clone().without_autodiff(),
        };
        let n_memories = trainer.strategy.memories().len();
        for peer in 0..trainer.strategy.n_peers() as u64 {
            let matcher = trainer.fresh(seed.child("peer", peer), device)?;
            trainer.peers.push(Peer {
                teacher: (trainer.strategy.teacher_decay())
                    .map(|decay| Teacher::new(decay, &matcher)),
                matcher,
                optimizer: config.optimizer.build(),
                ledger: Ledger::with_memories(data.pairs.len(), n_memories),
            });
        }
        Ok(trainer)
    }

    /// A matcher before its first step.
    fn fresh(&self, seed: Seed, device: &Device) -> Result<Matcher> {
        let (image, caption) = self.shapes;
        let precision = self.config.training.precision;
        let matcher = (self.config.matcher).build(image, caption, seed, device, precision)?;
        Ok(matcher.measure(&self.sample.0, &self.sample.1))
    }

    /// Tells the oracle which pairs are matched.
    fn tell(&mut self, matched: &[bool]) {
        let told = match self.selection.trained() {
            Some(trained) => (matched.iter().zip(trained))
                .filter_map(|(&matched, &trained)| trained.then_some(matched))
                .collect(),
            None => matched.to_vec(),
        };
        for peer in &mut self.peers {
            peer.ledger.clean_posterior = told.iter().map(|&is| f32::from(u8::from(is))).collect();
        }
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
        self.search(epoch, session)?;
        if self.strategy.restarts(epoch) {
            self.restart(epoch)?;
        }
        if let Some(audit) = self.strategy.wants_audit(epoch) {
            self.audit(epoch, &audit, session)?;
        }
        if self.strategy.wants_survey(epoch) {
            self.survey(epoch, session)?;
        }
        let mut plan = self.plan(epoch)?;
        self.rematched = std::mem::take(&mut plan.rematched);
        let losses = self.train_peers(epoch, &plan, session)?;
        let record = self.judge(epoch, losses, plan.note, session)?;
        if record.best {
            run.write_weights(&self.best_weights(), self.shapes)?;
        }
        session.watch.epoch(&record);
        self.history.push(record);
        run.finish_epoch(&self.snapshot(index + 1), &self.history, (session.now)())
    }

    fn plan(&mut self, epoch: Epoch) -> Result<Plan> {
        let mut ledgers = self.take_ledgers();
        let mut rng = self.seed.stream("plan", &[epoch.index as u64]);
        let plan = (self.strategy).plan(epoch, &mut ledgers, &self.data.pairs, &mut rng);
        self.return_ledgers(ledgers);
        plan
    }

    /// Searches the images of captions that the strategy has doubts about.
    fn search(&mut self, epoch: Epoch, session: &mut Session<'_>) -> Result<()> {
        let mut ledgers = self.take_ledgers();
        if let Some(search) = self.strategy.wants_search(epoch, &ledgers) {
            let matchers: Vec<Matcher> = (self.peers.iter())
                .map(|peer| peer.matcher.clone())
                .collect();
            let limits = &self.config.training;
            let words = self.vocabulary.as_ref();
            let reader = Reader::new(self.data, words, limits.max_tokens, &self.plain_device)?;
            let scorer = encode::scorer(&matchers, &reader, limits.tile_mib, &mut *session.watch)?;
            let found = candidates(&*scorer, &self.data.pairs, &search, &mut *session.watch)?;
            self.strategy.take_candidates(&found, &mut ledgers);
        }
        self.return_ledgers(ledgers);
        Ok(())
    }

    fn take_ledgers(&mut self) -> Vec<Ledger> {
        (self.peers.iter_mut())
            .map(|peer| std::mem::take(&mut peer.ledger))
            .collect()
    }

    fn return_ledgers(&mut self, ledgers: Vec<Ledger>) {
        for (peer, ledger) in self.peers.iter_mut().zip(ledgers) {
            peer.ledger = ledger;
        }
    }

    /// Gives every peer a fresh network; what it believes of the pairs stays.
    fn restart(&mut self, epoch: Epoch) -> Result<()> {
        let device = self.plain_device.clone().autodiff();
        for at in 0..self.peers.len() {
            let seed = (self.seed.child("peer", at as u64)).child("restart", epoch.index as u64);
            let matcher = self.fresh(seed, &device)?;
            let peer = &mut self.peers[at];
            peer.teacher = (peer.teacher.as_ref()).map(|old| Teacher::new(old.decay, &matcher));
            peer.matcher = matcher;
            peer.optimizer = self.config.optimizer.build();
        }
        Ok(())
    }

    /// Has every pair judged by matchers that never saw it.
    fn audit(
        &mut self,
        epoch: Epoch,
        config: &CrossFitConfig,
        session: &mut Session<'_>,
    ) -> Result<()> {
        let links = Links::of(self.data)?;
        let seed = self.seed.child("audit", epoch.index as u64);
        let findings = cross_fit(self.data, &links, config, seed, session)?;
        let mut ledgers = self.take_ledgers();
        self.strategy.take_audit(&findings, &mut ledgers);
        self.return_ledgers(ledgers);
        Ok(())
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
                let measured = self.strategy.survey(epoch, &scores);
                let ledger = &mut self.peers[at].ledger;
                write(&mut ledger.loss, &pairs, &measured.loss);
                believe(ledger, &pairs, measured.beliefs);
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
                        n_steps: n_peer_steps,
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
            n_steps,
        } = place;
        let (images, captions) = self.inputs(pairs)?;
        let needs = self.strategy.needs(epoch, group);
        let opinions = self.opinions(peer, needs, &images, &captions)?;
        let key = [epoch.index as u64, peer as u64, group as u64, step as u64];
        let mut dropout = self.seed.stream("dropout", &key);
        let Forward {
            scores,
            structure,
            auxiliary,
        } = self.peers[peer].matcher.forward(
            &images,
            &captions,
            needs.structure,
            &mut Mode::Train(&mut dropout),
        );
        let judgement = {
            let ledgers = self.take_ledgers();
            let mut rng = self.seed.stream("strategy", &key);
            let mut view = BatchView {
                peer,
                group,
                step,
                n_steps,
                pairs,
                scores: &scores,
                structure: structure.as_ref(),
                opinions: &opinions,
                ledgers: &ledgers,
                rng: &mut rng,
            };
            let judgement = self.strategy.pair_loss(epoch, &mut view);
            self.return_ledgers(ledgers);
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
        self.remember(epoch, peer, pairs, &per_pair, judgement.beliefs);
        let reduced: Tensor<1> = match self.config.training.reduction {
            Reduction::Mean => judgement.loss.0.mean(),
            Reduction::Sum => judgement.loss.0.sum(),
        };
        drop((scores, structure));
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
        if let Some(teacher) = &mut peer.teacher {
            teacher.follow(&peer.matcher);
        }
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
        let given = &self.data.pairs;
        let pairs = pairs.iter().map(|&pair| match given.get(pair as usize) {
            Some(pair) => pair,
            None => &self.rematched[pair as usize - given.len()],
        });
        let (images, captions): (Vec<u32>, Vec<u32>) =
            pairs.map(|pair| (pair.image, pair.caption)).unzip();
        Ok((
            self.reader.images(&images)?,
            self.reader.captions(&captions)?,
        ))
    }

    fn opinions(
        &self,
        own: usize,
        needs: Needs,
        images: &Input,
        captions: &Input,
    ) -> Result<Vec<Opinion>> {
        let ask =
            |matcher: &Matcher| opinion(matcher, images.clone(), captions.clone(), needs.structure);
        (self.peers.iter().enumerate())
            .map(|(at, peer)| match (needs.opinions, &peer.teacher) {
                (Consult::Own, _) if at != own => Ok(Opinion::default()),
                (Consult::Own | Consult::Everyone, _) => Ok(ask(&peer.matcher.valid())),
                (Consult::Teachers, Some(teacher)) => {
                    Ok(ask(&teacher.matcher(peer.matcher.valid())?))
                }
                (Consult::Nobody, _) | (Consult::Teachers, None) => Ok(Opinion::default()),
            })
            .collect()
    }

    fn remember(
        &mut self,
        epoch: Epoch,
        peer: usize,
        pairs: &[u32],
        losses: &[f32],
        beliefs: Beliefs,
    ) {
        let surveyed = self.strategy.wants_survey(epoch);
        let ledger = &mut self.peers[peer].ledger;
        if !surveyed {
            write(&mut ledger.loss, pairs, losses);
        }
        believe(ledger, pairs, beliefs);
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
        let epoch = self.strategy.schedule_epoch(epoch);
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
            let ordered = (parameters::names(&peer.matcher).iter())
                .map(|name| moments.remove(name).unwrap_or_default())
                .collect();
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
                Some(trained) => spread(&peer.ledger, trained),
                None => peer.ledger,
            });
        }
        run.write_ledgers(&ledgers)?;
        Ok(Trained {
            config: self.config.clone(),
            vocabulary: self.vocabulary,
            device: self.plain_device,
            inputs: self.shapes,
            peers,
            ledgers,
            history: self.history,
            best_epoch: best.epoch,
        })
    }
}

/// For every caption that is searched for, its best image among those of all pairs.
fn candidates(
    scorer: &dyn Scorer,
    pairs: &[Pair],
    search: &Search,
    watch: &mut dyn Watch,
) -> Result<Vec<Candidate>> {
    const BLOCK: usize = 512;
    let mut images: Vec<u32> = pairs.iter().map(|pair| pair.image).collect();
    images.sort_unstable();
    images.dedup();
    let mut found = Vec::with_capacity(search.pairs.len());
    for block in search.pairs.chunks(BLOCK) {
        let captions: Vec<u32> = (block.iter())
            .map(|&pair| pairs[pair as usize].caption)
            .collect();
        let mut scores = vec![0.0; images.len() * captions.len()];
        scorer.tile(&images, &captions, &mut scores)?;
        for (column, &pair) in block.iter().enumerate() {
            let scores = || {
                let column = scores[column..].iter().step_by(captions.len());
                column.map(|score| f64::from(*score))
            };
            let first = (0, f64::NEG_INFINITY);
            let (best, top) = (scores().enumerate()).fold(first, |best, (row, score)| {
                if score > best.1 { (row, score) } else { best }
            });
            let total: f64 = scores()
                .map(|score| ((score - top) / search.temperature).exp())
                .sum();
            found.push(Candidate {
                pair,
                image: images[best],
                share: (1.0 / total) as f32,
            });
        }
        watch.advance(
            "search images",
            found.len() as u64,
            search.pairs.len() as u64,
        );
    }
    Ok(found)
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
    let mut whole = Ledger::with_memories(trained.len(), ledger.memories.len());
    for (row, pair) in (0..trained.len()).filter(|&pair| trained[pair]).enumerate() {
        whole.loss[pair] = ledger.loss[row];
        whole.clean_posterior[pair] = ledger.clean_posterior[row];
        whole.soft_label[pair] = ledger.soft_label[row];
        whole.uncertainty[pair] = ledger.uncertainty[row];
        for (whole, memory) in whole.memories.iter_mut().zip(&ledger.memories) {
            whole[pair] = memory[row];
        }
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
    n_steps: usize,
}

/// Scores `[b * b]` without gradients or dropout.
fn evaluate(matcher: &Matcher, images: Input, captions: Input) -> Vec<f32> {
    floats(matcher.scores(&plain(images), &plain(captions), &mut Mode::Evaluate))
}

fn opinion(matcher: &Matcher, images: Input, captions: Input, structure: bool) -> Opinion {
    let (images, captions) = (plain(images), plain(captions));
    let forward = matcher.compare(&images, &captions, structure, &mut Mode::Evaluate);
    let structure = forward
        .structure
        .map(|Structure { images, captions }| (floats(images), floats(captions)));
    let (images, captions) = structure.unwrap_or_default();
    Opinion {
        scores: floats(forward.scores),
        images,
        captions,
    }
}

/// Sets the rows of `pairs`; rematched pairs have none.
fn write(column: &mut [f32], pairs: &[u32], values: &[f32]) {
    for (&pair, &value) in pairs.iter().zip(values) {
        if let Some(row) = column.get_mut(pair as usize) {
            *row = value;
        }
    }
}

fn believe(ledger: &mut Ledger, pairs: &[u32], beliefs: Beliefs) {
    let columns = [
        (&mut ledger.clean_posterior, beliefs.clean_posterior),
        (&mut ledger.soft_label, beliefs.soft_label),
        (&mut ledger.uncertainty, beliefs.uncertainty),
    ];
    for (column, values) in columns {
        if let Some(values) = values {
            write(column, pairs, &values);
        }
    }
    for (memory, values) in beliefs.memories {
        write(&mut ledger.memories[memory], pairs, &values);
    }
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
