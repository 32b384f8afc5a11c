//! How long work tells a program how far it is, without printing anything itself.

/// Receives progress. `()` ignores it.
pub trait Watch {
    /// `done` of `total` units of `stage` are finished; stages follow one another.
    fn advance(&mut self, stage: &str, done: u64, total: u64);

    /// Something that the user should know and that stops nothing.
    fn warn(&mut self, _warning: &str) {}
}

impl Watch for () {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}
