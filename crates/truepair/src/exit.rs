//! What a command that did not fail tells the shell.

use std::process::ExitCode;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All done.
    Success,
    /// The work is done, and a gate that the user asked for is not met.
    GateNotMet,
    /// Some of the work failed; the result says what.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(outcome: Exit) -> Self {
        match outcome {
            Exit::Success => ExitCode::SUCCESS,
            Exit::GateNotMet => ExitCode::from(1),
            Exit::Failed => ExitCode::from(2),
        }
    }
}
