//! How good a ranking is: one file and one row in [`METRICS`] per metric.
//!
//! Metrics see one query's ranks only, so ties, missing relevant items and the number of captions per
//! image are settled beforehand ([`crate::ranking`]). Recalls are fractions; only code that prints them
//! for people multiplies by 100.

mod average_precision;
mod bootstrap;
mod cutoff;
mod figure;
mod folds;
mod match_calibration;
mod measured;
mod ndcg;
mod occlusion;
mod paired;
mod pmrp;
mod precision;
mod protocol;
mod r_precision;
mod rank;
mod recall;
mod reciprocal_rank;
mod report;
mod rsum;
mod set_recall;
mod stored_report;
#[cfg(test)]
mod test_data;
mod tie_gap;
mod uncertainty;

pub use average_precision::{AveragePrecision, Divisor};
pub use bootstrap::{FigureDifference, Interval};
pub use figure::{Figure, QueryCounts};
pub use measured::{
    Asked, Evaluation, Measured, QueryRow, Relevant, Source, Unmeasured, evaluate, measure,
};
pub use ndcg::Ndcg;

pub use match_calibration::{CalibrationError, MatchCalibration, match_calibration};
pub use occlusion::{OcclusionCurve, OcclusionPoint, occlusion_curve};
pub use paired::{Difference, QueryUnits, rsum_difference};
pub use pmrp::{PlausibleFirst, PlausibleMatch};
pub use precision::Precision;
pub use protocol::{CaptionsPerImage, Protocol, Ties, TrainingNoise};
pub use r_precision::RPrecision;
pub use rank::{MeanRank, MedianRank};
pub use recall::Recall;
pub use reciprocal_rank::ReciprocalRank;
pub use report::{Comparison, ComparisonRow, Report};
pub use rsum::RSum;
pub use set_recall::SetRecall;
pub use tie_gap::tie_gap;
pub use uncertainty::{ByUncertainty, Correlation, Tenth, UncertainQueries, by_uncertainty};

use crate::ranking::Placed;

/// Every metric, in the order of a report.
pub const METRICS: &[&dyn Metric] = &[
    &Recall::AT_1,
    &Recall::AT_5,
    &Recall::AT_10,
    &MedianRank,
    &MeanRank,
    &RSum,
    &SetRecall::AT_1,
    &SetRecall::AT_5,
    &SetRecall::AT_10,
    &Precision::AT_1,
    &Precision::AT_5,
    &Precision::AT_10,
    &RPrecision,
    &AveragePrecision::ALL,
    &AveragePrecision::AT_R,
    &Ndcg::ALL,
    &Ndcg::AT_10,
    &ReciprocalRank,
    &PlausibleMatch::MEAN,
    &PlausibleMatch::STRICT,
    &PlausibleMatch::MIDDLE,
    &PlausibleMatch::LAX,
    &PlausibleFirst,
];

/// A number that says how good a ranking is.
///
/// ```
/// use truepair_core::metric::METRICS;
/// use truepair_core::ranking::{Level, Placed};
///
/// // A query whose two relevant items have ranks 1 and 4 of ten.
/// let levels = [Level { ranks: &[1, 4], n_relevant: 2, n_absent: 0 }];
/// let placed = Placed { levels: &levels, depth: 10, n_gallery: 10 };
/// let worth = |name: &str| {
///     let metric = METRICS.iter().find(|metric| metric.name() == name);
///     metric.map(|metric| metric.of_query(&placed))
/// };
/// assert_eq!(worth("recall@1"), Some(1.0));
/// assert_eq!(worth("set-recall@1"), Some(0.5));
/// assert_eq!(worth("map"), Some((1.0 + 2.0 / 4.0) / 2.0));
/// ```
pub trait Metric: Sync {
    /// Name on the command line, in reports and in configurations.
    fn name(&self) -> &'static str;
    /// What the number counts: a share, unless the metric says otherwise.
    fn unit(&self) -> Unit {
        Unit::Fraction
    }
    /// Whether a larger number is better, as it is unless the metric says otherwise.
    fn higher_is_better(&self) -> bool {
        true
    }
    /// One sentence for the table of metrics.
    fn summary(&self) -> &'static str;
    /// The value of one query.
    fn of_query(&self, placed: &Placed<'_>) -> f64;
    /// The rank down to which a ranking must be known for [`of_query`](Self::of_query); lists that are
    /// cut off earlier leave the query unmeasured.
    fn depth(&self, placed: &Placed<'_>) -> u32;
    /// How the values of the queries become one number.
    fn pool(&self) -> Pool {
        Pool::Mean
    }
    /// Whether the numbers of both directions are added up to one.
    fn is_joint(&self) -> bool {
        false
    }
    /// Whether the metric applies to relevance with this many levels.
    fn applies(&self, _n_levels: usize) -> bool {
        true
    }
    /// Whether every short table shows it: the recalls, their sum and the ranks.
    fn is_standard(&self) -> bool {
        false
    }

    /// The arrow of a table's heading: which way is better.
    fn arrow(&self) -> char {
        if self.higher_is_better() {
            '↑'
        } else {
            '↓'
        }
    }
}

/// How the values of queries become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Arithmetic mean.
    Mean,
    /// The middle value; of two middle values their mean, rounded down.
    Median,
}

impl Pool {
    /// Pools some values into one number.
    ///
    /// # Panics
    /// If there is no value.
    pub fn of(self, values: &[f64]) -> f64 {
        assert!(!values.is_empty(), "no query to pool");
        match self {
            Pool::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Pool::Median => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
                ((low + high) / 2.0).floor()
            }
        }
    }
}

/// What a metric's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share in [0, 1]; printed in percent.
    Fraction,
    /// A sum of six shares in [0, 6]; printed in percent.
    SumOfFractions,
    /// A 1-based position.
    Rank,
}

impl Unit {
    /// The unit in words.
    pub fn describe(self) -> &'static str {
        match self {
            Unit::Fraction => "fraction",
            Unit::SumOfFractions => "sum of fractions",
            Unit::Rank => "rank",
        }
    }
}

/// The page `docs/metrics.md`, written from [`METRICS`].
pub fn page() -> String {
    let mut page = String::from(PAGE_HEAD);
    for metric in METRICS {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name(),
            metric.arrow(),
            metric.unit().describe(),
            metric.summary()
        ));
    }
    page.push_str(PAGE_FOOT);
    page
}

const PAGE_HEAD: &str = "\
# Metrics

Every metric is measured in both directions: `i2t` (an image is the query for its captions) and
`t2i` (a caption is the query for its images). Code, files and `--json` hold recalls as fractions; tables for people
print them in percent and say so.

| name | better | unit | what it says |
|---|---|---|---|
";

const PAGE_FOOT: &str = "
## Ranks

Ranks are 1-based. A relevant item ranks after every non-relevant item that scores at least as
high: ties count against the model, and a matcher that gives every pair the same score ranks last.
Recall, the ranks and `mrr` look at a query's best relevant item, the others at all of them. Queries
without a relevant item are left out and counted. Scores that are NaN or infinite are an error.

`truepair eval --check-ties` also ranks with every tie in the model's favor and says how far a recall
would rise; where that is more than 0.1 points, scores are saturated and the tie rule is part of the
result.

*Recall* has two forms. The image-text literature counts hits: `recall@k` is 1 as soon as one of an
image's five captions is among the first k. `set-recall@k` is the share of the five that are. They
are equal where a query has one relevant item.

Lists ranked by another program are taken in their order. A metric that would need more of a list
than there is, such as `map` of the first hundred items, is left out and named.

## Relevance

Who counts as right is part of the protocol.

| relevance | rule |
|---|---|
| `pairs` | an image's own captions, and a caption's own image |
| judgments from files | what JSON maps, TREC qrels or the ratings of Crisscrossed Captions say, separately for each direction; relevant items that are not in the gallery count and are never found |
| labels, `same` | items of the same class, or with the same set of classes |
| labels, `share` | items with a class in common |
| labels, `distance N` | items whose sets differ in at most N classes |
| labels, `plausible` | distances 0, 1 and 2 side by side; the `pmr` rows average them, all other rows are for distance 0 |

With labels, items without one are neither queries nor in a gallery.

## Folds

With `folds = k` the split is cut into k equal runs of consecutive images with their captions; every
metric is the mean over the folds. MS-COCO 1K is five folds of the 5,000 test images, MS-COCO 5K is
one.

## Intervals and comparisons

An interval is the 95 % percentile interval of a bootstrap over test images: an image is drawn with
its captions, since they are hard or easy together, and within its fold. Two evaluations of the same
queries are compared on the same draws; the p-value is two-sided and not corrected for the number of
rows in a table. Neither covers other seeds of training.

## Protocol

A report carries its protocol: data and hash, split, numbers of images and captions, captions per
image, relevance, folds, networks in the ensemble, training noise with the SHA-256 of its index, and
the tie rule. Reports with different protocols are not compared; the message names the fields that
differ.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::Level;

    #[test]
    fn names_are_distinct_and_summaries_are_sentences() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(
                METRICS[..index]
                    .iter()
                    .all(|other| other.name() != metric.name())
            );
            assert!(metric.summary().ends_with('.'), "{}", metric.name());
        }
    }

    fn look<R>(ranks: &[u32], n_relevant: u32, look: impl Fn(&Placed<'_>) -> R) -> R {
        let level = Level {
            ranks,
            n_relevant,
            n_absent: 0,
        };
        look(&Placed {
            levels: &[level; 3],
            depth: 100,
            n_gallery: 100,
        })
    }

    #[test]
    fn a_perfect_ranking_beats_a_poor_one_in_every_metric() {
        for &metric in METRICS {
            let best = look(&[1, 2, 3], 3, |placed| metric.of_query(placed));
            let poor = look(&[12, 40, 90], 3, |placed| metric.of_query(placed));
            let better = if metric.higher_is_better() {
                best > poor
            } else {
                best < poor
            };
            assert!(better, "{}: {best} against {poor}", metric.name());
        }
    }

    #[test]
    fn a_metric_knows_its_value_from_the_depth_that_it_asks_for() {
        for &metric in METRICS {
            for ranks in [&[1, 2, 3][..], &[2, 9, 30], &[40, 41, 99]] {
                let (depth, whole) = look(ranks, 3, |placed| {
                    (metric.depth(placed), metric.of_query(placed))
                });
                assert!(depth <= 100, "{}", metric.name());
                let kept: Vec<u32> = ranks
                    .iter()
                    .copied()
                    .filter(|&rank| rank <= depth)
                    .collect();
                let cut = look(&kept, 3, |placed| metric.of_query(placed));
                assert_eq!(
                    cut,
                    whole,
                    "{} at depth {depth} of {ranks:?}",
                    metric.name()
                );
            }
        }
    }

    #[test]
    fn the_median_rounds_down() {
        assert_eq!(Pool::Median.of(&[1.0, 4.0, 2.0, 8.0]), 3.0);
        assert_eq!(Pool::Median.of(&[2.0, 3.0]), 2.0);
        assert_eq!(Pool::Mean.of(&[2.0, 3.0]), 2.5);
    }
}
