//! The JSON object of `truepair eval --json`, and reading it again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::diagnosis::Diagnosis;
use truepair_core::metric::{
    Comparison, ComparisonRow, Figure, FigureDifference, Interval, METRICS, Measured, Protocol,
};
use truepair_core::scores::Direction;
use truepair_core::source_file;
use truepair_model::similarity::GaussianMeasure;

use crate::occlusion::Occlusion;
use crate::output::Output;
use crate::render::{RetrievalRecord, ShareUnit, direction_text};
use crate::uncertainty::SelfKnowledge;

/// What is printed; shares are fractions.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Evaluation {
    /// Every number that is known.
    #[serde(flatten)]
    retrieval: RetrievalRecord,
    protocol: Protocol,
    figures: Vec<FigureRecord>,
    queries: Vec<QueryCounts>,
    /// Figures that lists were too short for.
    unmeasured: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compared: Option<Vec<DifferenceRecord>>,
    /// In what the result that it is compared with was measured otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unlike: Vec<String>,
    /// How far a recall would rise with every tie in the model's favor, as a fraction.
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
    #[schemars(with = "String")]
    pub(crate) distance: Option<GaussianMeasure>,
    /// What stands out in the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) diagnoses: Vec<Diagnosis>,
    /// Files that were written.
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct FigureRecord {
    metric: String,
    /// `i2t`, `t2i` or `both`.
    direction: String,
    value: f64,
    /// Ends of the 95 % interval.
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct QueryCounts {
    direction: &'static str,
    queries: usize,
    excluded: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DifferenceRecord {
    metric: &'static str,
    direction: &'static str,
    this: f64,
    other: f64,
    /// `this` minus `other`.
    difference: f64,
    /// Ends of its 95 % interval, where both are known query by query.
    low: Option<f64>,
    high: Option<f64>,
    /// Two-sided, not corrected for the number of figures.
    p: Option<f64>,
}

impl Output for Evaluation {
    const SCHEMA: &'static str = "truepair/evaluation/1";
}

impl Evaluation {
    pub(crate) fn new(
        measured: &Measured,
        figures: &[(Figure, Option<Interval>)],
        tie_gap: Option<f64>,
        files: Vec<PathBuf>,
    ) -> Self {
        let directions = [Direction::ImageToText, Direction::TextToImage];
        Self {
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
            compared: None,
            unlike: Vec::new(),
            tie_gap,
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
        Self {
            metric: figure.metric.name().to_owned(),
            direction: direction_text(figure.direction).to_owned(),
            value: figure.value,
            low: interval.map(|of| of.low),
            high: interval.map(|of| of.high),
        }
    }

    /// The figure, unless its metric is of a later version.
    fn figure(&self, unit: ShareUnit) -> Option<Figure> {
        let metric = *METRICS.iter().find(|metric| metric.name() == self.metric)?;
        let direction = match self.direction.as_str() {
            "i2t" => Some(Direction::ImageToText),
            "t2i" => Some(Direction::TextToImage),
            _ => None,
        };
        Some(Figure {
            metric,
            direction,
            value: unit.own(self.value, metric.unit()),
        })
    }
}

impl DifferenceRecord {
    pub(crate) fn paired(one: &FigureDifference) -> Self {
        Self {
            metric: one.first.metric.name(),
            direction: direction_text(one.first.direction),
            this: one.first.value,
            other: one.second,
            difference: one.first.value - one.second,
            low: Some(one.interval.low),
            high: Some(one.interval.high),
            p: Some(one.p),
        }
    }

    pub(crate) fn side_by_side(row: &ComparisonRow) -> Self {
        Self {
            metric: row.metric.name(),
            direction: direction_text(row.direction),
            this: row.first,
            other: row.second,
            difference: row.first - row.second,
            low: None,
            high: None,
            p: None,
        }
    }
}

/// An earlier result: its figures and how they were measured.
pub(crate) struct Stored {
    figures: Vec<Figure>,
    pub(crate) protocol: Protocol,
}

impl Stored {
    /// Reads what `truepair eval --json` or `truepair train --json` printed.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let place = file.display();
        let text = source_file::read_text(file, source_file::SETTINGS)
            .with_context(|| format!("{place}: cannot read"))?;
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
        let unit: ShareUnit = match value.get("unit") {
            Some(unit) => serde_json::from_value(unit.clone()).with_context(|| {
                format!(
                    "{place}: shares are in {unit}, expected fraction or percent (store it again)"
                )
            })?,
            None => ShareUnit::default(),
        };
        let protocol: Protocol =
            serde_json::from_value(value["protocol"].take()).with_context(unlike)?;
        let listed: Vec<FigureRecord> = match value.get_mut("figures") {
            Some(figures) => serde_json::from_value(figures.take()).with_context(unlike)?,
            None => Vec::new(),
        };
        let listed = listed.iter().filter_map(|record| record.figure(unit));
        let mut figures: Vec<Figure> = listed.collect();
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
    pub(crate) fn compare(&self, measured: &Measured) -> Comparison {
        let row = |first: Figure| {
            let second = self.figures.iter().find(|second| second.is_like(&first))?;
            Some(ComparisonRow {
                metric: first.metric,
                direction: first.direction,
                first: first.value,
                second: second.value,
            })
        };
        Comparison {
            rows: measured.figures().into_iter().filter_map(row).collect(),
        }
    }
}
