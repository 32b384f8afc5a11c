//! From what the user typed to the command that does it.

use anyhow::{Context, Result};

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::{accelerator, cache, cli, command, interrupt};

/// Runs the command that the user typed.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    interrupt::install()?;
    if let Some(threads) = cli.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .context("cannot start the threads")?;
    }
    accelerator::choose(cli.device)?;
    cache::choose(&cli.cache);
    let form = cli.form();
    match &cli.command {
        Command::Demo(args) => command::demo::run(args, form),
        Command::Inspect(args) => command::inspect::run(args, form),
        Command::Audit(args) => command::audit::run(args, form),
        Command::Train(args) => command::train::run(args, form),
        Command::Compare(args) => command::compare::run(args, form),
        Command::Eval(args) => command::eval::run(args, form),
        Command::Embed(args) => command::embed::run(args, form),
        Command::Index(args) => command::index::run(args, form),
        Command::Search(args) => command::search::run(args, form),
        Command::Serve(args) => command::serve::run(args, form),
        Command::Score(args) => command::score::run(args, form),
        Command::Labels(args) => command::labels::run(args, form),
        Command::Bench(args) => command::bench::run(args, form),
        Command::Convert(args) => command::convert::run(args, form),
        Command::Recipes(args) => command::recipes::run(args, form),
        Command::Schema(args) => command::schema::run(args, form),
        Command::Completions(args) => command::shell::completions(args, cli::description(), form),
        Command::Man(args) => command::shell::man(args, cli::description(), form),
    }
}
