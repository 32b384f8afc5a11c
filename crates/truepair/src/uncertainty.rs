//! What a run with Gaussian embeddings knows about its own mistakes.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::metric::{
    ByUncertainty, CalibrationError, MatchCalibration, UncertainQueries, by_uncertainty,
    match_calibration,
};
use truepair_core::ranking::ranks;
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;
use truepair_model::encode::Uncertainty;
use truepair_train::Trained;

use crate::render::table;

/// Answers by how uncertain the query is, and the calibration of match probabilities.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelfKnowledge {
    queries: ByUncertainty,
    /// Where scores are log odds of a match.
    calibration: Option<MatchCalibration>,
}

/// How uncertain a split's items are to a matcher whose embeddings are Gaussians.
pub(crate) struct Doubts {
    uncertainty: Uncertainty,
    /// Whether scores are log odds of a match.
    gives_log_odds: bool,
}

impl Doubts {
    /// `None` unless the run's items are Gaussians.
    pub(crate) fn of(
        trained: &Trained,
        dataset: &Dataset,
        watch: &mut dyn Watch,
    ) -> Result<Option<Self>> {
        let uncertainty = trained.uncertainty(dataset, watch)?;
        Ok(uncertainty.map(|uncertainty| Self {
            uncertainty,
            gives_log_odds: trained.config.matcher.similarity.gives_log_odds(),
        }))
    }

    /// Holds them against the ranks by `relevance`; `pairs` says whose captions are whose.
    pub(crate) fn measure(
        &self,
        scorer: &dyn Scorer,
        relevance: &Relevance,
        pairs: &Relevance,
        watch: &mut dyn Watch,
    ) -> Result<SelfKnowledge> {
        let ranks = ranks(scorer, relevance, watch)?;
        let Uncertainty { images, captions } = &self.uncertainty;
        Ok(SelfKnowledge {
            queries: by_uncertainty(&ranks, relevance, pairs, [images, captions], Seed(0))?,
            calibration: (self.gives_log_odds)
                .then(|| match_calibration(scorer, relevance, watch))
                .transpose()?,
        })
    }
}

/// The tables that `truepair eval` prints.
pub(crate) fn text(known: &SelfKnowledge) -> String {
    let ByUncertainty {
        image_to_text,
        text_to_image,
    } = &known.queries;
    let mut rows = vec![
        ["uncertainty", "i2t n", "R@1", "", "t2i n", "R@1"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let n_parts = image_to_text.tenths.len().max(text_to_image.tenths.len());
    for part in 0..n_parts {
        let name = match part {
            0 => "lowest".to_owned(),
            part if part + 1 == n_parts => "highest".to_owned(),
            part => format!("{}", part + 1),
        };
        let mut row = vec![name];
        for (at, queries) in [image_to_text, text_to_image].into_iter().enumerate() {
            if at == 1 {
                row.push(String::new());
            }
            row.extend(match queries.tenths.get(part) {
                Some(tenth) => [
                    tenth.n.to_string(),
                    format!("{:.1}", 100.0 * tenth.recall_at_1),
                ],
                None => [String::new(), String::new()],
            });
        }
        rows.push(row);
    }
    let mut text = format!(
        "\n{}Spearman, uncertainty with rank: {}; {}\n",
        table(&rows),
        correlation("i2t", image_to_text),
        correlation("t2i", text_to_image)
    );
    if let Some(MatchCalibration {
        all_pairs,
        best_answers,
    }) = &known.calibration
    {
        text.push_str(&format!(
            "match probability: {}; {}\n",
            calibration("all pairs", all_pairs),
            calibration("best answers", best_answers)
        ));
    }
    text
}

fn correlation(direction: &str, queries: &UncertainQueries) -> String {
    let found = &queries.correlation;
    format!(
        "{direction} {:+.3} ({:+.3} to {:+.3})",
        found.rho, found.low, found.high
    )
}

fn calibration(what: &str, error: &CalibrationError) -> String {
    format!(
        "{what} ECE {:.4} (says {:.4}, is {:.4})",
        error.ece, error.predicted, error.realized
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::pair::Pair;
    use truepair_core::ranking::Ranks;

    #[test]
    fn tenths_correlations_and_calibration_are_printed_in_percent_and_fractions() {
        let pairs: Vec<Pair> = (0..20)
            .map(|at| Pair {
                image: at,
                caption: at,
            })
            .collect();
        let relevance = Relevance::from_pairs(20, 20, &pairs);
        let ranks = Ranks {
            image_to_text: (0..20).map(|at| 1 + at / 10).collect(),
            text_to_image: vec![1; 20],
            ..Ranks::default()
        };
        let uncertainty: Vec<f32> = (0..20).map(|at| at as f32 / 20.0).collect();
        let queries = by_uncertainty(
            &ranks,
            &relevance,
            &relevance,
            [&uncertainty, &uncertainty],
            Seed(0),
        )
        .unwrap();
        let error = CalibrationError {
            n: 10,
            ece: 0.125,
            predicted: 0.5,
            realized: 0.375,
        };
        let known = SelfKnowledge {
            queries,
            calibration: Some(MatchCalibration {
                all_pairs: error,
                best_answers: error,
            }),
        };
        let text = text(&known);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(
            lines[2].starts_with("lowest") && lines[2].contains("100.0"),
            "{text}"
        );
        assert!(
            lines[11].starts_with("highest") && lines[11].contains("0.0"),
            "{text}"
        );
        assert!(
            text.contains("i2t +0.8") && text.contains("t2i +0.000"),
            "{text}"
        );
        assert!(
            text.contains("best answers ECE 0.1250 (says 0.5000, is 0.3750)"),
            "{text}"
        );
    }
}
