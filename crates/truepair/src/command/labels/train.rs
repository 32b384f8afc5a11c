//! `truepair labels train`: networks into a joint space from labels of which some are wrong.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::labeled::{ClassRetrieval, LabeledData, LabeledSet};
use truepair_core::noise::LabelManifest;
use truepair_core::rng::Seed;
use truepair_train::labeled::{LabelConfig, LabelSelect, LabelTrained, LabelWatch, train_labels};

use super::source::{LabelSource, LabelSourceArgs, PlantedLabels, describe};
use crate::command::output_args::OutputArgs;
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form, fields, percent_text};
use crate::session;
use crate::staged_folder::{SUMMARY, StagedFolder};

pub(super) const COMMAND: &str = "labels train";

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
    pub(super) test: Option<ClassRetrieval>,
    pub(super) seconds: f64,
}

impl Output for LabelTrainResult {
    const SCHEMA: &'static str = "truepair/labels-train/1";
}

pub(super) fn run(args: &LabelTrainArgs, form: Form) -> Result<Exit> {
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
    let run = LabelRun {
        data: &source.data,
        set: &source.set,
        manifest: source.manifest.as_ref(),
        config: &config,
        seed: Seed(args.source.seed),
    };
    let (trained, result) = run.train(&mut bars)?;
    if let Some(stage) = stage {
        run.write(stage, &trained, &result)?;
    }
    form.print(&result, || text(&result, &source))?;
    Ok(Exit::Success)
}

/// One training, however it was asked for.
pub(super) struct LabelRun<'a> {
    pub(super) data: &'a LabeledData,
    /// The training items, noise planted.
    pub(super) set: &'a LabeledSet,
    pub(super) manifest: Option<&'a LabelManifest>,
    pub(super) config: &'a LabelConfig,
    pub(super) seed: Seed,
}

impl LabelRun<'_> {
    /// Trains and measures.
    pub(super) fn train(
        &self,
        watch: &mut dyn LabelWatch,
    ) -> Result<(LabelTrained, LabelTrainResult)> {
        let start = Instant::now();
        let dev = self.data.split("dev");
        let mut session = session::labels(watch);
        let trained = train_labels(self.set, dev, self.config, self.seed, &mut session)?;
        let measure = |set: Option<&LabeledSet>| set.map(|set| trained.retrieval(set)).transpose();
        let result = LabelTrainResult {
            command: COMMAND,
            data: self.data.name.clone(),
            method: self.config.method.name(),
            items: self.set.len(),
            classes: self.set.n_classes,
            seed: self.seed.0,
            noise: self.manifest.map(PlantedLabels::of),
            selection: match self.config.training.select {
                LabelSelect::HeldOut => "held-out training items, labels as given",
                LabelSelect::Dev => "split dev, its own labels",
                LabelSelect::Last => "none: the last epoch",
            },
            best_epoch: trained.best_epoch(),
            dev: measure(dev)?,
            test: measure(self.data.split("test"))?,
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok((trained, result))
    }

    /// Fills the folder of a run.
    pub(super) fn write(
        &self,
        stage: StagedFolder,
        trained: &LabelTrained,
        result: &LabelTrainResult,
    ) -> Result<()> {
        trained.write(stage.folder())?;
        if let Some(manifest) = self.manifest {
            stage.write_json("manifest.json", manifest)?;
        }
        stage.write_json(SUMMARY, result)?;
        stage.finish()?;
        Ok(())
    }
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
