//! Matrix products and fused training kernels on plain `f32` buffers.
//!
//! Everything here reads and writes slices. It knows no tensors, no automatic differentiation and no
//! files, so it builds in seconds and a change to a kernel is tested in seconds. Kernels cut their
//! work into a number of parts that does not depend on the threads and add the parts in order: the
//! same bits on one thread or ten.
//!
//! # A tour
//!
//! [`product::View`] says how a matrix lies in a buffer; [`times`](product::View::times) is the one
//! place that multiplies:
//!
//! ```
//! use truepair_kernel::product::View;
//!
//! let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
//! let mut c = [0.0; 4];
//! // A Bᵀ, factors as they are, on the calling thread; rows of the result start 2 apart.
//! let (left, right) = (View::rows(&a, 2), View::rows(&b, 2).t());
//! left.times(right).write(&mut c, 2);
//! assert_eq!(c, [17.0, 23.0, 39.0, 53.0]);
//! ```
//!
//! An [`Operation`] is a function of a few [`Array`]s with its gradient written by hand. A framework
//! makes it one node of its graph, whatever number of tensor operations it replaces:
//!
//! ```
//! use truepair_kernel::{Array, Gradients, Hinge, Negatives, Operation};
//!
//! let (scores, margin) = ([0.9, 0.8, 0.1, 0.7], [0.2]);
//! let inputs = [
//!     Array { values: &scores, shape: &[2, 2] },
//!     Array { values: &margin, shape: &[1] },
//! ];
//! let hinge = Hinge(Negatives::Hardest);
//! let (losses, saved) = hinge.forward(&inputs);
//! assert_eq!(losses.shape, [2]);
//!
//! // The gradient of the sum of both losses by the scores; margins are constants.
//! let mut gradients = Gradients::zero([Some(4), None]);
//! hinge.backward(&inputs, &saved, &[1.0, 1.0], &mut gradients);
//! let by_scores = gradients.into_values().next().flatten();
//! assert_eq!(by_scores, Some(vec![-1.0, 2.0, 0.0, -1.0]));
//! ```
//!
//! | what | operations |
//! |---|---|
//! | layers | [`Linear`], [`Convolution`], [`BatchNorm`], [`SlotNorm`], [`Gelu`], [`Embedding`], [`Gru`] |
//! | rows of numbers | [`SoftmaxRows`], [`UnitRows`], [`UnitColumns`], [`LayerNormRows`] |
//! | pooling | [`SortPool`], [`AdditiveAttention`], [`Relation`] |
//! | scores of images against captions | [`InnerProducts`], [`Scan`], [`Imram`], [`MatchOdds`] |
//! | nodes of pairs | [`PairNodes`], [`Graph`], [`SafPool`] |
//! | losses | [`Hinge`], [`InfoNce`] |
//!
//! [`AdamStep`] is the optimizer's pass, [`vector`] what element-wise loops are made of.
#![deny(missing_docs)]

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
mod operation;
mod packed;
mod pair_nodes;
mod pairs;
mod panels;
mod pooling;
pub mod product;
mod ragged;
mod relation;
mod rows;
mod saf_pool;
mod scan;
mod segment;
mod sides;
mod sort_pool;
#[cfg(test)]
mod tests;
pub mod vector;

pub use adam::{AdamStep, sum_of_squares};
pub use additive_attention::AdditiveAttention;
pub use attention::{Attention, Block, RawNorm};
pub use batch_norm::{BatchNorm, ColumnMoments, Moments, SlotMoments, SlotNorm};
pub use convolution::{Convolution, Window};
pub use embedding::Embedding;
pub use gelu::Gelu;
pub use graph::Graph;
pub use gru::{Directions, Gru, States};
pub use hinge::{Hinge, Negatives};
pub use imram::{Imram, ImramSettings};
pub use info_nce::InfoNce;
pub use inner_product::InnerProducts;
pub use items::row_ranges;
pub use linear::Linear;
pub use match_odds::{Distance, MatchForm, MatchOdds};
pub use operation::{Array, Gradients, Operation, Output};
pub use pair_nodes::PairNodes;
pub use pooling::{Pool, Pooling};
pub use relation::Relation;
pub use rows::{LayerNormRows, SoftmaxRows, UnitColumns, UnitRows};
pub use saf_pool::SafPool;
pub use scan::{Scan, ScanSettings};
pub use sort_pool::SortPool;

pub(crate) use ragged::Ragged;

/// The example of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
