//! Backbones, similarities, objectives and noise-robust strategies, and the one loop that trains
//! them.
//!
//! This is the only crate that names the tensor framework. It never sees the truth about injected
//! noise: nothing here names a noise manifest, and the trainer is handed splits, not paths.
#![deny(missing_docs)]

mod accelerator;
pub mod backbone;
pub mod bench;
mod catalog;
pub mod config;
mod cross_fit;
pub mod encoding;
pub mod error;
#[cfg(test)]
#[path = "../tests/golden/entry.rs"]
mod golden_entry;
pub mod kernel;
pub mod labeled;
pub mod layer;
pub mod matcher;
mod numbers;
pub mod objective;
pub mod optimizer;
pub mod parameters;
mod pretrained;
pub mod published;
pub mod reader;
pub mod run;
pub mod similarity;
pub mod strategy;
mod trained;
mod trainer;

pub use accelerator::Accelerator;
pub use catalog::methods_page;
pub use config::{AuditMatcher, Config, Recipe};
pub use cross_fit::{CrossFitConfig, cross_fit};
pub use error::{Error, Result};
pub use matcher::NamedMatcher;
pub use reader::Texts;
pub use run::{
    Criterion, EpochRecord, Session, StepProgress, TrainWatch, ledgers, load, load_last, recipe,
};
pub use trained::{Erased, Trained, Uncertainty};
pub use trainer::{Splits, train, train_by};
