//! `truepair labels`: items with class labels in several modalities, where labels are wrong.

mod audit;
mod compare;
mod output;
mod source;
mod summary;
mod train;

pub(crate) use compare::LabelComparison;
pub(crate) use output::Confusions;
pub(crate) use summary::LabelAuditSummary;
pub(crate) use train::LabelTrainResult;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::render::Form;

const EXAMPLES: &str = "\
Examples:
  truepair labels train wiki/ --method mrl --noise symmetric:0.4 --out runs/mrl-40
      Relabel 40 % of the training items at random, train, and measure class mAP on split test.
  truepair labels compare wiki/ --rows mrl-wiki --out table/
      MRL's table: its losses with and without, at the published noise, beside the published rows.
  truepair labels audit wiki/ --out label-audit/
      Which labels are wrong, with probabilities and the label each should have.";

/// Arguments of `truepair labels`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LabelsArgs {
    #[command(subcommand)]
    command: LabelsCommand,
}

#[derive(Debug, Subcommand)]
enum LabelsCommand {
    /// Train networks into a joint space, robustly or not, and measure retrieval by class.
    Train(Box<train::LabelTrainArgs>),
    /// Methods side by side over noise and seeds, by a row file; what is finished is kept.
    Compare(Box<compare::LabelCompareArgs>),
    /// Give every label a calibrated probability that it is wrong, and the likeliest class.
    Audit(Box<audit::LabelAuditArgs>),
}

pub(crate) fn run(args: &LabelsArgs, form: Form) -> Result<Exit> {
    match &args.command {
        LabelsCommand::Train(args) => train::run(args, form),
        LabelsCommand::Compare(args) => compare::run(args, form),
        LabelsCommand::Audit(args) => audit::run(args, form),
    }
}
