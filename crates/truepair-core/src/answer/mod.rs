//! What a list of hits is worth: the probability that a hit is right, the smallest set of hits that holds a
//! right one as often as promised, and whether a query has an answer at all.
//!
//! Scores mean nothing across queries. What they mean is learned from pairs that trained nothing: each asks
//! what a user would ask, and its right answers are known.
//!
//! ```text
//! z_j      = s_j / τ − ln Σ_k e^{s_k / τ}         over the first hits of the same query
//! P(right) = σ(a + b z_j + c s_j + g v)           logistic regression over the first hits of all queries
//! set      = { j : P_j >= t },  t = the ⌊α (n + 1)⌋-th smallest, over n queries, of max_{j right} P_j
//! nothing  = σ(d + e s_1 + f z_1 + h v)           learned from the same queries without their right answers
//! ```
//!
//! with `v` the query's variance where queries are Gaussians, and 0 elsewhere.
//!
//! The set is split conformal prediction (Vovk, Gammerman and Shafer, 2005): a query that is exchangeable with
//! the calibrating ones has a right answer in its set with a probability of at least `1 − α`, whatever the matcher
//! and however wrong the probabilities. What carries the promise is exchangeability: queries of another kind,
//! or a gallery of another size or subject, are not covered. A query is said to have no answer where at most a stated
//! share of the answerable calibrating queries looked as hopeless, so that share is how often an answer is denied
//! wrongly.

mod fit;
mod logistic;
mod quality;
mod query;

use serde::{Deserialize, Serialize};

pub use quality::AnswerQuality;
pub use query::KnownAnswers;

use logistic::{FEATURES, Logistic};

/// Hits of a query that the softmax compares, at most; as many must be retrieved for a query to be judged.
pub const DEPTH: usize = 100;

/// Fewest queries to calibrate with.
pub const MIN_QUERIES: usize = 50;

/// What scores mean in one direction, learned by [`AnswerModel::fit`].
///
/// ```
/// use truepair_core::answer::{AnswerModel, KnownAnswers};
///
/// // The right answer scores 1 to 2, the other hits less, and evenly so.
/// let query = |n: usize| {
///     let mut scores = vec![1.0 + (n % 10) as f32 / 10.0];
///     scores.extend((0..40).map(|k| 1.2 - 0.03 * k as f32));
///     KnownAnswers::new(&scores, &[0])
/// };
/// let queries: Vec<KnownAnswers> = (0..200).map(query).collect();
/// let model = AnswerModel::fit(&queries)?;
/// let judged = model.judge(&[1.9, 1.2, 1.17, 1.14], 0.0);
/// assert!(judged.right[0] > 0.5 && judged.right[1] < 0.5);
/// assert!(model.threshold(0.9).is_some());
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerModel {
    /// Queries that it was calibrated with.
    pub n_queries: usize,
    /// Hits that the softmax compares.
    pub depth: usize,
    /// Scores are divided by this first, so that temperatures are free of their scale; above 0.
    unit: f64,
    /// Variances of queries are divided by this, so that coefficients are free of their scale; above 0.
    variance_unit: f64,
    /// Temperature of the softmax, in units.
    temperature: f64,
    right: Logistic,
    nothing: Logistic,
    /// Per calibrating query the largest probability of a right answer, ascending; 0 where none was retrieved.
    best_right: Vec<f64>,
    /// How hopeless each calibrating query looked with its answers there, ascending.
    hopeless: Vec<f64>,
}

/// What is known of the hits of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Probability that each hit is right, in the order of the hits; it never grows from one hit to the next.
    pub right: Vec<f64>,
    /// Share of the calibrating queries that looked at least as hopeless although they had an answer, (0, 1].
    pub answerable: f64,
    /// Probability that no item answers, were queries with and without an answer equally frequent.
    pub nothing: f64,
}

impl AnswerModel {
    /// Judges the hits of one query by their scores, the best first, without any that is left out between two;
    /// at least [`DEPTH`] of them, or all there are. `variance` is the query's, see [`KnownAnswers::with_variance`].
    ///
    /// # Panics
    /// If there is no hit.
    pub fn judge(&self, scores: &[f32], variance: f64) -> Judged {
        let features = self.features(scores, variance);
        let mut right: Vec<f64> = (features.iter())
            .map(|features| self.right.probability(features))
            .collect();
        for at in 1..right.len() {
            right[at] = right[at].min(right[at - 1]);
        }
        let hopeless = self.nothing.logit(&features[0]);
        let n_above = self.hopeless.len() - self.hopeless.partition_point(|&one| one < hopeless);
        Judged {
            right,
            answerable: (1 + n_above) as f64 / (1 + self.hopeless.len()) as f64,
            nothing: self.nothing.probability(&features[0]),
        }
    }

    /// The probability that a hit must reach for the hits above it to hold a right answer in a share `coverage` of
    /// the queries, (0, 1). `None` where so many calibrating queries had no right answer among their first [`DEPTH`]
    /// hits, or there were so few of them, that no set of hits can promise it.
    pub fn threshold(&self, coverage: f64) -> Option<f64> {
        let n = self.best_right.len();
        let place = ((1.0 - coverage) * (n + 1) as f64 + 1e-9).floor() as usize;
        let threshold = *self.best_right.get(place.checked_sub(1)?)?;
        (threshold > 0.0).then_some(threshold)
    }

    /// `[z, s, v]` of every hit: its log softmax among the first hits, its score in units, and the query's variance.
    fn features(&self, scores: &[f32], variance: f64) -> Vec<[f64; FEATURES]> {
        let variance = variance / self.variance_unit;
        let scale = Scale {
            depth: self.depth,
            unit: self.unit,
            temperature: self.temperature,
        };
        features(scores, variance, scale)
    }
}

/// How scores become features; the fields are those of [`AnswerModel`].
#[derive(Debug, Clone, Copy)]
struct Scale {
    depth: usize,
    unit: f64,
    temperature: f64,
}

fn features(scores: &[f32], variance: f64, scale: Scale) -> Vec<[f64; FEATURES]> {
    let Scale {
        depth,
        unit,
        temperature,
    } = scale;
    let scaled = |score: &f32| f64::from(*score) / unit;
    let top = scaled(&scores[0]);
    let among = scores.iter().take(depth);
    let sum: f64 = among
        .map(|score| ((scaled(score) - top) / temperature).exp())
        .sum();
    (scores.iter())
        .map(|score| {
            let score = scaled(score);
            [(score - top) / temperature - sum.ln(), score, variance]
        })
        .collect()
}
