//! What a command that did not fail tells the shell.

use std::process::ExitCode;

use crate::conclusion::Conclusion;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All done.
    Success,
    /// The work is done, and a gate that the user asked for is not met.
    GateNotMet,
    /// Some of the work failed, or an audit gave no verdicts; the result says what and why.
    Failed,
}

impl Exit {
    /// A success is none where an audit gave no verdicts.
    pub(crate) fn unless_refused(self, conclusion: &Conclusion) -> Self {
        match self {
            Exit::Success if conclusion.is_refused() => Exit::Failed,
            other => other,
        }
    }
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
