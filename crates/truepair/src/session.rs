//! Training sessions of this process: the device, the stop signal and the clock that the program
//! hands to the training crate, which reads none of them itself.

use truepair_train::labeled::{LabelSession, LabelWatch};
use truepair_train::{Session, TrainWatch};

use crate::{accelerator, interrupt};

/// A session that keeps nothing; whoever makes a run directory adds its path.
pub(crate) fn training(watch: &mut dyn TrainWatch) -> Session<'_> {
    Session::unkept(accelerator::chosen(), interrupt::stop_flag(), watch, now)
}

/// A session on labels.
pub(crate) fn labels(watch: &mut dyn LabelWatch) -> LabelSession<'_> {
    LabelSession {
        accelerator: accelerator::chosen(),
        stop: interrupt::stop_flag(),
        watch,
    }
}

/// Seconds since 1970, for time stamps only.
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 stamps 0; nothing is computed from it.
    since.map(|since| since.as_secs_f64()).unwrap_or_default()
}
