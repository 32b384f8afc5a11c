//! What a grid would cost: a few steps of every row on a part of the data, and what follows from them.

use std::time::Instant;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::dataset::Dataset;
use truepair_core::metric::{Relevant, Source, measure};
use truepair_core::watch::Watch;
use truepair_train::{Config, EpochRecord, StepProgress, TrainWatch, Trained, train};

use super::grid::Grid;
use super::task::CellTask;
use crate::config::changed;
use crate::memory;
use crate::output::Output;
use crate::progress::duration;
use crate::training::Splits;
use crate::{audit, render, run_folder, session};

/// Batches of the part that is trained on.
const N_BATCHES: usize = 3;
/// Images of the part of a split that is ranked.
const N_RANKED: usize = 64;
/// Images of the part of the dev split that chooses an epoch of the part: next to nothing.
const N_CHOOSING: usize = 8;

/// The JSON object of `truepair compare --dry-run`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GridPlan {
    command: &'static str,
    pub(crate) rows: Vec<RowPlan>,
    /// Runs of all rows that are not finished.
    runs: usize,
    /// Runs side by side.
    jobs: usize,
    /// Seconds of all runs that are not finished, one after the other.
    seconds: f64,
}

impl Output for GridPlan {
    const SCHEMA: &'static str = "truepair/compare-plan/1";
}

/// What one row would cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RowPlan {
    method: String,
    /// Its runs that are not finished, over noises and seeds.
    runs: usize,
    /// Epochs of a run, warm-up included.
    epochs: usize,
    /// Steps of an epoch of one network.
    steps: usize,
    /// Seconds of a run; `null` where the row could not be measured.
    seconds: Option<f64>,
    /// Peak memory while its steps were measured, the data as read included, in MiB.
    peak_mib: Option<u64>,
    /// Why the row could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Measures every row that has runs to go.
///
/// # Errors
/// If the work was interrupted.
pub(crate) fn plan(
    grid: &Grid,
    tasks: &[CellTask],
    splits: &Splits,
    jobs: usize,
) -> Result<GridPlan> {
    let mut rows = Vec::new();
    for row in grid.rows() {
        let of_row = |task: &&CellTask| {
            task.cell.method == row.method && task.cell.similarity == row.similarity
        };
        let open = tasks.iter().filter(of_row);
        let open: Vec<&CellTask> = open.filter(|task| !task.is_finished()).collect();
        let Some(first) = open.first() else { continue };
        render::note(&format!("measuring {}", grid.methods[row.method].name));
        rows.push(RowPlan::measure(first, open.len(), splits)?);
    }
    let of_row = |row: &RowPlan| row.seconds.unwrap_or(0.0) * row.runs as f64;
    Ok(GridPlan {
        command: "compare",
        runs: rows.iter().map(|row| row.runs).sum(),
        jobs,
        seconds: rows.iter().map(of_row).sum(),
        rows,
    })
}

impl RowPlan {
    fn measure(task: &CellTask, runs: usize, splits: &Splits) -> Result<Self> {
        memory::forget_peak();
        let mut row = Self {
            method: task.cell.name.clone(),
            runs,
            epochs: 0,
            steps: 0,
            seconds: Some(0.0),
            peak_mib: None,
            failure: None,
        };
        let Some(config) = &task.config else {
            return Ok(row);
        };
        row.epochs = task.n_epochs();
        row.steps = splits.train.pairs.len().div_ceil(config.training.batch);
        match of_run(task, config, splits) {
            Ok(seconds) => row.seconds = Some(seconds),
            Err(error) if super::work::is_stop(&error) => return Err(error),
            Err(error) => {
                row.seconds = None;
                row.failure = Some(format!("{error:#}"));
            }
        }
        row.peak_mib = memory::peak_mib();
        Ok(row)
    }
}

/// The seconds of a whole run, from one main epoch on a part of the pairs.
fn of_run(task: &CellTask, config: &Config, splits: &Splits) -> Result<f64> {
    let job = &task.plan.job;
    let (noisy, manifest) = audit::plant(splits.train.clone(), &job.noise, job.seed)?;
    let whole = match job.oracle {
        Some(oracle) => oracle.corrected(&splits.train, noisy, manifest.as_ref())?,
        None => noisy,
    };
    let n_pairs = whole.pairs.len();
    let part = first_pairs(&whole, N_BATCHES * config.training.batch);
    let share = part.pairs.len() as f64 / n_pairs as f64;
    let config = shortened(config)?;
    let mut watch = Pace::default();
    let dev = splits.dev.as_ref().map(|dev| first_images(dev, N_CHOOSING));
    let start = Instant::now();
    let trained = train(
        &part,
        dev.as_ref(),
        &config,
        job.seed,
        &mut session::training(&mut watch),
    )?;
    // The last epoch alone: what comes before the first is done once, and its steps are colder.
    let epoch = match watch.ends.as_slice() {
        [.., before, last] => last.duration_since(*before),
        _ => start.elapsed(),
    };
    let mut seconds = task.n_epochs() as f64 * epoch.as_secs_f64() / share;
    let at_most = match config.training.dev_images {
        0 => usize::MAX,
        n => n,
    };
    if let Some(dev) = &splits.dev {
        seconds += task.n_epochs() as f64 * of_ranking(&trained, dev, at_most)?;
    }
    if let Some(test) = &splits.test {
        seconds += of_ranking(&trained, test, usize::MAX)?;
    }
    Ok(seconds)
}

/// The seconds of ranking at most that many images of a split with their captions: encoding grows with its items,
/// scoring with its pairs of items.
fn of_ranking(trained: &Trained, split: &Dataset, at_most: usize) -> Result<f64> {
    let part = first_images(split, N_RANKED);
    let items = |data: &Dataset| data.n_images() as f64 + data.n_captions() as f64;
    let tiles = |data: &Dataset| data.n_images() as f64 * data.n_captions() as f64;
    let start = Instant::now();
    let sides = trained.encode(&part, &mut ())?;
    let encoding = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let scorer = trained.scorer_of(&sides)?;
    let relevance = run_folder::relevance(&part);
    let protocol = run_folder::protocol(trained, &part, &relevance, None)?;
    let relevant = Relevant::Lists(&relevance);
    measure(
        Source::Scores(scorer.as_ref()),
        relevant,
        &relevance,
        protocol,
        &mut (),
    )?;
    let scoring = start.elapsed().as_secs_f64();
    let share = (at_most as f64 / split.n_images() as f64).min(1.0);
    let encoding = encoding * share * items(split) / items(&part);
    Ok(encoding + scoring * share.powi(2) * tiles(split) / tiles(&part))
}

/// The same settings for two epochs without a warm-up, where the strategy can do without one.
fn shortened(config: &Config) -> Result<Config> {
    let short = changed(config, &["training.epochs=2".to_owned()])?;
    let at_once = changed(&short, &["strategy.warm_up=0".to_owned()]);
    Ok(at_once.unwrap_or(short))
}

fn first_pairs(data: &Dataset, n: usize) -> Dataset {
    let keep: Vec<bool> = (0..data.pairs.len()).map(|at| at < n).collect();
    data.with_pairs_kept(&keep)
}

fn first_images(data: &Dataset, n: usize) -> Dataset {
    let keep: Vec<bool> = (0..data.n_images()).map(|at| at < n).collect();
    data.clone().with_images_kept(&keep).0
}

/// Notes when epochs end.
#[derive(Default)]
struct Pace {
    ends: Vec<Instant>,
}

impl Watch for Pace {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for Pace {
    fn step(&mut self, _progress: &StepProgress) {}

    fn epoch(&mut self, _record: &EpochRecord) {
        self.ends.push(Instant::now());
    }
}

impl GridPlan {
    pub(crate) fn text(&self) -> String {
        let header = ["row", "runs", "epochs", "steps an epoch", "a run", "memory"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.rows.iter().map(RowPlan::cells));
        let mut out = render::table(&rows);
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                out += &format!("{}: cannot be measured: {failure}\n", row.method);
            }
        }
        out += &format!(
            "{} to go, about {} one after the other on this machine, at best {} with {} side by side.\n\
             Measured on {N_BATCHES} batches of each row and extrapolated to all pairs; audits and mixtures \
             of losses grow otherwise. Memory is the peak while measuring, with the data as read.\n",
            render::count(self.runs, "run"),
            duration(self.seconds),
            duration(self.seconds / self.jobs.max(1) as f64),
            self.jobs,
        );
        out
    }
}

impl RowPlan {
    fn cells(&self) -> Vec<String> {
        let memory = self
            .peak_mib
            .map_or("–".to_owned(), |mib| format!("{mib} MiB"));
        let time = self.seconds.map_or("–".to_owned(), duration);
        vec![
            self.method.clone(),
            self.runs.to_string(),
            self.epochs.to_string(),
            self.steps.to_string(),
            time,
            memory,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_over_runs() {
        let row = |seconds: Option<f64>, runs: usize| RowPlan {
            method: "m".to_owned(),
            runs,
            epochs: 2,
            steps: 3,
            seconds,
            peak_mib: None,
            failure: seconds.is_none().then(|| "diverged".to_owned()),
        };
        let plan = GridPlan {
            command: "compare",
            rows: vec![row(Some(90.0), 2), row(None, 1)],
            runs: 3,
            jobs: 2,
            seconds: 180.0,
        };
        let text = plan.text();
        assert!(
            text.contains("3 runs to go, about 3 min one after the other"),
            "{text}"
        );
        assert!(text.contains("m: cannot be measured: diverged"), "{text}");
    }
}
