//! What a command that fails says: a line for people, and an object for scripts.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;

use crate::interrupt;
use crate::output::Output;
use crate::render::{self, Form};

/// Exit code of failures.
pub(crate) const EXIT_CODE: u8 = 2;

/// What `--json` prints instead of a result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Failure {
    /// What failed and what to do, in one line.
    error: String,
    /// The causes behind it, the nearest first.
    chain: Vec<String>,
    /// 2, or 130 for work that a signal stopped.
    exit_code: u8,
}

impl Output for Failure {
    const SCHEMA: &'static str = "truepair/error/1";
}

impl Failure {
    pub(crate) fn of(error: &str, chain: &[String], exit_code: u8) -> Self {
        Self {
            error: error.to_owned(),
            chain: chain.to_vec(),
            exit_code,
        }
    }

    /// Prints the object where scripts asked for one.
    pub(crate) fn print(&self, form: Form) {
        if form == Form::Json {
            // The failure is what there is to report; standard error has it as well.
            let _ = form.print(self, String::new);
        }
    }
}

/// Reports a failure, or that a signal stopped the work; returns the exit code.
pub(crate) fn report(error: &anyhow::Error, form: Form) -> ExitCode {
    let line = render::chain(error);
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    let exit_code = if interrupt::was_asked_to_stop() {
        // Whoever pressed Ctrl-C made no mistake.
        render::note(&line);
        interrupt::EXIT_CODE
    } else {
        render::note(&format!("error: {line}"));
        EXIT_CODE
    };
    Failure::of(&line, &causes, exit_code).print(form);
    ExitCode::from(exit_code)
}
