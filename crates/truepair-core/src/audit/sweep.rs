//! Counting how many null items score at least as high as the pairs of one query.
//!
//! The loops over a row are free of branches, so that they compile to vector instructions; items that
//! must not count are removed before and after.

use super::softmax::Softmax;
use crate::lists::Lists;

/// Items that a query is compared with.
#[derive(Debug)]
pub(super) struct Gallery {
    /// Indices of the null captions or null images, ascending.
    pub(super) items: Vec<u32>,
    positions: Lists,
}

impl Gallery {
    /// Prepares `items`; `group` `[n]` names the duplicate group of every caption or image.
    pub(super) fn new(items: Vec<u32>, group: &[u32]) -> Self {
        let entries = items
            .iter()
            .zip(0..)
            .map(|(&item, at)| (group[item as usize], at));
        let positions = Lists::new(group.len(), entries);
        Self { items, positions }
    }

    fn at(&self, group: u32) -> &[u32] {
        self.positions.get(group)
    }

    /// Sets the scores `row` `[items]` of the items of these groups to negative infinity.
    pub(super) fn exclude(&self, groups: &[u32], row: &mut [f32]) {
        for &group in groups {
            for &at in self.at(group) {
                row[at as usize] = f32::NEG_INFINITY;
            }
        }
    }
}

/// One threshold compared with a query's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold {
    /// The score to be reached.
    pub(super) score: f32,
    /// A group to leave out besides the query's own; set for re-pairings.
    pub(super) also_excluded: Option<u32>,
}

/// How a threshold compares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Standing {
    /// Items that score at least as high.
    pub(super) n_above: u32,
    /// Items compared with.
    pub(super) n_compared: u32,
    /// `−ln` of the threshold's share of the softmax over it and the items, in nats.
    pub(super) surprisal: f64,
    /// Entropy in nats of that softmax.
    pub(super) entropy: f64,
}

impl Standing {
    /// Rank p-value in (0, 1]; exact in finite samples when the pair is one more null draw.
    pub(super) fn p(self) -> f64 {
        (1.0 + f64::from(self.n_above)) / (1.0 + f64::from(self.n_compared))
    }
}

/// The outcome of one query's row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RowSweep {
    /// One per threshold.
    pub(super) standings: Vec<Standing>,
    /// The best-scoring item that is not excluded, with its score.
    pub(super) best: Option<(u32, f32)>,
}

/// Sweeps the scores `row` `[gallery.items]` of one query, whose own items are in the groups
/// `excluded`, under a softmax of this sharpness. The excluded scores are overwritten.
///
/// # Errors
/// The position of a score that is not finite.
pub(super) fn sweep_row(
    row: &mut [f32],
    gallery: &Gallery,
    excluded: &[u32],
    thresholds: &[Threshold],
    sharpness: f64,
) -> Result<RowSweep, usize> {
    if n_not_finite(row) > 0 {
        return Err(row
            .iter()
            .position(|score| !score.is_finite())
            .expect("just counted"));
    }
    let mut n_compared = row.len() as u32;
    for &group in excluded {
        for &at in gallery.at(group) {
            row[at as usize] = f32::NEG_INFINITY;
            n_compared -= 1;
        }
    }
    let best = best(row, gallery);
    let top = best.map_or(f32::NEG_INFINITY, |(_, score)| score);
    let softmax = Softmax::of(row, sharpness, top);
    let standings = thresholds.iter().map(|threshold| {
        let left_out = threshold
            .also_excluded
            .map_or(&[][..], |group| gallery.at(group));
        let left_out_scores = || {
            let scores = left_out.iter().map(|&at| row[at as usize]);
            scores.filter(|score| score.is_finite())
        };
        let counted = left_out
            .iter()
            .filter(|&&at| row[at as usize] >= threshold.score)
            .count();
        Standing {
            n_above: n_at_least(row, threshold.score) - counted as u32,
            n_compared: n_compared - left_out.len() as u32,
            surprisal: softmax.surprisal(threshold.score, left_out_scores()),
            entropy: softmax.entropy_with(threshold.score),
        }
    });
    Ok(RowSweep {
        standings: standings.collect(),
        best,
    })
}

fn n_at_least(row: &[f32], threshold: f32) -> u32 {
    row.iter().map(|&score| u32::from(score >= threshold)).sum()
}

fn n_not_finite(row: &[f32]) -> u32 {
    // Counted instead of searched for: a search that may stop early is not vectorized.
    row.len() as u32
        - row
            .iter()
            .map(|score| u32::from(score.is_finite()))
            .sum::<u32>()
}

fn best(row: &[f32], gallery: &Gallery) -> Option<(u32, f32)> {
    // Sixteen running maxima, because a single one would serialize the loop.
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &score) in lanes.iter_mut().zip(chunk) {
            *lane = if score > *lane { score } else { *lane };
        }
    }
    let highest = lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    if highest == f32::NEG_INFINITY {
        return None;
    }
    let at = row.iter().position(|&score| score == highest)?;
    Some((gallery.items[at], highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(score: f32) -> Threshold {
        Threshold {
            score,
            also_excluded: None,
        }
    }

    #[test]
    fn ties_count_against_and_excluded_groups_do_not_count() {
        // Items 10, 11, 12, 13 of which 11 and 13 are duplicates.
        let mut group: Vec<u32> = (0..14).collect();
        group[13] = 11;
        let gallery = Gallery::new(vec![10, 11, 12, 13], &group);
        let thresholds = [
            given(2.0),
            Threshold {
                score: 2.0,
                also_excluded: Some(11),
            },
        ];
        let sweep =
            sweep_row(&mut [5.0, 2.0, 1.0, 4.0], &gallery, &[10], &thresholds, 1.0).unwrap();
        let counts = |standing: Standing| (standing.n_above, standing.n_compared);
        assert_eq!(counts(sweep.standings[0]), (2, 3));
        assert_eq!(counts(sweep.standings[1]), (0, 1));
        assert_eq!(sweep.best, Some((13, 4.0)));
        assert_eq!(sweep.standings[0].p(), 0.75);
    }

    #[test]
    fn a_row_of_excluded_items_has_no_best_and_p_1() {
        let gallery = Gallery::new(vec![0, 1], &[0, 0]);
        let sweep = sweep_row(&mut [1.0, 2.0], &gallery, &[0], &[given(3.0)], 1.0).unwrap();
        assert_eq!((sweep.best, sweep.standings[0].p()), (None, 1.0));
    }

    #[test]
    fn the_place_of_a_score_that_is_not_a_number_is_named() {
        let gallery = Gallery::new((0..40).collect(), &(0..40).collect::<Vec<u32>>());
        let mut row = vec![0.5; 40];
        row[33] = f32::NAN;
        assert_eq!(sweep_row(&mut row, &gallery, &[], &[], 1.0), Err(33));
        row[33] = f32::INFINITY;
        assert_eq!(sweep_row(&mut row, &gallery, &[], &[], 1.0), Err(33));
    }

    #[test]
    fn long_rows_agree_with_plain_loops() {
        let scores: Vec<f32> = (0..1003).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        let gallery = Gallery::new((0..1003).collect(), &(0..1003).collect::<Vec<u32>>());
        let sweep = sweep_row(&mut scores.clone(), &gallery, &[], &[given(0.25)], 1.0).unwrap();
        let n_above = scores.iter().filter(|&&score| score >= 0.25).count() as u32;
        let standing = sweep.standings[0];
        assert_eq!((standing.n_above, standing.n_compared), (n_above, 1003));
        let highest = scores.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(sweep.best.unwrap().1, highest);
    }
}
