//! A query whose right answers are known.

use super::DEPTH;

/// The first hits of a query, and which of them are right.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownAnswers {
    /// Scores of the hits, descending.
    pub(super) scores: Vec<f32>,
    /// Whether each hit is right.
    pub(super) is_right: Vec<bool>,
    /// Scores of hits that are not right, descending: what the query finds when its answers are gone.
    pub(super) without: Vec<f32>,
    /// How uncertain the query is, at least 0.
    pub(super) variance: f64,
}

impl KnownAnswers {
    /// Scores of a query's hits in any order, and the places of the right ones among them. The first [`DEPTH`] are
    /// kept, so give the right answers and at least as many of the best others, or all there are. Ties go against
    /// the matcher.
    ///
    /// # Panics
    /// If a place is out of range.
    pub fn new(scores: &[f32], right: &[usize]) -> Self {
        let mut is_right = vec![false; scores.len()];
        right.iter().for_each(|&place| is_right[place] = true);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| {
            let by_score = scores[b].total_cmp(&scores[a]);
            by_score.then(is_right[a].cmp(&is_right[b]))
        });
        let without = order.iter().filter(|&&at| !is_right[at]);
        let without = without.take(DEPTH).map(|&at| scores[at]).collect();
        order.truncate(DEPTH);
        Self {
            scores: order.iter().map(|&at| scores[at]).collect(),
            is_right: order.iter().map(|&at| is_right[at]).collect(),
            without,
            variance: 0.0,
        }
    }

    /// The same query with its variance, at least 0: the sum over its coordinates, where queries are Gaussians.
    pub fn with_variance(self, variance: f64) -> Self {
        Self { variance, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_sorted_and_ties_go_against_the_matcher() {
        let query = KnownAnswers::new(&[0.5, 0.9, 0.5, 0.1], &[0, 3]);
        assert_eq!(query.scores, [0.9, 0.5, 0.5, 0.1]);
        assert_eq!(query.is_right, [false, false, true, true]);
        assert_eq!(query.without, [0.9, 0.5]);
    }
}
