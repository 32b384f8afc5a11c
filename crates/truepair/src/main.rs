//! The `truepair` program: finds mismatched pairs, trains matchers that survive them, evaluates.
//!
//! This crate holds what the libraries refuse to do: arguments, printing, exit codes, signals and
//! the clock. One file per subcommand lives under `command`.

mod accelerator;
mod audit;
mod cache;
mod cli;
mod command;
mod compare;
mod conclusion;
mod config;
mod contents;
mod data;
mod dispatch;
mod drop_rule;
mod embedder;
mod encoded;
mod evaluation;
mod exit;
mod failure;
mod fault;
mod file_hash;
mod folder;
mod folder_lock;
mod interrupt;
mod label_report;
mod memory;
mod metadata;
mod occlusion;
mod oracle;
mod output;
mod output_names;
mod parquet_group;
mod progress;
mod read_args;
mod remote;
mod render;
mod report;
mod row_file;
mod run_folder;
mod sample;
mod schema;
mod search;
mod session;
mod several;
mod shared;
mod shell;
mod staged_file;
mod staged_folder;
mod training;
mod uncertainty;
mod verdict_table;
mod write_args;

use std::process::ExitCode;

// Keeps what is freed for what is allocated next, as `memory::keep_freed` says.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::keep_freed();
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    fault::contain(cli.form(), || match dispatch::run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => failure::report(&error, cli.form()),
    })
}
