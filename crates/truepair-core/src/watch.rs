//! How long-running work reports its progress to a program without printing anything itself.

use crate::error::{ErrorKind, Result};

/// Receives progress. `()` ignores it.
///
/// ```
/// use truepair_core::watch::Watch;
///
/// /// Stops when half of the work is done.
/// #[derive(Default)]
/// struct Half(f64);
///
/// impl Watch for Half {
///     fn advance(&mut self, _stage: &str, done: u64, total: u64) {
///         self.0 = done as f64 / total as f64;
///     }
///     fn is_stopped(&self) -> bool {
///         self.0 >= 0.5
///     }
/// }
///
/// let mut watch = Half::default();
/// watch.advance("rank", 3, 4);
/// assert!(watch.is_stopped());
/// ```
pub trait Watch {
    /// `done` of `total` units of `stage` are finished; stages follow one another.
    fn advance(&mut self, stage: &str, done: u64, total: u64);

    /// Something the user should know that does not stop the work.
    fn warn(&mut self, _warning: &str) {}

    /// Whether the work should end at its next safe point, with [`ErrorKind::Stopped`].
    ///
    /// [`ErrorKind::Stopped`]: crate::ErrorKind::Stopped
    fn is_stopped(&self) -> bool {
        false
    }
}

/// An error once the work should end.
pub(crate) fn check(watch: &dyn Watch) -> Result<()> {
    if watch.is_stopped() {
        return Err(ErrorKind::Stopped.into());
    }
    Ok(())
}

impl Watch for () {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}
