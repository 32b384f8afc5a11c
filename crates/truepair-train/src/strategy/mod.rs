//! Strategies: what a method believes about each pair, and what it minimizes given that belief.
//!
//! A new strategy is one file, its `mod` line and one row of the table below. A strategy owns no
//! per-pair memory (that is the [`Ledger`]), no networks and no loop (those are the trainer's).

mod adaptive;
mod audit_request;
mod batch;
mod beta_division;
mod bicro;
mod car;
mod car_hnsf;
mod co_division;
mod crcl;
mod cream;
mod dcl;
mod decl;
mod division_config;
mod early_targets;
mod expected_images;
mod gradient_ratio;
mod gsc;
mod hib;
mod hnsf;
mod in2r;
mod kept;
mod l2rm;
mod mixing;
mod ncr;
mod nlnc;
mod pcme;
mod pcme_plus;
mod plain;
mod pvse;
mod rcl;
mod rince;
mod search;
mod setting;
mod srem;
mod staged;
mod tal;
mod truepair;
#[cfg(test)]
mod variants;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::audit::Findings;
use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::pair::Pair;
use truepair_core::rng::Stream;

pub use adaptive::{AdaptiveConfig, Balance, Gate, Prediction};
pub use audit_request::AuditRequest;
pub use batch::Square;
pub use bicro::{BicroConfig, Doubtful};
pub use car::{CarConfig, CarForm, CarLabel};
pub use car_hnsf::CarHnsfConfig;
pub use crcl::{CrclConfig, LabelMemory};
pub use cream::CreamConfig;
pub use dcl::DclConfig;
pub use decl::{DeclConfig, HingeSum, RawScore};
pub use division_config::{DivisionConfig, MarginAxis, Rectification, SoftMargin};
pub use early_targets::EarlyTargets;
pub use gradient_ratio::RatioConfig;
pub use gsc::GscConfig;
pub use hib::HibConfig;
pub use hnsf::{DivideBy, DropRule, HardestLabel, HnsfConfig};
pub use in2r::In2rConfig;
pub use l2rm::L2rmConfig;
pub use mixing::{MixingConfig, Mixture};
pub use ncr::NcrConfig;
pub use nlnc::{NegativeSchedule, NlncConfig};
pub use pcme::{DivergenceSetting, PcmeStrategyConfig};
pub use pcme_plus::PcmePlusConfig;
pub use plain::PlainConfig;
pub use pvse::PvseConfig;
pub use rcl::RclConfig;
pub use rince::RinceConfig;
pub use search::{Candidate, Candidates, PairCandidates, Search};
pub use srem::SremConfig;
pub use staged::StagedConfig;
pub use tal::TalConfig;
pub use truepair::{TruepairConfig, Weighting};

use crate::error::Result;
use truepair_model::encoding::{Input, Structure};
use truepair_model::matcher::MatcherConfig;
use truepair_model::matcher::regularizer::Regularizers;
use truepair_model::objective::PairLoss;
use truepair_model::similarity::SimilarityConfig;

/// Where a run stands.
///
/// ```
/// use truepair_train::strategy::Epoch;
///
/// let epoch = Epoch { index: 3, n_warm_up: 2, n_main: 10 };
/// assert!(!epoch.is_warm_up());
/// assert_eq!(epoch.main_index(), 1);
/// ```
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

    /// A survey before every epoch after the warm-up.
    pub fn surveyed<'a>(self, survey: impl Fn(&[f32]) -> Measured + 'a) -> Option<Survey<'a>> {
        (!self.is_warm_up()).then(|| Box::new(survey) as Survey<'a>)
    }

    /// Epochs since the end of the warm-up, 0 during it.
    pub fn main_index(self) -> usize {
        self.index.saturating_sub(self.n_warm_up)
    }
}

/// How an epoch runs: the peers in the order in which they train.
///
/// ```
/// use truepair_train::strategy::Plan;
///
/// // Two peers, each on the pairs that the other holds clean.
/// let plan = Plan::of(vec![vec![vec![0, 2]], vec![vec![1, 2]]]);
/// assert_eq!((plan.peers[1].peer, &plan.peers[1].groups[0][..]), (1, &[1, 2][..]));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One entry a peer.
    pub peers: Vec<PeerPlan>,
    /// Pairs that nobody gave, put together from halves of given pairs; groups name the `k`-th by
    /// the index `n_pairs + k`. They have no row in the ledger.
    pub rematched: Vec<Pair>,
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
        Self::same(n_peers, vec![(0..n_pairs as u32).collect()])
    }

    /// Every peer trains on the same groups.
    pub fn same(n_peers: usize, groups: Vec<Vec<u32>>) -> Self {
        Self::of((0..n_peers).map(|_| groups.clone()).collect())
    }

    /// The groups of each peer.
    pub fn of(peers: Vec<Vec<Vec<u32>>>) -> Self {
        let peers = (peers.into_iter().enumerate())
            .map(|(peer, groups)| PeerPlan { peer, groups })
            .collect();
        Self {
            peers,
            rematched: Vec::new(),
            note: None,
        }
    }
}

/// Whose evaluation-mode numbers a strategy needs for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consult {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of the peer that trains.
    Own,
    /// Every peer's.
    Everyone,
    /// Every peer's running average of weights; see [`Strategy::teacher_decay`].
    Teachers,
}

/// What a strategy needs beside a batch's scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Whose evaluation-mode numbers.
    pub opinions: Consult,
    /// Whether images are compared with images and captions with captions: in
    /// [`BatchView::structure`], and in every opinion.
    pub structure: bool,
}

/// One network's view of a batch in evaluation mode, without gradients, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opinion {
    /// Scores `[b * b]`; empty where not consulted.
    pub scores: Vec<f32>,
    /// Cosines of images `[b * b]`; empty where no structure is needed.
    pub images: Vec<f32>,
    /// Cosines of captions `[b * b]`, likewise.
    pub captions: Vec<f32>,
}

/// One batch as a strategy sees it.
#[derive(Debug)]
pub struct BatchView<'a> {
    /// The peer that trains.
    pub peer: usize,
    /// Index of the group that the batch was drawn from.
    pub group: usize,
    /// Steps that this peer has done in this epoch.
    pub step: usize,
    /// Steps of this peer in this epoch.
    pub n_steps: usize,
    /// Indices of the batch's pairs, `[b]`; those of rematched pairs lie past the ledgers' end.
    pub pairs: &'a [u32],
    /// The training peer's scores `[b, b]`, with gradients.
    pub scores: &'a Tensor<2>,
    /// Likeness inside each modality, where needed.
    pub structure: Option<&'a Structure>,
    /// Per peer what it says in evaluation mode.
    pub opinions: &'a [Opinion],
    /// Per peer the beliefs about all pairs.
    pub ledgers: &'a [Ledger],
    /// The batch's random numbers.
    pub rng: &'a mut Stream,
}

impl BatchView<'_> {
    /// What a ledger column says of the batch's pairs, `[b]`.
    pub fn recall(&self, column: &[f32]) -> Vec<f32> {
        self.pairs.iter().map(|&n| column[n as usize]).collect()
    }
}

/// What a batch taught about its pairs, `[b]` each; what is `None` stays as it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beliefs {
    /// P(pair is clean), [0, 1].
    pub clean_posterior: Option<Vec<f32>>,
    /// Soft correspondence, [0, 1].
    pub soft_label: Option<Vec<f32>>,
    /// How little evidence there is, [0, 1].
    pub uncertainty: Option<Vec<f32>>,
    /// The strategy's [own columns](Strategy::columns) of floats.
    pub columns: Vec<(ColumnSpec, Vec<f32>)>,
}

/// What a strategy says of a batch.
#[derive(Debug)]
pub struct Judgement {
    /// One loss per pair, `[b]`.
    pub loss: PairLoss,
    /// For the training peer's ledger.
    pub beliefs: Beliefs,
}

impl From<PairLoss> for Judgement {
    fn from(loss: PairLoss) -> Self {
        Self {
            loss,
            beliefs: Beliefs::default(),
        }
    }
}

/// What a survey says of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// One loss per pair, `[b]`.
    pub loss: Vec<f32>,
    /// For the surveyed peer's ledger.
    pub beliefs: Beliefs,
}

impl From<Vec<f32>> for Measured {
    /// Losses, and no other beliefs.
    fn from(loss: Vec<f32>) -> Self {
        Self {
            loss,
            beliefs: Beliefs::default(),
        }
    }
}

/// Tells what one network's evaluation-mode scores `[b * b]` say of a batch.
pub type Survey<'a> = Box<dyn Fn(&[f32]) -> Measured + 'a>;

/// What an epoch is planned from.
#[derive(Debug)]
pub struct Planning<'a> {
    /// The epoch to come.
    pub epoch: Epoch,
    /// The beliefs to revise, one ledger a peer.
    pub ledgers: &'a mut [Ledger],
    /// The given pairs.
    pub pairs: &'a [Pair],
    /// The plan's random numbers.
    pub rng: &'a mut Stream,
}

impl Planning<'_> {
    /// Every peer trains on every pair.
    pub fn everything(&self, n_peers: usize) -> Plan {
        Plan::everything(n_peers, self.ledgers[0].len())
    }
}

/// A method: beliefs per pair and the loss that follows from them.
///
/// ```
/// use truepair_model::objective::InfoNce;
/// use truepair_train::strategy::{BatchView, Epoch, Judgement, Strategy};
///
/// /// Two networks that start apart and know nothing of each other.
/// #[derive(Debug)]
/// struct Twins(InfoNce);
///
/// impl Strategy for Twins {
///     fn n_peers(&self) -> usize {
///         2
///     }
///     fn pair_loss(&mut self, _: Epoch, view: &mut BatchView<'_>) -> Judgement {
///         self.0.pair_loss(view.scores).into()
///     }
/// }
///
/// // [`train_by`](crate::train_by) runs it; a row in the table gives it a name and settings.
/// let twins: Box<dyn Strategy> = Box::new(Twins(InfoNce::default()));
/// assert_eq!((twins.n_peers(), twins.n_warm_up()), (2, 0));
/// ```
pub trait Strategy: std::fmt::Debug + Send {
    /// Networks trained side by side; 2 for co-teaching.
    fn n_peers(&self) -> usize {
        1
    }

    /// Epochs before the main ones, in addition to `training.epochs`.
    fn n_warm_up(&self) -> usize {
        0
    }

    /// Its own columns in the ledger.
    fn columns(&self) -> &'static [ColumnSpec] {
        &[]
    }

    /// Whether networks and optimizers start anew before this epoch; beliefs stay.
    fn restarts(&self, epoch: Epoch) -> bool {
        let _ = epoch;
        false
    }

    /// Where the learning rate stands in its schedule.
    fn schedule_epoch(&self, epoch: Epoch) -> Epoch {
        epoch
    }

    /// Decay a step of a running average of every peer's weights, [0, 1); `None` for no average.
    fn teacher_decay(&self) -> Option<f64> {
        None
    }

    /// A cross-fitted audit of the training pairs that is wanted before this epoch.
    fn wants_audit(&self, epoch: Epoch) -> Option<AuditRequest> {
        let _ = epoch;
        None
    }

    /// Takes the audit that was wanted, before [`plan`](Self::plan). Verdicts are in the pairs'
    /// order; there are none when the audit refuses to judge.
    fn take_audit(&mut self, findings: &Findings, ledgers: &mut [Ledger]) {
        let _ = (findings, ledgers);
    }

    /// Captions whose images are to be searched before this epoch, after an audit.
    fn wants_search(&self, epoch: Epoch, ledgers: &[Ledger], pairs: &[Pair]) -> Option<Search> {
        let _ = (epoch, ledgers, pairs);
        None
    }

    /// Takes what the search found.
    fn take_candidates(&mut self, candidates: &Candidates, ledgers: &mut [Ledger]) {
        let _ = (candidates, ledgers);
    }

    /// How every pair is measured before this epoch, where the method wants that before it plans.
    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        let _ = epoch;
        None
    }

    /// Before an epoch: revise beliefs and decide who trains on what. A warm-up trains on every pair.
    ///
    /// # Errors
    /// If the measured losses are not finite.
    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        if planning.epoch.is_warm_up() {
            return Ok(planning.everything(self.n_peers()));
        }
        self.divide(planning)
    }

    /// [`plan`](Self::plan) after the warm-up.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        Ok(planning.everything(self.n_peers()))
    }

    /// What the loss of this group needs beside scores.
    fn needs(&self, epoch: Epoch, group: usize) -> Needs {
        let _ = (epoch, group);
        Needs::default()
    }

    /// Terms of the loss that read encodings instead of scores.
    fn regularizers(&self) -> Regularizers {
        Regularizers::default()
    }

    /// How a batch's images are mixed before they are encoded; [`pair_loss`](Self::pair_loss) is
    /// asked next, about that batch.
    fn mix(&mut self, epoch: Epoch, images: &Input, rng: &mut Stream) -> Option<Mixture> {
        let _ = (epoch, images, rng);
        None
    }

    /// Whether all that the method asks of training is how much every pair counts, so that a closed
    /// form can take the place of gradient steps.
    fn takes_closed_form(&self) -> bool {
        false
    }

    /// How much each of these pairs of the epoch's plan counts where a closed form is fitted to them,
    /// in [0, 1]; `ledgers` as in [`plan`](Self::plan).
    fn weights(&self, pairs: &[u32], ledgers: &[Ledger]) -> Vec<f32> {
        let _ = ledgers;
        vec![1.0; pairs.len()]
    }

    /// How far each pair of a batch is taken for a match by terms beside the loss, `[b]` in [0, 1].
    fn labels(&self, peer: usize, pairs: &[u32], ledgers: &[Ledger]) -> Vec<f32> {
        let _ = (peer, ledgers);
        vec![1.0; pairs.len()]
    }

    /// The loss of every pair of a batch.
    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement;

    /// Numbers that are no pair's and must survive a stop, for instance smoothed weights of terms.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes [`state`](Self::state) back.
    fn restore(&mut self, state: &[f64]) {
        let _ = state;
    }
}

/// What a method reads of a similarity: a column of the table below.
#[derive(PartialEq)]
enum Reads {
    /// Scores of any kind.
    Any,
    /// Scores that are log odds of a match.
    LogOdds,
    /// Scores of the similarity that it was made for, by default; others where they are named.
    Own,
}

impl StrategyConfig {
    /// Whether the method can read the scores of a similarity, by its name.
    pub fn takes(&self, similarity: &str) -> bool {
        match self.reads() {
            Reads::Any => true,
            Reads::LogOdds => {
                let mut all = SimilarityConfig::all().into_iter();
                all.any(|(name, _, config)| name == similarity && config.gives_log_odds())
            }
            Reads::Own => similarity == self.similarity().name(),
        }
    }

    /// # Errors
    /// If the method reads what the matcher does not give.
    pub(crate) fn check_matcher(&self, matcher: &MatcherConfig) -> Result<()> {
        if self.reads() == Reads::LogOdds && !matcher.similarity.gives_log_odds() {
            return Err(truepair_core::Error::argument(
                format!(
                    "strategy `{}` reads scores as log odds of a match, similarity `{}` gives others",
                    self.name(),
                    matcher.similarity.name()
                ),
                "use `match_probability` or `closed_form`, or leave [matcher.similarity] out",
            )
            .into());
        }
        Ok(())
    }
}

/// Rows name the config, the similarity that the method was made for and what it reads of one;
/// `shortened` marks a method whose config says how it runs where one step fits the matcher.
macro_rules! strategies {
    (@in_one_step shortened $config:ident) => { $config.in_one_step() };
    (@in_one_step $config:ident) => { $config };
    (
        asking for no audit {
            $($plain:ident($plain_config:ty) = $plain_name:literal made for $plain_similarity:ident reads $plain_reads:ident $($plain_mark:ident)?, $plain_summary:literal;)*
        }
        asking for an audit {
            $($audited:ident($audited_config:ty) = $audited_name:literal made for $audited_similarity:ident reads $audited_reads:ident $($audited_mark:ident)?, $audited_summary:literal;)*
        }
    ) => {
        /// A strategy that asks for no audit, with its settings: what can train an audit's networks
        /// for a strategy that asks for one.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum UnauditedStrategy {
            $(#[doc = $plain_summary] #[serde(rename = $plain_name)] $plain($plain_config),)*
        }

        impl From<UnauditedStrategy> for StrategyConfig {
            fn from(strategy: UnauditedStrategy) -> Self {
                match strategy { $(UnauditedStrategy::$plain(config) => Self::$plain(config),)* }
            }
        }

        strategies! {
            $($plain($plain_config) = $plain_name made for $plain_similarity reads $plain_reads $($plain_mark)?, $plain_summary;)*
            $($audited($audited_config) = $audited_name made for $audited_similarity reads $audited_reads $($audited_mark)?, $audited_summary;)*
        }
    };
    ($($variant:ident($config:ty) = $name:literal made for $similarity:ident reads $reads:ident $($mark:ident)?, $summary:literal;)*) => {
        /// Which strategy, with its settings.
        ///
        /// ```
        /// use truepair_train::strategy::StrategyConfig;
        ///
        /// for (name, summary, config) in StrategyConfig::all() {
        ///     assert_eq!(config.name(), name);
        ///     assert!(summary.ends_with('.') && config.build(10).is_ok());
        /// }
        /// let bad: StrategyConfig = toml::from_str("kind = \"rcl\"\ntemperature = -1.0").unwrap();
        /// assert!(bad.build(10).unwrap_err().to_string().contains("strategy.temperature"));
        /// ```
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

            /// The similarity that the method was made for; plain cosine where it is open.
            pub fn similarity(&self) -> SimilarityConfig {
                match self { $(Self::$variant(_) => SimilarityConfig::$similarity(Default::default()),)* }
            }

            fn reads(&self) -> Reads {
                match self { $(Self::$variant(_) => Reads::$reads,)* }
            }

            /// The method for a matcher that one step fits.
            pub(crate) fn in_one_step(self) -> Self {
                match self {
                    $(Self::$variant(config) => Self::$variant(strategies!(@in_one_step $($mark)? config)),)*
                }
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
    asking for no audit {
        Adaptive(AdaptiveConfig) = "adaptive" made for Cosine reads Any, "Triplet, negative triplet and early-learning term of two peers, weighted by their gradients and by each pair's confidence.";
        Bicro(BicroConfig) = "bicro" made for Cosine reads Any, "Bidirectional cross-modal consistency: a pair's label says how alike it relates to clean pairs on both sides.";
        Car(CarConfig) = "car" made for Cosine reads Any, "Consistency-aware regularization: the rectifier, held near what it predicted of each pair early on.";
        CarHnsf(CarHnsfConfig) = "car+hnsf" made for Cosine reads Any, "Both founding variants: running hardest-negative soft labels and the early-learning term.";
        Crcl(CrclConfig) = "crcl" made for Cosine reads Any, "Cross-modal robust complementary learning: asserted as far as a slow label says, restarted in stages.";
        Cream(CreamConfig) = "cream" made for Cosine reads Any, "Consistency refining and mining: clean, hard and noisy pairs by two peers' agreement; doubt goes to similar others.";
        Dcl(DclConfig) = "dcl" made for Cosine reads Any, "Negative can be positive: pairs that lose most inside their batch count as negatives.";
        Decl(DeclConfig) = "decl" made for Cosine reads Any, "Deep evidential learning: scores are evidence; pairs whose own is not the strongest teach none.";
        Gsc(GscConfig) = "gsc" made for Cosine reads Any, "Geometrical structure consistency: pairs count by how alike their neighborhoods are on both sides.";
        Hib(HibConfig) = "hib" made for MatchProbability reads LogOdds, "Hedged instance embeddings (recalled): Gaussians under a soft contrastive loss and an information bottleneck.";
        Hnsf(HnsfConfig) = "hnsf" made for Cosine reads Any, "Hardest-negative soft-label filter: the rectifier, trusting a pair by its gap to the most similar wrong answer.";
        L2rm(L2rmConfig) = "l2rm" made for Cosine reads Any, "Learning to rematch: noisy images and captions are matched anew by partial optimal transport.";
        Ncr(NcrConfig) = "ncr" made for Cosine reads Any, "Noisy correspondence rectifier: two peers divide pairs by a loss mixture and train with soft margins.";
        Nlnc(NlncConfig) = "nlnc" made for Cosine reads Any, "Negative learning for noisy correspondence: the rectifier, pushing pairs that look mismatched apart.";
        Pcme(PcmeStrategyConfig) = "pcme" made for MatchProbability reads LogOdds, "Probabilistic cross-modal embeddings: Gaussians whose draws match or do not, in every pair of a batch.";
        PcmePlus(PcmePlusConfig) = "pcme++" made for ClosedForm reads LogOdds, "PCME++: Gaussians under a distance in closed form, with pseudo-positives and mixed images.";
        Plain(PlainConfig) = "plain" made for Cosine reads Any, "One objective on every pair, as if every pair were right.";
        Pvse(PvseConfig) = "pvse" made for MultipleInstance reads Own, "Polysemous embeddings: several vectors an item, of which the best pair counts in a triplet.";
        Rcl(RclConfig) = "rcl" made for Cosine reads Any, "Robust complementary contrastive learning: only negatives are asserted.";
        Rince(RinceConfig) = "rince" made for Cosine reads Any, "Robust InfoNCE: an exponent between InfoNCE and a symmetric loss lets pairs that fit badly pull less.";
        Srem(SremConfig) = "srem" made for Cosine reads Any, "Self-reinforcing errors mitigation (reconstructed): clean needs low loss and low energy; all learn complements.";
        Tal(TalConfig) = "tal" made for Cosine reads Any, "Triplet alignment with confident consensus: a pair counts when both peers, or one and a coin, hold it clean.";
    }
    asking for an audit {
        In2r(In2rConfig) = "in2r" made for Cosine reads Any, "Neighbor refinement on what an audit keeps: dropped items learn from the other halves of their clean neighbors.";
        Truepair(TruepairConfig) = "truepair" made for Cosine reads Any shortened, "Cross-fitted audit first; train on what it keeps, and give dropped captions the image they likely came from.";
    }
}
