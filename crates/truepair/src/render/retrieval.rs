//! Retrieval results for people and for machines: recalls in percent, the protocol beside them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use truepair_core::metric::{Comparison, Measure, Protocol, Report, Unit};
use truepair_core::scores::Direction;
use truepair_train::EpochRecord;

use super::{fields, fraction, percent, table};

/// A report's numbers as they are stored and exchanged, recalls in percent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RetrievalRecord {
    i2t: Side,
    t2i: Side,
    rsum: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Side {
    r1: f64,
    r5: f64,
    r10: f64,
    median_rank: f64,
    mean_rank: f64,
    queries: u64,
    excluded: u64,
}

impl RetrievalRecord {
    /// Names of what [`cells`](Self::cells) prints.
    pub(crate) const COLUMNS: [&str; 7] =
        ["i2t R@1", "R@5", "R@10", "t2i R@1", "R@5", "R@10", "rSum"];

    pub(crate) fn of(report: &Report) -> Self {
        Self {
            i2t: Side::of(&report.image_to_text),
            t2i: Side::of(&report.text_to_image),
            rsum: percent(report.rsum),
        }
    }

    /// The report that these numbers were printed from.
    pub(crate) fn with_protocol(&self, protocol: Protocol) -> Report {
        Report {
            image_to_text: self.i2t.retrieval(),
            text_to_image: self.t2i.retrieval(),
            rsum: fraction(self.rsum),
            protocol,
        }
    }

    /// The six recalls, images asking first, in percent.
    pub(crate) fn recalls(&self) -> [f64; 6] {
        let (i2t, t2i) = (&self.i2t, &self.t2i);
        [i2t.r1, i2t.r5, i2t.r10, t2i.r1, t2i.r5, t2i.r10]
    }

    /// The sum of the six recalls, in percent.
    pub(crate) fn rsum(&self) -> f64 {
        self.rsum
    }

    /// Cells of a table of methods: three recalls each way and their sum.
    pub(crate) fn cells(&self) -> Vec<String> {
        (self.recalls().into_iter())
            .chain([self.rsum])
            .map(|value| format!("{value:.1}"))
            .collect()
    }
}

impl Side {
    fn of(side: &truepair_core::metric::Retrieval) -> Self {
        Self {
            r1: percent(side.recall1),
            r5: percent(side.recall5),
            r10: percent(side.recall10),
            median_rank: side.median,
            mean_rank: side.mean,
            queries: side.n_queries,
            excluded: side.n_excluded,
        }
    }

    fn retrieval(&self) -> truepair_core::metric::Retrieval {
        truepair_core::metric::Retrieval {
            recall1: fraction(self.r1),
            recall5: fraction(self.r5),
            recall10: fraction(self.r10),
            median: self.median_rank,
            mean: self.mean_rank,
            n_queries: self.queries,
            n_excluded: self.excluded,
        }
    }
}

/// The numbers of one evaluation and under which protocol they were taken.
pub(crate) fn report_text(report: &Report) -> String {
    let header = ["", "", "i2t", "t2i"].map(str::to_owned).to_vec();
    let mut rows = vec![header];
    for &metric in truepair_core::metric::METRICS {
        let Some(measure) = metric.read(report) else {
            continue;
        };
        let cells = match measure {
            Measure::PerDirection {
                image_to_text,
                text_to_image,
            } => [
                shown(image_to_text, metric.unit()),
                shown(text_to_image, metric.unit()),
            ],
            Measure::Joint(value) => [shown(value, metric.unit()), String::new()],
        };
        let mut row = vec![metric.name().to_owned(), metric.arrow().to_string()];
        row.extend(cells);
        rows.push(row);
    }
    format!(
        "{}\nrecalls in percent\n{}",
        table(&rows),
        protocol_text(&report.protocol)
    )
}

pub(super) fn protocol_text(protocol: &Protocol) -> String {
    let noise = match &protocol.noise {
        None => "none planted".to_owned(),
        Some(noise) => format!("{} {:.4} ({})", noise.protocol, noise.rate, noise.sha256),
    };
    fields(&[
        (
            "data",
            format!("{}, split {}", protocol.data, protocol.split),
        ),
        (
            "size",
            format!(
                "{} images, {} captions, {} per image",
                protocol.n_images, protocol.n_captions, protocol.captions_per_image
            ),
        ),
        ("relevance", protocol.relevance.clone()),
        ("folds", protocol.folds.to_string()),
        ("ensemble", protocol.ensemble.to_string()),
        ("training noise", noise),
        ("ties", "count against the matcher".to_owned()),
    ])
}

/// One line of a training log.
pub(crate) fn epoch_text(record: &EpochRecord) -> String {
    let losses: Vec<String> = record
        .losses
        .iter()
        .map(|loss| format!("{loss:.4}"))
        .collect();
    let mut line = format!("epoch {:3}", record.epoch + 1);
    if !losses.is_empty() {
        let _ = write!(line, "  loss {}", losses.join(" "));
    }
    if let Some(dev) = &record.dev {
        let _ = write!(line, "  dev rSum {:.1}", percent(dev.rsum));
    } else if let Some(criterion) = &record.criterion {
        let _ = write!(line, "  {} {:.4}", criterion.name, criterion.value);
    }
    if record.warm_up {
        line.push_str("  warm-up");
    }
    if record.best {
        line.push_str("  best");
    }
    if let Some(note) = &record.note {
        let _ = write!(line, "  ({note})");
    }
    line
}

/// Two results of one protocol side by side, with what the first gained over the second.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let mut rows = vec![
        ["", "", "this", "other", "gain"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in &comparison.rows {
        let unit = row.metric.unit();
        let direction = direction_text(row.direction);
        rows.push(vec![
            row.metric.name().to_owned(),
            direction.to_owned(),
            shown(row.first, unit),
            shown(row.second, unit),
            format!("{:+.1}", in_print(-row.gain(), unit)),
        ]);
    }
    table(&rows)
}

/// The direction of a number in print.
pub(crate) fn direction_text(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::ImageToText) => "i2t",
        Some(Direction::TextToImage) => "t2i",
        None => "both",
    }
}

pub(super) fn shown(value: f64, unit: Unit) -> String {
    format!("{:.1}", in_print(value, unit))
}

/// A number in the unit in which it is printed.
pub(crate) fn in_print(value: f64, unit: Unit) -> f64 {
    match unit {
        Unit::Fraction | Unit::SumOfFractions => percent(value),
        Unit::Rank => value,
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::pair::Pair;
    use truepair_core::relevance::Relevance;

    use super::*;

    fn report(recall1: f64) -> Report {
        let pairs: Vec<Pair> = (0..10)
            .map(|n| Pair {
                image: n / 5,
                caption: n,
            })
            .collect();
        let side = truepair_core::metric::Retrieval {
            recall1,
            recall5: 0.5,
            recall10: 1.0,
            median: 3.5,
            mean: 4.25,
            n_queries: 10,
            n_excluded: 0,
        };
        Report {
            image_to_text: side,
            text_to_image: side,
            rsum: 2.0 * (recall1 + 1.5),
            protocol: Protocol::new("toy", "test", &Relevance::from_pairs(2, 10, &pairs)),
        }
    }

    #[test]
    fn recalls_are_percentages_and_come_back() {
        let stored = serde_json::to_value(RetrievalRecord::of(&report(0.25))).unwrap();
        assert_eq!(stored["i2t"]["r1"], 25.0);
        assert_eq!(stored["rsum"], 350.0);
        let read: RetrievalRecord = serde_json::from_value(stored).unwrap();
        assert_eq!(read.with_protocol(report(0.25).protocol), report(0.25));
    }

    #[test]
    fn the_protocol_stands_under_the_numbers() {
        let text = report_text(&report(0.25));
        let expected = [
            "                  i2t    t2i",
            "----------------------------",
            "recall@1     ↑   25.0   25.0",
            "recall@5     ↑   50.0   50.0",
            "recall@10    ↑  100.0  100.0",
            "median-rank  ↓    3.5    3.5",
            "mean-rank    ↓    4.2    4.2",
            "rsum         ↑  350.0",
            "",
            "recalls in percent",
            "data            toy, split test",
            "size            2 images, 10 captions, 5 per image",
            "relevance       pairs",
            "folds           1",
            "ensemble        1",
            "training noise  none planted",
            "ties            count against the matcher",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_gain_is_what_this_result_has_over_the_other() {
        let text = comparison(&report(0.5).compare(&report(0.25)).unwrap());
        assert!(text.contains("+25.0") && text.contains("+50.0"), "{text}");
    }
}
