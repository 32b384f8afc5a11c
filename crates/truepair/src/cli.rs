//! What a user may type: the subcommands, the flags they share, and their worked examples.

use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory as _, Parser, Subcommand};
use truepair_model::Accelerator;

use crate::cache::CacheArgs;
use crate::command;
use crate::failure::{EXIT_CODE, Failure};
use crate::render::Form;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  truepair demo                                    see the whole tool work on the built-in sample
  truepair inspect data/                           what was found in a folder or file
  truepair audit data/ --out audit/                which pairs are mismatched, with probabilities
  truepair train data/ --strategy ncr --out run/   train a matcher that survives the noise
  truepair eval run/                               recalls on the test split
  truepair compare data/ --out grid/ --seeds 3     methods side by side, over seeds
  truepair index data/ --run run/ --out index/     an index of what the run sees
  truepair search index/ \"a dog on a beach\"       what matches, with probabilities
  truepair labels audit data.npz                   which class labels are wrong
  truepair recipes --write recipes/                the configurations that come with the program

Exit codes: 0 success, 1 a gate that was asked for is not met (--fail-above), 2 failure, 130 stopped
by a signal. With --json a failure is an object too: `truepair schema error-1`.";

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
    /// Turn pictures and captions into embeddings, with ONNX encoders or a run.
    Embed(Box<command::embed::EmbedArgs>),
    /// Make an index of images and captions that can be searched, or change one.
    Index(Box<command::index::IndexArgs>),
    /// Find the items of an index that are nearest to words, a picture or an item.
    Search(Box<command::search::SearchArgs>),
    /// Serve an index: an HTTP API and a search page.
    Serve(Box<command::serve::ServeArgs>),
    /// Give any list of pairs scores and probabilities that they are mismatched.
    Score(Box<command::score::ScoreArgs>),
    /// Train on, or audit, items with class labels in several modalities.
    Labels(command::labels::LabelsArgs),
    /// Turn a published PyTorch checkpoint into a run directory.
    Convert(command::convert::ConvertArgs),
    /// Measure training and evaluation steps of stated sizes on this machine.
    Bench(command::bench::BenchArgs),
    /// List, print or write the configurations that come inside the program.
    Recipes(command::recipes::RecipesArgs),
    /// List, print or write the JSON Schemas of what --json prints and of the files for scripts.
    Schema(command::schema::SchemaArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(command::shell::CompletionsArgs),
    /// Write manual pages.
    Man(command::shell::ManArgs),
}

impl Cli {
    /// How results are printed.
    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

/// The arguments as a description of themselves.
pub(crate) fn description() -> clap::Command {
    Cli::command()
}

/// Reads the arguments.
///
/// # Errors
/// With the exit code, after help or a usage error was printed.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // Without a terminal or a pipe there is nobody to tell.
        let _ = error.print();
        if !error.use_stderr() {
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        Failure::of(line, &[text.trim().to_owned()], EXIT_CODE).print(asked_for());
        ExitCode::from(EXIT_CODE)
    })
}

/// The form of results that arguments which cannot be read ask for.
fn asked_for() -> Form {
    let mut given = std::env::args_os().take_while(|word| word != "--");
    if given.any(|word| word == "--json") {
        Form::Json
    } else {
        Form::Text
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// The words of a line; what stands between quotation marks is one.
    fn words(line: &str) -> Vec<String> {
        let (mut all, mut word, mut open) = (Vec::new(), String::new(), None);
        for letter in line
            .split(" < ")
            .next()
            .unwrap_or_default()
            .chars()
            .chain([' '])
        {
            match (open, letter) {
                (None, '"' | '\'') => open = Some(letter),
                (Some(mark), letter) if letter == mark => open = None,
                (None, letter) if letter.is_whitespace() => {
                    all.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                }
                (_, letter) => word.push(letter),
            }
        }
        all
    }

    #[test]
    fn every_example_can_be_read() {
        let mut n = 0;
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default().replace("\\\n", " ");
            for line in help
                .lines()
                .filter_map(|line| line.strip_prefix("  truepair "))
            {
                // Beside a short example stands a remark, apart by several spaces.
                // A `>` between quotation marks is a condition, not a file.
                let (before, _) = line.split_once(" > ").unwrap_or((line, ""));
                let line = if before.contains(['"', '\'']) {
                    line
                } else {
                    before
                }
                .trim();
                let line = match line.split_once("   ") {
                    Some((command, remark)) if !remark.trim().starts_with("--") => command,
                    _ => line,
                };
                let words = ["truepair".to_owned()].into_iter().chain(words(line));
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("truepair {line}: {error}");
                }
                n += 1;
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(n > 40, "{n}");
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
