//! Fused operations of `truepair-kernel` as nodes of the framework's autodiff graph.
//!
//! On the CPU an [`Operation`](truepair_kernel::Operation) is one node of the graph, whatever number
//! of tensor operations it replaces. Each has a twin made of ordinary tensor operations, which runs
//! on every other device and against which it is tested.

mod additive_attention;
mod batch_norm;
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
mod pair_nodes;
mod relation;
mod rows;
mod saf_pool;
mod scan;
mod sort_pool;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use additive_attention::additive_attention;
pub(crate) use batch_norm::{batch_norm, column_moments, slot_moments, slot_norm};
pub(crate) use convolution::convolution;
pub(crate) use embedding::embedding;
pub use gelu::gelu;
pub(crate) use graph::{GraphStep, graph};
pub(crate) use gru::{GruWeights, gru};
pub use hinge::Margins;
pub(crate) use hinge::hinge;
pub(crate) use imram::imram;
pub(crate) use info_nce::info_nce;
pub use inner_product::inner_products;
pub(crate) use items::Items;
pub(crate) use linear::linear;
pub(crate) use match_odds::match_log_odds;
pub(crate) use node::{Operand, apply, is_fused};
pub(crate) use pair_nodes::{NodeProjection, PairInputs, Side, pair_nodes};
pub(crate) use relation::relation;
pub(crate) use rows::{layer_norm_rows, softmax_rows, unit_columns, unit_rows};
pub(crate) use saf_pool::saf_pool;
pub(crate) use scan::scan;
pub(crate) use sort_pool::sort_pool;
pub use truepair_kernel::product::Precision;
pub(crate) use truepair_kernel::{
    AdamStep, Attention, ImramSettings, Moments, Pool, ScanSettings, SlotNorm, States, Window,
    sum_of_squares,
};
pub use truepair_kernel::{Distance, MatchForm, Pooling, RawNorm};
