//! Reports as they are stored in files, including those of version 0.1, which kept five numbers per
//! direction.

use serde::Deserialize;

use super::{Figure, MeanRank, MedianRank, Metric, Protocol, QueryCounts, RSum, Recall};
use crate::scores::Direction;

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct StoredReport {
    #[serde(default)]
    figures: Vec<Figure>,
    pub(super) i2t: StoredSide,
    pub(super) t2i: StoredSide,
    /// A report of version 0.1.
    rsum: Option<f64>,
    pub(super) protocol: Protocol,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct StoredSide {
    #[serde(flatten)]
    pub(super) counts: QueryCounts,
    #[serde(flatten)]
    numbers: Option<FiveNumbers>,
}

/// What version 0.1 kept of a direction.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FiveNumbers {
    recall1: f64,
    recall5: f64,
    recall10: f64,
    median: f64,
    mean: f64,
}

impl StoredReport {
    /// The numbers, whichever version wrote them.
    pub(super) fn figures(&self) -> Vec<Figure> {
        if !self.figures.is_empty() {
            return self.figures.clone();
        }
        let sides = [
            (Direction::ImageToText, &self.i2t.numbers),
            (Direction::TextToImage, &self.t2i.numbers),
        ];
        let mut figures: Vec<Figure> = (sides.iter())
            .flat_map(|(direction, numbers)| {
                let numbers = numbers.iter();
                numbers.flat_map(|numbers| numbers.figures(*direction))
            })
            .collect();
        figures.extend(self.rsum.map(|value| Figure {
            metric: &RSum,
            direction: None,
            value,
        }));
        figures
    }
}

impl FiveNumbers {
    fn figures(&self, direction: Direction) -> [Figure; 5] {
        let figure = |metric: &'static dyn Metric, value| Figure {
            metric,
            direction: Some(direction),
            value,
        };
        [
            figure(&Recall::AT_1, self.recall1),
            figure(&Recall::AT_5, self.recall5),
            figure(&Recall::AT_10, self.recall10),
            figure(&MedianRank, self.median),
            figure(&MeanRank, self.mean),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Report;

    #[test]
    fn reports_of_version_0_1_are_read() {
        let side = r#"{"recall1":0.5,"recall5":0.75,"recall10":1.0,"median":1.0,"mean":2.5,"n_queries":4,"n_excluded":1}"#;
        let protocol = r#"{"data":"toy","split":"dev","n_images":4,"n_captions":4,"captions_per_image":{"min":1,"max":1},"folds":1,"ensemble":1,"noise":null,"data_hash":null,"ties":"against"}"#;
        let text = format!(r#"{{"i2t":{side},"t2i":{side},"rsum":4.5,"protocol":{protocol}}}"#);
        let report: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(report.figure("rsum", None), Some(4.5));
        assert_eq!(
            report.figure("recall@5", Some(Direction::TextToImage)),
            Some(0.75)
        );
        assert_eq!(
            report.figure("mean-rank", Some(Direction::ImageToText)),
            Some(2.5)
        );
        assert_eq!(
            (
                report.image_to_text.n_queries,
                report.text_to_image.n_excluded
            ),
            (4, 1)
        );
    }
}
