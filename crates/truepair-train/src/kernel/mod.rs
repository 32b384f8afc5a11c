//! Fused operations: forward and backward written by hand on plain buffers.
//!
//! On the CPU an `Operation` is one node of the framework's autodiff graph, whatever number of
//! tensor operations it replaces. Each has a twin made of ordinary tensor operations, which runs on
//! every other device and against which it is tested.

mod adam;
mod additive_attention;
mod attention;
mod batch_norm;
mod columns;
mod convolution;
mod embedding;
mod gelu;
mod graph;
mod gru;
mod hinge;
mod imram;
mod info_nce;
mod inner_product;
mod items;
mod linear;
mod match_odds;
mod node;
mod packed;
mod pair_nodes;
mod pairs;
mod panels;
mod pooling;
mod ragged;
mod relation;
mod rows;
mod saf_pool;
mod scan;
mod segment;
mod sides;
mod sort_pool;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod vector;

pub(crate) use adam::{AdamStep, sum_of_squares};
pub(crate) use additive_attention::additive_attention;
pub use attention::RawNorm;
pub(crate) use attention::{Attention, Block};
pub(crate) use batch_norm::{batch_norm, column_moments};
pub(crate) use convolution::{Window, convolution};
pub(crate) use embedding::embedding;
pub(crate) use gelu::gelu;
pub(crate) use graph::{GraphStep, graph};
pub(crate) use gru::{GruWeights, States, gru};
pub(crate) use hinge::hinge;
pub(crate) use imram::{Settings as ImramSettings, imram};
pub(crate) use info_nce::info_nce;
pub(crate) use inner_product::inner_products;
pub(crate) use items::Items;
pub(crate) use linear::linear;
pub(crate) use match_odds::match_log_odds;
pub use match_odds::{Distance, MatchForm};
pub(crate) use node::{Array, Gradients, Operand, Operation, apply, is_fused};
pub(crate) use pair_nodes::{PairInputs, Projection, Side, pair_nodes};
pub(crate) use pooling::Pool;
pub use pooling::Pooling;
pub(crate) use ragged::Ragged;
pub(crate) use relation::relation;
pub(crate) use rows::{layer_norm_rows, softmax_rows, unit_columns, unit_rows};
pub(crate) use saf_pool::saf_pool;
pub(crate) use scan::{Settings as ScanSettings, scan};
pub(crate) use sort_pool::sort_pool;
pub use truepair_core::product::Precision;
pub(crate) use truepair_core::product::{Threads, View, Write, multiply};
