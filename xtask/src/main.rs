//! The repository's own chores: `cargo run --release -p xtask -- tidy` and `cargo run --release -p xtask -- codegen`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers"
)]

#[cfg(test)]
mod book;
mod circles;
mod codegen;
mod doubled;
mod figures;
#[cfg(test)]
mod invariants;
mod libraries;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod snippets;
mod source;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
Usage: cargo run -p xtask -- <task>

  tidy     check the house rules, list the longest files and count what grows
  codegen  rewrite the tables and schemas of docs/ that are made from the code, and those of NOTICES.md
  licenses print the license texts of all libraries, which travel with a binary";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "tidy" => report_tidiness(),
        "codegen" => codegen::write(root()).map(|changed| {
            changed
                .iter()
                .for_each(|file| println!("rewrote {}", file.display()));
            ExitCode::SUCCESS
        }),
        "licenses" => libraries::texts(root()).map(|texts| {
            print!("{texts}");
            ExitCode::SUCCESS
        }),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

fn report_tidiness() -> Result<ExitCode> {
    println!("longest files, in lines before their tests:");
    for (lines, file) in tidy::sizes(root())?.iter().take(10) {
        println!("{lines:6}  {}", file.display());
    }
    let crates = source::crates(root())?;
    for one in &crates {
        println!("{}", figures::Figures::of(root(), one)?);
    }
    let mut complaints = tidy::check(root())?;
    complaints.extend(tidy::check_crates(&crates));
    for one in &complaints {
        println!("{}:{}: {}", one.file.display(), one.line, one.text);
    }
    Ok(if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
