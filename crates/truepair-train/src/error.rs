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
    Checkpoint(#[from] truepair_read::checkpoint::Error),
    /// The run was asked to stop; everything up to `epoch` is saved when there is a directory.
    #[error("stopped in epoch {epoch}{}", resume_hint(.dir))]
    Stopped {
        /// Epoch that was interrupted, from 0.
        epoch: usize,
        /// The run directory, when the run has one.
        dir: Option<PathBuf>,
    },
    /// Training went where no further step can bring it back from.
    #[error(
        "training diverged in epoch {}, step {}: {what}. {}",
        .epoch + 1,
        .step + 1,
        remedies(*.what, *.rate, *.epochs_before)
    )]
    Diverged {
        /// What cannot be trained on.
        what: Divergence,
        /// Epoch, from 0.
        epoch: usize,
        /// Step inside the epoch, from 0.
        step: usize,
        /// The optimizer's rate before the schedule.
        rate: f64,
        /// The value of `training.epochs` with which the run would have ended before.
        epochs_before: usize,
    },
}

/// What cannot be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// The loss of a batch.
    Loss,
    /// The gradient of a batch's loss.
    Gradient,
    /// How uncertain the embeddings say they are.
    Deviations,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loss => "the loss of the batch is infinite or not a number",
            Self::Gradient => "the loss of the batch is finite, but its gradient is not",
            Self::Deviations => {
                "more than half of the embeddings' deviations are at their upper limit, so items are \
                 hardly more than noise"
            }
        })
    }
}

/// What to try, in full sentences.
fn remedies(what: Divergence, rate: f64, epochs_before: usize) -> String {
    let lower = format!(
        "Lower the learning rate, for example with `--set optimizer.rate={:.1e}`",
        rate / 10.0
    );
    let mut text = match what {
        Divergence::Loss | Divergence::Gradient => format!("{lower}."),
        Divergence::Deviations => {
            format!(
                "{lower}, or raise `deviation.high` of both backbones if Gaussians may be that wide."
            )
        }
    };
    if epochs_before > 0 {
        text +=
            &format!(" `--set training.epochs={epochs_before}` ends the run before it diverges.");
    }
    text
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
        None => "; nothing of it was saved".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_told_in_sentences_with_settings_to_try() {
        let told = |what, epochs_before| {
            let error = Error::Diverged {
                what,
                epoch: 3,
                step: 16,
                rate: 2e-4,
                epochs_before,
            };
            error.to_string()
        };
        assert_eq!(
            told(Divergence::Loss, 2),
            "training diverged in epoch 4, step 17: the loss of the batch is infinite or not a number. \
             Lower the learning rate, for example with `--set optimizer.rate=2.0e-5`. \
             `--set training.epochs=2` ends the run before it diverges."
        );
        let at_once = told(Divergence::Deviations, 0);
        assert!(at_once.contains("`deviation.high`"), "{at_once}");
        assert!(!at_once.contains("training.epochs"), "{at_once}");
    }
}
