//! What a user may type: the subcommands, the flags they share, and their worked examples.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use truepair_model::Accelerator;

use crate::cache::CacheArgs;
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

    #[command(flatten)]
    pub(crate) cache: CacheArgs,
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
    /// Train and measure a grid of methods, noise and seeds, and compare them side by side.
    Compare(Box<command::compare::CompareArgs>),
    /// Measure retrieval of a run, a score matrix, embeddings or ranked lists.
    Eval(Box<command::eval::EvalArgs>),
    /// Turn pictures and captions into embeddings with ONNX encoders.
    Embed(Box<command::embed::EmbedArgs>),
    /// Train on, or audit, items with class labels in several modalities.
    Labels(command::labels::LabelsArgs),
    /// Turn a published PyTorch checkpoint into a run directory.
    Convert(command::convert::ConvertArgs),
    /// Measure training and evaluation steps of stated sizes on this machine.
    Bench(command::bench::BenchArgs),
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
