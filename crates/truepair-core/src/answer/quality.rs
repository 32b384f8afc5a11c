//! How good the probabilities, the sets and the denials are, on queries that calibrated nothing.

use serde::{Deserialize, Serialize};

use super::{AnswerModel, KnownAnswers};
use crate::audit::{Truth, auc};

/// Hits of a query whose probabilities are held against the truth.
const LOOKED_AT: usize = 20;

/// Figures of an [`AnswerModel`] on further queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnswerQuality {
    /// Queries that were asked.
    pub n_queries: usize,
    /// Expected calibration error of P(right) over the first 20 hits.
    pub ece: f64,
    /// Share of the queries whose set holds a right answer; `None` where none can be promised.
    pub covered: Option<f64>,
    /// Mean number of hits in a set.
    pub set_size: Option<f64>,
    /// How well queries without their answers are told from the same queries with them: the area under the curve of
    /// the model.
    pub nothing_auc: f64,
    /// The same by the best score alone.
    pub top_score_auc: f64,
    /// Area under the curve by which a query's variance alone tells queries whose first hit is wrong from the others;
    /// `None` where queries are points. A query's variance is the same with its answers and without them.
    pub variance_auc: Option<f64>,
}

impl AnswerModel {
    /// Holds the model against `queries`, which should be of items that did not calibrate it.
    pub fn quality(&self, queries: &[KnownAnswers], coverage: f64) -> AnswerQuality {
        let (mut stated, mut wrong) = (Vec::new(), Vec::new());
        let (mut hopeless, mut low, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let threshold = self.threshold(coverage);
        let (mut covered, mut in_sets) = (0, 0);
        for query in queries {
            let judged = self.judge(&query.scores, query.variance);
            for (p, right) in judged.right.iter().zip(&query.is_right).take(LOOKED_AT) {
                stated.push(1.0 - p);
                wrong.push(!right);
            }
            if let Some(threshold) = threshold {
                covered += usize::from(self.best_right(query) >= threshold);
                in_sets += judged.right.iter().filter(|p| **p >= threshold).count();
            }
            for (scores, is_gone) in [(&query.scores, false), (&query.without, true)] {
                hopeless.push(
                    self.nothing
                        .logit(&self.features(scores, query.variance)[0]),
                );
                low.push(-f64::from(scores[0]));
                gone.push(is_gone);
            }
        }
        let share = |count: usize| count as f64 / queries.len().max(1) as f64;
        AnswerQuality {
            n_queries: queries.len(),
            ece: Truth::measure(&stated, &wrong).ece,
            covered: threshold.map(|_| share(covered)),
            set_size: threshold.map(|_| share(in_sets)),
            nothing_auc: auc(&hopeless, &gone),
            top_score_auc: auc(&low, &gone),
            variance_auc: variance_auc(queries),
        }
    }
}

fn variance_auc(queries: &[KnownAnswers]) -> Option<f64> {
    let variances: Vec<f64> = queries.iter().map(|query| query.variance).collect();
    let fails: Vec<bool> = queries.iter().map(|query| !query.is_right[0]).collect();
    let is_known = variances.iter().any(|variance| *variance > 0.0);
    is_known.then(|| auc(&variances, &fails))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Seed, Stream, normal};

    /// Right answers stand one to three deviations above the rest, as the query has it.
    fn query(stream: &mut Stream, above: f64) -> KnownAnswers {
        let own = above + normal(stream);
        let mut scores = vec![own as f32];
        scores.extend((0..300).map(|_| normal(stream) as f32));
        KnownAnswers::new(&scores, &[0])
    }

    fn queries(n: usize, above: f64, seed: u64) -> Vec<KnownAnswers> {
        let stream = &mut Seed(seed).stream("queries", &[]);
        (0..n).map(|_| query(stream, above)).collect()
    }

    #[test]
    fn sets_cover_as_promised_and_probabilities_are_true() {
        let mut covered = 0.0;
        for seed in 0..20 {
            let model = AnswerModel::fit(&queries(500, 3.0, seed)).unwrap();
            let quality = model.quality(&queries(500, 3.0, 1000 + seed), 0.9);
            assert!(quality.ece < 0.02, "{quality:?}");
            assert!(
                quality.nothing_auc >= quality.top_score_auc - 0.02,
                "{quality:?}"
            );
            covered += quality.covered.unwrap() / 20.0;
        }
        assert!((covered - 0.9).abs() < 0.01, "{covered}");
    }

    #[test]
    fn a_better_matcher_gives_smaller_sets() {
        let size = |above: f64| {
            let model = AnswerModel::fit(&queries(500, above, 1)).unwrap();
            model
                .quality(&queries(500, above, 2), 0.9)
                .set_size
                .unwrap()
        };
        assert!(size(5.0) < size(3.0) && size(3.0) < size(2.0));
    }

    #[test]
    fn nothing_is_promised_that_cannot_be_kept() {
        // The right answer is anywhere among 300, so it is often not retrieved at all.
        let model = AnswerModel::fit(&queries(500, 0.0, 3)).unwrap();
        assert!(model.threshold(0.9).is_none());
        // With 60 queries nothing can be said about one in a hundred.
        let few = AnswerModel::fit(&queries(60, 5.0, 4)).unwrap();
        assert!(few.threshold(0.99).is_none() && few.threshold(0.9).is_some());
        assert!(AnswerModel::fit(&queries(49, 3.0, 5)).is_err());
        let alike = vec![KnownAnswers::new(&[0.5; 30], &[3]); 60];
        let error = AnswerModel::fit(&alike).unwrap_err().to_string();
        assert!(error.contains("score alike"), "{error}");
    }

    #[test]
    fn an_answerable_query_is_denied_as_rarely_as_promised() {
        let model = AnswerModel::fit(&queries(1000, 3.0, 6)).unwrap();
        let fresh = queries(1000, 3.0, 7);
        let denied = |scores: &dyn Fn(&KnownAnswers) -> Vec<f32>| {
            let denied = fresh
                .iter()
                .filter(|query| model.judge(&scores(query), 0.0).answerable <= 0.05);
            denied.count() as f64 / 1000.0
        };
        let wrongly = denied(&|query| query.scores.clone());
        assert!((wrongly - 0.05).abs() < 0.03, "{wrongly}");
        assert!(denied(&|query| query.without.clone()) > 2.0 * wrongly);
    }

    #[test]
    fn a_variance_that_says_something_is_used() {
        // Half of the queries are uncertain, and their answers stand out less.
        let some = |seed: u64| -> Vec<KnownAnswers> {
            let stream = &mut Seed(seed).stream("variance", &[]);
            let query = |n: usize| {
                let is_sure = n.is_multiple_of(2);
                let variance = if is_sure { 1.0 } else { 3.0 };
                query(stream, if is_sure { 5.0 } else { 1.5 }).with_variance(variance)
            };
            (0..600).map(query).collect()
        };
        let (fitted, fresh) = (some(1), some(2));
        let quality = AnswerModel::fit(&fitted).unwrap().quality(&fresh, 0.8);
        assert!(quality.variance_auc.unwrap() > 0.7, "{quality:?}");
        let blind = |queries: Vec<KnownAnswers>| -> Vec<KnownAnswers> {
            queries
                .into_iter()
                .map(|query| query.with_variance(0.0))
                .collect()
        };
        let without = AnswerModel::fit(&blind(fitted))
            .unwrap()
            .quality(&blind(fresh), 0.8);
        assert_eq!(without.variance_auc, None);
        assert!(
            quality.nothing_auc > without.nothing_auc + 0.005,
            "{quality:?} {without:?}"
        );
    }

    #[test]
    fn a_model_is_the_same_after_it_was_stored() {
        let model = AnswerModel::fit(&queries(100, 3.0, 8)).unwrap();
        let text = serde_json::to_string(&model).unwrap();
        let back: AnswerModel = serde_json::from_str(&text).unwrap();
        let scores = [2.0f32, 1.5, 1.0];
        assert_eq!(back.judge(&scores, 0.0), model.judge(&scores, 0.0));
    }
}
