//! The audit: for every pair a calibrated probability that it is mismatched.

mod findings;

pub use findings::*;
