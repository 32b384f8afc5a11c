//! `truepair labels train`: networks into a joint space from labels of which some are wrong.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::labeled::{ClassRetrieval, LabeledSet};
use truepair_core::rng::Seed;
use truepair_train::labeled::{LabelConfig, LabelSelect, LabelTrained, train_labels};

use super::source::{LabelSource, LabelSourceArgs, PlantedLabels, describe};
use crate::command::output_args::OutputArgs;
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form, fields, percent_text};
use crate::session;
use crate::staged_folder::{SUMMARY, StagedFolder};

const COMMAND: &str = "labels train";

const EXAMPLES: &str = "\
Examples:
  truepair labels train wiki/ --out runs/mrl
      Train on split train with mrl, choose the epoch on held-out items with their labels as given,
      measure on split test.
  truepair labels train wiki/ --method cross-entropy --noise symmetric:0.6 --seed 1 --json
      Relabel 60 % of the training items of every modality first; test labels stay as they are.
  truepair labels train nuswide.h5py --config recipes/labels/mrl-published.toml --out runs/nus
      The published sizes and rates.";

/// Arguments of `truepair labels train`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LabelTrainArgs {
    #[command(flatten)]
    source: LabelSourceArgs,

    /// Method; `mrl` when neither this nor a configuration names one.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    config: ConfigArgs,
}

/// The JSON object that `--json` prints and the run directory keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabelTrainResult {
    command: &'static str,
    data: String,
    method: &'static str,
    items: usize,
    classes: usize,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<PlantedLabels>,
    /// What chose the epoch.
    selection: &'static str,
    /// The epoch that was kept, from 0 as in `metrics.jsonl`.
    best_epoch: usize,
    dev: Option<ClassRetrieval>,
    test: Option<ClassRetrieval>,
    seconds: f64,
}

impl Output for LabelTrainResult {
    const SCHEMA: &'static str = "truepair/labels-train/1";
}

pub(super) fn run(args: &LabelTrainArgs, form: Form) -> Result<Exit> {
    let start = Instant::now();
    // A method's settings need its name beside them, the default one's too.
    let named: Vec<(&str, &str)> = match (&args.method, args.config.kind("method")?) {
        (Some(method), _) => vec![("method", method.as_str())],
        (None, Some(_)) => Vec::new(),
        (None, None) => vec![("method", "mrl")],
    };
    let config: LabelConfig = args.config.load(&named)?;
    let stage = args.output.open(COMMAND)?;
    let mut bars = Bars::new();
    let source = args.source.open("train", &mut bars)?;
    let dev = source.data.split("dev");
    let mut session = session::labels(&mut bars);
    let seed = Seed(args.source.seed);
    let trained = train_labels(&source.set, dev, &config, seed, &mut session)?;
    let measure = |set: Option<&LabeledSet>| set.map(|set| trained.retrieval(set)).transpose();
    let result = LabelTrainResult {
        command: COMMAND,
        data: source.data.name.clone(),
        method: config.method.name(),
        items: source.set.len(),
        classes: source.set.n_classes,
        seed: args.source.seed,
        noise: source.planted(),
        selection: match config.training.select {
            LabelSelect::HeldOut => "held-out training items, labels as given",
            LabelSelect::Dev => "split dev, its own labels",
            LabelSelect::Last => "none: the last epoch",
        },
        best_epoch: trained.best_epoch(),
        dev: measure(dev)?,
        test: measure(source.data.split("test"))?,
        seconds: start.elapsed().as_secs_f64(),
    };
    if let Some(stage) = stage {
        write(stage, &source, &trained, &result)?;
    }
    form.print(&result, || text(&result, &source))?;
    Ok(Exit::Success)
}

fn write(
    stage: StagedFolder,
    source: &LabelSource,
    trained: &LabelTrained,
    result: &LabelTrainResult,
) -> Result<()> {
    trained.write(stage.folder())?;
    if let Some(manifest) = &source.manifest {
        stage.write_json("manifest.json", manifest)?;
    }
    stage.write_json(SUMMARY, result)?;
    stage.finish()?;
    Ok(())
}

fn text(result: &LabelTrainResult, source: &LabelSource) -> String {
    let mut rows = vec![
        ("data", describe(&source.data, &source.set)),
        ("method", result.method.to_owned()),
    ];
    if let Some(manifest) = &source.manifest {
        let rates: Vec<String> = (manifest.modalities.iter().zip(&manifest.realized))
            .map(|(name, rate)| format!("{name} {}", percent_text(*rate)))
            .collect();
        rows.push(("wrong labels", rates.join(", ")));
    }
    rows.push((
        "kept",
        format!("epoch {} by {}", result.best_epoch + 1, result.selection),
    ));
    for (split, found) in [("dev mAP", &result.dev), ("test mAP", &result.test)] {
        if let Some(found) = found {
            rows.push((split, render::class_map_text(found)));
        }
    }
    rows.push(("time", format!("{:.1} s", result.seconds)));
    fields(&rows)
}
