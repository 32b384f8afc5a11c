//! Networks that score images against captions: backbones, similarities and their layers, the
//! objectives that judge their scores, and the optimizers that move their weights.
//!
//! Strategies, loops and run directories are `truepair-train`'s. Whoever scores or serves needs none
//! of them, and a change to a strategy builds no network anew. It never sees the truth about
//! injected noise.
#![deny(missing_docs)]

mod accelerator;
pub mod backbone;
pub mod encode;
pub mod encoding;
#[cfg(test)]
mod golden;
pub mod kernel;
pub mod layer;
pub mod matcher;
pub mod numbers;
pub mod objective;
pub mod optimizer;
pub mod parameters;
pub mod pretrained;
pub mod reader;
pub mod similarity;

pub use accelerator::Accelerator;
