//! Strategies: what a method believes about each pair, and what it minimizes given that belief.
//!
//! A new strategy is one file, its `mod` line and one row of the table below. A strategy owns no
//! per-pair memory (that is the [`Ledger`]), no networks and no loop (those are the trainer's).

mod ncr;
mod plain;
mod rcl;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::ledger::Ledger;
use truepair_core::rng::Stream;

pub use ncr::{MarginAxis, NcrConfig, Rectification, SoftMargin};
pub use plain::PlainConfig;
pub use rcl::RclConfig;

use crate::error::Result;
use crate::objective::PairLoss;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// From 0, warm-up included.
    pub index: usize,
    /// Epochs of the strategy's warm-up.
    pub n_warm_up: usize,
    /// Epochs after the warm-up.
    pub n_main: usize,
}

impl Epoch {
    /// Whether this epoch belongs to the warm-up.
    pub fn is_warm_up(self) -> bool {
        self.index < self.n_warm_up
    }

    /// Epochs since the end of the warm-up, 0 during it.
    pub fn main_index(self) -> usize {
        self.index.saturating_sub(self.n_warm_up)
    }
}

/// How an epoch runs: the peers in the order in which they train.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One entry a peer.
    pub peers: Vec<PeerPlan>,
    /// What the reader of the log should know, for instance that no pair looked clean.
    pub note: Option<String>,
}

/// The groups of pairs that one peer trains on. The first group sets the number of steps; after
/// each of its batches one batch of every further group follows, starting over when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPlan {
    /// Index of the peer.
    pub peer: usize,
    /// Indices of pairs.
    pub groups: Vec<Vec<u32>>,
}

impl Plan {
    /// Every peer trains on every pair.
    pub fn everything(n_peers: usize, n_pairs: usize) -> Self {
        let all: Vec<u32> = (0..n_pairs as u32).collect();
        let peers = (0..n_peers)
            .map(|peer| PeerPlan {
                peer,
                groups: vec![all.clone()],
            })
            .collect();
        Self { peers, note: None }
    }
}

/// Whose evaluation-mode scores a strategy needs for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consult {
    /// Nobody's.
    Nobody,
    /// Those of the peer that trains.
    Own,
    /// Every peer's.
    Everyone,
}

/// One batch as a strategy sees it.
#[derive(Debug)]
pub struct BatchView<'a> {
    /// The peer that trains.
    pub peer: usize,
    /// Index of the group that the batch was drawn from.
    pub group: usize,
    /// Indices of the batch's pairs, `[b]`.
    pub pairs: &'a [u32],
    /// The training peer's scores `[b, b]`, with gradients.
    pub scores: &'a Tensor<2>,
    /// Per peer the scores in evaluation mode, `[b * b]` row-major; empty where not consulted.
    pub opinions: &'a [Vec<f32>],
    /// Per peer the beliefs about all pairs.
    pub ledgers: &'a [Ledger],
    /// The batch's random numbers.
    pub rng: &'a mut Stream,
}

/// What a strategy says of a batch.
#[derive(Debug)]
pub struct Judgement {
    /// One loss per pair, `[b]`.
    pub loss: PairLoss,
    /// The soft correspondences that the loss used, `[b]`, for the ledger.
    pub soft_labels: Option<Vec<f32>>,
}

impl From<PairLoss> for Judgement {
    fn from(loss: PairLoss) -> Self {
        Self {
            loss,
            soft_labels: None,
        }
    }
}

/// A method: beliefs per pair and the loss that follows from them.
pub trait Strategy: std::fmt::Debug + Send {
    /// Networks trained side by side; 2 for co-teaching.
    fn n_peers(&self) -> usize {
        1
    }

    /// Epochs before the main ones, in addition to `training.epochs`.
    fn n_warm_up(&self) -> usize {
        0
    }

    /// A loss per pair from evaluation-mode scores `[b * b]`, when the method wants every pair
    /// measured before it plans an epoch.
    fn survey(&self, epoch: Epoch, scores: &[f32]) -> Option<Vec<f32>> {
        let _ = (epoch, scores);
        None
    }

    /// Whether [`survey`](Self::survey) is wanted before this epoch.
    fn wants_survey(&self, epoch: Epoch) -> bool {
        let _ = epoch;
        false
    }

    /// Before an epoch: revise beliefs in `ledgers` (one a peer) and decide who trains on what.
    ///
    /// # Errors
    /// If the measured losses are not finite.
    fn plan(&mut self, epoch: Epoch, ledgers: &mut [Ledger]) -> Result<Plan> {
        let _ = epoch;
        Ok(Plan::everything(self.n_peers(), ledgers[0].len()))
    }

    /// Whose evaluation-mode scores the loss of this group needs.
    fn consults(&self, epoch: Epoch, group: usize) -> Consult {
        let _ = (epoch, group);
        Consult::Nobody
    }

    /// The loss of every pair of a batch.
    fn pair_loss(&self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement;
}

macro_rules! strategies {
    ($($variant:ident($config:ty) = $name:literal, $summary:literal;)*) => {
        /// Which strategy, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum StrategyConfig {
            $(#[doc = $summary] #[serde(rename = $name)] $variant($config),)*
        }

        impl StrategyConfig {
            /// Every strategy's name, one-line summary and default settings.
            pub fn all() -> Vec<(&'static str, &'static str, StrategyConfig)> {
                vec![$(($name, $summary, StrategyConfig::$variant(<$config>::default())),)*]
            }

            /// The name in configs and on the command line.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Checks the settings; `n_main` is the number of epochs after the warm-up.
            ///
            /// # Errors
            /// If a setting is out of range.
            pub fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
                match self { $(Self::$variant(config) => config.build(n_main),)* }
            }
        }
    };
}

strategies! {
    Ncr(NcrConfig) = "ncr", "Noisy correspondence rectifier: two peers divide pairs by a loss mixture and train with soft margins.";
    Plain(PlainConfig) = "plain", "One objective on every pair, as if every pair were right.";
    Rcl(RclConfig) = "rcl", "Robust complementary contrastive learning: only negatives are asserted.";
}
