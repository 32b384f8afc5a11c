//! `truepair train`: a matcher trained on noisy pairs, in a run directory that can resume.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use truepair_core::dataset::{Dataset, FORMATS, ReadOptions};
use truepair_core::metric::{Protocol, Report};
use truepair_core::noise::NoiseSpec;
use truepair_core::rng::Seed;
use truepair_train::{Recipe, Session, Trained, train};

use super::Outcome;
use crate::audit::{PlantedNoise, plant};
use crate::cli::ReadArgs;
use crate::config::ConfigArgs;
use crate::progress::{Bars, now};
use crate::render::{self, Form, Retrieval};
use crate::run_folder::{self, Environment, Job};
use crate::{accelerator, data, interrupt};

const EXAMPLES: &str = "\
Examples:
  truepair train data/ --strategy ncr --out runs/ncr
      Train on split train, choose the epoch on split dev, measure on split test.
  truepair train data/ --strategy rcl --noise caption:0.4 --seed 1 --out runs/rcl-40
      Shuffle 40 % of the training captions first; dev and test stay clean.
  truepair train data/ --config configs/ncr_embeddings.toml --set training.epochs=5 --out runs/short
      Start from a file and change one value.
  truepair train --resume runs/ncr
      Go on where Ctrl-C or a crash stopped.";

/// Splits that choose the epoch, by the names that data sets give them.
const DEV_SPLITS: &[&str] = &["dev", "val", "valid", "validation"];

/// Arguments of `truepair train`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Folder or file with the pairs.
    #[arg(required_unless_present = "resume")]
    data: Option<PathBuf>,

    /// Run directory.
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    out: Option<PathBuf>,

    /// Method; `plain` when neither this nor a configuration names one.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,

    /// How a pair's embeddings are scored; `cosine` by default.
    #[arg(long, value_name = "NAME")]
    similarity: Option<String>,

    /// Plant noise in the training pairs: `caption:SHARE`, `image:SHARE` or a published noise file.
    #[arg(long, value_name = "NOISE", default_value = "none")]
    noise: NoiseSpec,

    /// Where all randomness comes from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Go on with a run: the folder alone, or the command as it was first typed with `--resume`.
    #[arg(long, value_name = "RUN")]
    resume: Option<Option<PathBuf>>,

    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    read: ReadArgs,
}

/// The JSON object that `truepair train --json` prints and the run keeps as `result.json`.
#[derive(Debug, Serialize)]
struct TrainResult {
    command: &'static str,
    unit: &'static str,
    strategy: &'static str,
    similarity: &'static str,
    pairs: usize,
    seed: Seed,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<PlantedNoise>,
    best_epoch: usize,
    test: Option<Retrieval>,
    dev: Option<Retrieval>,
    protocol: Option<Protocol>,
    out: PathBuf,
    seconds: f64,
}

/// What to train, and where.
struct Plan {
    job: Job,
    recipe: Recipe,
    out: PathBuf,
    resume: bool,
}

/// The splits of one data set.
struct Splits {
    train: Dataset,
    dev: Option<Dataset>,
    test: Option<Dataset>,
}

pub(crate) fn run(args: &TrainArgs, form: Form) -> Result<Outcome> {
    let start = Instant::now();
    let plan = plan(args)?;
    let mut bars = Bars::new();
    let splits = read(&plan.job, &mut bars)?;
    render::note(&data::describe(&splits.train));
    let (dataset, manifest) = plant(splits.train, &plan.job.noise, plan.job.seed)?;
    let config = plan.recipe.resolve(&dataset)?;

    let folder = RunFolder::open(&plan)?;
    run_folder::store(&plan.out, "environment.json", &Environment::of(&dataset)?)?;
    if let Some(manifest) = &manifest {
        run_folder::store_manifest(&plan.out, manifest)?;
    }
    let matched: Option<Vec<bool>> = (manifest.as_ref())
        .map(|manifest| manifest.mismatched.iter().map(|wrong| !wrong).collect());
    let mut session = Session {
        dir: Some(&plan.out),
        matched: matched.as_deref(),
        resume: plan.resume && plan.out.join("checkpoint.bin").exists(),
        accelerator: accelerator::chosen(),
        stop: interrupt::stop_flag(),
        watch: &mut bars,
        now,
    };
    let trained = train(
        &dataset,
        splits.dev.as_ref(),
        &config,
        plan.job.seed,
        &mut session,
    )?;
    folder.keep();

    let noise = manifest.as_ref().map(run_folder::noise_of);
    let mut measure = |split: &Option<Dataset>| -> Result<Option<Report>> {
        let Some(split) = split else { return Ok(None) };
        run_folder::measure(&trained, split, noise.clone(), 1, &mut bars).map(Some)
    };
    let (dev, test) = (measure(&splits.dev)?, measure(&splits.test)?);
    let result = TrainResult {
        command: "train",
        unit: "percent",
        strategy: trained.config.strategy.name(),
        similarity: trained.config.matcher.similarity.name(),
        pairs: dataset.pairs.len(),
        seed: plan.job.seed,
        noise: manifest.as_ref().map(PlantedNoise::of),
        best_epoch: trained.best_epoch,
        test: test.as_ref().map(Retrieval::of),
        dev: dev.as_ref().map(Retrieval::of),
        protocol: test.as_ref().map(|report| report.protocol.clone()),
        out: plan.out.clone(),
        seconds: start.elapsed().as_secs_f64(),
    };
    let text = text(&trained, test.as_ref(), &plan.out);
    run_folder::store(&plan.out, "result.json", &result)?;
    truepair_core::durable::write(plan.out.join("report.md"), report(&text).as_bytes())?;
    form.print(&result, || text)?;
    Ok(Outcome::Success)
}

/// Settles what to train: from the arguments, from an earlier run, or from both when they agree.
fn plan(args: &TrainArgs) -> Result<Plan> {
    let resumed = args.resume.as_ref().map(Option::as_deref);
    // `--resume DATA --out RUN` reads like `--resume RUN`; --out tells them apart.
    let (data, out) = match (&args.data, &args.out, resumed) {
        (data, Some(out), Some(Some(first))) => (data.as_deref().or(Some(first)), out.as_path()),
        (data, None, Some(Some(run))) => (data.as_deref(), run),
        (data, Some(out), _) => (data.as_deref(), out.as_path()),
        (_, None, _) => bail!("name the run to resume: `truepair train --resume RUN`"),
    };
    let resume = resumed.is_some();
    let Some(data) = data else {
        let job = Job::load(out)?;
        let recipe = truepair_train::recipe(out)?;
        return Ok(Plan {
            job,
            recipe,
            out: out.to_path_buf(),
            resume,
        });
    };
    let job = Job {
        data: std::path::absolute(data).with_context(|| data.display().to_string())?,
        read: args.read.options(&ReadOptions::default().split),
        noise: args.noise.clone(),
        seed: Seed(args.seed),
    };
    if resume {
        Job::load(out)?.check_same(&job, out)?;
    }
    Ok(Plan {
        job,
        recipe: recipe(args)?,
        out: out.to_path_buf(),
        resume,
    })
}

fn recipe(args: &TrainArgs) -> Result<Recipe> {
    let kinds = [
        ("strategy", &args.strategy),
        ("matcher.similarity", &args.similarity),
    ];
    let named: Vec<(&str, &str)> = kinds
        .iter()
        .filter_map(|(name, kind)| Some((*name, kind.as_deref()?)))
        .collect();
    args.config.load(&named)
}

fn read(job: &Job, bars: &mut Bars) -> Result<Splits> {
    let train = data::open(&job.data, &job.read, bars)?;
    let names = match FORMATS.iter().find(|format| format.name() == train.format) {
        Some(format) => format.splits(&job.data, &job.read)?,
        None => Vec::new(),
    };
    let mut open = |wanted: &[&str]| -> Result<Option<Dataset>> {
        let Some(split) = wanted
            .iter()
            .find(|name| names.iter().any(|known| known == *name))
        else {
            return Ok(None);
        };
        let options = ReadOptions {
            split: (*split).to_owned(),
            ..job.read.clone()
        };
        data::open(&job.data, &options, bars).map(Some)
    };
    let (dev, test) = (open(DEV_SPLITS)?, open(&["test"])?);
    if dev.is_none() {
        render::note("there is no dev split: the epoch is chosen on held-out training pairs");
    }
    if test.is_none() {
        render::note("there is no test split: nothing is measured after training");
    }
    Ok(Splits { train, dev, test })
}

/// A run directory that disappears again when training cannot even start.
struct RunFolder<'a> {
    path: &'a Path,
    created: bool,
}

impl<'a> RunFolder<'a> {
    fn open(plan: &'a Plan) -> Result<Self> {
        let path = plan.out.as_path();
        let place = path.display();
        let created = !path.exists();
        if created {
            std::fs::create_dir(path).with_context(|| {
                format!(
                    "{place}: cannot create the run directory (its parent must be an existing, \
                     writable folder)"
                )
            })?;
        }
        let mut entries = std::fs::read_dir(path)
            .with_context(|| format!("{place}: is no folder for a run (choose another --out)"))?;
        if !plan.resume && entries.next().is_some() {
            bail!(
                "{place}: is not empty (add --resume to go on with the run in it, or choose another \
                 --out)"
            )
        }
        let folder = Self { path, created };
        plan.job.store(path)?;
        Ok(folder)
    }

    /// Training got as far as it could; whatever lies there is wanted.
    fn keep(mut self) {
        self.created = false;
    }
}

impl Drop for RunFolder<'_> {
    fn drop(&mut self) {
        if self.created && !self.path.join("checkpoint.bin").exists() {
            // The error that ends the command is the one to report.
            let _ = std::fs::remove_dir_all(self.path);
        }
    }
}

fn text(trained: &Trained, test: Option<&Report>, out: &Path) -> String {
    let config = &trained.config;
    let mut rows = vec![
        ("strategy", config.strategy.name().to_owned()),
        ("similarity", config.matcher.similarity.name().to_owned()),
        (
            "kept",
            format!(
                "epoch {} of {}",
                trained.best_epoch + 1,
                trained.history.len()
            ),
        ),
        ("run", out.display().to_string()),
    ];
    if test.is_none() {
        rows.push(("test", "no test split".to_owned()));
    }
    let measured = test.map(|report| format!("\ntest split\n{}", render::report_text(report)));
    format!("{}{}", render::fields(&rows), measured.unwrap_or_default())
}

fn report(text: &str) -> String {
    format!("# Run\n\n```text\n{text}```\n")
}
