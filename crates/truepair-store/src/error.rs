//! One error type: every message names the address, what happened and what to do.

use std::error::Error;
use std::fmt::{Display, Write as _};

/// Why data cannot be had from where it lies.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem} ({remedy})")]
pub struct StoreError {
    /// The address, or the file of the cache.
    place: String,
    problem: String,
    remedy: String,
    cause: Cause,
}

/// What a failure means for whoever meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is nothing at the address.
    Missing,
    /// The store refuses access.
    Refused,
    /// Another attempt may go well.
    Passing,
    /// Anything else; another attempt ends in the same way.
    Lasting,
}

impl StoreError {
    pub(crate) fn new(
        cause: Cause,
        place: impl Display,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            place: place.to_string(),
            problem: problem.into(),
            remedy: remedy.into(),
            cause,
        }
    }

    /// The address or name itself is at fault.
    pub(crate) fn address(
        place: impl Display,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Cause::Lasting, place, problem, remedy)
    }

    /// The content is not what it was when the work began.
    pub(crate) fn changed(place: impl Display) -> Self {
        let problem = "has changed while it was fetched";
        Self::address(place, problem, "run the same command again")
    }

    /// The cache cannot be used.
    pub(crate) fn cache(
        path: &std::path::Path,
        action: &str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let (place, problem) = (path.display().to_string(), format!("cannot {action}"));
        move |cause| {
            let remedy = "make room or choose another folder with --cache";
            Self::address(place, format!("{problem}: {cause}"), remedy)
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }
}

/// An error and its causes in one line, without repetitions.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            let _ = write!(line, ": {text}");
        }
        next = cause.source();
    }
    line
}
