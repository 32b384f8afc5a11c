//! What surrounds a run on labeled data, and what it tells of itself.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use truepair_core::watch::Watch;

use truepair_model::Accelerator;

/// The surroundings of one run.
pub struct LabelSession<'a> {
    /// Where to compute.
    pub accelerator: Accelerator,
    /// Set from outside to stop; the run then ends with [`Error::Stopped`](crate::Error::Stopped) and keeps nothing.
    pub stop: &'a AtomicBool,
    /// Receives progress.
    pub watch: &'a mut dyn LabelWatch,
}

/// Receives a run's progress. `()` ignores it.
pub trait LabelWatch: Watch {
    /// An epoch is done.
    fn label_epoch(&mut self, record: &LabelEpoch);
}

impl LabelWatch for () {
    fn label_epoch(&mut self, _record: &LabelEpoch) {}
}

/// The name and version that every line of `metrics.jsonl` gives its record.
pub const EPOCH_SCHEMA: &str = "truepair/label-epoch/1";

/// What is known after an epoch; one line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelEpoch {
    /// From 0.
    pub epoch: usize,
    /// Learning rate at the end of the epoch.
    pub rate: f64,
    /// Mean loss per item.
    pub loss: f64,
    /// Mean average precision over all directions on the items that choose the epoch; `None` when
    /// the last one is kept.
    pub selection_map: Option<f64>,
    /// Whether this is the best epoch so far.
    pub best: bool,
}
