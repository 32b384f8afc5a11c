//! The cells that are left to run, several at a time.
//!
//! Small matrix products gain little from a second thread, while two independent cells gain almost
//! everything, so each cell runs on its share of the threads.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use truepair_train::Error as TrainError;

use super::cell;
use super::record::{self, CellRecord, FAILURE};
use super::status::{CellProgress, GridStatus};
use super::table::FailedCell;
use super::task::CellTask;
use crate::fault;
use crate::interrupt;
use crate::progress::duration;
use crate::render;
use crate::run_folder;
use crate::training::Splits;

/// What a cell that failed leaves in its run directory.
#[derive(Serialize)]
struct FailureNote<'a> {
    error: &'a str,
}

/// Runs every task that is not finished; returns the cells that failed.
///
/// # Errors
/// If the work was interrupted; the same call continues it.
pub(crate) fn finish(tasks: &[CellTask], splits: &Splits, jobs: usize) -> Result<Vec<FailedCell>> {
    // What averages other runs comes after them.
    let (trained, means): (Vec<&CellTask>, Vec<&CellTask>) =
        tasks.iter().partition(|task| task.parts.is_empty());
    for mean in &means {
        // What was averaged before a part was removed is no longer its mean.
        if mean.is_finished() && !mean.parts.iter().all(|part| record::is_finished(part)) {
            record::forget(&mean.plan.out)?;
        }
    }
    let mut failures = finish_all(&trained, splits, jobs)?;
    failures.extend(finish_all(&means, splits, jobs)?);
    Ok(failures)
}

fn finish_all(tasks: &[&CellTask], splits: &Splits, jobs: usize) -> Result<Vec<FailedCell>> {
    let open = tasks.iter().copied().filter(|task| !task.is_finished());
    let open: Vec<&CellTask> = open.collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let n_jobs = jobs.clamp(1, open.len());
    let progress = |task: &&CellTask| {
        let kind = format!("{} {}", task.cell.similarity, task.cell.name);
        CellProgress::new(task.cell.to_string(), kind, task.n_epochs())
    };
    let status = GridStatus::new(open.iter().map(progress).collect(), n_jobs);
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let stop = interrupt::stop_flag();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = open.get(at) else { return };
            if let Some(error) = run_one(task, splits, &status, at) {
                let mut failures = failures.lock().expect("no worker panics with the lock");
                failures.push(FailedCell::new(&task.cell, error));
            }
        }
    };
    let n_threads = share_of_threads(n_jobs);
    std::thread::scope(|scope| {
        for _ in 0..n_jobs {
            scope.spawn(|| on_threads(n_threads, work));
        }
    });
    status.clear();
    if stop.load(Ordering::Relaxed) {
        let n_finished = tasks.iter().filter(|task| task.is_finished()).count();
        bail!(
            "stopped with {n_finished} of {} runs finished (run the same command again to continue)",
            tasks.len()
        )
    }
    Ok(failures.into_inner().expect("all workers ended well"))
}

/// Threads of one of that many jobs side by side.
pub(super) fn share_of_threads(n_jobs: usize) -> usize {
    (rayon::current_num_threads() / n_jobs).max(1)
}

/// The work on so many threads.
pub(super) fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .build()
    {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// Runs a cell; returns its error unless it was only interrupted.
fn run_one(task: &CellTask, splits: &Splits, status: &GridStatus, at: usize) -> Option<String> {
    let lane = status.lane(at);
    let run = || make_parent(&task.plan.out).and_then(|()| cell::run(task, splits, lane));
    // A fault in one cell stops no other.
    match fault::caught(run) {
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

pub(super) fn is_stop(error: &anyhow::Error) -> bool {
    (error.downcast_ref()).is_some_and(TrainError::is_stop)
}

/// The error is in the tables as well; failing to leave the note is not a further failure.
fn keep_failure(run: &Path, error: &str) {
    let _ = std::fs::create_dir_all(run);
    let _ = run_folder::store(run, FAILURE, &FailureNote { error });
}

fn summary(record: &CellRecord) -> String {
    format!(
        "rSum {:.1}, trained in {}",
        render::percent(record.ensemble.rsum()),
        duration(record.train_seconds)
    )
}
