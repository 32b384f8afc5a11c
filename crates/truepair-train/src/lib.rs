//! Noise-robust strategies, the one loop that trains the matchers of `truepair-model` under them, and
//! the run directory.
//!
//! It never sees the truth about injected noise: nothing here names a noise manifest, and the trainer
//! is handed splits, not paths.
#![deny(missing_docs)]

pub mod bench;
mod catalog;
pub mod config;
mod cross_fit;
pub mod error;
pub mod labeled;
pub mod published;
pub mod run;
pub mod strategy;
mod trained;
mod trainer;

pub use catalog::methods_page;
pub use config::{AuditMatcher, Config, Recipe};
pub use cross_fit::{CrossFitConfig, cross_fit};
pub use error::{Error, Result};
pub use run::{
    Criterion, EPOCH_SCHEMA, EpochRecord, Session, StepProgress, TrainWatch, ledgers, load,
    load_last, recipe,
};
pub use trained::{EncodedSides, Erased, GivenCaptions, Trained};
pub use trainer::{Splits, train, train_by};
