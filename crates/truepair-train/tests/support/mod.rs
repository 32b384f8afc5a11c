//! Sessions as all tests of training start them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use truepair_model::Accelerator;
use truepair_train::{Session, TrainWatch};

/// A new run on the CPU, kept in `dir` if there is one, without a clock.
pub(crate) fn session<'a>(
    dir: Option<&'a Path>,
    stop: &'a AtomicBool,
    watch: &'a mut dyn TrainWatch,
) -> Session<'a> {
    Session {
        dir,
        ..Session::unkept(Accelerator::Cpu, stop, watch, || 0.0)
    }
}
