//! `truepair labels audit`: a calibrated probability for every label that it is wrong.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use truepair_core::Error;
use truepair_core::audit::NoiseRate;
use truepair_core::labeled::lone_item;
use truepair_core::rng::Seed;
use truepair_read::dataset::Unchanged;
use truepair_train::labeled::{LabelCrossFitConfig, cross_fit_labels};

use super::output::LabelOutput;
use super::source::{LabelSource, LabelSourceArgs, describe};
use super::summary::{LabelAuditSummary, ModalitySummary, kept};
use crate::command::gate::GateArgs;
use crate::command::output_args::OutputArgs;
use crate::config::ConfigArgs;
use crate::exit::Exit;
use crate::progress::Bars;
use crate::render::{self, Form, count, fields, percent_text};
use crate::session;

const COMMAND: &str = "labels audit";

const EXAMPLES: &str = "\
Examples:
  truepair labels audit wiki/ --out label-audit/
      Train classifiers that never see the items they judge; write a report, a verdict for every label and
      the items that stay, in the form of the data where that can be written.
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

    /// Copy the files that the cleaned list takes over unchanged, so that its folder stands alone;
    /// they are relative links otherwise.
    #[arg(long, requires = "out")]
    copy: bool,

    #[command(flatten)]
    gate: GateArgs,

    /// Number of folds; each is judged by classifiers trained on the others [default: 4].
    #[arg(long, value_name = "K")]
    folds: Option<usize>,

    #[command(flatten)]
    config: ConfigArgs,
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
    let keep = kept(&source, &findings);
    let about = (&source, args.source.seed);
    let mut summary = LabelAuditSummary::new(COMMAND, about, &findings, &keep);
    summary.seconds = start.elapsed().as_secs_f64();
    if let Some(stage) = stage {
        let written = LabelOutput {
            args: &args.source,
            source: &source,
            config: &config,
            findings: &findings,
            keep: &keep,
            unchanged: match args.copy || args.source.is_elsewhere() {
                true => Unchanged::Copied,
                false => Unchanged::Linked,
            },
        };
        written.write(stage, &mut summary)?;
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

fn text(summary: &LabelAuditSummary, source: &LabelSource) -> String {
    let mut rows = vec![("data", describe(&source.data, &source.set))];
    rows.extend(summary.conclusion.rows());
    let is_open = summary.conclusion.open_because.is_some();
    let n_told = if summary.shared {
        1
    } else {
        summary.modalities.len()
    };
    for found in summary.modalities.iter().take(n_told) {
        let rate = found.noise_rate;
        let (interval, estimate) = (render::interval_text(rate), percent_text(rate.estimate));
        let share = if is_open {
            format!("{interval} wrong; {estimate} if classes look alike")
        } else {
            format!("{estimate} wrong ({interval})")
        };
        let name = if summary.shared {
            "all modalities"
        } else {
            &found.name
        };
        rows.push(("labels", labels_of(found, name, &share)));
    }
    if !summary.conclusion.is_refused() {
        rows.push((
            "cleaned list",
            match summary.dropped {
                0 => "all items: no label is called wrong".to_owned(),
                dropped => format!(
                    "{} kept, {} with a label called wrong dropped",
                    count(summary.kept, "item"),
                    dropped
                ),
            },
        ));
    }
    rows.push(("time", format!("{:.1} s", summary.seconds)));
    let mut out = fields(&rows);
    for note in &summary.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    if summary.outputs.is_empty() {
        out.push_str(
            "\nAdd --out DIR for the report, a verdict on every label and the cleaned list.\n",
        );
    } else {
        out.push_str(&render::written_text(&summary.outputs));
    }
    out
}

/// One modality's labels; `share` says how many are wrong.
fn labels_of(found: &ModalitySummary, name: &str, share: &str) -> String {
    let mut line = format!(
        "{name}: {share}, {} called wrong; surest items say {}, confident counts {}",
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
