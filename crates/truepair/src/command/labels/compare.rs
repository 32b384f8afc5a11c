//! `truepair labels compare`: methods on labeled data side by side, by a row file.
//!
//! A cell is one run, made as `truepair labels train` makes it; its folder is whole or absent, so one that is there is
//! never run again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::durable;
use truepair_core::labeled::{ClassRetrieval, LabeledData};
use truepair_core::noise::LabelNoiseSpec;
use truepair_core::rng::Seed;
use truepair_core::source_file;
use truepair_train::labeled::LabelConfig;
use truepair_train::run::file::CONFIG;

use super::source::{LabelDataArgs, planted};
use super::train::{COMMAND as TRAIN, LabelRun};
use crate::compare::{
    ComparableNoise, PublishedRow, RUNS, Seeds, Spread, asked_noises, beside, claim,
};
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::{Bars, duration};
use crate::render::{self, Form, in_markdown, percent};
use crate::row_file::{Row, RowFile, folder_of};
use crate::run_folder;
use crate::staged_folder::{Existing, SUMMARY, StagedFolder};
use crate::{interrupt, remote};

const COMMAND: &str = "labels compare";

const EXAMPLES: &str = "\
Examples:
  truepair labels compare wiki/ --rows mrl-wiki --out table/
      A table of the program's own (`truepair recipes` lists them under tables/). The same command goes on
      after Ctrl-C.
  truepair labels compare wiki/ --rows rows.toml --noise symmetric:0.4 --seeds 5 --out table/
      Rows of your own, one noise, five seeds.
  truepair labels compare wiki/ --rows mrl-wiki --out table/ --dry-run
      How long it would take.";

/// Arguments of `truepair labels compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LabelCompareArgs {
    #[command(flatten)]
    data: LabelDataArgs,

    /// What stands in the table, row by row, each with its configuration: a TOML file, or the name of one
    /// of the program's own.
    #[arg(long, value_name = "FILE|NAME")]
    rows: PathBuf,

    /// Folder for the runs and the tables; what is finished there is kept.
    #[arg(long, value_name = "DIR", value_parser = remote::output())]
    out: PathBuf,

    /// Noise to plant, one table each, as for `truepair labels train`; that of the row file by default.
    #[arg(long, value_name = "NOISE", value_delimiter = ',')]
    noise: Vec<LabelNoiseSpec>,

    /// Number of seeds, counted from 0, or a list such as `0,7`; that of the row file by default.
    #[arg(long, value_name = "N")]
    seeds: Option<Seeds>,

    /// Train two epochs of every row, print what the whole would cost, and do nothing else.
    #[arg(long)]
    dry_run: bool,

    /// Change one value of every row's configuration, as for `truepair labels train`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// The JSON object that `--json` prints and the output folder keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabelComparison {
    command: &'static str,
    title: String,
    data: String,
    seeds: Vec<Seed>,
    /// One per planted noise.
    blocks: Vec<LabelBlock>,
    /// Seconds that the runs which are to go would take, by a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_to_go: Option<f64>,
}

impl Output for LabelComparison {
    const SCHEMA: &'static str = "truepair/labels-compare/1";
}

/// The rows under one noise.
#[derive(Debug, Serialize, JsonSchema)]
struct LabelBlock {
    #[schemars(with = "String")]
    noise: LabelNoiseSpec,
    rows: Vec<LabelRow>,
}

/// One method under one noise; mAP as fractions.
#[derive(Debug, Serialize, JsonSchema)]
struct LabelRow {
    label: String,
    /// Finished runs.
    runs: usize,
    /// One for each direction.
    directions: Vec<DirectionSpread>,
    /// Of the mean over directions; `null` without a finished run.
    mean: Option<Spread>,
    seconds: f64,
    /// Runs that did not come to their end, with the reason.
    failed: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<PublishedRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DirectionSpread {
    query: String,
    gallery: String,
    map: Spread,
}

/// What a table reads of a finished run.
#[derive(Debug, Deserialize)]
struct Finished {
    test: Option<ClassRetrieval>,
    seconds: f64,
}

/// One run of the table.
struct Cell<'a> {
    row: &'a Row,
    noise: &'a LabelNoiseSpec,
    seed: Seed,
    config: &'a LabelConfig,
    out: PathBuf,
}

pub(super) fn run(args: &LabelCompareArgs, form: Form) -> Result<Exit> {
    let file = RowFile::read(&args.rows)?;
    let configs = configs(&file, &args.set)?;
    let noises = asked_noises(&args.noise, Some(&file))?;
    let seeds = Seeds::asked(args.seeds.as_ref(), Some(&file))?;
    let mut bars = Bars::new();
    let (_, _, data) = args.data.open(&mut bars)?;
    if data.split("test").is_none() {
        bail!(
            "{}: has no test split, so there is nothing to compare methods on (give data with one)",
            data.name
        )
    }
    let cells = cells(args, &file, &configs, (&noises, &seeds))?;
    let mut comparison = LabelComparison {
        command: COMMAND,
        title: file.title.clone(),
        data: data.name.clone(),
        seeds: seeds.clone(),
        blocks: Vec::new(),
        seconds_to_go: None,
    };
    let mut failed = Vec::new();
    let mut claimed = None;
    if args.dry_run {
        comparison.seconds_to_go = Some(seconds_to_go(&cells, &data)?);
    } else {
        claimed = Some(claim(&args.out, COMMAND)?);
        failed = finish(&cells, &data, &mut bars)?;
    }
    comparison.blocks = (noises.iter())
        .map(|noise| LabelBlock::read(&file, noise, &cells, &failed))
        .collect::<Result<_>>()?;
    drop(bars);
    if claimed.is_some() {
        run_folder::publish(&args.out, "compare.json", &comparison)?;
        durable::write(args.out.join("table.md"), comparison.markdown().as_bytes())?;
    }
    form.print(&comparison, || comparison.text())?;
    Ok(if failed.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// The settings of every row.
fn configs(file: &RowFile, sets: &[String]) -> Result<Vec<LabelConfig>> {
    let shared = ConfigArgs {
        config: None,
        set: sets.to_vec(),
    };
    if !file.metrics.is_empty() {
        bail!(
            "{}: asks for metrics, and runs on labels are measured by mAP alone (leave `metrics` out)",
            file.name
        )
    }
    let of_row = |row: &Row| -> Result<LabelConfig> {
        if row.oracle.is_some() {
            bail!("names an oracle, and there is none for labels (leave `oracle` out)")
        }
        let [config] = row.configs.as_slice() else {
            bail!("names several configurations, and runs on labels are not averaged (name one)")
        };
        let config: LabelConfig = shared.load_layers(&file.layers(row, config)?)?;
        config.check()?;
        Ok(config)
    };
    let rows = file.rows.iter();
    rows.map(|row| of_row(row).with_context(|| format!("{}: row `{}`", file.name, row.label)))
        .collect()
}

/// Every run, one seed of everything before the next seed.
fn cells<'a>(
    args: &LabelCompareArgs,
    file: &'a RowFile,
    configs: &'a [LabelConfig],
    (noises, seeds): (&'a [LabelNoiseSpec], &[Seed]),
) -> Result<Vec<Cell<'a>>> {
    let mut cells = Vec::new();
    for &seed in seeds {
        for noise in noises {
            for (row, config) in file.rows.iter().zip(configs) {
                let own: Option<Vec<LabelNoiseSpec>> = row.noises()?;
                if own.is_some_and(|own| !own.contains(noise)) {
                    continue;
                }
                let folder = folder_of(&noise.to_string().replace(['/', '\\'], "_"));
                let place = args.out.join(RUNS).join(folder);
                let place = place.join(folder_of(&row.label));
                let cell = Cell {
                    row,
                    noise,
                    seed,
                    config,
                    out: place.join(format!("seed_{}", seed.0)),
                };
                cell.check()?;
                cells.push(cell);
            }
        }
    }
    Ok(cells)
}

impl Cell<'_> {
    fn is_finished(&self) -> bool {
        self.out.join(SUMMARY).exists()
    }

    fn name(&self) -> String {
        format!("{} {} seed {}", self.noise, self.row.label, self.seed.0)
    }

    /// # Errors
    /// If the run was made with other settings.
    fn check(&self) -> Result<()> {
        if !self.is_finished() {
            return Ok(());
        }
        let known = source_file::read_text(&self.out.join(CONFIG), source_file::SETTINGS)?;
        if known != self.config.to_toml() {
            bail!(
                "{}: was run with other settings (choose another --out, or remove it)",
                self.out.display()
            )
        }
        Ok(())
    }

    fn run(&self, data: &LabeledData, bars: &mut Bars) -> Result<f64> {
        let (set, manifest) = planted(data, "train", self.noise, self.seed)?;
        let stage = StagedFolder::open(&self.out, TRAIN, Existing::Refuse)?;
        let run = LabelRun {
            data,
            set: &set,
            manifest: manifest.as_ref(),
            config: self.config,
            seed: self.seed,
        };
        let (trained, result) = run.train(bars)?;
        run.write(stage, &trained, &result)?;
        Ok(result.test.map_or(f64::NAN, |test| test.mean))
    }
}

/// Runs what is not finished; returns what failed, with the reason.
fn finish(
    cells: &[Cell<'_>],
    data: &LabeledData,
    bars: &mut Bars,
) -> Result<Vec<(PathBuf, String)>> {
    let open: Vec<&Cell<'_>> = cells.iter().filter(|cell| !cell.is_finished()).collect();
    render::note(&format!(
        "{} of {} runs are finished; {} to go (Ctrl-C stops, and the same command goes on)",
        cells.len() - open.len(),
        cells.len(),
        open.len()
    ));
    let mut failed = Vec::new();
    for (at, cell) in open.iter().enumerate() {
        let outcome = match cell.run(data, bars) {
            Ok(map) => format!("mAP {:.1}", percent(map)),
            Err(error) if interrupt::was_asked_to_stop() => {
                return Err(error.context("stopped (run the same command again to continue)"));
            }
            Err(error) => {
                let reason = format!("{error:#}");
                failed.push((cell.out.clone(), reason.clone()));
                format!("failed: {reason}")
            }
        };
        let line = format!("[{} of {}] {}: {outcome}", at + 1, open.len(), cell.name());
        render::note(&line);
    }
    Ok(failed)
}

/// What the open runs would take, by two epochs of each row.
fn seconds_to_go(cells: &[Cell<'_>], data: &LabeledData) -> Result<f64> {
    let mut paces: Vec<(&str, f64)> = Vec::new();
    let mut seconds = 0.0;
    for cell in cells.iter().filter(|cell| !cell.is_finished()) {
        let label = cell.row.label.as_str();
        let known = paces.iter().find(|(known, _)| *known == label);
        let pace = match known {
            Some((_, pace)) => *pace,
            None => {
                render::note(&format!("measuring {label}"));
                let pace = seconds_of_run(cell, data)?;
                paces.push((label, pace));
                pace
            }
        };
        seconds += pace;
    }
    Ok(seconds)
}

fn seconds_of_run(cell: &Cell<'_>, data: &LabeledData) -> Result<f64> {
    const N_EPOCHS: usize = 2;
    let (set, manifest) = planted(data, "train", cell.noise, cell.seed)?;
    let mut config = cell.config.clone();
    config.training.epochs = N_EPOCHS;
    let run = LabelRun {
        data,
        set: &set,
        manifest: manifest.as_ref(),
        config: &config,
        seed: cell.seed,
    };
    let start = Instant::now();
    run.train(&mut ())?;
    Ok(start.elapsed().as_secs_f64() * cell.config.training.epochs as f64 / N_EPOCHS as f64)
}

impl LabelBlock {
    fn read(
        file: &RowFile,
        noise: &LabelNoiseSpec,
        cells: &[Cell<'_>],
        failed: &[(PathBuf, String)],
    ) -> Result<Self> {
        let mut rows = Vec::new();
        for row in &file.rows {
            let of_row = |cell: &&Cell<'_>| cell.noise == noise && cell.row.label == row.label;
            let own: Vec<&Cell<'_>> = cells.iter().filter(of_row).collect();
            if own.is_empty() {
                continue;
            }
            let finished = own.iter().filter(|cell| cell.is_finished());
            let finished = finished
                .map(|cell| {
                    let summary = cell.out.join(SUMMARY);
                    run_folder::load(&summary, "remove the run, and it is made again")
                })
                .collect::<Result<Vec<Finished>>>()?;
            let is_own = |place: &Path| own.iter().any(|cell| cell.out == place);
            let failed = failed.iter().filter(|(place, _)| is_own(place));
            let failed = failed.map(|(_, reason)| reason.clone()).collect();
            rows.push(LabelRow::of(
                row,
                &finished,
                failed,
                published(file, row, noise)?,
            ));
        }
        Ok(Self {
            noise: noise.clone(),
            rows,
        })
    }
}

/// The published result beside a row, under the same rate of wrong labels.
fn published(file: &RowFile, row: &Row, noise: &LabelNoiseSpec) -> Result<Option<PublishedRow>> {
    let (Some(table), Some(name)) = (&file.published, &row.published) else {
        return Ok(None);
    };
    let (protocol, rate) = match noise {
        LabelNoiseSpec::None => ("none", Some(0.0)),
        LabelNoiseSpec::Rate { rate, .. } => ("label", Some(*rate)),
        LabelNoiseSpec::File(_) => ("label", None),
    };
    let planted = ComparableNoise {
        protocol: protocol.to_owned(),
        rate,
    };
    beside(table, &planted, name).with_context(|| format!("row `{}`", row.label))
}

impl LabelRow {
    fn of(
        row: &Row,
        finished: &[Finished],
        failed: Vec<String>,
        published: Option<PublishedRow>,
    ) -> Self {
        let tests: Vec<&ClassRetrieval> = finished
            .iter()
            .filter_map(|run| run.test.as_ref())
            .collect();
        let spread = |value: &dyn Fn(&ClassRetrieval) -> f64| {
            let values: Vec<f64> = tests.iter().map(|test| value(test)).collect();
            Spread::of(&values)
        };
        let directions = tests.first().map_or(&[][..], |test| &test.directions);
        let directions = directions.iter().enumerate();
        let directions = directions.map(|(at, direction)| DirectionSpread {
            query: direction.query.clone(),
            gallery: direction.gallery.clone(),
            map: spread(&|test| test.directions[at].map),
        });
        let n = finished.len().max(1) as f64;
        Self {
            label: row.label.clone(),
            runs: finished.len(),
            directions: directions.collect(),
            mean: (!tests.is_empty()).then(|| spread(&|test| test.mean)),
            seconds: finished.iter().fold(0.0, |sum, run| sum + run.seconds) / n,
            failed,
            published,
        }
    }

    fn cells(&self) -> Vec<String> {
        let shown = |spread: &Spread| {
            let mean = percent(spread.mean);
            match spread.sd {
                Some(sd) => format!("{mean:.1} ± {:.1}", percent(sd)),
                None => format!("{mean:.1}"),
            }
        };
        let absent = || "–".to_owned();
        let directions = self.directions.iter().map(|direction| {
            let map = shown(&direction.map);
            format!("{} to {} {map}", direction.query, direction.gallery)
        });
        let directions: Vec<String> = directions.collect();
        vec![
            self.label.clone(),
            self.runs.to_string(),
            self.mean.as_ref().map_or_else(absent, shown),
            directions.join(", "),
            match self.runs {
                0 => absent(),
                _ => duration(self.seconds),
            },
            (self.published.as_ref()).map_or_else(absent, PublishedRow::in_short),
        ]
    }
}

const COLUMNS: [&str; 6] = [
    "row",
    "runs",
    "test mAP",
    "directions",
    "a run",
    "published",
];

impl LabelComparison {
    fn text(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
            rows.extend(block.rows.iter().map(LabelRow::cells));
            let _ = writeln!(out, "{}\n{}", block.noise, render::table(&rows));
        }
        for (label, reason) in self.failures() {
            let _ = writeln!(out, "failed: {label}: {reason}");
        }
        if let Some(seconds) = self.seconds_to_go {
            let _ = writeln!(
                out,
                "The runs to go would take about {}.",
                duration(seconds)
            );
        }
        out
    }

    fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.blocks.iter().flat_map(|block| &block.rows);
        rows.flat_map(|row| {
            row.failed
                .iter()
                .map(|reason| (row.label.as_str(), reason.as_str()))
        })
    }

    fn markdown(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(|seed| seed.0.to_string()).collect();
        let mut out = format!(
            "# {}, on {}\n\nMean average precision over the whole ranking on split test, in percent; mean ± \
             sample standard deviation over seeds {}.\n",
            in_markdown(&self.title),
            in_markdown(&self.data),
            seeds.join(", ")
        );
        for block in &self.blocks {
            let _ = write!(
                out,
                "\n## {}\n\n| {} |\n|{}\n",
                in_markdown(&block.noise.to_string()),
                COLUMNS.join(" | "),
                "---|".repeat(COLUMNS.len())
            );
            for row in &block.rows {
                let cells: Vec<String> = row.cells().iter().map(|cell| in_markdown(cell)).collect();
                let _ = writeln!(out, "| {} |", cells.join(" | "));
            }
        }
        for (label, reason) in self.failures() {
            let failed = format!("{label}: {reason}");
            let _ = writeln!(out, "\n- failed: {}", in_markdown(&failed));
        }
        out
    }
}
