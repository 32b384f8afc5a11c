//! `truepair demo`: the whole tool on a built-in sample.
//!
//! Part of the sample's training captions is shuffled, so the truth is known. The demo compares the
//! audit with it, and measures what a closed form learns from the noisy pairs, and what it and a
//! network learn from the pairs that the audit keeps.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::audit::Rule;
use truepair_core::dataset::Dataset;
use truepair_core::noise::{Manifest, NoiseSpec};
use truepair_core::rng::Seed;
use truepair_core::source_file;
use truepair_read::dataset::{ReadOptions, Unchanged, WriteOptions};
use truepair_train::{CrossFitConfig, Recipe, train};

use crate::audit::{self, AuditSummary, Judge, Request, TypedSource};
use crate::exit::Exit;
use crate::folder_lock::FolderLock;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form, RetrievalRecord};
use crate::staged_folder::{Existing, SUMMARY, StagedFolder};
use crate::{command, data, folder, interrupt, remote, run_folder, sample, session};

const EXAMPLES: &str = "\
Examples:
  truepair demo
  truepair demo --out somewhere/ --json";

/// Share of the training captions that is shuffled.
const NOISE: f64 = 0.3;

const PLAIN: &str = include_str!("../../demo/plain.toml");
const LINEAR: &str = include_str!("../../demo/linear.toml");

/// Arguments of `truepair demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Folder for the sample, the report and the verdicts; an earlier demo there is replaced.
    #[arg(long, value_name = "DIR", default_value = "truepair-demo", value_parser = remote::output())]
    out: PathBuf,
}

/// The JSON object that `truepair demo --json` prints: the audit's, and the table.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DemoResult {
    #[serde(flatten)]
    audit: AuditSummary,
    table: Vec<DemoRow>,
    total_seconds: f64,
}

impl Output for DemoResult {
    const SCHEMA: &'static str = "truepair/demo/1";
}

/// One matcher, measured on the clean test split.
#[derive(Debug, Serialize, JsonSchema)]
struct DemoRow {
    strategy: &'static str,
    #[serde(flatten)]
    test: RetrievalRecord,
    seconds: f64,
}

pub(crate) fn run(args: &DemoArgs, form: Form) -> Result<Exit> {
    let start = Instant::now();
    // The sample lies beside what is staged, so the folder is there first.
    folder::create(&args.out, "output folder")?;
    // The cleaned list links to the pictures of the sample, so the sample lies at its final place
    // from the start.
    let home = args.out.join("sample");
    remove_rest(&args.out, &home)?;
    let is_new = !args.out.join(SUMMARY).exists();
    let stage = StagedFolder::open(&args.out, "demo", Existing::Replace)?;
    if is_new {
        interrupt::remove_on_interrupt(&home);
    }
    sample::unpack(&home)?;
    let mut bars = Bars::new();
    let mut open = |split: &str| {
        let options = ReadOptions {
            split: split.to_owned(),
            ..ReadOptions::default()
        };
        data::open(&home, &options, &mut bars)
    };
    let (clean, dev, test) = (open("train")?, open("dev")?, open("test")?);
    let request = request(&home);
    render::note(&format!(
        "auditing {} with {} of the captions shuffled",
        data::describe(&clean),
        render::percent_text(NOISE)
    ));
    let audited = audit::audit(clean, &request, &mut bars)?;
    let mut summary = AuditSummary::new("demo", &audited, &request);
    let manifest = audited
        .manifest
        .as_ref()
        .context("the demo always plants noise")?;
    let cleaned = audited.dataset.with_pairs_kept(&audited.decision.keep);
    let trained_on = [
        (LINEAR, "linear", &audited.dataset),
        (LINEAR, "linear, cleaned list", &cleaned),
        (PLAIN, "plain, cleaned list", &cleaned),
    ];
    let mut table = Vec::new();
    for (recipe, name, pairs) in trained_on {
        render::note(&format!("training: {name}"));
        let recipe = Recipe::from_toml(recipe).context("the demo's recipe is broken")?;
        let splits = DemoSplits {
            train: pairs,
            dev: &dev,
            test: &test,
        };
        table.push(row(name, &recipe, &splits, manifest, &mut bars)?);
    }
    interrupt::forget(&home);
    audit::write(stage, &audited, &request, &mut summary)?;
    let total_seconds = start.elapsed().as_secs_f64();
    let result = DemoResult {
        audit: summary,
        table,
        total_seconds,
    };
    run_folder::publish(&args.out, SUMMARY, &result)?;
    form.print(&result, || {
        let audit = command::audit::text(&result.audit, &audited);
        format!("{audit}\n{}", text(&result))
    })?;
    Ok(Exit::Success)
}

/// Removes the sample of a demo that was stopped, where nothing else lies in the folder.
fn remove_rest(out: &Path, home: &Path) -> Result<()> {
    let _lock = FolderLock::inside(out)?;
    let is_rest = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
        name == "sample" || name.to_string_lossy().starts_with(".truepair")
    };
    let sources = source_file::read_text(&home.join("SOURCES.txt"), source_file::SETTINGS);
    let is_ours = sources.is_ok_and(|text| text.starts_with("The emoji sample of truepair"));
    if is_ours && std::fs::read_dir(out).is_ok_and(|mut entries| entries.all(is_rest)) {
        let _ = std::fs::remove_dir_all(home);
    }
    Ok(())
}

fn request(home: &Path) -> Request {
    Request {
        source: TypedSource {
            data: home.to_path_buf(),
            ..TypedSource::default()
        },
        judge: Judge::CrossFitted,
        noise: NoiseSpec::Rate {
            model: "caption".to_owned(),
            rate: NOISE,
        },
        inject: Vec::new(),
        rule: Rule::FewestErrors,
        write: WriteOptions::default(),
        unchanged: Unchanged::Linked,
        config: CrossFitConfig::default(),
        seed: Seed(0),
        kept: None,
    }
}

/// What a matcher of the table learns from, is chosen on and is measured on.
struct DemoSplits<'a> {
    train: &'a Dataset,
    dev: &'a Dataset,
    test: &'a Dataset,
}

fn row(
    name: &'static str,
    recipe: &Recipe,
    splits: &DemoSplits<'_>,
    manifest: &Manifest,
    bars: &mut Bars,
) -> Result<DemoRow> {
    let start = Instant::now();
    let config = recipe.resolve(splits.train)?;
    let mut session = session::training(bars);
    let trained = train(
        splits.train,
        Some(splits.dev),
        &config,
        Seed(0),
        &mut session,
    )?;
    let noise = Some(run_folder::noise_of(manifest));
    let report = run_folder::measure(&trained, splits.test, noise, 1, bars)?;
    Ok(DemoRow {
        strategy: name,
        test: RetrievalRecord::of(&report),
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn text(result: &DemoResult) -> String {
    let header = [&["clean test split"][..], &RetrievalRecord::COLUMNS].concat();
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for row in &result.table {
        let mut cells = vec![row.strategy.to_owned()];
        cells.extend(row.test.cells());
        rows.push(cells);
    }
    let mut out = render::table(&rows);
    let _ = writeln!(out, "\nall of this took {:.1} s", result.total_seconds);
    if let Some(report) = result
        .audit
        .outputs
        .iter()
        .find(|file| file.ends_with("report.html"))
    {
        let _ = writeln!(out, "Now open {} in a browser.", report.display());
    }
    out
}
