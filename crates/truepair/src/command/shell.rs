//! `truepair completions` and `truepair man`: what shells and `man` know of the arguments.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::Shell;

use crate::contents::Contents;
use crate::exit::Exit;
use crate::render::Form;

const COMPLETION_EXAMPLES: &str = "\
Examples:
  truepair completions bash > ~/.local/share/bash-completion/completions/truepair
  truepair completions zsh > ~/.zfunc/_truepair
  truepair completions fish > ~/.config/fish/completions/truepair.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  truepair man man1/
      One page a command; `man -l man1/truepair-audit.1` reads one.";

/// Arguments of `truepair completions`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell that reads the script.
    shell: Shell,
}

/// Arguments of `truepair man`.
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Folder for the pages, which is made.
    dir: PathBuf,
}

/// Prints a completion script for `command`.
pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
    form: Form,
) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "truepair", &mut script);
    let script = String::from_utf8(script).context("completion scripts are text")?;
    Contents::text("completions", script).print(form)?;
    Ok(Exit::Success)
}

/// Writes a manual page for `command` and each of its subcommands.
pub(crate) fn man(args: &ManArgs, mut command: clap::Command, form: Form) -> Result<Exit> {
    // Gives subcommands their whole names, such as truepair-audit.
    command.build();
    let mut pages = Vec::new();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let own = command
            .get_subcommands()
            .filter(|one| one.get_name() != "help");
        commands.extend(own.cloned());
        let name = command
            .get_display_name()
            .unwrap_or(command.get_name())
            .to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .context("cannot make a manual page")?;
        let page = String::from_utf8(page).context("manual pages are text")?;
        pages.push((format!("{name}.1"), page));
    }
    pages.sort();
    Contents::write("man", &args.dir, pages)?.print(form)?;
    Ok(Exit::Success)
}
