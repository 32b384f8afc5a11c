//! The JSON object of `truepair eval --json`, and reading it again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use truepair_core::diagnosis::Diagnosis;
use truepair_core::metric::{
    Comparison, ComparisonRow, Figure, FigureDifference, Interval, METRICS, Measured, Protocol,
};
use truepair_core::scores::Direction;
use truepair_model::similarity::GaussianMeasure;

use crate::occlusion::Occlusion;
use crate::render::{RetrievalRecord, direction_text, from_print, in_print, percent};
use crate::uncertainty::SelfKnowledge;

/// What is printed; shares in percent.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluation {
    unit: &'static str,
    /// Every number that is known.
    #[serde(flatten)]
    retrieval: RetrievalRecord,
    protocol: Protocol,
    figures: Vec<FigureRecord>,
    queries: Vec<QueryCounts>,
    /// Figures that lists were too short for.
    unmeasured: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Vec<DifferenceRecord>>,
    /// How far a recall would rise with every tie in the model's favor, in points.
    #[serde(skip_serializing_if = "Option::is_none")]
    tie_gap: Option<f64>,
    /// For runs whose embeddings are Gaussians.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uncertainty: Option<SelfKnowledge>,
    /// Uncertainty with parts of the items erased, when that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occlusion: Option<Occlusion>,
    /// The measure that was ranked by, where it is not the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) distance: Option<GaussianMeasure>,
    /// What stands out in the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) diagnoses: Vec<Diagnosis>,
    /// Files that were written.
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct FigureRecord {
    metric: String,
    /// `i2t`, `t2i` or `both`.
    direction: String,
    value: f64,
    /// Ends of the 95 % interval.
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Serialize)]
struct QueryCounts {
    direction: &'static str,
    queries: usize,
    excluded: u64,
}

#[derive(Debug, Serialize)]
struct DifferenceRecord {
    metric: &'static str,
    direction: &'static str,
    this: f64,
    other: f64,
    difference: f64,
    low: f64,
    high: f64,
    p: f64,
}

impl Evaluation {
    pub(crate) fn new(
        measured: &Measured,
        figures: &[(Figure, Option<Interval>)],
        differences: Option<&[FigureDifference]>,
        tie_gap: Option<f64>,
        files: Vec<PathBuf>,
    ) -> Self {
        let directions = [Direction::ImageToText, Direction::TextToImage];
        Self {
            unit: "percent",
            retrieval: RetrievalRecord::of(&measured.report()),
            protocol: measured.protocol.clone(),
            figures: figures.iter().map(FigureRecord::of).collect(),
            queries: (directions.iter())
                .map(|&direction| QueryCounts {
                    direction: direction_text(Some(direction)),
                    queries: measured.asked(direction).rows.len(),
                    excluded: measured.asked(direction).n_excluded,
                })
                .collect(),
            unmeasured: (measured.unmeasured().iter())
                .map(|one| {
                    format!(
                        "{} {}",
                        one.metric.name(),
                        direction_text(Some(one.direction))
                    )
                })
                .collect(),
            compared: differences.map(|all| all.iter().map(DifferenceRecord::of).collect()),
            tie_gap: tie_gap.map(percent),
            uncertainty: None,
            occlusion: None,
            distance: None,
            diagnoses: Vec::new(),
            files,
        }
    }
}

impl FigureRecord {
    fn of((figure, interval): &(Figure, Option<Interval>)) -> Self {
        let unit = figure.metric.unit();
        Self {
            metric: figure.metric.name().to_owned(),
            direction: direction_text(figure.direction).to_owned(),
            value: in_print(figure.value, unit),
            low: interval.map(|of| in_print(of.low, unit)),
            high: interval.map(|of| in_print(of.high, unit)),
        }
    }

    /// The figure, unless its metric is of a later version.
    fn figure(&self) -> Option<Figure> {
        let metric = *METRICS.iter().find(|metric| metric.name() == self.metric)?;
        let direction = match self.direction.as_str() {
            "i2t" => Some(Direction::ImageToText),
            "t2i" => Some(Direction::TextToImage),
            _ => None,
        };
        Some(Figure {
            metric,
            direction,
            value: from_print(self.value, metric.unit()),
        })
    }
}

impl DifferenceRecord {
    fn of(one: &FigureDifference) -> Self {
        let print = |value| in_print(value, one.first.metric.unit());
        Self {
            metric: one.first.metric.name(),
            direction: direction_text(one.first.direction),
            this: print(one.first.value),
            other: print(one.second),
            difference: print(one.first.value - one.second),
            low: print(one.interval.low),
            high: print(one.interval.high),
            p: one.p,
        }
    }
}

/// An earlier result: its figures and how they were measured.
pub(crate) struct Stored {
    figures: Vec<Figure>,
    protocol: Protocol,
}

impl Stored {
    /// Reads what `truepair eval --json` or `truepair train --json` printed.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let place = file.display();
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{place}: cannot read"))?;
        let unlike = || {
            format!(
                "{place}: is not a result of truepair (store one with `truepair eval ... --json`)"
            )
        };
        let mut value: serde_json::Value = serde_json::from_str(&text).with_context(unlike)?;
        // A training result keeps its numbers under `test`.
        if let Some(test) = value.get("test").cloned() {
            let protocol = value["protocol"].take();
            value = test;
            value["protocol"] = protocol;
        }
        if value.get("unit").is_some_and(|unit| unit != "percent") {
            bail!(
                "{place}: recalls are in {}, expected percent (store it again)",
                value["unit"]
            );
        }
        let protocol: Protocol =
            serde_json::from_value(value["protocol"].take()).with_context(unlike)?;
        let listed: Vec<FigureRecord> = match value.get_mut("figures") {
            Some(figures) => serde_json::from_value(figures.take()).with_context(unlike)?,
            None => Vec::new(),
        };
        let mut figures: Vec<Figure> = listed.iter().filter_map(FigureRecord::figure).collect();
        // Results of lists that were too short for recalls have nothing but the list.
        if figures.is_empty() || value.get("i2t").is_some() {
            let stored: RetrievalRecord = serde_json::from_value(value).with_context(unlike)?;
            for &figure in stored.figures() {
                if !figures.iter().any(|other| other.is_like(&figure)) {
                    figures.push(figure);
                }
            }
        }
        Ok(Self { figures, protocol })
    }

    /// Sets the figures that both have side by side.
    pub(crate) fn compare(&self, measured: &Measured) -> Result<Comparison> {
        measured.protocol.check_like(&self.protocol)?;
        let row = |first: Figure| {
            let second = self.figures.iter().find(|second| second.is_like(&first))?;
            Some(ComparisonRow {
                metric: first.metric,
                direction: first.direction,
                first: first.value,
                second: second.value,
            })
        };
        Ok(Comparison {
            rows: measured.figures().into_iter().filter_map(row).collect(),
        })
    }
}
