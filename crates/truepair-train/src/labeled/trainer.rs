//! The loop over labeled items. It alone reduces item losses, calls `backward` and steps.

use std::sync::atomic::Ordering;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use truepair_core::Error as CoreError;
use truepair_core::labeled::LabeledSet;
use truepair_core::rng::{Seed, shuffle};
use truepair_core::scores::Matrix;

use super::config::{LabelConfig, LabelSelect};
use super::network::LabelNetworks;
use super::session::{LabelEpoch, LabelSession};
use super::trained::LabelTrained;
use super::view::{LabelView, one_hot, tensor};
use crate::error::{Divergence, Error, Result};
use crate::trainer::batches::Batches;
use truepair_model::Accelerator;
use truepair_model::layer::{Init, Mode};
use truepair_model::numbers::floats;
use truepair_model::optimizer::Adam;
use truepair_model::parameters::{self, Parameters};

/// Trains networks on `train`; which epoch is kept is the config's `training.select`.
///
/// # Errors
/// If a setting is out of range, there are too few items, `select` asks for a dev split that is not
/// there, a loss is not finite, or the session is stopped.
pub fn train_labels(
    train: &LabeledSet,
    dev: Option<&LabeledSet>,
    config: &LabelConfig,
    seed: Seed,
    session: &mut LabelSession<'_>,
) -> Result<LabelTrained> {
    config.check()?;
    let (kept, judged) = selection(train, dev, config, seed)?;
    if kept.len() < 2 {
        return Err(CoreError::argument(
            format!("{} items to train on", kept.len()),
            "training compares items with one another and needs at least 2",
        )
        .into());
    }
    let mut trainer = Trainer::new(&kept, judged.as_ref(), config, seed, session.accelerator)?;
    for epoch in 0..config.training.epochs {
        trainer.epoch(epoch, session)?;
    }
    trainer.finish(train)
}

/// The items to train on, and those that choose the epoch.
fn selection(
    train: &LabeledSet,
    dev: Option<&LabeledSet>,
    config: &LabelConfig,
    seed: Seed,
) -> Result<(LabeledSet, Option<LabeledSet>)> {
    match (config.training.select, dev) {
        (LabelSelect::Last, _) => Ok((train.clone(), None)),
        (LabelSelect::Dev, Some(dev)) => Ok((train.clone(), Some(dev.clone()))),
        (LabelSelect::Dev, None) => Err(CoreError::argument(
            "`training.select = \"dev\"`, but the data has no dev split",
            "use `held-out` or `last`",
        )
        .into()),
        (LabelSelect::HeldOut, _) => {
            let mut order: Vec<u32> = (0..train.len() as u32).collect();
            shuffle(&mut seed.stream("held-out", &[]), &mut order);
            let n = (config.training.held_out * train.len() as f64).round() as usize;
            let n = n.clamp(1, train.len().max(2) - 1);
            let (held_out, kept) = order.split_at_mut(n.min(train.len()));
            held_out.sort_unstable();
            kept.sort_unstable();
            Ok((train.select(kept), Some(train.select(held_out))))
        }
    }
}

struct Trainer<'a> {
    set: &'a LabeledSet,
    judged: Option<&'a LabeledSet>,
    config: &'a LabelConfig,
    seed: Seed,
    device: Device,
    rows: Vec<Matrix>,
    networks: Option<LabelNetworks>,
    optimizer: Adam,
    history: Vec<LabelEpoch>,
    best: Option<(f64, usize, Parameters)>,
}

impl<'a> Trainer<'a> {
    fn new(
        set: &'a LabeledSet,
        judged: Option<&'a LabeledSet>,
        config: &'a LabelConfig,
        seed: Seed,
        accelerator: Accelerator,
    ) -> Result<Self> {
        let device = accelerator.device()?.autodiff();
        let rows: Vec<Matrix> = (set.modalities.iter())
            .map(|modality| modality.features.pooled())
            .collect::<std::result::Result<_, CoreError>>()?;
        let widths: Vec<usize> = rows.iter().map(Matrix::dim).collect();
        let precision = config.training.precision;
        let mut init = Init::new(seed.stream("init", &[]), device.clone(), precision);
        let has_head = config.method.has_head();
        let (network, k) = (&config.network, set.n_classes);
        let mut networks = LabelNetworks::new(network, &widths, k, has_head, &mut init);
        networks.networks = (networks.networks.into_iter().zip(&rows))
            .map(|(network, rows)| network.measure(rows))
            .collect();
        Ok(Self {
            set,
            judged,
            config,
            seed,
            device,
            rows,
            networks: Some(networks),
            optimizer: config.optimizer.build(),
            history: Vec::new(),
            best: None,
        })
    }

    fn epoch(&mut self, epoch: usize, session: &mut LabelSession<'_>) -> Result<()> {
        let all: Vec<u32> = (0..self.set.len() as u32).collect();
        let key = [epoch as u64, 0, 0];
        let mut batches = Batches::shuffled(all, self.config.training.batch, self.seed, key);
        let n_steps = batches.per_round();
        let n_epochs = self.config.training.epochs;
        let stage = format!("epoch {} of {n_epochs}", epoch + 1);
        let mut total = 0.0;
        for step in 0..n_steps {
            if session.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped { epoch, dir: None });
            }
            let items = batches.next_batch();
            let done = epoch as f64 + step as f64 / n_steps as f64;
            let factor = self.config.schedule.factor(done, n_epochs as f64);
            let loss = self.step(&items, (epoch, step), factor);
            if !loss.is_finite() {
                return Err(Error::Diverged {
                    what: Divergence::Loss,
                    epoch,
                    step,
                    rate: self.config.optimizer.settings().rate,
                    epochs_before: epoch,
                });
            }
            total += loss * items.len() as f64;
            session
                .watch
                .advance(&stage, step as u64 + 1, n_steps as u64);
        }
        let record = self.judge(epoch, total / self.set.len() as f64)?;
        session.watch.label_epoch(&record);
        self.history.push(record);
        Ok(())
    }

    /// One optimizer step; returns the mean loss of the batch.
    fn step(&mut self, items: &[u32], (epoch, step): (usize, usize), factor: f64) -> f64 {
        let networks = self.networks.take().expect("a step puts the networks back");
        let method = &self.config.method;
        let networks = match method.keeps_unit_centers() {
            true => networks.with_unit_centers(),
            false => networks,
        };
        let inputs: Vec<Tensor<2>> = (self.rows.iter())
            .map(|rows| tensor(rows, items, &self.device))
            .collect();
        let targets: Vec<Tensor<2>> = (self.set.modalities.iter())
            .map(|modality| {
                let labels: Vec<u32> = (items.iter())
                    .map(|&item| modality.labels[item as usize])
                    .collect();
                one_hot(&labels, self.set.n_classes, &self.device)
            })
            .collect();
        let mut rng = (self.seed).stream("dropout", &[epoch as u64, step as u64]);
        let embeddings = networks.embed(&inputs, &mut Mode::Train(&mut rng));
        let view = LabelView {
            embeddings: &embeddings,
            centers: networks.centers.val(),
            head: networks.head.as_ref(),
            targets: &targets,
            epoch,
        };
        let loss = method.item_loss(&view).0.mean();
        let value = f64::from(floats(loss.clone())[0]);
        let mut tape = loss.backward();
        let (moved, _) = self.optimizer.step(networks, &mut tape, factor, None);
        self.networks = Some(moved);
        value
    }

    /// Measures the epoch and keeps its weights when they are the best so far.
    fn judge(&mut self, epoch: usize, loss: f64) -> Result<LabelEpoch> {
        let networks = self.networks.take().expect("a step puts the networks back");
        let networks = match self.config.method.keeps_unit_centers() {
            true => networks.with_unit_centers(),
            false => networks,
        };
        let selection_map = match self.judged {
            None => None,
            Some(judged) => {
                let trained = LabelTrained::new(self.config, networks.valid(), judged, Vec::new());
                Some(trained.retrieval(judged)?.mean)
            }
        };
        let value = selection_map.unwrap_or(epoch as f64);
        let best = self.best.as_ref().is_none_or(|(held, ..)| value > *held);
        if best {
            self.best = Some((value, epoch, parameters::export(&networks)));
        }
        self.networks = Some(networks);
        let done = epoch as f64 + 1.0;
        let n_epochs = self.config.training.epochs as f64;
        Ok(LabelEpoch {
            epoch,
            rate: self.config.optimizer.settings().rate
                * self.config.schedule.factor(done, n_epochs),
            loss,
            selection_map,
            best,
        })
    }

    fn finish(self, train: &LabeledSet) -> Result<LabelTrained> {
        let networks = self.networks.expect("a step puts the networks back");
        let (_, _, weights) = self.best.expect("the first epoch is the best so far");
        let networks = parameters::import(networks.valid(), weights)?;
        Ok(LabelTrained::new(
            self.config,
            networks,
            train,
            self.history,
        ))
    }
}
