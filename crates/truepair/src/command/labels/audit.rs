//! `truepair labels audit`: a calibrated probability for every label that it is wrong.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::Error;
use truepair_core::audit::{NoiseRate, Truth};
use truepair_core::labeled::{LabelFindings, LabelJudgment, NoiseShape, lone_item};
use truepair_core::rng::Seed;
use truepair_train::labeled::{LabelCrossFitConfig, cross_fit_labels};

use super::source::{LabelSource, LabelSourceArgs, PlantedLabels, describe};
use crate::command::gate::GateArgs;
use crate::command::output_args::OutputArgs;
use crate::conclusion::Conclusion;
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form, count, fields, percent_text};
use crate::session;
use crate::staged_folder::{SUMMARY, StagedFolder};

const COMMAND: &str = "labels audit";

const EXAMPLES: &str = "\
Examples:
  truepair labels audit wiki/ --out label-audit/
      Train classifiers that never see the items they judge, and write a verdict for every label.
  truepair labels audit wiki/ --noise symmetric:0.4 --seed 1 --json
      Relabel 40 % of the items first, and measure the audit against that truth.
  truepair labels audit wiki/ --fail-above 0.05
      Exit with 1 when more than 5 % of the labels of a modality are certainly wrong (the
      interval's lower end; `--fail-on high` fails as soon as more than 5 % may be).";

/// Arguments of `truepair labels audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LabelAuditArgs {
    #[command(flatten)]
    source: LabelSourceArgs,

    /// Split to audit.
    #[arg(long, default_value = "train", value_name = "NAME")]
    split: String,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    gate: GateArgs,

    /// Number of folds; each is judged by classifiers trained on the others [default: 4].
    #[arg(long, value_name = "K")]
    folds: Option<usize>,

    #[command(flatten)]
    config: ConfigArgs,
}

/// The JSON object that `--json` prints and the output folder keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LabelAuditSummary {
    command: &'static str,
    data: String,
    split: String,
    items: usize,
    classes: usize,
    seed: u64,
    #[serde(flatten)]
    conclusion: Conclusion,
    shared: bool,
    agreement: f64,
    chance: f64,
    modalities: Vec<ModalitySummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<PlantedLabels>,
    notes: Vec<String>,
    outputs: Vec<PathBuf>,
    seconds: f64,
}

impl Output for LabelAuditSummary {
    const SCHEMA: &'static str = "truepair/labels-audit/1";
}

/// The confusion of the classes, in `confusion.json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Confusions {
    modalities: Vec<Confusion>,
}

impl Output for Confusions {
    const SCHEMA: &'static str = "truepair/confusion/1";
}

/// The confusion of the classes in one modality.
#[derive(Debug, Serialize, JsonSchema)]
struct Confusion {
    modality: String,
    /// `[k, k]`: a row per true class, the probability of each given class.
    given_of_true: Vec<Vec<f64>>,
}

/// What was found in one modality.
#[derive(Debug, Serialize, JsonSchema)]
struct ModalitySummary {
    name: String,
    noise_rate: NoiseRate,
    shape: NoiseShape,
    confident_rate: f64,
    anchor_rate: f64,
    /// Labels called wrong.
    wrong: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<Truth>,
}

pub(super) fn run(args: &LabelAuditArgs, form: Form) -> Result<Exit> {
    let start = Instant::now();
    let mut config: LabelCrossFitConfig = args.config.load(&[])?;
    config.folds = args.folds.unwrap_or(config.folds);
    let stage = args.output.open(COMMAND)?;
    let mut bars = Bars::new();
    let source = args.source.open(&args.split, &mut bars)?;
    check_classes(&source)?;
    let mut session = session::labels(&mut bars);
    let seed = Seed(args.source.seed);
    let mut findings = cross_fit_labels(&source.set, &config, seed, &mut session)?;
    if let Some(manifest) = &source.manifest {
        findings.measure(&manifest.wrong);
    }
    let mut summary = summary(args, &source, &findings);
    summary.seconds = start.elapsed().as_secs_f64();
    if let Some(stage) = stage {
        write(stage, &source, &config, &findings, &mut summary)?;
    }
    form.print(&summary, || text(&summary, &source))?;
    let rates = summary.modalities.iter().map(|found| found.noise_rate);
    let rates: Vec<NoiseRate> = rates.collect();
    let judged = (!summary.conclusion.is_refused()).then_some(&rates[..]);
    let exit = args.gate.exit(judged, " of a modality's labels");
    Ok(exit.unless_refused(&summary.conclusion))
}

/// Refuses a class of one item before anything is trained.
fn check_classes(source: &LabelSource) -> Result<()> {
    for modality in &source.set.modalities {
        if let Some((class, item)) = lone_item(&modality.labels, source.set.n_classes) {
            return Err(Error::argument(
                format!(
                    "class {} of {} has one item only, number {item} counted from 0",
                    source.data.class_name(class),
                    modality.name
                ),
                "leave that item out, merge its class with another, or add items of it",
            )
            .into());
        }
    }
    Ok(())
}

fn summary(
    args: &LabelAuditArgs,
    source: &LabelSource,
    findings: &LabelFindings,
) -> LabelAuditSummary {
    let modalities = findings.modalities.iter().enumerate();
    let modalities = modalities.map(|(at, found)| ModalitySummary {
        name: found.name.clone(),
        noise_rate: found.noise_rate,
        shape: found.shape,
        confident_rate: found.confident_rate,
        anchor_rate: found.anchor_rate,
        wrong: (found.verdicts.iter())
            .filter(|verdict| findings.judgment(verdict) == LabelJudgment::Wrong)
            .count(),
        truth: findings.truth.get(at).cloned(),
    });
    LabelAuditSummary {
        command: COMMAND,
        data: source.data.name.clone(),
        split: source.set.split.clone(),
        items: source.set.len(),
        classes: source.set.n_classes,
        seed: args.source.seed,
        conclusion: Conclusion::from(&findings.outcome),
        shared: findings.shared,
        agreement: findings.agreement,
        chance: findings.chance,
        modalities: modalities.collect(),
        noise: source.planted(),
        notes: findings.notes.clone(),
        outputs: Vec::new(),
        seconds: 0.0,
    }
}

/// `config.toml`, `verdicts.csv`, the confusion of the classes, the manifest of planted noise and the
/// summary.
fn write(
    stage: StagedFolder,
    source: &LabelSource,
    config: &LabelCrossFitConfig,
    findings: &LabelFindings,
    summary: &mut LabelAuditSummary,
) -> Result<()> {
    stage.write("config.toml", |file| {
        file.write_all(config.to_toml().as_bytes())
    })?;
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "item",
        "modality",
        "given",
        "p_wrong",
        "suggested",
        "p_suggested",
        "judgment",
    ])?;
    let name = |class: u32| source.data.class_name(class);
    for modality in &findings.modalities {
        for verdict in &modality.verdicts {
            table.write_record([
                verdict.item.to_string(),
                modality.name.clone(),
                name(verdict.given),
                format!("{:.6}", verdict.posterior),
                name(verdict.suggested),
                format!("{:.6}", verdict.support),
                findings.judgment(verdict).name().to_owned(),
            ])?;
        }
    }
    let bytes = table.into_inner().context("cannot write the verdicts")?;
    stage.write("verdicts.csv", |file| file.write_all(&bytes))?;
    let confusions = findings.modalities.iter().map(|found| {
        let rows = found.confusion.chunks(source.set.n_classes);
        Confusion {
            modality: found.name.clone(),
            given_of_true: rows.map(<[f64]>::to_vec).collect(),
        }
    });
    let confusions = Confusions {
        modalities: confusions.collect(),
    };
    stage.write_json("confusion.json", &confusions)?;
    if let Some(manifest) = &source.manifest {
        stage.write_json("manifest.json", manifest)?;
    }
    summary.outputs = stage.planned()?;
    summary.outputs.push(stage.place(SUMMARY));
    stage.write_json(SUMMARY, summary)?;
    stage.finish()?;
    Ok(())
}

fn text(summary: &LabelAuditSummary, source: &LabelSource) -> String {
    let mut rows = vec![("data", describe(&source.data, &source.set))];
    rows.extend(summary.conclusion.rows());
    let is_open = summary.conclusion.open_because.is_some();
    for found in &summary.modalities {
        let rate = found.noise_rate;
        let (interval, estimate) = (render::interval_text(rate), percent_text(rate.estimate));
        let share = if is_open {
            format!("{interval} wrong; {estimate} if classes look alike")
        } else {
            format!("{estimate} wrong ({interval})")
        };
        rows.push(("labels", labels_of(found, &share)));
    }
    rows.push(("time", format!("{:.1} s", summary.seconds)));
    let mut out = fields(&rows);
    for note in &summary.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    if summary.outputs.is_empty() {
        out.push_str("\nAdd --out DIR for a verdict on every label.\n");
    } else {
        out.push_str(&render::written_text(&summary.outputs));
    }
    out
}

/// One modality's labels; `share` says how many are wrong.
fn labels_of(found: &ModalitySummary, share: &str) -> String {
    let mut line = format!(
        "{}: {share}, {} called wrong; surest items say {}, confident counts {}",
        found.name,
        count(found.wrong, "label"),
        percent_text(found.anchor_rate),
        percent_text(found.confident_rate)
    );
    if let Some(truth) = &found.truth {
        line.push_str(&format!(
            "; planted {}, AUC {:.3}, ECE {:.3}",
            percent_text(truth.realized),
            truth.auc,
            truth.ece
        ));
    }
    line
}
