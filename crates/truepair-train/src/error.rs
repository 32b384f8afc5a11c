//! What can go wrong while training, on top of the core's errors.

use std::path::PathBuf;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The causes of failure in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Data, files or values that cannot be used.
    #[error(transparent)]
    Core(#[from] truepair_core::Error),
    /// A checkpoint of another program that cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// The run was asked to stop; everything up to `epoch` is saved when there is a directory.
    #[error("stopped in epoch {epoch}{}", resume_hint(.dir))]
    Stopped {
        /// Epoch that was interrupted, from 0.
        epoch: usize,
        /// The run directory, when the run has one.
        dir: Option<PathBuf>,
    },
    /// A loss or score became infinite or not a number.
    #[error(
        "training diverged: {what} in epoch {epoch}, step {step} (lower `optimizer.rate` or set \
         `training.clip_norm`)"
    )]
    Diverged {
        /// What was not finite.
        what: &'static str,
        /// Epoch, from 0.
        epoch: usize,
        /// Step inside the epoch, from 0.
        step: usize,
    },
}

impl Error {
    /// Whether the work ended because it was asked to.
    pub fn is_stop(&self) -> bool {
        match self {
            Error::Stopped { .. } => true,
            Error::Core(core) => matches!(core.kind(), truepair_core::ErrorKind::Stopped),
            _ => false,
        }
    }
}

fn resume_hint(dir: &Option<PathBuf>) -> String {
    match dir {
        Some(dir) => format!("; `--resume` continues {}", dir.display()),
        None => String::new(),
    }
}
