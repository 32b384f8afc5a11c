//! The steps of an epoch.

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;

use super::Trainer;
use super::batches::Batches;
use super::mean::Mean;
use crate::config::Reduction;
use crate::error::{Divergence, Error, Result};
use crate::run::{Session, StepProgress};
use crate::strategy::{
    BatchView, Beliefs, Consult, Epoch, Judgement, Needs, Opinion, PeerPlan, Plan,
};
use truepair_model::encode::plain;
use truepair_model::encoding::{Input, Structure};
use truepair_model::layer::Mode;
use truepair_model::matcher::{Forward, Matcher, Wanted};
use truepair_model::numbers::floats;

impl Trainer<'_> {
    pub(super) fn train_peers(
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
                        self.batches(pairs, key)
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

    /// Batches of one group as the config wants them.
    fn batches(&self, pairs: &[u32], key: [u64; 3]) -> Batches {
        match &self.classes {
            Some(classes) => {
                let class = |pair| classes[self.pair(pair).image as usize];
                Batches::by_class(pairs, class, self.seed, key)
            }
            None => {
                let size = self.config.training.batch;
                Batches::shuffled(pairs.to_vec(), size, self.seed, key)
            }
        }
    }

    /// One optimizer step of one peer on one batch; returns the mean loss per pair.
    fn step(&mut self, place: StepPlace, pairs: &[u32], factor: f64) -> Result<f64> {
        let StepPlace {
            epoch,
            peer,
            group,
            step,
            ..
        } = place;
        let key = [epoch.index as u64, peer as u64, group as u64, step as u64];
        let (images, captions) = self.varied_inputs(pairs, &key)?;
        let needs = self.strategy.needs(epoch, group);
        let opinions = self.opinions(peer, needs, &images, &captions)?;
        let mut mixing = self.seed.stream("mix", &key);
        let mixed = match self.strategy.mix(epoch, &images, &mut mixing) {
            Some(mixture) => mixture.apply(images),
            None => images,
        };
        let mut dropout = self.seed.stream("dropout", &key);
        let (sps, esc) = (self.config.sps, self.config.esc);
        let wanted = Wanted {
            structure: needs.structure || sps.reads_structure(),
            regularizers: self.strategy.regularizers(),
        };
        let Forward {
            scores,
            structure,
            auxiliary,
            terms,
            uncertainty,
            at_limit,
        } = self.peers[peer].matcher.forward(
            &mixed,
            &captions,
            &wanted,
            &mut Mode::Train(&mut dropout),
        );
        if at_limit > MOST_AT_LIMIT {
            return Err(self.diverged(Divergence::Deviations, epoch, step));
        }
        self.at_limit.add(at_limit, pairs.len());
        let batch = Batch {
            place,
            pairs,
            key: &key,
            scores: &scores,
            structure: structure.as_ref(),
            opinions: &opinions,
        };
        let (mut judgement, labels) = self.judge_batch(&batch);
        let per_pair = floats(judgement.loss.0.clone().inner());
        let mean = per_pair.iter().map(|x| f64::from(*x)).sum::<f64>() / per_pair.len() as f64;
        if !mean.is_finite() {
            return Err(self.diverged(Divergence::Loss, epoch, step));
        }
        if judgement.beliefs.uncertainty.is_none() {
            judgement.beliefs.uncertainty = uncertainty.map(|share| floats(share.inner()));
        }
        self.remember(epoch, peer, pairs, &per_pair, judgement.beliefs);
        let beside = [
            terms.pairs,
            sps.terms(&scores, structure.as_ref(), &labels),
            esc.term(&scores, &labels),
        ];
        let beside = beside.into_iter().flatten();
        let per_pair = beside.fold(judgement.loss.0, |sum, term| sum + term);
        let reduced: Tensor<1> = match self.config.training.reduction {
            Reduction::Mean => per_pair.mean(),
            Reduction::Sum => per_pair.sum(),
        };
        drop((scores, structure));
        let objective = [auxiliary, terms.batch].into_iter().flatten();
        let objective = objective.fold(reduced, |sum, term| sum + term);
        if !self.descend(peer, objective, factor).is_finite() {
            return Err(self.diverged(Divergence::Gradient, epoch, step));
        }
        Ok(mean)
    }

    /// What the strategy says of a batch, and the labels that it gives its pairs.
    fn judge_batch(&mut self, batch: &Batch<'_>) -> (Judgement, Vec<f32>) {
        let ledgers = self.take_ledgers();
        let labels = self
            .strategy
            .labels(batch.place.peer, batch.pairs, &ledgers);
        let mut rng = self.seed.stream("strategy", batch.key);
        let mut view = BatchView {
            peer: batch.place.peer,
            group: batch.place.group,
            step: batch.place.step,
            n_steps: batch.place.n_steps,
            pairs: batch.pairs,
            scores: batch.scores,
            structure: batch.structure,
            opinions: batch.opinions,
            ledgers: &ledgers,
            rng: &mut rng,
        };
        let judgement = self.strategy.pair_loss(batch.place.epoch, &mut view);
        self.return_ledgers(ledgers);
        (judgement, labels)
    }

    /// One optimizer step of a peer down the objective; returns the gradient's norm.
    fn descend(&mut self, peer: usize, objective: Tensor<1>, factor: f64) -> f64 {
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
        norm
    }

    fn diverged(&self, what: Divergence, epoch: Epoch, step: usize) -> Error {
        Error::Diverged {
            what,
            epoch: epoch.index,
            step,
            rate: self.config.optimizer.settings().rate,
            epochs_before: epoch.index.saturating_sub(epoch.n_warm_up),
        }
    }

    pub(super) fn inputs(&self, pairs: &[u32]) -> Result<(Input, Input)> {
        let (images, captions) = self.rows(pairs);
        Ok((
            self.reader.images.read(&images)?,
            self.reader.captions.read(&captions)?,
        ))
    }

    /// As [`inputs`](Self::inputs), pictures and words varied at random; `key` names the step.
    fn varied_inputs(&self, pairs: &[u32], key: &[u64]) -> Result<(Input, Input)> {
        let (images, captions) = self.rows(pairs);
        let (reader, seed, settings) = (self.reader, self.seed, &self.config.training);
        let images = match &settings.augmentation {
            Some(how) => reader.images.read_varied(&images, how, seed, key)?,
            None => reader.images.read(&images)?,
        };
        let drop = settings.caption_drop;
        Ok((
            images,
            reader.captions.read_varied(&captions, drop, seed, key)?,
        ))
    }

    /// Images and captions of pairs, given or rematched.
    fn rows(&self, pairs: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let pairs = pairs.iter().map(|&pair| self.pair(pair));
        pairs.map(|pair| (pair.image, pair.caption)).unzip()
    }

    /// A given or a rematched pair.
    pub(super) fn pair(&self, index: u32) -> Pair {
        let given = &self.data.pairs;
        match given.get(index as usize) {
            Some(pair) => *pair,
            None => self.rematched[index as usize - given.len()],
        }
    }

    fn opinions(
        &self,
        own: usize,
        needs: Needs,
        images: &Input,
        captions: &Input,
    ) -> Result<Vec<Opinion>> {
        let ask = |matcher: &Matcher| opinion(matcher, images.clone(), captions.clone(), needs);
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
        let surveyed = self.strategy.survey(epoch).is_some();
        let ledger = &mut self.peers[peer].ledger;
        if !surveyed {
            write(&mut ledger.loss, pairs, losses);
        }
        believe(ledger, pairs, beliefs);
    }
}

/// Share of deviations at their limit above which a run stops: items have then become noise.
const MOST_AT_LIMIT: f64 = 0.5;

/// Where in the run a step is.
#[derive(Debug, Clone, Copy)]
struct StepPlace {
    epoch: Epoch,
    peer: usize,
    group: usize,
    step: usize,
    n_steps: usize,
}

/// A batch that was scored, as the strategy will see it.
struct Batch<'a> {
    place: StepPlace,
    pairs: &'a [u32],
    /// Names the step's random streams.
    key: &'a [u64],
    scores: &'a Tensor<2>,
    structure: Option<&'a Structure>,
    opinions: &'a [Opinion],
}

/// Scores `[b * b]` without gradients or dropout.
pub(super) fn evaluate(matcher: &Matcher, images: Input, captions: Input) -> Vec<f32> {
    floats(matcher.scores(&plain(images), &plain(captions), &mut Mode::Evaluate))
}

fn opinion(matcher: &Matcher, images: Input, captions: Input, needs: Needs) -> Opinion {
    let (images, captions) = (plain(images), plain(captions));
    let forward = matcher.compare(&images, &captions, needs.structure, &mut Mode::Evaluate);
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
pub(super) fn write(column: &mut [f32], pairs: &[u32], values: &[f32]) {
    for (&pair, &value) in pairs.iter().zip(values) {
        if let Some(row) = column.get_mut(pair as usize) {
            *row = value;
        }
    }
}

pub(super) fn believe(ledger: &mut Ledger, pairs: &[u32], beliefs: Beliefs) {
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
    for (column, values) in beliefs.columns {
        write(ledger.floats_mut(column), pairs, &values);
    }
}
