//! How well a method's beliefs tell planted mismatches from matched pairs, epoch by epoch.
//!
//! The trainer hands out beliefs and knows no truth; this file knows the manifest and hands nothing
//! back. Its records are rewritten whole after every epoch, before the run's checkpoint, and those
//! of epochs that a resumed run trains again are dropped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::audit::auc;
use truepair_core::durable;
use truepair_core::ledger::{self, Ledger};
use truepair_core::noise::Manifest;
use truepair_core::source_file;

/// One [`EpochSplit`] per line.
pub(crate) const SPLIT: &str = "split.jsonl";

const N_BINS: usize = 20;

/// What is known of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochSplit {
    /// From 0, warm-up included.
    pub(crate) epoch: usize,
    /// Duration, the dev split included.
    pub(crate) seconds: f64,
    /// AUC of the training loss as a detector of mismatches; `None` without planted noise.
    pub(crate) loss_auc: Option<f64>,
    /// `None` without planted noise, and while the method believes every pair.
    pub(crate) belief: Option<BeliefRecord>,
}

/// A method's belief against the truth; a pair is called mismatched below one half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeliefRecord {
    /// Column of the ledger: `clean_posterior`, or `soft_label` for methods without a posterior.
    pub(crate) signal: String,
    /// Share of the pairs called mismatched that are; `None` when none is called so.
    pub(crate) precision: Option<f64>,
    /// Share of the mismatched pairs that are called so.
    pub(crate) recall: f64,
    pub(crate) auc: f64,
    /// Matched pairs by belief, in equal bins over [0, 1].
    pub(crate) matched: Vec<u64>,
    /// Mismatched pairs by belief.
    pub(crate) mismatched: Vec<u64>,
}

/// The records of one run, on their way to its directory.
pub(crate) struct SplitLog<'a> {
    file: PathBuf,
    truth: Option<&'a Manifest>,
    records: Vec<EpochSplit>,
}

impl<'a> SplitLog<'a> {
    /// Continues after the records that are there.
    pub(crate) fn open(run: &Path, truth: Option<&'a Manifest>) -> Result<Self> {
        let file = run.join(SPLIT);
        let records = if file.exists() {
            read(run)?
        } else {
            Vec::new()
        };
        Ok(Self {
            file,
            truth,
            records,
        })
    }

    pub(crate) fn add(
        &mut self,
        (epoch, seconds): (usize, f64),
        ledgers: &[&Ledger],
        trained: Option<&[bool]>,
    ) {
        let truth = self.truth.map(|manifest| truth_of(manifest, trained));
        let truth = truth.filter(|truth| truth.contains(&true) && truth.contains(&false));
        self.records.retain(|record| record.epoch < epoch);
        self.records.push(EpochSplit {
            epoch,
            seconds,
            loss_auc: (truth.as_ref())
                .map(|truth| auc(&ledger::mean(ledgers, |own| &own.loss), truth)),
            belief: truth.as_ref().and_then(|truth| belief(ledgers, truth)),
        });
        // Written again at the end; that it may fail now is told then.
        let _ = self.write();
    }

    fn write(&self) -> truepair_core::Result<()> {
        let lines: String = (self.records.iter())
            .filter_map(|record| serde_json::to_string(record).ok())
            .map(|line| line + "\n")
            .collect();
        durable::write(&self.file, lines.as_bytes())
    }

    /// The records of all `n_epochs`.
    ///
    /// # Errors
    /// If they cannot be written, or a run that was stopped lost one of them.
    pub(crate) fn finish(self, n_epochs: usize) -> Result<Vec<EpochSplit>> {
        if self.records.len() < n_epochs {
            bail!(
                "{}: knows {} of {n_epochs} epochs, because it could not be written once (remove the run directory, \
                 and the same command trains it again)",
                self.file.display(),
                self.records.len()
            )
        }
        self.write()?;
        Ok(self.records)
    }
}

/// What a run without epochs leaves.
pub(crate) fn store_none(run: &Path) -> Result<()> {
    Ok(durable::write(run.join(SPLIT), b"")?)
}

/// Reads the records of a run directory.
pub(crate) fn read(run: &Path) -> Result<Vec<EpochSplit>> {
    let file = run.join(SPLIT);
    let place = file.display();
    let text = source_file::read_text(&file, source_file::LIST)
        .with_context(|| format!("{place}: cannot read"))?;
    (text.lines().enumerate())
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| {
                format!("{place}:{}: is damaged (remove the run directory)", at + 1)
            })
        })
        .collect()
}

/// Whether each pair that was trained on is mismatched.
fn truth_of(manifest: &Manifest, trained: Option<&[bool]>) -> Vec<bool> {
    match trained {
        None => manifest.mismatched.clone(),
        Some(trained) => (manifest.mismatched.iter().zip(trained))
            .filter(|(_, trained)| **trained)
            .map(|(mismatched, _)| *mismatched)
            .collect(),
    }
}

fn belief(ledgers: &[&Ledger], truth: &[bool]) -> Option<BeliefRecord> {
    let ledger::Belief { signal, clean } = ledger::Belief::of(ledgers)?;
    let doubt: Vec<f64> = clean.iter().map(|clean| 1.0 - clean).collect();
    let called = clean.iter().map(|&clean| clean < 0.5);
    let (mut n_called, mut n_right) = (0u64, 0u64);
    for (called, &mismatched) in called.zip(truth) {
        n_called += u64::from(called);
        n_right += u64::from(called && mismatched);
    }
    let n_mismatched = truth.iter().filter(|&&mismatched| mismatched).count();
    let beliefs = || clean.iter().copied().zip(truth.iter().copied());
    let of = |kind| beliefs().filter_map(move |(clean, of)| (of == kind).then_some(clean));
    Some(BeliefRecord {
        signal: signal.to_owned(),
        precision: (n_called > 0).then(|| n_right as f64 / n_called as f64),
        recall: n_right as f64 / n_mismatched as f64,
        auc: auc(&doubt, truth),
        matched: histogram(of(false)),
        mismatched: histogram(of(true)),
    })
}

fn histogram(beliefs: impl Iterator<Item = f64>) -> Vec<u64> {
    let mut bins = vec![0; N_BINS];
    for belief in beliefs {
        let bin = (belief * N_BINS as f64).max(0.0) as usize;
        bins[bin.min(N_BINS - 1)] += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(clean: [f32; 4]) -> Ledger {
        let mut ledger = Ledger::new(4);
        ledger.clean_posterior = clean.to_vec();
        ledger
    }

    #[test]
    fn a_belief_is_the_mean_of_the_peers_and_is_counted_by_hand() {
        let (one, two) = (
            ledger([0.875, 0.125, 0.25, 0.75]),
            ledger([0.875, 0.375, 0.25, 0.125]),
        );
        let truth = [false, true, false, true];
        let belief = belief(&[&one, &two], &truth).unwrap();
        // Means 0.875, 0.25, 0.25, 0.4375: three pairs are called mismatched, two of them rightly.
        assert_eq!(belief.signal, "clean_posterior");
        assert_eq!((belief.precision, belief.recall), (Some(2.0 / 3.0), 1.0));
        assert!((belief.auc - 0.625).abs() < 1e-9, "{}", belief.auc);
        assert_eq!(belief.matched.iter().sum::<u64>(), 2);
        assert_eq!(
            (belief.matched[17], belief.mismatched.iter().sum::<u64>()),
            (1, 2)
        );
    }

    #[test]
    fn a_method_that_believes_every_pair_has_no_belief() {
        assert_eq!(belief(&[&Ledger::new(3)], &[true, false, true]), None);
        let mut soft = Ledger::new(2);
        soft.soft_label = vec![0.2, 1.0];
        let belief = belief(&[&soft], &[true, false]).unwrap();
        assert_eq!((belief.signal.as_str(), belief.auc), ("soft_label", 1.0));
    }

    #[test]
    fn an_epoch_that_is_trained_again_replaces_its_record() {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(2);
        let mut log = SplitLog::open(home.path(), None).unwrap();
        (0..3).for_each(|epoch| log.add((epoch, 1.0), &[&ledger], None));
        let mut log = SplitLog::open(home.path(), None).unwrap();
        log.add((1, 2.0), &[&ledger], None);
        let seconds: Vec<f64> = log
            .finish(2)
            .unwrap()
            .iter()
            .map(|one| one.seconds)
            .collect();
        assert_eq!(seconds, [1.0, 2.0]);
        let lost = SplitLog::open(home.path(), None).unwrap().finish(3);
        assert!(lost.unwrap_err().to_string().contains("2 of 3 epochs"));
        assert_eq!(read(home.path()).unwrap().len(), 2);
    }

    #[test]
    fn held_out_pairs_do_not_count() {
        let manifest = Manifest {
            protocol: "caption".into(),
            requested: None,
            realized: 0.5,
            seed: None,
            sha256: String::new(),
            file: None,
            moves_whole_images: false,
            mismatched: vec![true, false, true],
            notes: Vec::new(),
        };
        assert_eq!(
            truth_of(&manifest, Some(&[true, false, true])),
            [true, true]
        );
        assert_eq!(truth_of(&manifest, None), [true, false, true]);
    }
}
