//! What a ranking is worth: one file and one row in [`METRICS`] per metric.
//!
//! Metrics see ranks only, so ties, missing relevant items and the number of captions per image
//! are settled before ([`crate::ranking`]). Recalls are fractions; only what prints them for
//! people multiplies by 100.

mod match_calibration;
mod paired;
mod protocol;
mod rank;
mod recall;
mod report;
mod rsum;
mod uncertainty;

pub use match_calibration::{CalibrationError, MatchCalibration, match_calibration};
pub use paired::{Difference, QueryUnits, rsum_difference};
pub use protocol::{CaptionsPerImage, Protocol, Ties, TrainingNoise};
pub use rank::{MeanRank, MedianRank};
pub use recall::Recall;
pub use report::{Comparison, ComparisonRow, Report, ReportRow, Retrieval, evaluate};
pub use rsum::RSum;
pub use uncertainty::{ByUncertainty, Correlation, Tenth, UncertainQueries, by_uncertainty};

use crate::ranking::Ranks;
use crate::scores::Direction;

/// Every metric, in the order of a report.
pub const METRICS: &[&dyn Metric] = &[
    &Recall::AT_1,
    &Recall::AT_5,
    &Recall::AT_10,
    &MedianRank,
    &MeanRank,
    &RSum,
];

/// A number that says how good a ranking is.
pub trait Metric: Sync {
    /// Name on the command line, in reports and in configurations.
    fn name(&self) -> &'static str;
    /// What the number counts.
    fn unit(&self) -> Unit;
    /// Whether a larger number is the better one.
    fn higher_is_better(&self) -> bool;
    /// One sentence for the table of metrics.
    fn summary(&self) -> &'static str;
    /// Measures ranks.
    ///
    /// # Panics
    /// If a direction has no query; [`crate::ranking::ranks`] never returns such ranks.
    fn compute(&self, ranks: &Ranks) -> Measure;
    /// The same number in a report, where it may be a mean over folds.
    fn read(&self, report: &Report) -> Measure;

    /// The arrow of a table's heading: which way is better.
    fn arrow(&self) -> char {
        if self.higher_is_better() {
            '↑'
        } else {
            '↓'
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

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// One number per direction.
    PerDirection {
        /// Images ask.
        image_to_text: f64,
        /// Captions ask.
        text_to_image: f64,
    },
    /// One number for both directions together.
    Joint(f64),
}

impl Measure {
    /// The numbers with the direction that each belongs to, `None` for both together.
    pub fn values(self) -> Vec<(Option<Direction>, f64)> {
        match self {
            Measure::PerDirection {
                image_to_text,
                text_to_image,
            } => vec![
                (Some(Direction::ImageToText), image_to_text),
                (Some(Direction::TextToImage), text_to_image),
            ],
            Measure::Joint(value) => vec![(None, value)],
        }
    }

    fn per_direction(ranks: &Ranks, measure: impl Fn(&[u32]) -> f64) -> Self {
        Measure::PerDirection {
            image_to_text: measure(&ranks.image_to_text),
            text_to_image: measure(&ranks.text_to_image),
        }
    }

    fn read(report: &Report, field: impl Fn(&Retrieval) -> f64) -> Self {
        Measure::PerDirection {
            image_to_text: field(&report.image_to_text),
            text_to_image: field(&report.text_to_image),
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

Every metric is measured in both directions: `i2t` (an image asks for its captions) and `t2i` (a
caption asks for its images). Code and stored reports hold recalls as fractions; tables for people
and `--json` print them in percent and say so.

| name | better | unit | what it says |
|---|---|---|---|
";

const PAGE_FOOT: &str = "
## Ranks

A query's rank is 1-based and that of its best relevant item: 1 + the number of non-relevant items
that score at least as high. Ties therefore count against the model, and a matcher that gives every
pair the same score ranks last. Queries without a relevant item are left out and counted. Scores
that are NaN or infinite are an error.

## Folds

With `folds = k` the split is cut into k equal runs of consecutive images with their captions; every
metric is the mean over the folds. MS-COCO 1K is five folds of the 5,000 test images, MS-COCO 5K is
one.

## Protocol

A report carries its protocol: data and hash, split, numbers of images and captions, captions per
image, folds, networks in the ensemble, training noise with the SHA-256 of its index, and the tie
rule. Reports with unlike protocols are not compared; the message names the fields that differ.
";

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_perfect_ranking_is_never_worse_than_another_in_any_metric() {
        let perfect = Ranks {
            image_to_text: vec![1; 6],
            text_to_image: vec![1; 30],
            ..Ranks::default()
        };
        let poor = Ranks {
            image_to_text: (7..13).collect(),
            text_to_image: (3..33).collect(),
            ..Ranks::default()
        };
        for metric in METRICS {
            let values = |ranks| metric.compute(ranks).values();
            for ((_, best), (_, other)) in values(&perfect).into_iter().zip(values(&poor)) {
                let better = if metric.higher_is_better() {
                    best > other
                } else {
                    best < other
                };
                assert!(better, "{}: {best} against {other}", metric.name());
            }
        }
    }

    #[test]
    fn the_page_in_docs_is_the_one_written_from_the_registry() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let stored = std::fs::read_to_string(path).unwrap();
        assert!(
            stored == page(),
            "docs/metrics.md differs; it should read:\n{}",
            page()
        );
    }
}
