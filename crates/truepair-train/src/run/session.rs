//! What surrounds a run: its directory, its clock, its off switch and its audience.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use truepair_core::ledger::Ledger;
use truepair_core::metric::Report;
use truepair_core::watch::Watch;

use truepair_model::Accelerator;

/// The surroundings of one run. The library reads neither clock nor signals itself.
pub struct Session<'a> {
    /// Where the run is kept; nothing is written when there is none.
    pub dir: Option<&'a Path>,
    /// Whether to continue from the directory's checkpoint.
    pub resume: bool,
    /// Where to compute.
    pub accelerator: Accelerator,
    /// Set from outside to stop; the run then ends with [`Error::Stopped`](crate::Error::Stopped).
    pub stop: &'a AtomicBool,
    /// Receives progress.
    pub watch: &'a mut dyn TrainWatch,
    /// Seconds since 1970, stamped on TensorBoard events; never part of a result.
    pub now: fn() -> f64,
}

impl<'a> Session<'a> {
    /// The surroundings of a run that is not kept.
    pub fn unkept(
        accelerator: Accelerator,
        stop: &'a AtomicBool,
        watch: &'a mut dyn TrainWatch,
        now: fn() -> f64,
    ) -> Self {
        Self {
            dir: None,
            resume: false,
            accelerator,
            stop,
            watch,
            now,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Receives a run's progress, and that of the evaluations inside it. `()` ignores both.
///
/// ```
/// use truepair_core::watch::Watch;
/// use truepair_train::{EpochRecord, StepProgress, TrainWatch};
///
/// /// Keeps every epoch's mean loss of the first network.
/// #[derive(Default)]
/// struct Losses(Vec<f64>);
///
/// impl Watch for Losses {
///     fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
/// }
///
/// impl TrainWatch for Losses {
///     fn step(&mut self, _progress: &StepProgress) {}
///     fn epoch(&mut self, record: &EpochRecord) {
///         self.0.extend(record.losses.first());
///     }
/// }
///
/// let mut watch = Losses::default();
/// watch.epoch(&EpochRecord {
///     epoch: 0,
///     warm_up: false,
///     rate: 0.001,
///     losses: vec![0.7],
///     criterion: None,
///     dev: None,
///     best: true,
///     note: None,
/// });
/// assert_eq!(watch.0, [0.7]);
/// ```
pub trait TrainWatch: Watch + Send {
    /// A step is done.
    fn step(&mut self, progress: &StepProgress);
    /// An epoch is done.
    fn epoch(&mut self, record: &EpochRecord);
    /// What is believed about the pairs after an epoch, one ledger a peer. Rows are the given
    /// pairs, or, where some were held out to choose the epoch, those that `trained` marks.
    fn beliefs(&mut self, epoch: usize, ledgers: &[&Ledger], trained: Option<&[bool]>) {
        let _ = (epoch, ledgers, trained);
    }
}

impl TrainWatch for () {
    fn step(&mut self, _progress: &StepProgress) {}
    fn epoch(&mut self, _record: &EpochRecord) {}
}

/// Where a run stands inside an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepProgress {
    /// Epoch, from 0, warm-up included.
    pub epoch: usize,
    /// Epochs in all.
    pub n_epochs: usize,
    /// Steps done in this epoch, all peers together.
    pub step: usize,
    /// Steps of this epoch.
    pub n_steps: usize,
    /// Mean loss per pair of the last batch.
    pub loss: f64,
}

/// The name and version that every line of `metrics.jsonl` gives its record.
pub const EPOCH_SCHEMA: &str = "truepair/epoch/1";

/// What is known after an epoch; one line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EpochRecord {
    /// From 0, warm-up included.
    pub epoch: usize,
    /// Whether the epoch belongs to the strategy's warm-up.
    pub warm_up: bool,
    /// Learning rate at the end of the epoch.
    pub rate: f64,
    /// Per peer, the mean loss per pair over the epoch.
    pub losses: Vec<f64>,
    /// What decides which epoch is kept. `None` when the last one is.
    pub criterion: Option<Criterion>,
    /// Retrieval on the dev split, when there is one.
    pub dev: Option<Report>,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// What the strategy wants the reader of the log to know.
    pub note: Option<String>,
}

/// A number by which epochs are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Criterion {
    /// What it is, in words.
    pub name: String,
    /// The metric's name, where it is one.
    #[serde(default)]
    pub metric: Option<String>,
    /// The number.
    pub value: f64,
    /// Whether the larger of two numbers is the better one.
    #[serde(default = "larger_is_better")]
    pub higher_is_better: bool,
}

impl Criterion {
    /// The number with its sign such that the larger is the better.
    pub fn merit(&self) -> f64 {
        if self.higher_is_better {
            self.value
        } else {
            -self.value
        }
    }
}

/// Runs of version 0.1 knew no other criteria.
fn larger_is_better() -> bool {
    true
}
