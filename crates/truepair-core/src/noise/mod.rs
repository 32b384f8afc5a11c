//! Planted noise and its record.
//!
//! [`corrupt`] returns the data that training may see and, apart from it, the [`Manifest`] that
//! only the audit's scoring and the evaluation may see.

use serde::{Deserialize, Serialize};

/// Truth about injected noise. Nothing in the training crate names this type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `caption`, `image` or `file`.
    pub protocol: String,
    /// Share of pairs or images that was asked for; `None` for a file.
    pub requested: Option<f64>,
    /// Share of pairs that really lost their own image.
    pub realized: f64,
    /// Seed of the shuffle; `None` for a file.
    pub seed: Option<u64>,
    /// SHA-256 of the resulting image index of every pair as little-endian `int64`.
    pub sha256: String,
    /// The noise file, when there was one.
    pub file: Option<String>,
    /// Per pair, whether it is mismatched now, `[n_pairs]`.
    pub mismatched: Vec<bool>,
}
