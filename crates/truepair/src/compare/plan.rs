//! What a grid would cost: a few steps of every row on a part of the data, and what follows from them.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::dataset::Dataset;
use truepair_core::metric::{Protocol, Relevant, Source, measure};
use truepair_core::rng::Seed;
use truepair_core::watch::Watch;
use truepair_train::config::{Keep, Sampling, TrainingConfig};
use truepair_train::{Config, EpochRecord, StepProgress, TrainWatch, Trained, train};

use super::grid::Grid;
use super::task::CellTask;
use super::work::{is_stop, on_threads, share_of_threads};
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
    /// Seconds of all runs that are not finished, one after the other, each on its share of the threads.
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
    /// Seconds of a run on its share of the threads; `null` where the row could not be measured.
    seconds: Option<f64>,
    /// Peak memory while its steps were measured, the data as read included, in MiB.
    peak_mib: Option<u64>,
    /// Why the row could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Measures every row that has runs to go, on the share of the threads that a run has beside the others.
///
/// # Errors
/// If the work was interrupted.
pub(crate) fn plan(
    grid: &Grid,
    tasks: &[CellTask],
    splits: &Splits,
    jobs: usize,
) -> Result<GridPlan> {
    let n_open = tasks.iter().filter(|task| !task.is_finished()).count();
    let jobs = jobs.clamp(1, n_open.max(1));
    let mut rows = Vec::new();
    for row in grid.rows() {
        let of_row = |task: &&CellTask| {
            task.cell.method == row.method && task.cell.similarity == row.similarity
        };
        let open = tasks.iter().filter(of_row);
        let open: Vec<&CellTask> = open.filter(|task| !task.is_finished()).collect();
        let Some(first) = open.first() else { continue };
        render::note(&format!("measuring {}", grid.methods[row.method].name));
        let measure = || RowPlan::measure(first, open.len(), splits);
        let measured = on_threads(share_of_threads(jobs), measure)?;
        render::note(&measured.line());
        rows.push(measured);
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
        row.steps = config.training.steps(&splits.train);
        match of_run(task, config, splits) {
            Ok(seconds) => row.seconds = Some(seconds),
            Err(error) if is_stop(&error) => return Err(error),
            Err(error) => {
                row.seconds = None;
                row.failure = Some(format!("{error:#}"));
            }
        }
        row.peak_mib = memory::peak_mib();
        Ok(row)
    }
}

/// The seconds of a whole run, from a main epoch on a part of the pairs for each of its phases.
fn of_run(task: &CellTask, config: &Config, splits: &Splits) -> Result<f64> {
    let job = &task.plan.job;
    let (noisy, manifest) = audit::plant(splits.train.clone(), &job.noise, job.seed)?;
    let whole = match job.oracle {
        Some(oracle) => oracle.corrected(&splits.train, noisy, manifest.as_ref())?,
        None => noisy,
    };
    let dev = splits.dev.as_ref().map(|dev| first_images(dev, N_CHOOSING));
    if config.matcher.is_closed_form() {
        return of_closed_form(&whole, dev.as_ref(), config, job.seed, splits);
    }
    let part = part_of(&whole, config, N_BATCHES);
    let times = config.training.steps(&whole) as f64 / config.training.steps(&part) as f64;
    let n_epochs = task.n_epochs();
    let mut seconds = 0.0;
    let mut last = None;
    for (epochs, settings) in phases(config, n_epochs) {
        let mut watch = Pace::default();
        let start = Instant::now();
        let trained = train(
            &part,
            dev.as_ref(),
            &shortened(&settings)?,
            job.seed,
            &mut session::training(&mut watch),
        )?;
        // The last epoch alone: what comes before the first is done once, and its steps are colder.
        let epoch = match watch.ends.as_slice() {
            [.., before, end] => end.duration_since(*before),
            _ => start.elapsed(),
        };
        seconds += epochs as f64 * epoch.as_secs_f64() * times;
        last = Some(trained);
    }
    let Some(trained) = last else {
        return Ok(seconds);
    };
    Ok(seconds + of_judging(&trained, config, splits, n_epochs)?)
}

/// The seconds of a matcher that is fitted in one step. Most of that is work on square matrices as wide as the
/// features, however many pairs there are, so two parts say what grows with the pairs.
fn of_closed_form(
    whole: &Dataset,
    dev: Option<&Dataset>,
    config: &Config,
    seed: Seed,
    splits: &Splits,
) -> Result<f64> {
    let config = changed(config, &["training.keep=last".to_owned()])?;
    let mut measured = Vec::new();
    let mut last = None;
    for n_batches in [N_BATCHES, 4 * N_BATCHES] {
        let part = part_of(whole, &config, n_batches);
        let mut watch = Pace::default();
        let start = Instant::now();
        last = Some(train(
            &part,
            dev,
            &config,
            seed,
            &mut session::training(&mut watch),
        )?);
        measured.push((part.pairs.len() as f64, start.elapsed().as_secs_f64()));
    }
    let seconds = on_line([measured[0], measured[1]], whole.pairs.len() as f64);
    let trained = last.expect("two parts were trained on");
    Ok(seconds + of_judging(&trained, &config, splits, 1)?)
}

/// The value at `x` of the line through two points, the second at its right; level where it would fall.
fn on_line([(x0, y0), (x1, y1)]: [(f64, f64); 2], x: f64) -> f64 {
    let slope = match x1 > x0 {
        true => ((y1 - y0) / (x1 - x0)).max(0.0),
        false => 0.0,
    };
    y1 + slope * (x - x1).max(0.0)
}

/// The seconds of what chooses the epoch, the dev split or training images that were held out, and of the test.
fn of_judging(trained: &Trained, config: &Config, splits: &Splits, n_epochs: usize) -> Result<f64> {
    let training = &config.training;
    let pace = RankingPace::measure(trained, &splits.train)?;
    let choosing = match (&splits.dev, training.keep) {
        (Some(dev), _) => pace.of_split(dev, training.dev_images),
        (None, Keep::Best) => pace.of_held_out(&splits.train, training),
        (None, Keep::Last) => 0.0,
    };
    let test = splits
        .test
        .as_ref()
        .map_or(0.0, |test| pace.of_split(test, 0));
    Ok(n_epochs as f64 * choosing + test)
}

/// How fast a trained matcher judges.
struct RankingPace {
    /// Seconds an image or caption that is encoded.
    item: f64,
    /// Seconds an image with a caption that are scored and ranked.
    pair: f64,
}

impl RankingPace {
    /// On some images with their captions.
    fn measure(trained: &Trained, data: &Dataset) -> Result<Self> {
        let part = first_images(data, N_RANKED);
        let start = Instant::now();
        let sides = trained.encode(&part, &mut ())?;
        let encoding = start.elapsed().as_secs_f64();
        let relevance = run_folder::relevance(&part);
        // Without the hash of the data, which is computed once and takes longer than this part.
        let protocol = Protocol::new(&*part.name, &*part.split, &relevance);
        let start = Instant::now();
        let scorer = trained.scorer_of(&sides)?;
        let relevant = Relevant::Lists(&relevance);
        measure(
            Source::Scores(scorer.as_ref()),
            relevant,
            &relevance,
            protocol,
            &mut (),
        )?;
        let scoring = start.elapsed().as_secs_f64();
        let (images, captions) = (part.n_images() as f64, part.n_captions() as f64);
        Ok(Self {
            item: encoding / (images + captions),
            pair: scoring / (images * captions),
        })
    }

    /// The seconds of ranking the first images of a split, 0 for all, with their captions.
    fn of_split(&self, split: &Dataset, at_most: usize) -> f64 {
        let (images, captions) = (split.n_images() as f64, split.n_captions() as f64);
        let share = match at_most {
            0 => 1.0,
            n => (n as f64 / images).min(1.0),
        };
        share * self.item * (images + captions) + share.powi(2) * self.pair * images * captions
    }

    /// The seconds of judging held-out training pairs against a sample of all, as an audit does.
    fn of_held_out(&self, train: &Dataset, training: &TrainingConfig) -> f64 {
        let (images, captions) = (train.n_images(), train.n_captions());
        let null = TrainingConfig::HELD_OUT_AGAINST;
        let against = (images.min(null) + captions.min(null)) as f64;
        let share = training.n_held_out(images) as f64 / images as f64;
        let judged = share * train.pairs.len() as f64;
        self.item * (images + captions) as f64 + self.pair * judged * against
    }
}

/// So many of the pairs that an epoch has a few steps, each with as many pairs as in the whole. They lie far apart, so
/// that a batch has as many images as one of the whole and not those of a few neighbors.
fn part_of(whole: &Dataset, config: &Config, n_batches: usize) -> Dataset {
    let (n, of) = (n_batches * config.training.batch, whole.pairs.len());
    let mut seen = HashSet::new();
    let keep: Vec<bool> = (whole.pairs.iter().enumerate())
        .map(
            |(at, pair)| match (config.training.sampling, &whole.labels) {
                // Two steps more than there are pairs of a class.
                (Sampling::OnePerClass, Some(labels)) => seen.insert(labels[pair.image as usize]),
                _ => is_among(n, of, at),
            },
        )
        .collect();
    whole.with_pairs_kept(&keep)
}

/// Whether `at` is one of `n` places that are spread evenly over the first `of` numbers.
fn is_among(n: usize, of: usize, at: usize) -> bool {
    n >= of || at * n / of != (at + 1) * n / of
}

/// The parts of a run between which groups of parameters are set free: how many epochs, and settings under which the
/// same parameters move from the first epoch on.
fn phases(config: &Config, n_epochs: usize) -> Vec<(usize, Config)> {
    let mut starts: Vec<usize> = config.groups.iter().map(|group| group.frozen).collect();
    starts.push(0);
    starts.retain(|start| *start < n_epochs);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([n_epochs]);
    let phase = |(start, end): (&usize, usize)| {
        let mut settings = config.clone();
        for group in &mut settings.groups {
            group.frozen = if group.frozen > *start { n_epochs } else { 0 };
        }
        (end - start, settings)
    };
    starts.iter().zip(ends).map(phase).collect()
}

/// The same settings for two epochs without a warm-up, where the strategy can do without one, that keep the last: of so
/// few pairs none can be held out.
fn shortened(config: &Config) -> Result<Config> {
    let short = ["training.epochs=2", "training.keep=last"].map(str::to_owned);
    let short = changed(config, &short)?;
    let at_once = changed(&short, &["strategy.warm_up=0".to_owned()]);
    Ok(at_once.unwrap_or(short))
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
        rows.extend(self.rows.iter().map(|row| row.cells().to_vec()));
        let mut out = render::table(&rows);
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                out += &format!("{}: cannot be measured: {failure}\n", row.method);
            }
        }
        let of_all = duration(self.seconds);
        let at_once = duration(self.seconds / self.jobs as f64);
        let time = match self.jobs {
            1 => format!("about {of_all} one after the other"),
            n => format!("about {of_all} of runs, at best {at_once} with {n} side by side"),
        };
        out += &format!(
            "{} to go, {time} on this machine.\nMeasured on {N_BATCHES} batches of each row with the threads that a run \
             has then, anew where parameters are set free, and extrapolated to all pairs; the closed form on three and on twelve, \
             along a line; audits and mixtures of losses grow otherwise. Memory is the peak while measuring, with the data as read.\n",
            render::count(self.runs, "run"),
        );
        out
    }
}

impl RowPlan {
    /// What was found, for those who wait for the table.
    fn line(&self) -> String {
        let [name, .., time, memory] = self.cells();
        match &self.failure {
            Some(failure) => format!("{name}: cannot be measured: {failure}"),
            None => format!("{name}: {time} a run, {memory}"),
        }
    }

    fn cells(&self) -> [String; 6] {
        let memory = self
            .peak_mib
            .map_or("–".to_owned(), |mib| format!("{mib} MiB"));
        let time = self.seconds.map_or("–".to_owned(), duration);
        [
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
    use truepair_train::Recipe;

    use super::*;
    use crate::report::specimen;

    #[test]
    fn every_phase_begins_where_parameters_are_set_free() {
        let home = tempfile::tempdir().unwrap();
        let data = specimen::with_pictures(home.path());
        let of = |groups: &str, n_epochs: usize| {
            let recipe = Recipe::from_toml(groups).unwrap();
            let phases = phases(&recipe.resolve(&data).unwrap(), n_epochs);
            let frozen = |settings: Config| settings.groups.iter().map(|g| g.frozen > 0).collect();
            let told = phases
                .into_iter()
                .map(|(n, settings)| (n, frozen(settings)));
            told.collect::<Vec<(usize, Vec<bool>)>>()
        };
        assert_eq!(of("", 60), [(60, vec![])]);
        let group = |name: &str, frozen: usize| {
            format!("[[groups]]\nparameters = \"{name}\"\nfrozen = {frozen}\n")
        };
        let both = [
            group("image", 10),
            group("image.out", 0),
            group("caption", 20),
        ]
        .concat();
        assert_eq!(
            of(&both, 60),
            [
                (10, vec![true, false, true]),
                (10, vec![false, false, true]),
                (40, vec![false, false, false]),
            ]
        );
        assert_eq!(of(&group("image", 60), 60), [(60, vec![true])]);
    }

    #[test]
    fn a_part_is_spread_over_the_whole() {
        let among = |n, of| {
            (0..of)
                .filter(|&at| is_among(n, of, at))
                .collect::<Vec<_>>()
        };
        assert_eq!(among(3, 15), [4, 9, 14]);
        assert_eq!(among(4, 6), [1, 2, 4, 5]);
        assert_eq!(among(9, 4), [0, 1, 2, 3]);
        assert_eq!(among(384, 145_000).len(), 384);
    }

    #[test]
    fn a_part_has_three_steps_of_whole_batches() {
        let home = tempfile::tempdir().unwrap();
        let mut data = specimen::with_pictures(home.path());
        let n_classes = 5;
        let labels = (0..data.n_images() as i64).map(|image| image % n_classes);
        data.labels = Some(labels.collect());
        let of = |training: &str| {
            let recipe = Recipe::from_toml(&format!("[training]\n{training}\n")).unwrap();
            let config = recipe.resolve(&data).unwrap();
            let part = part_of(&data, &config, N_BATCHES);
            (part.pairs.len(), config.training.steps(&part))
        };
        assert_eq!(of("batch = 4"), (12, 3));
        assert_eq!(of("batch = 4\nsampling = \"one-per-class\""), (5, 3));
    }

    #[test]
    fn what_does_not_grow_with_the_pairs_is_counted_once() {
        assert_eq!(on_line([(100.0, 7.0), (400.0, 10.0)], 1400.0), 20.0);
        // All pairs fit into both parts; times that fall are noise.
        assert_eq!(on_line([(60.0, 7.0), (60.0, 8.0)], 60.0), 8.0);
        assert_eq!(on_line([(100.0, 7.0), (400.0, 6.0)], 1400.0), 6.0);
    }

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
        let expected = "3 runs to go, about 3 min of runs, at best 90 s with 2 side by side";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("m: cannot be measured: diverged"), "{text}");
    }
}
