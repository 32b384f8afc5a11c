//! `truepair train`: a matcher trained on noisy pairs, in a run directory that can resume.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use truepair_core::noise::NoiseSpec;

use super::Outcome;
use crate::cli::ReadArgs;
use crate::config::ConfigArgs;
use crate::render::Form;

const EXAMPLES: &str = "\
Examples:
  truepair train data/ --strategy ncr --out runs/ncr
      Train on split train, choose the epoch on split dev, measure on split test.
  truepair train data/ --strategy rcl --noise caption:0.4 --seed 1 --out runs/rcl-40
      Shuffle 40 % of the training captions first; dev and test stay clean.
  truepair train data/ --config configs/ncr.toml --set training.epochs=5 --out runs/short
      Start from a file and change one value.
  truepair train --resume --out runs/ncr
      Go on where Ctrl-C or a crash stopped.";

/// Arguments of `truepair train`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    /// Folder or file with the pairs.
    data: PathBuf,

    /// Run directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Method; `plain` when neither this nor a configuration names one.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,

    /// How a pair's embeddings are scored; `cosine` by default.
    #[arg(long, value_name = "NAME")]
    similarity: Option<String>,

    /// Plant noise in the training pairs: `caption:SHARE`, `image:SHARE` or a published noise file.
    #[arg(long, value_name = "NOISE", default_value = "none")]
    noise: NoiseSpec,

    /// Where all randomness comes from.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Go on with the run in --out.
    #[arg(long)]
    resume: bool,

    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(_args: &TrainArgs, _form: Form) -> Result<Outcome> {
    bail!("not yet")
}
