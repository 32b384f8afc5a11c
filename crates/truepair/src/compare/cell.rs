//! One cell: train as `truepair train` does, then rank the test queries with every set of weights
//! that the tables tell apart.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::metric::{Protocol, QueryUnits, Relevant, Source, measure};
use truepair_core::relevance::Relevance;
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;
use truepair_train::{EpochRecord, StepProgress, TrainWatch, Trained};

use super::record::{CellRecord, FAILURE, QueryRanks, Ranked, RankedWeights, RunShape};
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
        return untrained(task, splits, lane);
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
    let (mut trained, _lock) = run.train(&mut watch)?;
    let dev = run.measure(&trained, &splits.dev, &mut watch)?;
    let relevance = run_folder::relevance(test);
    let noise = run.manifest.as_ref().map(run_folder::noise_of);
    let protocol = run_folder::protocol(&trained, test, &relevance, noise)?;
    let test = TestSplit {
        data: test,
        relevance,
        protocol,
    };
    let ranked = rank_all(&mut trained, out, &test, &mut watch)?;
    let epochs = watch.log.finish(trained.history.len())?;
    let shape = RunShape {
        best_epoch: trained.best_epoch,
        n_epochs: trained.history.len(),
        train_seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
    };
    let record = CellRecord::new(&ranked, shape);
    let report = ranked.ensemble.report.clone();
    QueryRanks::new(QueryUnits::new(&test.relevance), ranked).store(out)?;
    record.store(out)?;
    // An earlier attempt may have failed.
    let _ = std::fs::remove_file(out.join(FAILURE));
    let seconds = start.elapsed().as_secs_f64();
    run.conclude(&trained, dev.as_ref(), Some(&report), seconds)?;
    Ok(record)
}

/// Ranks the test split without training: by the given embeddings as they are, or by the mean of the
/// scores of other runs.
fn untrained(task: &CellTask, splits: &Splits, lane: Lane<'_>) -> Result<CellRecord> {
    let out = task.plan.out.as_path();
    let test = splits.test.as_ref().context("there is no test split")?;
    let folder = RunFolder::open(&task.plan)?;
    let relevance = run_folder::relevance(test);
    let (_, manifest) = audit::plant(
        splits.train.clone(),
        &task.plan.job.noise,
        task.plan.job.seed,
    )?;
    let mut watch = QuietWatch(lane);
    let (scorer, ensemble): (Box<dyn Scorer>, usize) = if task.parts.is_empty() {
        let scorer = audit::frozen(test, "leave out the baselines: --no-baselines")?;
        (Box::new(scorer), 1)
    } else {
        run_folder::mean_of(&task.parts, test, &mut watch)?
    };
    let protocol = Protocol {
        noise: manifest.as_ref().map(run_folder::noise_of),
        data_hash: Some(test.content_hash()?),
        ensemble: ensemble as u32,
        ..Protocol::new(&test.name, &test.split, &relevance)
    };
    let test = TestSplit {
        data: test,
        relevance,
        protocol,
    };
    let ranked = RankedWeights {
        ensemble: test.rank(scorer.as_ref(), &mut watch)?,
        single: None,
        last: None,
        last_single: None,
    };
    let shape = RunShape {
        best_epoch: 0,
        n_epochs: 0,
        train_seconds: 0.0,
    };
    let record = CellRecord::new(&ranked, shape);
    split::store_none(out)?;
    QueryRanks::new(QueryUnits::new(&test.relevance), ranked).store(out)?;
    record.store(out)?;
    run_folder::publish(out, RESULT, &record)?;
    folder.keep();
    // An earlier attempt may have failed.
    let _ = std::fs::remove_file(out.join(FAILURE));
    Ok(record)
}

/// Passes warnings on.
struct QuietWatch<'a>(Lane<'a>);

impl Watch for QuietWatch<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}

    fn warn(&mut self, warning: &str) {
        self.0.warn(warning);
    }
}

/// What every set of weights is measured on.
struct TestSplit<'a> {
    data: &'a Dataset,
    relevance: Relevance,
    /// Of all networks.
    protocol: Protocol,
}

impl TestSplit<'_> {
    fn rank(&self, scorer: &dyn Scorer, watch: &mut dyn Watch) -> Result<Ranked> {
        let (source, relevant) = (Source::Scores(scorer), Relevant::Lists(&self.relevance));
        let measured = measure(
            source,
            relevant,
            &self.relevance,
            self.protocol.clone(),
            watch,
        )?;
        Ok(Ranked {
            report: measured.report(),
            ranks: (measured.first_ranks()).context("scores rank every item")?,
        })
    }

    fn rank_by(&self, trained: &Trained, watch: &mut dyn Watch) -> Result<Ranked> {
        let scorer = trained.scorer(self.data, watch)?;
        self.rank(scorer.as_ref(), watch)
    }

    fn rank_by_first(
        &self,
        trained: &mut Trained,
        watch: &mut dyn Watch,
    ) -> Result<Option<Ranked>> {
        if trained.n_peers() == 1 {
            return Ok(None);
        }
        trained.peers.truncate(1);
        self.rank_by(trained, watch).map(Some)
    }
}

/// Ranks the test split with all networks and with the first alone, at the kept epoch and at the
/// last; `trained` keeps the first network only.
fn rank_all(
    trained: &mut Trained,
    out: &Path,
    test: &TestSplit<'_>,
    watch: &mut dyn Watch,
) -> Result<RankedWeights> {
    let mut ranked = RankedWeights {
        ensemble: test.rank_by(trained, watch)?,
        single: test.rank_by_first(trained, watch)?,
        last: None,
        last_single: None,
    };
    if trained.best_epoch + 1 < trained.history.len() {
        let mut last = truepair_train::load_last(out, accelerator::chosen())?;
        ranked.last = Some(test.rank_by(&last, watch)?);
        ranked.last_single = test.rank_by_first(&mut last, watch)?;
    }
    Ok(ranked)
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
