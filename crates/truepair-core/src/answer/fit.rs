//! From queries whose answers are known to what scores mean.

use super::logistic::{FEATURES, Logistic};
use super::{AnswerModel, DEPTH, KnownAnswers, MIN_QUERIES, Scale, features};
use crate::error::{Error, Result};

/// Hits of a query that the probabilities are fitted to: those that people look at.
const FITTED: usize = 20;

/// Temperatures that are tried, in units of the spread of scores, on a logarithmic scale.
const TEMPERATURES: usize = 14;
const COOLEST: f64 = 0.03;
const WARMEST: f64 = 3.0;

impl AnswerModel {
    /// Learns what scores mean from queries whose right answers are in the gallery, and whose pairs trained
    /// nothing. The temperature is the one under which the first hits are most likely.
    ///
    /// # Errors
    /// If there are fewer than [`MIN_QUERIES`], a query has no hit or none that is wrong, or all scores are equal.
    pub fn fit(queries: &[KnownAnswers]) -> Result<Self> {
        if queries.len() < MIN_QUERIES {
            return Err(Error::argument(
                format!(
                    "{} queries with known answers, expected at least {MIN_QUERIES}",
                    queries.len()
                ),
                "give more pairs that trained nothing",
            ));
        }
        if queries.iter().any(|query| query.without.is_empty()) {
            return Err(Error::argument(
                "a query finds nothing but right answers",
                "calibrate with a gallery that holds other items too",
            ));
        }
        let unit = spread(queries);
        if unit <= 0.0 || !unit.is_finite() {
            return Err(Error::argument(
                "the hits of every query score alike",
                "check that the embeddings were read",
            ));
        }
        let variance_unit = mean(queries.iter().map(|query| query.variance));
        let variance_unit = if variance_unit > 0.0 {
            variance_unit
        } else {
            1.0
        };
        let step = (WARMEST / COOLEST).powf(1.0 / (TEMPERATURES - 1) as f64);
        let tried = (0..TEMPERATURES as i32).map(|k| {
            let scale = Scale {
                depth: DEPTH,
                unit,
                temperature: COOLEST * step.powi(k),
            };
            let rows = rows(queries, variance_unit, scale);
            let right = Logistic::fit(&rows);
            (right.loss(&rows), scale, right)
        });
        let best = tried.min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, scale, right) = best.expect("there are temperatures");
        let mut model = Self {
            n_queries: queries.len(),
            depth: scale.depth,
            unit: scale.unit,
            variance_unit,
            temperature: scale.temperature,
            right,
            nothing: nothing(queries, variance_unit, scale),
            best_right: Vec::new(),
            hopeless: Vec::new(),
        };
        model.best_right = sorted(queries.iter().map(|query| model.best_right(query)));
        model.hopeless = sorted(queries.iter().map(|query| {
            let first = model.features(&query.scores, query.variance)[0];
            model.nothing.logit(&first)
        }));
        Ok(model)
    }

    /// The largest probability of a right answer among the hits; 0 where none is there.
    pub(super) fn best_right(&self, query: &KnownAnswers) -> f64 {
        let judged = self.judge(&query.scores, query.variance);
        let first = query.is_right.iter().position(|right| *right);
        first.map_or(0.0, |first| judged.right[first])
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Mean over the queries of how far the best hit stands above the last that is looked at.
fn spread(queries: &[KnownAnswers]) -> f64 {
    let of_query = |query: &KnownAnswers| {
        let scores = &query.scores;
        f64::from(scores[0]) - f64::from(scores[scores.len() - 1])
    };
    mean(queries.iter().map(of_query))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn rows(
    queries: &[KnownAnswers],
    variance_unit: f64,
    scale: Scale,
) -> Vec<([f64; FEATURES], bool)> {
    let of_query = |query: &KnownAnswers| {
        let features = features(&query.scores, query.variance / variance_unit, scale);
        let rows = features.into_iter().zip(query.is_right.clone());
        rows.take(FITTED).collect::<Vec<_>>()
    };
    queries.iter().flat_map(of_query).collect()
}

/// What the first hit looks like when the right answers are gone, against when they are there.
fn nothing(queries: &[KnownAnswers], variance_unit: f64, scale: Scale) -> Logistic {
    let rows: Vec<([f64; FEATURES], bool)> = (queries.iter())
        .flat_map(|query| {
            let variance = query.variance / variance_unit;
            let first = |scores: &[f32]| features(scores, variance, scale)[0];
            [(first(&query.without), true), (first(&query.scores), false)]
        })
        .collect();
    Logistic::fit(&rows)
}
