//! The subcommands, one file each, and what a finished one tells the shell.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod eval;
mod gate;
pub(crate) mod inspect;
pub(crate) mod labels;
pub(crate) mod train;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::accelerator;
use crate::cli::{Cli, Command};
use crate::interrupt;
use crate::render::Form;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All done.
    Success,
    /// The work is done, and a gate that the user asked for is not met.
    GateNotMet,
    /// Some of the work failed; the result says what.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => ExitCode::SUCCESS,
            Outcome::GateNotMet => ExitCode::from(1),
            Outcome::Failed => ExitCode::from(2),
        }
    }
}

/// Runs the command that the user typed.
pub(crate) fn run(cli: &Cli) -> Result<Outcome> {
    interrupt::install()?;
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .context("cannot start the threads")?;
    }
    accelerator::choose(cli.device)?;
    let form = if cli.json { Form::Json } else { Form::Text };
    match &cli.command {
        Command::Demo(args) => demo::run(args, form),
        Command::Inspect(args) => inspect::run(args, form),
        Command::Audit(args) => audit::run(args, form),
        Command::Train(args) => train::run(args, form),
        Command::Compare(args) => compare::run(args, form),
        Command::Eval(args) => eval::run(args, form),
        Command::Embed(args) => embed::run(args, form),
        Command::Labels(args) => labels::run(args, form),
        Command::Bench(args) => bench::run(args, form),
        Command::Convert(args) => convert::run(args, form),
    }
}
