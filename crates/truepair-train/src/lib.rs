//! Backbones, similarities, objectives and noise-robust strategies, and the one loop that trains
//! them.
//!
//! This is the only crate that names the tensor framework. It never sees the truth about injected
//! noise: nothing here names a noise manifest, and the trainer is handed splits, not paths.
#![deny(missing_docs)]

mod accelerator;
pub mod backbone;
pub mod batch_norm;
mod batches;
pub mod bench;
mod catalog;
pub mod config;
pub mod convolution;
mod cross_fit;
pub mod describer;
mod encode;
pub mod encoding;
pub mod error;
mod events;
#[cfg(test)]
#[path = "../../truepair-core/tests/golden_file/entry.rs"]
mod golden_entry;
pub mod gpo;
pub mod groups;
pub mod init;
pub mod kernel;
pub mod labeled;
pub mod linear;
pub mod matcher;
pub mod mode;
pub mod objective;
mod occlusion;
pub mod optimizer;
pub mod parameters;
pub mod pie;
mod pretrained;
pub mod published;
pub mod reader;
pub mod recurrent;
pub mod regularizer;
mod run;
mod selection;
pub mod sentence;
pub mod session;
pub mod similarity;
pub mod sps;
pub mod strategy;
mod teacher;
mod texts;
mod trained;
mod trainer;
pub mod trunk;
mod word_vectors;

pub use accelerator::Accelerator;
pub use catalog::methods_page;
pub use config::{Config, Recipe};
pub use cross_fit::{AuditMatcher, CrossFitConfig, cross_fit};
pub use encode::Uncertainty;
pub use error::{Error, Result};
pub use matcher::NamedMatcher;
pub use occlusion::Erased;
pub use run::{ledgers, recipe};
pub use session::{EpochRecord, Session, StepProgress, TrainWatch};
pub use texts::Texts;
pub use trained::{Trained, load, load_last};
pub use trainer::train;
