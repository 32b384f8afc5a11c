//! `truepair demo`: the whole tool on a built-in sample.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::Outcome;
use crate::render::Form;

const EXAMPLES: &str = "\
Examples:
  truepair demo
  truepair demo --out somewhere/ --json";

/// Arguments of `truepair demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Folder for the sample, the report and the verdicts; an earlier demo there is replaced.
    #[arg(long, value_name = "DIR", default_value = "truepair-demo")]
    out: PathBuf,
}

pub(crate) fn run(_args: &DemoArgs, _form: Form) -> Result<Outcome> {
    bail!("not yet")
}
