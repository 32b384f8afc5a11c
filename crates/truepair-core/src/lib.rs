//! Which pairs of a two-modality data set are mismatched, and how well a matcher retrieves.
//!
//! This crate holds everything of `truepair` that needs no tensor framework: paired data and its
//! formats, planted noise, ranking metrics, loss mixtures and the audit statistics. It does not
//! print, exit, or read the environment or the clock.
#![deny(missing_docs)]

pub mod audit;
pub mod dataset;
mod dense;
pub mod durable;
pub mod error;
pub mod labeled;
pub mod ledger;
pub mod linear;
pub mod metric;
pub mod mixture;
pub mod noise;
pub mod pair;
pub mod product;
pub mod ranking;
pub mod relevance;
pub mod rng;
pub mod scores;
pub mod text;
pub mod watch;
mod wide;

pub use error::{Error, ErrorKind, Result};
