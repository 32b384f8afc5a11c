//! One cell: train as `truepair train` does, then rank the test queries with every set of weights
//! that the tables tell apart.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::metric::{Protocol, QueryUnits, Report};
use truepair_core::ranking::{Ranks, ranks};
use truepair_core::relevance::Relevance;
use truepair_core::watch::Watch;
use truepair_train::{EpochRecord, StepProgress, TrainWatch, Trained};

use super::record::{CellRecord, FAILURE, QueryRanks, RunShape};
use super::split::{self, SplitLog};
use super::status::Lane;
use super::task::CellTask;
use crate::training::{RESULT, Run, RunFolder, Splits};
use crate::{accelerator, audit, run_folder};

/// Runs a cell to its end; returns what it measured.
pub(super) fn run(task: &CellTask, splits: &Splits, lane: Lane<'_>) -> Result<CellRecord> {
    let start = Instant::now();
    let out = task.plan.out.as_path();
    let test = splits.test.as_ref().context("there is no test split")?;
    if task.config.is_none() {
        return frozen(task, splits);
    }
    let run = Run::prepare(&task.plan, splits)?;
    // An oracle trains on corrected pairs, which the manifest does not describe.
    let truth = run
        .manifest
        .as_ref()
        .filter(|_| task.plan.job.oracle.is_none());
    let mut watch = CellWatch {
        lane,
        log: SplitLog::open(out, truth)?,
        since: Instant::now(),
    };
    let mut trained = run.train(&mut watch)?;
    let dev = run.measure(&trained, &splits.dev, &mut watch)?;
    let relevance = run_folder::relevance(test);
    let noise = run.manifest.as_ref().map(run_folder::noise_of);
    let protocol = run_folder::protocol(&trained, test, &relevance, noise)?;
    let queries = rank_all(&mut trained, out, test, &relevance, &mut watch)?;
    let epochs = watch.log.finish()?;
    let shape = RunShape {
        best_epoch: trained.best_epoch,
        n_epochs: trained.history.len(),
        train_seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
    };
    let record = CellRecord::new(&queries, shape, protocol.clone());
    let report = Report::new(std::slice::from_ref(&queries.ensemble), protocol);
    queries.store(out)?;
    record.store(out)?;
    // An earlier attempt may have failed.
    let _ = std::fs::remove_file(out.join(FAILURE));
    let seconds = start.elapsed().as_secs_f64();
    run.conclude(&trained, dev.as_ref(), Some(&report), seconds)?;
    Ok(record)
}

/// Ranks the test split by the given embeddings as they are.
fn frozen(task: &CellTask, splits: &Splits) -> Result<CellRecord> {
    let out = task.plan.out.as_path();
    let test = splits.test.as_ref().context("there is no test split")?;
    let folder = RunFolder::open(&task.plan)?;
    let relevance = run_folder::relevance(test);
    let (_, manifest) = audit::plant(
        splits.train.clone(),
        &task.plan.job.noise,
        task.plan.job.seed,
    )?;
    let protocol = Protocol {
        noise: manifest.as_ref().map(run_folder::noise_of),
        data_hash: Some(test.content_hash()?),
        ..Protocol::new(&test.name, &test.split, &relevance)
    };
    let ranks = ranks(&audit::frozen(test)?, &relevance, &mut ())?;
    let queries = QueryRanks::new(QueryUnits::new(&relevance), ranks);
    let shape = RunShape {
        best_epoch: 0,
        n_epochs: 0,
        train_seconds: 0.0,
    };
    let record = CellRecord::new(&queries, shape, protocol);
    split::store_none(out)?;
    queries.store(out)?;
    record.store(out)?;
    run_folder::store(out, RESULT, &record)?;
    folder.keep();
    Ok(record)
}

/// Ranks the test split with all networks and with the first alone, at the kept epoch and at the
/// last; `trained` keeps the first network only.
fn rank_all(
    trained: &mut Trained,
    out: &Path,
    test: &Dataset,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<QueryRanks> {
    let mut queries = QueryRanks::new(
        QueryUnits::new(relevance),
        rank(trained, test, relevance, watch)?,
    );
    queries.single = first_alone(trained, test, relevance, watch)?;
    if trained.best_epoch + 1 < trained.history.len() {
        let mut last = truepair_train::load_last(out, accelerator::chosen())?;
        queries.last = Some(rank(&last, test, relevance, watch)?);
        queries.last_single = first_alone(&mut last, test, relevance, watch)?;
    }
    Ok(queries)
}

fn first_alone(
    trained: &mut Trained,
    test: &Dataset,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<Option<Ranks>> {
    if trained.n_peers() == 1 {
        return Ok(None);
    }
    trained.peers.truncate(1);
    rank(trained, test, relevance, watch).map(Some)
}

fn rank(
    trained: &Trained,
    test: &Dataset,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<Ranks> {
    let scorer = trained.scorer(test, watch)?;
    Ok(ranks(scorer.as_ref(), relevance, watch)?)
}

/// Follows one cell's training.
struct CellWatch<'a> {
    lane: Lane<'a>,
    log: SplitLog<'a>,
    /// When the running epoch began.
    since: Instant,
}

impl Watch for CellWatch<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}

    fn warn(&mut self, warning: &str) {
        self.lane.warn(warning);
    }
}

impl TrainWatch for CellWatch<'_> {
    fn step(&mut self, progress: &StepProgress) {
        let share = progress.step as f64 / progress.n_steps.max(1) as f64;
        self.lane.reached(progress.epoch as f64 + share);
    }

    fn epoch(&mut self, _record: &EpochRecord) {}

    fn beliefs(&mut self, epoch: usize, ledgers: &[&Ledger], trained: Option<&[bool]>) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        self.log.add((epoch, seconds), ledgers, trained);
        self.lane.epoch_took(epoch, seconds);
    }
}
