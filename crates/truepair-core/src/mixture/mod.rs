//! From per-pair losses to the probability that a pair is clean.
//!
//! A mixture sees losses alone, one number per pair. It never sees the truth, and it says what it
//! cannot decide: every guard that stepped in is named in the result.

mod beta;
mod division;
mod gaussian;
mod two_components;

pub use beta::{BetaConfig, BetaMixture, BetaPosterior, beta_clean_posterior};
pub use division::{Division, Fallback, divide};
pub use gaussian::{CleanPosterior, GaussianConfig, Mixture, UnimodalRule, clean_posterior};
pub use two_components::normalize;
