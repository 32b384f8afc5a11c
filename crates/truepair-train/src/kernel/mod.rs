//! Fused operations: forward and backward written by hand on plain buffers.
//!
//! On the CPU an [`Operation`] is one node of the framework's autodiff graph, whatever number of
//! tensor operations it replaces. Each has a twin made of ordinary tensor operations, which runs on
//! every other device and against which it is tested.

mod embedding;
mod gru;
mod linear;
pub(crate) mod matmul;
mod node;
mod panels;
mod rows;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod vector;

pub(crate) use embedding::embedding;
pub(crate) use gru::{GruWeights, States, gru};
pub(crate) use linear::linear;
pub use matmul::Precision;
pub(crate) use node::{Array, Gradients, Operand, Operation, apply, is_fused};
pub(crate) use rows::unit_rows;
#[expect(
    unused_imports,
    reason = "for backbones that attend or normalize layers"
)]
pub(crate) use rows::{layer_norm_rows, softmax_rows};
