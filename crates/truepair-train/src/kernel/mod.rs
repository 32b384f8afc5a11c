//! Fused operations: forward and backward written by hand on plain buffers.
//!
//! On the CPU an [`Operation`] is one node of the framework's autodiff graph, whatever number of
//! tensor operations it replaces. Each has a twin made of ordinary tensor operations, which runs on
//! every other device and against which it is tested.

mod attention;
mod columns;
mod imram;
mod linear;
pub(crate) mod matmul;
mod node;
mod packed;
mod pairs;
mod pooling;
mod ragged;
mod scan;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod vector;

pub use attention::RawNorm;
pub(crate) use attention::{Attention, Block};
pub(crate) use imram::{Settings as ImramSettings, imram};
pub(crate) use linear::linear;
pub use matmul::Precision;
pub(crate) use node::{Array, Gradients, Operand, Operation, apply, is_fused};
pub(crate) use pooling::Pool;
pub use pooling::Pooling;
pub(crate) use ragged::Ragged;
pub(crate) use scan::{Settings as ScanSettings, scan};

#[cfg(test)]
mod bench_tmp;
