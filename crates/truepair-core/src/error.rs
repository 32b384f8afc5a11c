//! One error type for the crate: every message names the place, what was expected and what to do.

use std::path::{Path, PathBuf};

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and where.
///
/// ```
/// use truepair_core::error::{Error, Place};
/// use truepair_core::ErrorKind;
///
/// let error = Error::data("caps.txt", Place::Line(7), "empty caption", "drop the row");
/// assert_eq!(error.to_string(), "caps.txt:7: empty caption (drop the row)");
/// assert!(matches!(error.kind(), ErrorKind::Data { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// The causes of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused a file operation.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What failed, as a verb: "read", "write", "create".
        action: &'static str,
        /// The cause as the operating system reports it.
        source: std::io::Error,
    },
    /// A file was readable but its content is not what it should be.
    #[error("{}{place}: {problem} ({remedy})", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: Place,
        /// What was found and what was expected.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The work was asked to end before it was done; see [`Watch::is_stopped`].
    ///
    /// [`Watch::is_stopped`]: crate::watch::Watch::is_stopped
    #[error("stopped before the end")]
    Stopped,
    /// A value that the caller chose cannot be used.
    #[error("{problem} ({remedy})")]
    Argument {
        /// What was given and what was expected.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
}

/// A position inside a file; counting starts at 1 for lines and at 0 for rows and pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A line of a text file, from 1.
    Line(u64),
    /// A record of a table, from 1, not counting the header.
    Record(u64),
    /// A row of an array, from 0.
    Row(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Line(n) => write!(f, ":{n}"),
            Place::Record(n) => write!(f, ": record {n}"),
            Place::Row(n) => write!(f, ": row {n}"),
        }
    }
}

impl Error {
    /// The cause.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// A failed file operation; `action` is a verb such as "read".
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        ErrorKind::Io {
            path: path.as_ref().to_path_buf(),
            action,
            source,
        }
        .into()
    }

    /// Content that is not what it should be.
    pub fn data(
        path: impl AsRef<Path>,
        place: Place,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        ErrorKind::Data {
            path: path.as_ref().to_path_buf(),
            place,
            problem: problem.into(),
            remedy: remedy.into(),
        }
        .into()
    }

    /// A value from the caller that cannot be used.
    pub fn argument(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        ErrorKind::Argument {
            problem: problem.into(),
            remedy: remedy.into(),
        }
        .into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}
