//! The audit: for every pair a calibrated probability that it is mismatched.
//!
//! Nothing about a pair's correctness is needed, only a [`Scorer`](crate::scores::Scorer) that has
//! not been trained on the pairs it judges: a frozen encoder, or the matchers of cross-fitting. The
//! score distribution of mismatched pairs is observable, because an image's scores against other
//! pairs' captions are exactly that; the steps build on it:
//!
//! 1. [`judge_fold`] ranks every pair against its null in both directions ([`FoldStatistics`]) and
//!    does the same to random re-pairings.
//! 2. [`average_repeats`] combines repeated judgments of the same pairs, if there are any.
//! 3. [`conclude`] tells readable pairs from others, calibrates either against re-pairings that are as
//!    readable, bounds the noise rate and gives every pair its posterior
//!    ([`DecreasingDensity`]) in [`Findings`].
//! 4. [`decide`] turns posteriors into kept and dropped pairs.
//!
//! Besides its posterior a pair has an uncertainty, which tells pairs that are matched but also fit
//! others from mismatched ones ([`Judgment`]).
//!
//! [`conclude_from_beliefs`] uses a trained method's own beliefs as posteriors instead.
//!
//! The audit refuses to give verdicts when the scores rank held-out pairs no better than chance, and
//! says that it cannot tell where the bounds of the rate leave everything open. Near misses, pairs of
//! the right scene with a wrong detail, rank well; they are told from matched pairs by what planted
//! ones look like ([`Planted`]), as far as they resemble those.

mod ambiguity;
mod around;
mod believe;
mod block_judge;
mod bootstrap;
mod calibration;
mod competence;
mod conclude;
mod cross_fit;
mod crowd;
mod decision;
mod duplicates;
mod findings;
mod fold;
mod folds;
mod held_out;
mod injection;
mod injection_kind;
mod judgment;
mod legibility;
mod links;
mod monotone;
mod near;
mod nearby;
mod new_pairs;
mod noise_rate;
mod outcome;
mod poor_ranks;
mod posterior;
mod rank_p;
mod ready;
mod reason;
mod repeats;
mod self_check;
mod softmax;
mod statistics;
mod sweep;
mod temperature;
mod trials;

pub use believe::conclude_from_beliefs;
pub(crate) use bootstrap::Bootstrap;
pub use calibration::auc;
pub use conclude::{Evidence, conclude};
pub use cross_fit::{CrossFit, Cut, HeldOut, Learner, cross_fit};
pub use decision::{Decision, Rule, decide};
pub use duplicates::{DuplicateCounts, count_duplicates, group_captions, group_images, normalize};
pub use findings::*;
pub use fold::{Fold, FoldStatistics};
pub(crate) use folds::assign_folds;
pub use held_out::{VisitFold, visit_held_out};
pub use injection::{Injection, inject};
pub use injection_kind::InjectionKind;
pub use judgment::{Ambiguity, Judgment, UncertaintyKind};
pub use links::Links;
pub use nearby::{
    Likeness, N_FEATURES, NearbyFeatures, NearbyStatistics, Plan, Planted, PlantedStatistics,
    Planting,
};
pub use new_pairs::{Later, NewFindings, NewVerdict, judge_new};
pub(crate) use noise_rate::clopper_pearson;
use noise_rate::{RateFit, RateInput, estimate_rate};
pub use posterior::{DecreasingDensity, posteriors};
pub use rank_p::judge_fold;
pub use ready::{PairScores, ReadyJudge};
pub use repeats::average_repeats;
pub use statistics::{NullStatistic, PairStatistics};

/// Fewest pairs that can be judged together: with fewer, a rank says next to nothing.
pub const MIN_PAIRS: usize = 30;

/// Fewest distinct captions, and distinct images, that a fold must hold.
pub const MIN_GROUPS: usize = 10;

/// Pairs per block. Larger blocks copy the null vectors less often; smaller ones waste less on the tile
/// of the block's own images and captions.
const BLOCK_PAIRS: usize = 1024;

/// The settings of an audit; the defaults suit everything from a thousand to millions of pairs.
///
/// ```
/// use truepair_core::audit::AuditOptions;
///
/// assert!(AuditOptions::default().check().is_ok());
/// let too_few = AuditOptions { n_bootstrap: 3, ..AuditOptions::default() };
/// assert!(too_few.check().unwrap_err().to_string().starts_with("n_bootstrap = 3"));
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditOptions {
    /// Null captions and null images per fold, at most; p-values are resolved to 1 / (this + 1).
    pub null_size: usize,
    /// At most this many images and captions are used to measure how well an item is read; 0 skips the
    /// measurement, and all pairs count as readable.
    pub crowd: usize,
    /// Random re-pairings per pair from which the null of the surprisal is measured.
    pub n_repairings: usize,
    /// Bootstrap draws for the noise rate's interval.
    pub n_bootstrap: usize,
    /// Whether to look for near misses by what planted ones look like. This needs vectors of images and
    /// captions, and takes about as long as everything else together.
    pub near_misses: bool,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            null_size: 5_000,
            crowd: 4_096,
            n_repairings: 4,
            n_bootstrap: 400,
            near_misses: true,
        }
    }
}

impl AuditOptions {
    /// Checks that every option is large enough to work with.
    ///
    /// # Errors
    /// If an option is too small to work with; the message names it.
    pub fn check(&self) -> crate::error::Result<()> {
        for (name, value, least) in [
            ("null_size", self.null_size, 100),
            ("n_repairings", self.n_repairings, 1),
            ("n_bootstrap", self.n_bootstrap, 40),
        ] {
            if value < least {
                return Err(crate::error::Error::argument(
                    format!("{name} = {value}, expected at least {least}"),
                    "raise it or leave it out for the default",
                ));
            }
        }
        Ok(())
    }
}
