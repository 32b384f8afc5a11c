//! `truepair labels audit`: a calibrated probability for every label that it is wrong.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use truepair_core::Error;
use truepair_core::audit::{NoiseRate, Truth};
use truepair_core::labeled::{LabelFindings, LabelJudgment, LabelOutcome, NoiseShape, lone_item};
use truepair_core::rng::Seed;
use truepair_train::labeled::{LabelCrossFitConfig, LabelSession, cross_fit_labels};

use super::source::{LabelSource, LabelSourceArgs, PlantedLabels, describe};
use crate::command::gate::GateArgs;
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::progress::Bars;
use crate::render::{self, Form, count, fields, percent_text};
use crate::staged_folder::{Existing, SUMMARY, StagedFolder};
use crate::{accelerator, interrupt};

const COMMAND: &str = "labels audit";

const EXAMPLES: &str = "\
Examples:
  truepair labels audit data/ --out audit/
      Train classifiers that never see the items they judge, and write a verdict for every label.
  truepair labels audit wiki.npz --noise symmetric:0.4 --seed 1 --json
      Relabel 40 % of the items first, and measure the audit against that truth.
  truepair labels audit data/ --fail-above 0.05
      Exit with 1 when more than 5 % of the labels of a modality are certainly wrong (the
      interval's lower end; `--fail-on high` fails already where more than 5 % may be).";

/// Arguments of `truepair labels audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LabelAuditArgs {
    #[command(flatten)]
    source: LabelSourceArgs,

    /// Split to audit.
    #[arg(long, default_value = "train", value_name = "NAME")]
    split: String,

    /// Folder for the verdicts; nothing is written without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Replace the earlier audit in the output folder.
    #[arg(long, requires = "out")]
    force: bool,

    #[command(flatten)]
    gate: GateArgs,

    /// Parts of the data; each is judged by classifiers trained on the others [default: 4].
    #[arg(long, value_name = "K")]
    folds: Option<usize>,

    #[command(flatten)]
    config: ConfigArgs,
}

/// The JSON object that `--json` prints and the output folder keeps.
#[derive(Debug, Serialize)]
struct LabelAuditSummary {
    command: &'static str,
    data: String,
    split: String,
    items: usize,
    classes: usize,
    seed: u64,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_because: Option<String>,
    /// Why it cannot be told whether labels are wrong, and what would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_help: Option<String>,
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

#[derive(Debug, Serialize)]
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
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Refuse
    };
    let stage = (args.out.as_ref())
        .map(|out| StagedFolder::open(out, COMMAND, existing))
        .transpose()?;
    let mut bars = Bars::new();
    let source = args.source.open(&args.split, &mut bars)?;
    check_classes(&source)?;
    let mut session = LabelSession {
        accelerator: accelerator::chosen(),
        stop: interrupt::stop_flag(),
        watch: &mut bars,
    };
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
    Ok(gate(args.gate, &summary))
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
    let (mut refused_because, mut open_because, mut would_help) = (None, None, None);
    let verdict = match &findings.outcome {
        LabelOutcome::WrongLabels => "wrong-labels",
        LabelOutcome::NoEvidence => "no-evidence",
        LabelOutcome::CannotBeTold { reason, help } => {
            (open_because, would_help) = (Some(reason.clone()), Some(help.clone()));
            "cannot-be-told"
        }
        LabelOutcome::Refused { reason } => {
            refused_because = Some(reason.clone());
            "refused"
        }
    };
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
        verdict,
        refused_because,
        open_because,
        would_help,
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
    let confusions: Vec<_> = (findings.modalities.iter())
        .map(|found| {
            let rows: Vec<&[f64]> = found.confusion.chunks(source.set.n_classes).collect();
            serde_json::json!({ "modality": found.name, "given_of_true": rows })
        })
        .collect();
    stage.write_json("confusion.json", &confusions)?;
    if let Some(manifest) = &source.manifest {
        manifest.write(stage.folder().join("manifest.json"))?;
    }
    summary.outputs = stage.planned()?;
    summary.outputs.push(stage.place(SUMMARY));
    stage.write_json(SUMMARY, summary)?;
    stage.finish()?;
    Ok(())
}

/// Whether every modality passes; a refused audit passes no gate.
fn gate(args: GateArgs, summary: &LabelAuditSummary) -> Exit {
    let Some(limit) = args.fail_above else {
        return Exit::Success;
    };
    let worst = (summary.modalities.iter())
        .map(|found| args.fail_on.of(found.noise_rate))
        .fold(0.0, f64::max);
    if summary.refused_because.is_none() && worst <= limit {
        return Exit::Success;
    }
    render::note(&match &summary.refused_because {
        Some(_) => "gate not met: the audit gives no verdicts".to_owned(),
        None => format!(
            "gate not met: {} of a modality's labels is {}, above {}",
            args.fail_on.words(),
            percent_text(worst),
            percent_text(limit)
        ),
    });
    Exit::GateNotMet
}

fn text(summary: &LabelAuditSummary, source: &LabelSource) -> String {
    let verdict = if let Some(reason) = &summary.refused_because {
        format!("none: {reason}")
    } else if let Some(reason) = &summary.open_because {
        format!("cannot be told: {reason}")
    } else if summary.verdict == "no-evidence" {
        "no evidence of wrong labels".to_owned()
    } else {
        "wrong labels found".to_owned()
    };
    let mut rows = vec![
        ("data", describe(&source.data, &source.set)),
        ("verdict", verdict),
    ];
    if let Some(help) = &summary.would_help {
        rows.push(("what would help", help.clone()));
    }
    for found in &summary.modalities {
        let rate = found.noise_rate;
        let interval = format!(
            "95 % interval {} to {}",
            percent_text(rate.low),
            percent_text(rate.high)
        );
        let share = if summary.open_because.is_some() {
            format!(
                "{interval} wrong; {} if classes look alike",
                percent_text(rate.estimate)
            )
        } else {
            format!("{} wrong ({interval})", percent_text(rate.estimate))
        };
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
        rows.push(("labels", line));
    }
    rows.push(("time", format!("{:.1} s", summary.seconds)));
    let mut out = fields(&rows);
    for note in &summary.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    if summary.outputs.is_empty() {
        out.push_str("\nAdd --out DIR for a verdict on every label.\n");
    } else {
        out.push_str("\nwritten:\n");
        for file in &summary.outputs {
            out.push_str(&format!("  {}\n", file.display()));
        }
    }
    out
}
