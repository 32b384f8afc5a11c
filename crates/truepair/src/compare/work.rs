//! The cells that are left to run, several at a time.
//!
//! Small matrix products gain little from a second thread, two independent cells gain almost
//! everything, so each cell runs on its share of the threads.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use truepair_train::run::file::CONFIG;
use truepair_train::{Config, Error as TrainError};

use super::cell;
use super::grid::Cell;
use super::record::{FAILURE, Record, is_finished};
use super::status::{Progress, Status, duration};
use super::table::Failure;
use crate::interrupt;
use crate::run_folder::{self, Job};
use crate::training::{Plan, Splits};

/// A cell with everything that is needed to run it.
pub(crate) struct Task {
    pub(crate) cell: Cell,
    pub(crate) plan: Plan,
    /// The settings as they will be used; `None` where nothing is trained.
    pub(crate) config: Option<Config>,
}

impl Task {
    pub(crate) fn is_finished(&self) -> bool {
        is_finished(&self.plan.out)
    }

    /// # Errors
    /// If the run directory holds a run of other data or settings.
    pub(crate) fn check(&self) -> Result<()> {
        let out = &self.plan.out;
        if !out.join(run_folder::JOB).exists() {
            return Ok(());
        }
        Job::load(out)?.check_same(&self.plan.job, out)?;
        // A run that was stopped before it began has no settings yet, one without training never.
        let known = std::fs::read_to_string(out.join(CONFIG));
        let (Ok(known), Some(config)) = (known, &self.config) else {
            return Ok(());
        };
        let wanted = config.to_toml();
        let mut lines = known.lines().zip(wanted.lines());
        let differing = lines.find(|(known, wanted)| known != wanted);
        if let Some((known, wanted)) = differing {
            bail!(
                "{}: was run with `{known}`, not `{wanted}` (choose another --out, or remove it)",
                out.display()
            )
        }
        if known != wanted {
            bail!(
                "{}: was run with other settings (choose another --out, or remove it)",
                out.display()
            )
        }
        Ok(())
    }

    fn n_epochs(&self) -> usize {
        let Some(config) = &self.config else { return 1 };
        let n_main = config.training.epochs;
        let warm_up = config.strategy.build(n_main);
        n_main + warm_up.map_or(0, |strategy| strategy.n_warm_up())
    }
}

/// What a cell that failed leaves in its run directory.
#[derive(Serialize)]
struct FailureNote<'a> {
    error: &'a str,
}

/// Runs every task that is not finished; returns the cells that failed.
///
/// # Errors
/// If the work was interrupted; the same call goes on with it.
pub(crate) fn finish(tasks: &[Task], splits: &Splits, jobs: usize) -> Result<Vec<Failure>> {
    let open: Vec<&Task> = tasks.iter().filter(|task| !task.is_finished()).collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let n_jobs = jobs.clamp(1, open.len());
    let progress = |task: &&Task| {
        let kind = format!("{} {}", task.cell.similarity, task.cell.name);
        Progress::new(task.cell.to_string(), kind, task.n_epochs())
    };
    let status = Status::new(open.iter().map(progress).collect(), n_jobs);
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let stop = interrupt::stop_flag();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = open.get(at) else { return };
            if let Some(error) = run_one(task, splits, &status, at) {
                let mut failures = failures.lock().expect("no worker panics with the lock");
                failures.push(Failure::new(&task.cell, error));
            }
        }
    };
    let n_threads = (rayon::current_num_threads() / n_jobs).max(1);
    std::thread::scope(|scope| {
        for _ in 0..n_jobs {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads);
                match pool.build() {
                    Ok(pool) => pool.install(work),
                    Err(_) => work(),
                }
            });
        }
    });
    status.clear();
    if stop.load(Ordering::Relaxed) {
        let n_finished = tasks.iter().filter(|task| task.is_finished()).count();
        bail!(
            "stopped with {n_finished} of {} runs finished (give the same command to go on)",
            tasks.len()
        )
    }
    Ok(failures.into_inner().expect("all workers ended well"))
}

/// Runs a cell; returns its error unless it was only interrupted.
fn run_one(task: &Task, splits: &Splits, status: &Status, at: usize) -> Option<String> {
    let lane = status.lane(at);
    let done = make_parent(&task.plan.out).and_then(|()| cell::run(task, splits, lane));
    match done {
        Ok(record) => {
            lane.ended(&summary(&record));
            None
        }
        Err(error) if is_stop(&error) => None,
        Err(error) => {
            let error = format!("{error:#}");
            lane.ended(&format!("failed: {error}"));
            keep_failure(&task.plan.out, &error);
            Some(error)
        }
    }
}

fn make_parent(run: &Path) -> Result<()> {
    let parent = run.parent().unwrap_or(run);
    std::fs::create_dir_all(parent).with_context(|| format!("{}: cannot create", parent.display()))
}

fn is_stop(error: &anyhow::Error) -> bool {
    (error.downcast_ref()).is_some_and(TrainError::is_stop)
}

/// The error is in the tables as well; a folder that cannot take the note is no further failure.
fn keep_failure(run: &Path, error: &str) {
    let _ = std::fs::create_dir_all(run);
    let _ = run_folder::store(run, FAILURE, &FailureNote { error });
}

fn summary(record: &Record) -> String {
    format!(
        "rSum {:.1}, trained in {}",
        record.ensemble.rsum(),
        duration(record.train_seconds)
    )
}
