//! Retrieval results for people and for machines: recalls in percent, the protocol beside them.

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use truepair_core::metric::{
    Comparison, Figure, METRICS, Metric, Protocol, QueryCounts, RSum, Recall, Report, Unit,
};
use truepair_core::scores::Direction;
use truepair_train::{Criterion, EpochRecord};

use super::{fields, fraction, percent, table};

/// A report's numbers as they are stored and exchanged: `i2t` and `t2i` with a number per metric, beside
/// them the numbers for both directions together, and the unit of shares. Files that name no unit are of
/// version 0.1 and hold percentages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RetrievalRecord {
    /// In the metrics' own units.
    figures: Vec<Figure>,
    image_to_text: QueryCounts,
    text_to_image: QueryCounts,
}

/// The unit of shares in a stored record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShareUnit {
    /// What version 0.1 wrote.
    #[default]
    Percent,
    Fraction,
}

impl ShareUnit {
    /// A stored number in the metric's own unit.
    pub(crate) fn own(self, value: f64, unit: Unit) -> f64 {
        match self {
            ShareUnit::Percent => from_print(value, unit),
            ShareUnit::Fraction => value,
        }
    }
}

/// The JSON object of a [`RetrievalRecord`].
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    #[serde(default)]
    unit: ShareUnit,
    i2t: StoredSide,
    t2i: StoredSide,
    /// Numbers for both directions; on reading, whatever else stands beside them.
    #[serde(flatten)]
    both: serde_json::Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct StoredSide {
    #[serde(flatten)]
    numbers: serde_json::Map<String, Value>,
    queries: u64,
    excluded: u64,
}

/// Names that version 0.1 wrote, and the metrics' own.
const FORMER_NAMES: [(&str, &str); 5] = [
    ("r1", "recall@1"),
    ("r5", "recall@5"),
    ("r10", "recall@10"),
    ("median_rank", "median-rank"),
    ("mean_rank", "mean-rank"),
];

impl RetrievalRecord {
    /// Names of what [`cells`](Self::cells) prints.
    pub(crate) const COLUMNS: [&str; 7] =
        ["i2t R@1", "R@5", "R@10", "t2i R@1", "R@5", "R@10", "rSum"];

    pub(crate) fn of(report: &Report) -> Self {
        Self {
            figures: report.figures.clone(),
            image_to_text: report.image_to_text,
            text_to_image: report.text_to_image,
        }
    }

    /// The numbers in the metrics' own units.
    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    fn number(&self, metric: &dyn Metric, direction: Option<Direction>) -> Option<f64> {
        let mut figures = self.figures.iter();
        figures
            .find(|figure| figure.metric.name() == metric.name() && figure.direction == direction)
            .map(|figure| figure.value)
    }

    /// The six recalls, images asking first, as fractions.
    pub(crate) fn recalls(&self) -> [f64; 6] {
        let of = |direction| {
            Recall::ALL.map(|recall| self.number(&recall, Some(direction)).unwrap_or(f64::NAN))
        };
        let (i2t, t2i) = (of(Direction::ImageToText), of(Direction::TextToImage));
        [i2t[0], i2t[1], i2t[2], t2i[0], t2i[1], t2i[2]]
    }

    /// The sum of the six recalls, at most 6.
    pub(crate) fn rsum(&self) -> f64 {
        self.number(&RSum, None).unwrap_or(f64::NAN)
    }

    /// Cells of a table of methods: three recalls each way and their sum.
    pub(crate) fn cells(&self) -> Vec<String> {
        (self.recalls().into_iter())
            .chain([self.rsum()])
            .map(|value| format!("{:.1}", percent(value)))
            .collect()
    }

    fn stored_numbers(&self, direction: Option<Direction>) -> serde_json::Map<String, Value> {
        let figures = self.figures.iter();
        figures
            .filter(|figure| figure.direction == direction)
            .map(|figure| (figure.metric.name().to_owned(), figure.value.into()))
            .collect()
    }
}

impl Serialize for RetrievalRecord {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let side = |direction, counts: QueryCounts| StoredSide {
            numbers: self.stored_numbers(Some(direction)),
            queries: counts.n_queries,
            excluded: counts.n_excluded,
        };
        let stored = StoredRecord {
            unit: ShareUnit::Fraction,
            i2t: side(Direction::ImageToText, self.image_to_text),
            t2i: side(Direction::TextToImage, self.text_to_image),
            both: self.stored_numbers(None),
        };
        stored.serialize(out)
    }
}

impl JsonSchema for RetrievalRecord {
    fn schema_name() -> Cow<'static, str> {
        "RetrievalRecord".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let numbers = |joint: bool| {
            let of_kind = METRICS.iter().filter(|metric| metric.is_joint() == joint);
            let number = |metric: &&dyn Metric| {
                let about = format!("{} ({})", metric.summary(), metric.unit().describe());
                (
                    metric.name().to_owned(),
                    json!({ "type": "number", "description": about }),
                )
            };
            of_kind
                .map(number)
                .collect::<serde_json::Map<String, Value>>()
        };
        let side = |asking: &str| {
            let mut properties = numbers(false);
            let count =
                |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
            properties.insert("queries".to_owned(), count("Queries measured."));
            properties.insert(
                "excluded".to_owned(),
                count("Queries to which nothing is relevant."),
            );
            json!({
                "type": "object",
                "description": format!("{asking} ask."),
                "properties": properties,
                "required": ["queries", "excluded"],
            })
        };
        let mut properties = numbers(true);
        properties.insert("unit".to_owned(), json!({ "const": "fraction" }));
        properties.insert("i2t".to_owned(), side("Images"));
        properties.insert("t2i".to_owned(), side("Captions"));
        json_schema!({
            "type": "object",
            "description": "A number per metric, as far as it was measured; shares are fractions in [0, 1].",
            "properties": properties,
            "required": ["unit", "i2t", "t2i"],
        })
    }
}

impl<'de> Deserialize<'de> for RetrievalRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let stored = StoredRecord::deserialize(from)?;
        let counts = |side: &StoredSide| QueryCounts {
            n_queries: side.queries,
            n_excluded: side.excluded,
        };
        let (image_to_text, text_to_image) = (counts(&stored.i2t), counts(&stored.t2i));
        let mut figures = Vec::new();
        for &metric in METRICS {
            let former = FORMER_NAMES.iter().find(|(_, name)| *name == metric.name());
            let sides = [
                (Some(Direction::ImageToText), &stored.i2t.numbers),
                (Some(Direction::TextToImage), &stored.t2i.numbers),
                (None, &stored.both),
            ];
            for (direction, numbers) in sides {
                if metric.is_joint() != direction.is_none() {
                    continue;
                }
                let known = numbers.get(metric.name());
                let known = known.or_else(|| numbers.get(former?.0));
                figures.extend(known.and_then(Value::as_f64).map(|value| Figure {
                    metric,
                    direction,
                    value: stored.unit.own(value, metric.unit()),
                }));
            }
        }
        Ok(Self {
            figures,
            image_to_text,
            text_to_image,
        })
    }
}

/// The standard numbers: name, arrow, images asking, captions asking; shares in percent. A number for
/// both directions stands in the third place.
pub(crate) fn standard_rows(report: &Report) -> Vec<[String; 4]> {
    let standard = METRICS.iter().filter(|metric| metric.is_standard());
    let row = |metric: &&dyn Metric| {
        let of = |direction| report.figure(metric.name(), direction);
        let shown = |value| shown(value, metric.unit());
        let cells = match of(None) {
            Some(value) => [shown(value), String::new()],
            None => [Direction::ImageToText, Direction::TextToImage]
                .map(|direction| of(Some(direction)).map_or("–".to_owned(), shown)),
        };
        let [first, second] = cells;
        [
            metric.name().to_owned(),
            metric.arrow().to_string(),
            first,
            second,
        ]
    };
    standard.map(row).collect()
}

/// The standard numbers of one evaluation and under which protocol they were taken.
pub(crate) fn report_text(report: &Report) -> String {
    let header = ["", "", "i2t", "t2i"].map(str::to_owned).to_vec();
    let mut rows = vec![header];
    rows.extend(standard_rows(report).into_iter().map(|row| row.to_vec()));
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
    if let Some(criterion) = &record.criterion {
        let _ = write!(line, "  {}", criterion_text(criterion));
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

/// What an epoch is chosen by: metrics as tables print them.
fn criterion_text(criterion: &Criterion) -> String {
    let metric = criterion.metric.as_ref().and_then(|name| {
        let mut metrics = METRICS.iter();
        metrics.find(|metric| metric.name() == name)
    });
    match metric {
        Some(metric) => format!(
            "{} {}",
            criterion.name,
            shown(criterion.value, metric.unit())
        ),
        None => format!("{} {:.4}", criterion.name, criterion.value),
    }
}

/// Two results side by side, with what the first has over the second.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let mut rows = vec![
        ["", "", "this", "other", "this - other"]
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
            difference_text(row.first - row.second, unit),
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

/// A difference with its sign; one that rounds to nothing has none.
pub(super) fn difference_text(difference: f64, unit: Unit) -> String {
    let text = format!("{:+.1}", in_print(difference, unit));
    if text == "-0.0" {
        "+0.0".to_owned()
    } else {
        text
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

/// A printed number in the metric's own unit.
pub(crate) fn from_print(value: f64, unit: Unit) -> f64 {
    match unit {
        Unit::Fraction | Unit::SumOfFractions => fraction(value),
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
        let value = |metric: &dyn Metric| match metric.name() {
            "recall@1" => recall1,
            "recall@5" => 0.5,
            "recall@10" => 1.0,
            "median-rank" => 3.5,
            "mean-rank" => 4.25,
            _ => 0.125,
        };
        let mut figures = Vec::new();
        for &metric in METRICS {
            let figure = |direction, value| Figure {
                metric,
                direction,
                value,
            };
            if metric.is_joint() {
                figures.push(figure(None, 2.0 * (recall1 + 1.5)));
            } else {
                figures.extend(
                    [Direction::ImageToText, Direction::TextToImage]
                        .map(|direction| figure(Some(direction), value(metric))),
                );
            }
        }
        let counts = QueryCounts {
            n_queries: 10,
            n_excluded: 0,
        };
        Report {
            figures,
            image_to_text: counts,
            text_to_image: counts,
            protocol: Protocol::new("toy", "test", &Relevance::from_pairs(2, 10, &pairs)),
        }
    }

    #[test]
    fn shares_are_fractions_and_come_back() {
        let stored = serde_json::to_value(RetrievalRecord::of(&report(0.25))).unwrap();
        assert_eq!(stored["unit"], "fraction");
        assert_eq!(stored["i2t"]["recall@1"], 0.25);
        assert_eq!(stored["t2i"]["map"], 0.125);
        assert_eq!(stored["rsum"], 3.5);
        let read: RetrievalRecord = serde_json::from_value(stored).unwrap();
        assert_eq!(read, RetrievalRecord::of(&report(0.25)));
    }

    #[test]
    fn records_of_version_0_1_are_read() {
        let side = serde_json::json!({"r1": 25.0, "r5": 50.0, "r10": 100.0, "median_rank": 3.5,
            "mean_rank": 4.25, "queries": 10, "excluded": 0});
        let stored =
            serde_json::json!({"unit": "percent", "i2t": side, "t2i": side, "rsum": 350.0});
        let read: RetrievalRecord = serde_json::from_value(stored).unwrap();
        assert_eq!(read.recalls(), [0.25, 0.5, 1.0, 0.25, 0.5, 1.0]);
        assert_eq!((read.rsum(), read.figures().len()), (3.5, 11));
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
        assert_eq!(difference_text(-0.0001, Unit::Fraction), "+0.0");
    }
}
