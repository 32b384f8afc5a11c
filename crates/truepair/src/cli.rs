//! What a user may type: the subcommands, the flags they share, and their worked examples.

use std::path::PathBuf;

use truepair_read::dataset::OnEmpty;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use truepair_train::Accelerator;

use crate::command;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  truepair demo                                  see the whole tool work on the built-in sample
  truepair inspect data/                         what was found in a folder or file
  truepair audit data/ --out audit/              which pairs are mismatched, with probabilities
  truepair train data/ --strategy ncr --out run/ train a matcher that survives the noise
  truepair eval run/                             recalls on the test split
  truepair compare data/ --out grid/ --seeds 3   methods side by side, over seeds
  truepair labels audit data.npz                 which class labels are wrong

Exit codes: 0 success, 1 a gate that was asked for is not met (--fail-above), 2 failure.";

/// Find mismatched image-text pairs, train matchers that survive them, evaluate retrieval.
#[derive(Debug, Parser)]
#[command(name = "truepair", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print one JSON object on stdout instead of text.
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,

    /// Where to compute: `cpu`, `gpu` or `gpu:1`.
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "cpu",
        help_heading = "Everywhere"
    )]
    pub(crate) device: Accelerator,

    /// Threads to use; all cores by default.
    #[arg(long, global = true, value_name = "N", help_heading = "Everywhere",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Audit the built-in sample with a third of its captions shuffled, and train on it.
    Demo(command::demo::DemoArgs),
    /// Say what a folder or file of pairs holds, and what is wrong with it.
    Inspect(command::inspect::InspectArgs),
    /// Give every pair a calibrated probability that it is mismatched.
    Audit(Box<command::audit::AuditArgs>),
    /// Train a matcher on noisy pairs.
    Train(Box<command::train::TrainArgs>),
    /// Train and measure a grid of methods, noise and seeds, and set them side by side.
    Compare(Box<command::compare::CompareArgs>),
    /// Measure retrieval of a run, a score matrix, embeddings or ranked lists.
    Eval(Box<command::eval::EvalArgs>),
    /// Turn pictures and captions into embeddings with ONNX encoders.
    Embed(Box<command::embed::EmbedArgs>),
    /// Train on, or audit, items with class labels in several modalities.
    Labels(command::labels::LabelsArgs),
    /// Make a run directory of a published PyTorch checkpoint.
    Convert(command::convert::ConvertArgs),
    /// Measure training and evaluation steps of stated sizes on this machine.
    Bench(command::bench::BenchArgs),
}

/// How to read the data; shared by every command that takes DATA.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Format of DATA; recognized from its content by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<String>,

    /// Caption embeddings to use, or `none` to read the captions' text alone.
    #[arg(long, value_name = "NAME|none")]
    pub(crate) caption_features: Option<String>,

    /// Image features of a table or caption list, in row order or keyed by id (.npy, .npz,
    /// .safetensors).
    #[arg(long, value_name = "FILE")]
    pub(crate) features: Option<PathBuf>,

    /// Which image row belongs to which caption row; row by row by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) pairs: Option<PathBuf>,

    /// Column of a table that names the image.
    #[arg(long, value_name = "NAME")]
    pub(crate) image_column: Option<String>,

    /// Columns of a table that hold captions, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) caption_columns: Option<Vec<String>>,

    /// Column of a table that holds an id per record.
    #[arg(long, value_name = "NAME")]
    pub(crate) id_column: Option<String>,

    /// Folder of the pictures that a table or caption list names; beside the list by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,

    /// Read pictures as squares of this many pixels, for a network that reads pixels.
    #[arg(long, value_name = "SIDE", value_parser = clap::value_parser!(u16).range(8..=1024))]
    pub(crate) pixels: Option<u16>,

    /// What to do with empty captions.
    #[arg(long, value_name = "WHAT", default_value = "error")]
    pub(crate) on_empty: EmptyCaptions,
}

/// What to do with empty captions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EmptyCaptions {
    /// Stop and name the first one
    Error,
    /// Leave the caption and its pair out
    Drop,
    /// Read them as they are
    Keep,
}

impl From<EmptyCaptions> for OnEmpty {
    fn from(choice: EmptyCaptions) -> Self {
        match choice {
            EmptyCaptions::Error => OnEmpty::Error,
            EmptyCaptions::Drop => OnEmpty::Drop,
            EmptyCaptions::Keep => OnEmpty::Keep,
        }
    }
}

/// Reads the arguments; prints help or a usage error and ends the program where that is asked for.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples() {
        for subcommand in Cli::command().get_subcommands() {
            let help = subcommand
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains(&format!("truepair {}", subcommand.get_name())),
                "{help}"
            );
        }
    }
}
