//! Repeated cross-fitting: the same pairs judged by several matchers, averaged before calibration.

use super::nearby::{NearbyStatistics, PlantedStatistics};
use super::{FoldStatistics, NullStatistic, PairStatistics};
use crate::error::{Error, Result};

/// Averages the statistics of several repeats of cross-fitting over all their folds.
///
/// The statistics, the legibility and the uncertainties are averaged for the pairs as given and,
/// separately, for the same re-pairings, so the average is calibrated by its own measured null. The
/// folds may differ between repeats if [`Fold::cells`](super::Fold::cells) kept every re-pairing inside
/// one fold of every repeat. The result is laid out in the folds of the first repeat; p-values become
/// geometric means and ranks are rounded from them.
///
/// # Errors
/// If there is no repeat, or the repeats judged different pairs or drew different re-pairings.
pub fn average_repeats(repeats: &[Vec<FoldStatistics>]) -> Result<Vec<FoldStatistics>> {
    let Some((first, others)) = repeats.split_first() else {
        return Err(Error::argument(
            "no repeat of cross-fitting to average",
            "judge one first",
        ));
    };
    let others: Vec<ByPair<'_>> = others.iter().map(|folds| ByPair::new(folds)).collect();
    first
        .iter()
        .map(|fold| average_fold(fold, &others))
        .collect()
}

/// Where each pair of one repeat is judged.
struct ByPair<'a> {
    folds: &'a [FoldStatistics],
    place: Vec<Option<(u32, u32)>>,
}

impl<'a> ByPair<'a> {
    fn new(folds: &'a [FoldStatistics]) -> Self {
        let judged = || folds.iter().flat_map(|fold| &fold.pairs);
        let mut place = vec![None; judged().map(|row| row.pair as usize + 1).max().unwrap_or(0)];
        for (f, fold) in folds.iter().enumerate() {
            for (n, row) in fold.pairs.iter().enumerate() {
                place[row.pair as usize] = Some((f as u32, n as u32));
            }
        }
        Self { folds, place }
    }

    /// The fold of a pair, and its place there.
    fn place(&self, pair: u32) -> Option<(&FoldStatistics, usize)> {
        let (fold, n) = (*self.place.get(pair as usize)?)?;
        Some((&self.folds[fold as usize], n as usize))
    }

    /// The planted pair at this place of the plan.
    fn planted(&self, place: u32) -> Option<&PlantedStatistics> {
        self.folds.iter().find_map(|fold| {
            let planted = &fold.nearby.as_ref()?.planted;
            let at = planted
                .binary_search_by_key(&place, |planted| planted.place)
                .ok()?;
            Some(&planted[at])
        })
    }

    fn get(&self, pair: u32) -> Option<(&PairStatistics, &[NullStatistic])> {
        let (fold, n) = self.place(pair)?;
        let r = fold.n_repairings;
        Some((&fold.pairs[n], &fold.null[n * r..(n + 1) * r]))
    }
}

fn average_fold(fold: &FoldStatistics, others: &[ByPair<'_>]) -> Result<FoldStatistics> {
    let share = 1.0 / (others.len() + 1) as f64;
    let mut averaged = fold.clone();
    if let Some(nearby) = &mut averaged.nearby {
        average_nearby(nearby, fold, others)?;
    }
    for (n, row) in averaged.pairs.iter_mut().enumerate() {
        let null = &mut averaged.null[n * fold.n_repairings..(n + 1) * fold.n_repairings];
        // Variances of the repeats whose embeddings are Gaussians.
        let mut variances: Vec<f64> = row.variance.into_iter().collect();
        let (mut log_i2t, mut log_t2i) = (row.p_i2t.ln(), row.p_t2i.ln());
        for other in others {
            let (other_row, other_null) = other.get(row.pair).ok_or_else(|| unlike(row.pair))?;
            let same = null
                .iter()
                .map(|n| n.partner)
                .eq(other_null.iter().map(|n| n.partner));
            if !same {
                return Err(unlike(row.pair));
            }
            row.log_rank += other_row.log_rank;
            row.surprisal += other_row.surprisal;
            add(&mut row.legibility, other_row.legibility);
            row.entropy += other_row.entropy;
            variances.extend(other_row.variance);
            log_i2t += other_row.p_i2t.ln();
            log_t2i += other_row.p_t2i.ln();
            (null.iter_mut().zip(other_null)).for_each(|(sum, other)| add_null(sum, other));
        }
        row.log_rank *= share;
        row.surprisal *= share;
        row.legibility = row.legibility.map(|sum| sum * share);
        row.entropy *= share;
        row.variance = mean(&variances);
        for null in null {
            null.log_rank *= share;
            null.surprisal *= share;
            null.legibility = null.legibility.map(|sum| sum * share);
        }
        row.p_i2t = (log_i2t * share).exp();
        row.p_t2i = (log_t2i * share).exp();
        row.rank_i2t = rank(row.p_i2t, row.n_captions);
        row.rank_t2i = rank(row.p_t2i, row.n_images);
    }
    Ok(averaged)
}

/// Averages the surroundings of the same given, planted and re-paired pairs.
fn average_nearby(
    nearby: &mut NearbyStatistics,
    fold: &FoldStatistics,
    others: &[ByPair<'_>],
) -> Result<()> {
    let n = (others.len() + 1) as f64;
    for other in others {
        for (row, sum) in fold.pairs.iter().zip(&mut nearby.given) {
            let (of, at) = other.place(row.pair).ok_or_else(|| unlike(row.pair))?;
            let found = of.nearby.as_ref().ok_or_else(|| unlike(row.pair))?;
            add(sum, found.given[at]);
        }
        for sum in &mut nearby.planted {
            let unlike = || unlike(sum.planting.partner);
            let found = other.planted(sum.place).ok_or_else(unlike)?;
            add_null(&mut sum.null, &found.null);
            add(&mut sum.features, found.features);
        }
        for (place, sum) in &mut nearby.repaired {
            let pair = fold.pairs[*place as usize].pair;
            let (of, at) = other.place(pair).ok_or_else(|| unlike(pair))?;
            let found = of.nearby.as_ref().ok_or_else(|| unlike(pair))?;
            let at = found
                .repaired
                .binary_search_by_key(&(at as u32), |(place, _)| *place);
            add(sum, found.repaired[at.map_err(|_| unlike(pair))?].1);
        }
    }
    let divide = |values: &mut [f64]| values.iter_mut().for_each(|value| *value /= n);
    nearby.given.iter_mut().for_each(|sum| divide(sum));
    nearby.repaired.iter_mut().for_each(|(_, sum)| divide(sum));
    for sum in &mut nearby.planted {
        sum.null.surprisal /= n;
        sum.null.log_rank /= n;
        divide(&mut sum.null.legibility);
        divide(&mut sum.features);
    }
    Ok(())
}

fn add_null(sum: &mut NullStatistic, other: &NullStatistic) {
    sum.log_rank += other.log_rank;
    sum.surprisal += other.surprisal;
    add(&mut sum.legibility, other.legibility);
}

fn add<const N: usize>(sums: &mut [f64; N], values: [f64; N]) {
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += value);
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn rank(p: f64, n_compared: u32) -> u32 {
    ((p * (1.0 + f64::from(n_compared))).round() as u32).max(1)
}

fn unlike(pair: u32) -> Error {
    Error::argument(
        format!("repeats of cross-fitting do not agree on pair {pair} and its re-pairings"),
        "judge every repeat with the same seed, pairs and cells",
    )
}
