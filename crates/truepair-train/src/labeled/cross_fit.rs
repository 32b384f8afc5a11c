//! The label audit's training: classifiers that never saw the items they judge.

use serde::{Deserialize, Serialize};
use truepair_core::Error as CoreError;
use truepair_core::labeled::{
    LabelAuditOptions, LabelEvidence, LabelFindings, LabeledSet, audit_labels,
};
use truepair_core::rng::{Seed, shuffle};
use truepair_core::scores::Matrix;
use truepair_core::watch::Watch;

use super::{
    CrossEntropyConfig, LabelConfig, LabelEpoch, LabelMethodConfig, LabelSelect, LabelSession,
    LabelTrainingConfig, LabelWatch, NetworkConfig, train_labels,
};
use crate::error::Result;
use truepair_model::optimizer::{OptimizerConfig, Schedule};

/// Settings of a cross-fitted label audit; beside `folds` and `audit` those of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelCrossFitConfig {
    /// Parts of the data, at least 2; each is judged by networks trained on the others.
    pub folds: usize,
    /// What is minimized. Cross-entropy unless another is set: robust losses may give up a hard
    /// class, and are then sure of wrong answers; the noise is the audit's own business.
    pub method: LabelMethodConfig,
    /// The networks.
    pub network: NetworkConfig,
    /// How weights move.
    pub optimizer: OptimizerConfig,
    /// How the rate falls.
    pub schedule: Schedule,
    /// The loop; `select` is always [`LabelSelect::Last`].
    pub training: LabelTrainingConfig,
    /// The statistics.
    pub audit: LabelAuditOptions,
}

impl Default for LabelCrossFitConfig {
    fn default() -> Self {
        let LabelConfig {
            network,
            optimizer,
            schedule,
            ..
        } = LabelConfig::default();
        Self {
            folds: 4,
            method: LabelMethodConfig::CrossEntropy(CrossEntropyConfig::default()),
            network,
            optimizer,
            schedule,
            training: LabelTrainingConfig {
                select: LabelSelect::Last,
                ..LabelTrainingConfig::default()
            },
            audit: LabelAuditOptions::default(),
        }
    }
}

impl LabelCrossFitConfig {
    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain numbers and words are TOML")
    }

    /// How the networks of a fold are trained.
    pub fn of_training(&self) -> LabelConfig {
        LabelConfig {
            method: self.method.clone(),
            network: self.network.clone(),
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            training: LabelTrainingConfig {
                select: LabelSelect::Last,
                ..self.training.clone()
            },
        }
    }
}

/// Audits the labels of `set` by cross-fitting.
///
/// # Errors
/// If there are too few items, training fails, or the session is stopped.
pub fn cross_fit_labels(
    set: &LabeledSet,
    config: &LabelCrossFitConfig,
    seed: Seed,
    session: &mut LabelSession<'_>,
) -> Result<LabelFindings> {
    if config.folds < 2 || set.len() < config.folds.saturating_mul(2) {
        return Err(CoreError::argument(
            format!("cannot cut {} items into {} folds", set.len(), config.folds),
            "use at least 2 folds, and 2 items for each",
        )
        .into());
    }
    config.audit.check(set.len())?;
    let scores = held_out_scores(set, config, seed, session)?;
    let names: Vec<String> = set
        .modalities
        .iter()
        .map(|part| part.name.clone())
        .collect();
    let labels: Vec<Vec<u32>> = set
        .modalities
        .iter()
        .map(|part| part.labels.clone())
        .collect();
    let evidence = LabelEvidence {
        names: &names,
        scores: &scores,
        labels: &labels,
    };
    Ok(audit_labels(evidence, &config.audit, seed)?)
}

/// Tells of the epochs of all folds as one piece of work; what a single one measured is nobody's concern.
struct FoldWatch<'a> {
    watch: &'a mut dyn LabelWatch,
    /// Epochs that are done, of all folds.
    done: usize,
    all: usize,
}

impl Watch for FoldWatch<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}

    fn warn(&mut self, warning: &str) {
        self.watch.warn(warning);
    }
}

impl LabelWatch for FoldWatch<'_> {
    fn label_epoch(&mut self, _record: &LabelEpoch) {
        self.done += 1;
        let stage = "epochs of all folds";
        self.watch.advance(stage, self.done as u64, self.all as u64);
    }
}

/// Per modality the scores `[n, k]` of every item against every class, by networks that never saw the item.
fn held_out_scores(
    set: &LabeledSet,
    config: &LabelCrossFitConfig,
    seed: Seed,
    session: &mut LabelSession<'_>,
) -> Result<Vec<Matrix>> {
    let training = config.of_training();
    let mut order: Vec<u32> = (0..set.len() as u32).collect();
    shuffle(&mut seed.stream("folds", &[]), &mut order);
    let (m, k) = (set.modalities.len(), set.n_classes);
    let mut scores = vec![vec![0f32; set.len() * k]; m];
    for fold in 0..config.folds {
        let (mut judged, mut others) = (Vec::new(), Vec::new());
        for (at, &item) in order.iter().enumerate() {
            if at % config.folds == fold {
                judged.push(item);
            } else {
                others.push(item);
            }
        }
        others.sort_unstable();
        let own = seed.child("fold", fold as u64);
        let mut watch = FoldWatch {
            watch: &mut *session.watch,
            done: fold * training.training.epochs,
            all: config.folds * training.training.epochs,
        };
        let mut session = LabelSession {
            accelerator: session.accelerator,
            stop: session.stop,
            watch: &mut watch,
        };
        let trained = train_labels(&set.select(&others), None, &training, own, &mut session)?;
        let found = trained.class_scores(&set.select(&judged))?;
        for (scores, found) in scores.iter_mut().zip(&found) {
            for (row, &item) in judged.iter().enumerate() {
                scores[item as usize * k..][..k].copy_from_slice(found.row(row));
            }
        }
    }
    let matrices = scores.into_iter().map(|values| Matrix::new(values, k));
    Ok(matrices.collect())
}
