//! Graphs of neighbors, where the program was built with them.

#[cfg(not(feature = "ann"))]
mod absent;
#[cfg(feature = "ann")]
mod hnsw;
#[cfg(feature = "ann")]
mod pair_scores;
#[cfg(feature = "ann")]
mod permits;

#[cfg(not(feature = "ann"))]
pub(crate) use absent::NoGraph as Graph;
#[cfg(feature = "ann")]
pub(crate) use hnsw::Hnsw as Graph;

/// Rows from which a part has a graph; fewer are all looked at.
pub(crate) const MIN_ROWS: usize = 2048;
