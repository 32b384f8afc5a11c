//! An evaluation's numbers together with the protocol that gave them.
//!
//! A [`Report`] carries its [`Protocol`], and [`Report::compare`] refuses reports whose protocols
//! differ.

use serde::{Deserialize, Serialize};

use super::stored_report::StoredReport;
use super::{Figure, Metric, Protocol, QueryCounts};
use crate::error::Result;
use crate::scores::Direction;

/// The result of one evaluation; the mean over folds where the protocol has several.
///
/// ```
/// use truepair_core::metric::{Protocol, evaluate};
/// use truepair_core::pair::Pair;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::scores::{Direction, Matrix, ScoreMatrix};
///
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }];
/// let relevance = Relevance::from_pairs(2, 2, &pairs);
/// let protocol = Protocol::new("toy", "test", &relevance);
/// let scores = ScoreMatrix(Matrix::new(vec![0.9, 0.1, 0.8, 0.2], 2));
/// let report = evaluate(&scores, &relevance, protocol, &mut ())?;
/// assert_eq!(report.figure("recall@1", Some(Direction::ImageToText)), Some(0.5));
/// assert_eq!(report.figure("rsum", None), Some(0.5 + 1.0 + 1.0 + 1.0 + 1.0 + 1.0));
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "StoredReport")]
pub struct Report {
    /// Every number that is known, in the order of [`METRICS`](super::METRICS).
    pub figures: Vec<Figure>,
    /// Image queries.
    #[serde(rename = "i2t")]
    pub image_to_text: QueryCounts,
    /// Caption queries.
    #[serde(rename = "t2i")]
    pub text_to_image: QueryCounts,
    /// What was measured, on what, and how.
    pub protocol: Protocol,
}

impl From<StoredReport> for Report {
    fn from(stored: StoredReport) -> Self {
        Self {
            figures: stored.figures(),
            image_to_text: stored.i2t.counts,
            text_to_image: stored.t2i.counts,
            protocol: stored.protocol,
        }
    }
}

impl Report {
    /// The number of one metric, by its name; `None` for the direction where the metric has one number for
    /// both.
    pub fn figure(&self, name: &str, direction: Option<Direction>) -> Option<f64> {
        let mut figures = self.figures.iter();
        figures
            .find(|figure| figure.metric.name() == name && figure.direction == direction)
            .map(|figure| figure.value)
    }

    /// The one number by which reports can be ordered: the metric's number for both directions
    /// together, or the mean of the two.
    pub fn overall(&self, metric: &dyn Metric) -> Option<f64> {
        let of = |direction| self.figure(metric.name(), direction);
        of(None).or_else(|| {
            let both = [Direction::ImageToText, Direction::TextToImage];
            Some((of(Some(both[0]))? + of(Some(both[1]))?) / 2.0)
        })
    }

    /// Compares another report with this one in the numbers that both have.
    ///
    /// # Errors
    /// If the protocols differ; the message names each field with both values.
    pub fn compare(&self, other: &Report) -> Result<Comparison> {
        self.protocol.check_like(&other.protocol)?;
        let row = |first: &Figure| {
            let second = other.figures.iter().find(|second| second.is_like(first))?;
            Some(ComparisonRow {
                metric: first.metric,
                direction: first.direction,
                first: first.value,
                second: second.value,
            })
        };
        Ok(Comparison {
            rows: self.figures.iter().filter_map(row).collect(),
        })
    }
}

/// Two reports with the same protocol side by side.
#[derive(Clone)]
pub struct Comparison {
    /// One row per number, in the order of [`METRICS`](super::METRICS).
    pub rows: Vec<ComparisonRow>,
}

/// One number of two reports.
#[derive(Clone, Copy)]
pub struct ComparisonRow {
    /// The metric: name, unit, arrow.
    pub metric: &'static dyn Metric,
    /// The direction, or `None` for both together.
    pub direction: Option<Direction>,
    /// The first report's number.
    pub first: f64,
    /// The second report's number.
    pub second: f64,
}

impl ComparisonRow {
    /// How much better the second number is, negative when it is worse.
    pub fn gain(&self) -> f64 {
        let difference = self.second - self.first;
        if self.metric.higher_is_better() {
            difference
        } else {
            -difference
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::test_data::{five_each, scores};
    use crate::metric::{METRICS, TrainingNoise, evaluate};

    fn report(folds: u32) -> Report {
        let relevance = five_each(20);
        let protocol = Protocol {
            folds,
            ..Protocol::new("toy", "test", &relevance)
        };
        evaluate(&scores(20), &relevance, protocol, &mut ()).unwrap()
    }

    fn metric(name: &str) -> &'static dyn Metric {
        *METRICS.iter().find(|one| one.name() == name).unwrap()
    }

    #[test]
    fn reports_survive_json() {
        let mut report = report(2);
        report.protocol.noise = Some(TrainingNoise {
            sha256: "ab".into(),
            protocol: "caption".into(),
            rate: 0.4,
        });
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#"{"metric":"recall@1","direction":"i2t","value":"#));
        assert!(json.contains(r#""ties":"against""#));
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        let later = json.replace("recall@1\"", "recall@3\"");
        let error = serde_json::from_str::<Report>(&later)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`recall@3` is not known"), "{error}");
    }

    #[test]
    fn every_metric_that_applies_to_pairs_has_its_numbers() {
        let report = report(1);
        for metric in METRICS.iter().filter(|metric| metric.applies(1)) {
            let numbers = report
                .figures
                .iter()
                .filter(|one| one.metric.name() == metric.name());
            let expected = if metric.is_joint() { 1 } else { 2 };
            assert_eq!(numbers.count(), expected, "{}", metric.name());
        }
    }

    #[test]
    fn the_overall_number_is_the_joint_one_or_the_mean_of_both_directions() {
        let report = report(1);
        assert_eq!(report.overall(metric("rsum")), report.figure("rsum", None));
        let of = |direction| report.figure("map", Some(direction)).unwrap();
        let mean = (of(Direction::ImageToText) + of(Direction::TextToImage)) / 2.0;
        assert_eq!(report.overall(metric("map")), Some(mean));
        assert_eq!(report.overall(metric("pmrp")), None);
    }

    #[test]
    fn like_protocols_are_compared_and_gains_point_to_the_better() {
        let first = report(1);
        let mut second = first.clone();
        for figure in &mut second.figures {
            figure.value += match figure.metric.name() {
                "rsum" => 0.25,
                "median-rank" => 2.0,
                _ => 0.0,
            };
        }
        let comparison = first.compare(&second).unwrap();
        let gain = |name| {
            comparison
                .rows
                .iter()
                .find(|row| row.metric.name() == name)
                .unwrap()
                .gain()
        };
        assert!((gain("rsum") - 0.25).abs() < 1e-12);
        assert_eq!(gain("median-rank"), -2.0);
    }

    #[test]
    fn unlike_protocols_are_refused_by_the_names_of_their_fields() {
        let first = report(1);
        let mut second = first.clone();
        second.protocol.ensemble = 2;
        second.protocol.folds = 5;
        let error = first.compare(&second).err().unwrap().to_string();
        assert!(
            error.contains("folds: 1, not 5; ensemble: 1, not 2"),
            "{error}"
        );
    }
}
