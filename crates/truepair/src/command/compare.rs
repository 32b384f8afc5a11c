//! `truepair compare`: methods side by side on one data set, over noise, similarities and seeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use truepair_core::metric::{METRICS, Metric};
use truepair_core::noise::NoiseSpec;
use truepair_model::Accelerator;
use truepair_model::similarity::SimilarityConfig;
use truepair_read::dataset::ReadOptions;

use crate::compare::{
    self, CellTask, Grid, Method, MethodComparison, Published, RUNS, Rows, Seeds, asked_noises,
    chosen, claim, table_names,
};
use crate::config::ConfigArgs;
use crate::encoded::{Encoders, LoadedEncoders};
use crate::exit::Exit;
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::render::{self, Form};
use crate::run_folder::RunJob;
use crate::several::one_path;
use crate::shell::word;
use crate::training::{RunPlan, Splits};
use crate::{accelerator, data, remote};

const EXAMPLES: &str = "\
Examples:
  truepair compare data/ --out grid --strategies plain,rcl --noise caption:0.2,caption:0.4 --seeds 2
      Two strategies at two noise rates, two seeds each; one run directory per cell. Without
      --strategies all of them.
  truepair compare data/ --out grid --strategies plain,rcl --noise caption:0.2,caption:0.4 --seeds 2
      The same command continues after Ctrl-C; once all is done it only writes the tables.
  truepair compare data/ --out grid --strategies plain --similarity cosine,order --seeds 0,7
      Two similarities, two seeds of your choice.
  truepair compare data/ --out grid-own --config base.toml --recipes recipes/embeddings/ \\
      --strategies plain --seeds 1
      A shared configuration, and settings of single strategies in recipes/embeddings/NAME.toml
      (`truepair recipes --write recipes/` makes them).
  truepair compare f30k/ --out pub --strategies plain --seeds 1 --noise image:0.4 --published f30k
      Published rows at that rate below the measured ones, each protocol in its own table.
  truepair compare f30k/ --out report --rows report-f30k --dry-run
  truepair compare f30k/ --out report --rows report-f30k
      A whole table, whose rows have configurations of their own: first what it would cost, then the
      table. A file of your own says which rows stand in it.";

const COMMAND: &str = "compare";

/// Arguments of `truepair compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// Folder or file with the pairs, or its s3://, gs://, az:// or http(s):// address; several tar archives
    /// are one data set. It needs a test split.
    #[arg(required = true)]
    data: Vec<PathBuf>,

    /// Folder for the run directories and the tables; what is finished there is kept.
    #[arg(long, value_name = "DIR", value_parser = remote::output())]
    out: PathBuf,

    /// What stands in the table, row by row, each with its configurations: a TOML file, or the name of
    /// one of the program's own (`truepair recipes` lists them under tables/).
    #[arg(
        long,
        value_name = "FILE|NAME",
        conflicts_with_all = ["strategies", "similarity", "recipes", "strategy_config", "config"]
    )]
    rows: Option<PathBuf>,

    /// Measure a few steps of every row on a part of the data, print what the whole would cost in time and
    /// memory, and do nothing else.
    #[arg(long)]
    dry_run: bool,

    /// Noise to plant in the training pairs, one table each: `none`, `caption:SHARE`,
    /// `image:SHARE` or a published noise file. `none` by default, or what the row file says.
    #[arg(long, value_name = "NOISE", value_delimiter = ',')]
    noise: Vec<NoiseSpec>,

    /// Methods, or `all`; `clean-only` and `clean-rematched` are oracles.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "all"
    )]
    strategies: Vec<String>,

    /// How a pair's embeddings are scored, or `all`; that of the configuration by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    similarity: Option<Vec<String>>,

    /// Number of seeds, counted from 0, or a list such as `0,7`; 3 by default, or what the row file says.
    #[arg(long, value_name = "N")]
    seeds: Option<Seeds>,

    /// Folder with settings of single strategies, `NAME.toml`, on top of --config; every
    /// `NAME.VARIANT.toml` makes another row.
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,

    /// Leave out the baselines that every table begins with: frozen embeddings where both sides share
    /// a space, and the closed form on all pairs, on those its audit keeps, and with captions
    /// rematched.
    #[arg(long)]
    no_baselines: bool,

    /// Settings of one strategy, on top of --config; may be given several times.
    #[arg(long, value_name = "NAME=FILE")]
    strategy_config: Vec<String>,

    /// Published results to show below the measured ones: `f30k`, `coco1k`, `coco5k`, `cc152k`; `cub` and
    /// `eccv` of Gaussian embeddings; `wiki`, `inria`, `nuswide` and `xmedianet` under wrong class labels.
    /// That of the row file by default.
    #[arg(long, value_name = "TABLE")]
    published: Option<String>,

    /// Metrics that the tables show besides recalls and rSum, such as `map@r`; table.csv and --json hold all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,

    /// Runs side by side, each on its share of the threads; as many as threads by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,

    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    read: ReadArgs,
}

impl CompareArgs {
    /// The command with its data and how it is read, as it was typed.
    fn typed(&self) -> String {
        let reading = [self.read.words(), self.encoders.words()].concat();
        let data = self.data.iter().map(|data| word(data));
        let words = data.chain(reading.into_iter().flatten());
        let words = words.collect::<Vec<_>>().join(" ");
        format!("truepair compare {words} --out {}", word(&self.out))
    }
}

pub(crate) fn run(args: &CompareArgs, form: Form) -> Result<Exit> {
    let mut bars = Bars::new();
    let typed = one_path(&args.data)?.context("name the data to compare methods on")?;
    let data = remote::full(&typed)?;
    let rows = (args.rows.as_deref()).map(|rows| Rows::read(rows, &args.config));
    let rows = rows.transpose()?;
    let mut grid = grid(args, rows.as_ref())?;
    let tables = published_tables(args, &grid)?;
    let metrics = match &rows {
        Some(rows) if args.metrics.is_empty() => &rows.file.metrics,
        _ => &args.metrics,
    };
    let shown = shown(metrics)?;
    let read = args.read.options(&ReadOptions::default().split);
    let encoders = LoadedEncoders::load(&args.encoders)?;
    let splits = Splits::read(&data, &read, &encoders, &mut bars)
        .map_err(|error| (args.encoders).advise(error, &args.typed(), (&data, &read), &mut bars))?;
    drop(bars);
    if splits.test.is_none() {
        bail!(
            "{}: has no test split, so there is nothing to compare methods on (give data with one{})",
            typed.display(),
            (rows.as_ref().and_then(|rows| rows.file.layout.as_deref()))
                .map_or(String::new(), |layout| format!("; the rows want: {layout}"))
        )
    }
    if !args.no_baselines {
        let methods = std::mem::take(&mut grid.methods);
        grid.methods = compare::baselines(&splits.train)?;
        grid.methods.extend(methods);
        grid.check()?;
    }
    let tasks = tasks(args, &grid, &data, &read, &splits)?;
    splits.tell_what_chooses(tasks.iter().filter_map(|task| task.config.as_ref()))?;
    if args.dry_run {
        let plan = compare::plan(&grid, &tasks, &splits, jobs(args))?;
        form.print(&plan, || plan.text())?;
        return Ok(Exit::Success);
    }
    let _claim = claim(&args.out, COMMAND)?;
    render::note(&data::describe(&splits.train));
    let n_done = tasks.iter().filter(|task| task.is_finished()).count();
    render::note(&format!(
        "{n_done} of {} runs are finished; {} to go, {} side by side (Ctrl-C stops, and the same command \
         goes on)",
        tasks.len(),
        tasks.len() - n_done,
        jobs(args)
    ));
    let published = Published::under(&grid.noises, &splits.train, &tables)?;
    let failures = compare::finish(&tasks, &splits, jobs(args))?;
    let mut comparison =
        MethodComparison::read(&grid, &tasks, &failures, published, args.out.clone())?;
    comparison.shown = shown;
    comparison.title = rows.map(|rows| rows.file.title);
    compare::write(&args.out, &comparison)?;
    form.print(&comparison, || compare::terminal(&comparison))?;
    if failures.is_empty() {
        Ok(Exit::Success)
    } else {
        Ok(Exit::Failed)
    }
}

fn grid(args: &CompareArgs, rows: Option<&Rows>) -> Result<Grid> {
    let file = rows.map(|rows| &rows.file);
    let noises = asked_noises(&args.noise, file)?;
    let seeds = Seeds::asked(args.seeds.as_ref(), file)?;
    let (similarities, methods) = match rows {
        Some(rows) => (Vec::new(), rows.methods.clone()),
        None => (similarities(args)?, strategies(args)?),
    };
    let grid = Grid {
        noises,
        similarities,
        methods,
        seeds,
        published: file.and_then(|file| file.published.clone()),
    };
    grid.check()?;
    Ok(grid)
}

fn strategies(args: &CompareArgs) -> Result<Vec<Method>> {
    compare::strategies(
        &args.strategies,
        args.recipes.as_deref(),
        &args.strategy_config,
    )
}

/// How pairs are scored: what was asked for, or what the configuration says.
fn similarities(args: &CompareArgs) -> Result<Vec<&'static str>> {
    let similarities: Vec<&str> = (SimilarityConfig::all().iter()).map(|row| row.0).collect();
    let wanted = match &args.similarity {
        Some(wanted) => wanted.clone(),
        None => {
            let configured = args.config.kind("matcher.similarity")?;
            vec![configured.unwrap_or_else(|| "cosine".to_owned())]
        }
    };
    chosen("--similarity", &wanted, &similarities)
}

/// The tables of published results that were asked for, or that the row file names.
fn published_tables(args: &CompareArgs, grid: &Grid) -> Result<Vec<&'static str>> {
    match args.published.as_ref().or(grid.published.as_ref()) {
        Some(table) => chosen("--published", std::slice::from_ref(table), &table_names()?),
        None => Ok(Vec::new()),
    }
}

/// The metrics of pairs with these names.
fn shown(names: &[String]) -> Result<Vec<&'static dyn Metric>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let for_pairs = || METRICS.iter().copied().filter(|metric| metric.applies(1));
    let known: Vec<&str> = for_pairs().map(Metric::name).collect();
    let wanted = chosen("--metrics", names, &known)?;
    Ok(for_pairs()
        .filter(|metric| wanted.contains(&metric.name()))
        .collect())
}

fn tasks(
    args: &CompareArgs,
    grid: &Grid,
    data: &Path,
    read: &ReadOptions,
    splits: &Splits,
) -> Result<Vec<CellTask>> {
    let mut tasks = Vec::new();
    for cell in grid.cells() {
        let method = &grid.methods[cell.method];
        let recipe = method.recipe(cell.similarity, &args.config)?;
        let config = match &recipe {
            Some(recipe) => Some(recipe.resolve(&splits.train)?),
            None => None,
        };
        let out = args.out.join(RUNS).join(cell.folder());
        let parts = grid.parts(&cell).into_iter();
        let parts = parts.map(|folder| args.out.join(RUNS).join(folder));
        let parts = parts.collect();
        let task = CellTask {
            plan: RunPlan {
                job: RunJob {
                    data: data.to_path_buf(),
                    read: read.clone(),
                    encoders: args.encoders.full()?,
                    noise: cell.noise.clone(),
                    seed: cell.seed,
                    oracle: method.oracle,
                },
                recipe: recipe.unwrap_or_default(),
                resume: true,
                out,
            },
            cell,
            config,
            parts,
        };
        task.check()?;
        tasks.push(task);
    }
    Ok(tasks)
}

fn jobs(args: &CompareArgs) -> usize {
    match (args.jobs, accelerator::chosen()) {
        (Some(jobs), _) => jobs.into(),
        (None, Accelerator::Cpu) => rayon::current_num_threads(),
        (None, Accelerator::Gpu(_)) => 1,
    }
}
