//! How much of a result depends on the rule for equal scores.

use super::Recall;
use super::folds::{Part, folds};
use crate::error::Result;
use crate::ranking::{Ranks, ranks, ranks_in_favor};
use crate::relevance::Relevance;
use crate::scores::Scorer;
use crate::watch::Watch;

/// How much the six recalls could rise if every tie fell the model's way: the largest difference in any
/// of them, [0, 1]. Saturated scores tie; above a thousandth the tie rule is part of the result.
///
/// # Errors
/// As [`evaluate`](super::evaluate).
pub fn tie_gap(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    n_folds: u32,
    watch: &mut dyn Watch,
) -> Result<f64> {
    let against = recalls(&fold_ranks(scorer, relevance, n_folds, ranks, watch)?);
    let in_favor = recalls(&fold_ranks(
        scorer,
        relevance,
        n_folds,
        ranks_in_favor,
        watch,
    )?);
    let gaps = in_favor.iter().zip(&against).map(|(a, b)| a - b);
    Ok(gaps.fold(0.0, f64::max))
}

/// The six recalls, means over the folds.
fn recalls(folds: &[Ranks]) -> Vec<f64> {
    let mean = |of: &dyn Fn(&Ranks) -> f64| folds.iter().map(of).sum::<f64>() / folds.len() as f64;
    let both = |recall: Recall| {
        [
            mean(&|fold| recall.of(&fold.image_to_text)),
            mean(&|fold| recall.of(&fold.text_to_image)),
        ]
    };
    Recall::ALL.into_iter().flat_map(both).collect()
}

/// How the items of a whole score matrix are ranked.
type Rank = fn(&dyn Scorer, &Relevance, &mut dyn Watch) -> Result<Ranks>;

fn fold_ranks(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    n_folds: u32,
    rank: Rank,
    watch: &mut dyn Watch,
) -> Result<Vec<Ranks>> {
    let folds = folds(relevance, n_folds)?;
    if n_folds == 1 {
        return Ok(vec![rank(scorer, relevance, watch)?]);
    }
    let mut parts = Vec::with_capacity(folds.len());
    for (fold, (images, captions)) in (1..).zip(folds) {
        let known = relevance.part(&images, &captions);
        let part = Part::new(scorer, images, captions);
        parts.push(rank(&part, &known, &mut ())?);
        watch.advance("rank folds", fold, n_folds.into());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::test_data::{five_each, scores};
    use crate::scores::{Matrix, ScoreMatrix};

    #[test]
    fn saturated_scores_leave_a_gap_and_distinct_ones_none() {
        let relevance = five_each(20);
        assert_eq!(tie_gap(&scores(20), &relevance, 4, &mut ()).unwrap(), 0.0);
        let saturated = ScoreMatrix(Matrix::new(vec![1.0; 20 * 100], 100));
        assert_eq!(tie_gap(&saturated, &relevance, 1, &mut ()).unwrap(), 1.0);
    }
}
