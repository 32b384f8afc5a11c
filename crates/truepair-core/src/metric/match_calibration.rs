//! Whether match probabilities are right as often as they claim.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::relevance::Relevance;
use crate::scores::Scorer;
use crate::watch::Watch;

/// Bins of equal width over [0, 1].
const BINS: usize = 10;

/// How far match probabilities are from the shares of matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchCalibration {
    /// Over every image against every caption; nearly all of them mismatch.
    pub all_pairs: CalibrationError,
    /// Over the best caption of every image and the best image of every caption.
    pub best_answers: CalibrationError,
}

/// The expected calibration error of some probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CalibrationError {
    /// Probabilities.
    pub n: u64,
    /// `Σ nᵦ / n · |mean probabilityᵦ − share of matchesᵦ|` over ten bins of equal width, [0, 1].
    pub ece: f64,
    /// Mean probability.
    pub predicted: f64,
    /// Share of matches.
    pub realized: f64,
}

/// Sums by bin.
#[derive(Debug, Clone, Default)]
struct Bins([(u64, f64, u64); BINS]);

impl Bins {
    fn add(&mut self, answer: Answer) {
        let probability = 1.0 / (1.0 + (-f64::from(answer.score)).exp());
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        let (n, sum, matches) = &mut self.0[bin];
        *n += 1;
        *sum += probability;
        *matches += u64::from(answer.is_match);
    }

    fn error(&self) -> CalibrationError {
        let n: u64 = self.0.iter().map(|bin| bin.0).sum();
        let total = n.max(1) as f64;
        let gaps = self
            .0
            .iter()
            .map(|(_, sum, matches)| (sum - *matches as f64).abs());
        CalibrationError {
            n,
            ece: gaps.sum::<f64>() / total,
            predicted: self.0.iter().map(|bin| bin.1).sum::<f64>() / total,
            realized: self.0.iter().map(|bin| bin.2).sum::<u64>() as f64 / total,
        }
    }
}

/// Compares the scorer's match probabilities `σ(score)` with relevance. One tile of scores is in memory
/// at a time.
///
/// ```
/// use truepair_core::metric::match_calibration;
/// use truepair_core::pair::Pair;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::scores::{Matrix, ScoreMatrix};
///
/// // Log odds of ±20: sure, and right.
/// let scores = ScoreMatrix(Matrix::new(vec![20.0, -20.0, -20.0, 20.0], 2));
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 1, caption: 1 }];
/// let found = match_calibration(&scores, &Relevance::from_pairs(2, 2, &pairs), &mut ())?;
/// assert!(found.all_pairs.ece < 1e-6);
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Source
/// Naeini et al., AAAI 2015 (expected calibration error).
///
/// # Errors
/// If the scorer fails.
///
/// # Panics
/// If the scorer and the relevance differ in size.
pub fn match_calibration(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    watch: &mut dyn Watch,
) -> Result<MatchCalibration> {
    let (n, m) = (scorer.n_images(), scorer.n_captions());
    assert_eq!((n, m), (relevance.n_images(), relevance.n_captions()));
    let (mut all, mut best) = (Bins::default(), Bins::default());
    let mut of_caption = vec![Answer::NONE; m];
    let shape = scorer.tile_shape();
    let images: Vec<u32> = (0..n as u32).collect();
    let captions: Vec<u32> = (0..m as u32).collect();
    let mut scores = Vec::new();
    for rows in images.chunks(shape.images.max(1)) {
        let mut of_image = vec![Answer::NONE; rows.len()];
        for columns in captions.chunks(shape.captions.max(1)) {
            scores.resize(rows.len() * columns.len(), 0.0);
            scorer.tile(rows, columns, &mut scores)?;
            let lines = scores.chunks_exact(columns.len()).zip(&mut of_image);
            for ((line, of_image), &image) in lines.zip(rows) {
                let relevant = relevance.captions_of(image);
                for (&score, &caption) in line.iter().zip(columns) {
                    let answer = Answer {
                        score,
                        is_match: relevant.contains(&caption),
                    };
                    all.add(answer);
                    of_image.raise(answer);
                    of_caption[caption as usize].raise(answer);
                }
            }
        }
        let answers = of_image.into_iter().filter(Answer::is_some);
        answers.for_each(|answer| best.add(answer));
        let done = rows.last().map_or(0, |&row| u64::from(row) + 1);
        watch.advance("calibrate", done, n as u64);
    }
    let answers = of_caption.into_iter().filter(Answer::is_some);
    answers.for_each(|answer| best.add(answer));
    Ok(MatchCalibration {
        all_pairs: all.error(),
        best_answers: best.error(),
    })
}

/// A score and whether it is that of a match. A mismatch comes before a match with the same score.
#[derive(Debug, Clone, Copy)]
struct Answer {
    score: f32,
    is_match: bool,
}

impl Answer {
    const NONE: Self = Self {
        score: f32::NEG_INFINITY,
        is_match: true,
    };

    fn is_some(&self) -> bool {
        self.score > f32::NEG_INFINITY
    }

    fn raise(&mut self, other: Self) {
        if other.score > self.score || (other.score == self.score && !other.is_match) {
            *self = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;
    use crate::scores::{Matrix, ScoreMatrix};

    fn logit(p: f32) -> f32 {
        (p / (1.0 - p)).ln()
    }

    fn measured(probabilities: [f32; 6]) -> MatchCalibration {
        let scores = probabilities.map(logit).to_vec();
        let pairs = [(0, 0), (1, 2)].map(|(image, caption)| Pair { image, caption });
        let relevance = Relevance::from_pairs(2, 3, &pairs);
        let scorer = ScoreMatrix(Matrix::new(scores, 3));
        match_calibration(&scorer, &relevance, &mut ()).unwrap()
    }

    #[test]
    fn errors_are_gaps_between_probabilities_and_shares() {
        let found = measured([0.95, 0.05, 0.15, 0.05, 0.05, 0.75]);
        // Bins: 0.95 (1 of 1), 0.75 (1 of 1), 0.15 (0 of 1), three times 0.05 (0 of 3).
        let expected = (0.05 + 0.25 + 0.15 + 0.15) / 6.0;
        assert!((found.all_pairs.ece - expected).abs() < 1e-6, "{found:?}");
        assert!((found.all_pairs.realized - 2.0 / 6.0).abs() < 1e-12);
        // Best: 0.95 and 0.75 for the images; 0.95, 0.05, 0.75 for the captions.
        assert_eq!(found.best_answers.n, 5);
        let expected = (2.0 * 0.05 + 2.0 * 0.25 + 0.05) / 5.0;
        assert!(
            (found.best_answers.ece - expected).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn a_tie_goes_against_the_model() {
        let found = measured([0.5; 6]);
        assert_eq!(found.best_answers.realized, 0.0);
        assert!((found.all_pairs.ece - (0.5 - 1.0 / 3.0)).abs() < 1e-6);
    }
}
