//! How different a figure could have been: the bootstrap over test images.
//!
//! Images are drawn with their captions, since the queries of one image are hard or easy together, and
//! within their fold. The interval says what another test split of this kind could have shown; it does
//! not cover other seeds of training.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Figure, Measured, Metric, Pool, QueryRow};
use crate::error::{Error, Result};
use crate::rng::{Seed, below};
use crate::scores::Direction;

const DIRECTIONS: [Direction; 2] = [Direction::ImageToText, Direction::TextToImage];

/// A 95 % percentile interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How far the first evaluation is ahead of the second in one figure.
#[derive(Debug, Clone, Copy)]
pub struct FigureDifference {
    /// Metric and direction, with the first evaluation's value.
    pub first: Figure,
    /// The second evaluation's value.
    pub second: f64,
    /// Interval of the first value minus the second.
    pub interval: Interval,
    /// Two-sided bootstrap p-value of no difference, (0, 1]; not corrected for the number of
    /// figures.
    pub p: f64,
}

impl Measured {
    /// Every known figure with its interval from `n_resamples` draws of the test images.
    ///
    /// # Source
    /// Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: percentile
    /// interval.
    ///
    /// # Panics
    /// If `n_resamples` is 0.
    pub fn intervals(&self, n_resamples: usize, seed: Seed) -> Vec<(Figure, Interval)> {
        let draws = Sample::new(&[self]).draws(n_resamples, seed, |values| values[0]);
        let figures = self.figures().into_iter().zip(draws);
        figures
            .map(|(figure, draws)| (figure, interval(&draws)))
            .collect()
    }

    /// Compares every figure that both evaluations know, on the same draws of the test images.
    ///
    /// # Source
    /// As for [`rsum_difference`](super::rsum_difference).
    ///
    /// # Errors
    /// If the protocols differ (each field is named), or the queries are not the same.
    ///
    /// # Panics
    /// If `n_resamples` is 0.
    pub fn differences(
        &self,
        other: &Measured,
        n_resamples: usize,
        seed: Seed,
    ) -> Result<Vec<FigureDifference>> {
        self.protocol.check_like(&other.protocol)?;
        check_queries(self, other)?;
        let (first, second) = self.in_common(other);
        let draws = Sample::new(&[&first, &second])
            .draws(n_resamples, seed, |values| values[0] - values[1]);
        let figures = first.figures().into_iter().zip(second.figures()).zip(draws);
        let differences = figures.map(|((first, second), draws)| FigureDifference {
            first,
            second: second.value,
            interval: interval(&draws),
            p: significance(&draws),
        });
        Ok(differences.collect())
    }

    /// Both evaluations with only the metrics that both know for all queries.
    fn in_common(&self, other: &Measured) -> (Measured, Measured) {
        let unknown = |measured: &Measured, name: &str| {
            let short = measured.unmeasured();
            short.iter().any(|short| short.metric.name() == name)
                || measured.metrics.iter().all(|metric| metric.name() != name)
        };
        let names: Vec<&str> = (self.metrics.iter())
            .map(|metric| metric.name())
            .filter(|name| !unknown(self, name) && !unknown(other, name))
            .collect();
        (self.only(&names), other.only(&names))
    }

    /// The same evaluation with only these metrics, in this order.
    ///
    /// # Panics
    /// If one of them was not measured.
    pub fn only(&self, names: &[&str]) -> Measured {
        let at = |name: &&str| {
            let found = self
                .metrics
                .iter()
                .position(|metric| metric.name() == *name);
            found.unwrap_or_else(|| panic!("{name} was not measured"))
        };
        let kept: Vec<usize> = names.iter().map(at).collect();
        let mut only = self.clone();
        only.metrics = kept.iter().map(|&at| self.metrics[at]).collect();
        for asked in [&mut only.image_to_text, &mut only.text_to_image] {
            for row in &mut asked.rows {
                row.values = kept.iter().map(|&at| row.values[at]).collect();
            }
        }
        only
    }
}

fn check_queries(first: &Measured, second: &Measured) -> Result<()> {
    for direction in DIRECTIONS {
        let (first, second) = (&first.asked(direction).rows, &second.asked(direction).rows);
        let key = |row: &QueryRow| (row.query, row.fold, row.unit);
        if !first.iter().map(key).eq(second.iter().map(key)) {
            return Err(Error::argument(
                format!(
                    "the evaluations answered different queries: {} and {}",
                    first.len(),
                    second.len()
                ),
                "compare evaluations of the same split under the same relevance",
            ));
        }
    }
    Ok(())
}

/// Evaluations of the same queries, summed by unit.
struct Sample<'a> {
    measured: &'a [&'a Measured],
    /// Units of each fold, as ranges of dense unit numbers.
    folds: Vec<std::ops::Range<usize>>,
    /// Per direction.
    sides: [Side; 2],
    /// For each direction, whether each metric of the first evaluation is known.
    known: [Vec<bool>; 2],
    n_units: usize,
}

/// One direction's queries by unit.
struct Side {
    /// Queries of each unit.
    n_queries: Vec<u32>,
    /// Per evaluation `[n_units, n_metrics]`: sums over the unit's queries.
    sums: Vec<Vec<f64>>,
    /// For each evaluation, the metrics that are pooled by their median.
    sorted: Vec<Vec<(usize, SortedByFold)>>,
}

/// For each fold, a metric's values ascending, with their units.
type SortedByFold = Vec<Vec<(f64, u32)>>;

impl<'a> Sample<'a> {
    fn new(measured: &'a [&'a Measured]) -> Self {
        let queries = DIRECTIONS
            .iter()
            .flat_map(|&of| &measured[0].asked(of).rows);
        let mut units: Vec<(u32, u32)> = queries.map(|row| (row.fold, row.unit)).collect();
        units.sort_unstable();
        units.dedup();
        let mut folds = Vec::new();
        let mut start = 0;
        for fold in units.chunk_by(|a, b| a.0 == b.0) {
            folds.push(start..start + fold.len());
            start += fold.len();
        }
        let sides = DIRECTIONS.map(|direction| Side::new(measured, direction, &units, &folds));
        let known = DIRECTIONS.map(|direction| {
            let metrics = 0..measured[0].metrics.len();
            metrics
                .map(|metric| measured[0].value(direction, metric).is_some())
                .collect()
        });
        Self {
            measured,
            folds,
            sides,
            known,
            n_units: units.len(),
        }
    }

    /// For each figure of the first evaluation, `look` at all evaluations' values in every resample.
    fn draws(
        &self,
        n_resamples: usize,
        seed: Seed,
        look: impl Fn(&[f64]) -> f64 + Sync,
    ) -> Vec<Vec<f64>> {
        assert!(n_resamples > 0, "a bootstrap draws at least once");
        let resample = |at: usize| {
            let mut rng = seed.stream("query bootstrap", &[at as u64]);
            let mut weights = vec![0u32; self.n_units];
            for fold in &self.folds {
                for _ in fold.clone() {
                    let drawn = below(&mut rng, fold.len() as u64) as usize;
                    weights[fold.start + drawn] += 1;
                }
            }
            let values: Vec<Vec<f64>> = (0..self.measured.len())
                .map(|which| self.figures(which, &weights))
                .collect();
            let n_figures = values[0].len();
            let one = |figure: usize| {
                let values: Vec<f64> = values.iter().map(|values| values[figure]).collect();
                look(&values)
            };
            (0..n_figures).map(one).collect::<Vec<f64>>()
        };
        let resamples: Vec<Vec<f64>> = (0..n_resamples).into_par_iter().map(resample).collect();
        let n_figures = resamples[0].len();
        let sorted = |figure: usize| {
            let draws = resamples.iter().map(|draws| draws[figure]);
            // A draw without any query of a direction says nothing about it.
            let mut draws: Vec<f64> = draws.filter(|draw| draw.is_finite()).collect();
            draws.sort_by(f64::total_cmp);
            draws
        };
        (0..n_figures).map(sorted).collect()
    }

    /// The figures of one evaluation, in the order of [`Measured::figures`], when unit `n` counts
    /// `weights[n]` times.
    fn figures(&self, which: usize, weights: &[u32]) -> Vec<f64> {
        let measured = self.measured[which];
        let sides: Vec<Vec<f64>> = (self.sides.iter())
            .map(|side| side.values(which, &measured.metrics, &self.folds, weights))
            .collect();
        let mut figures = Vec::new();
        for (at, metric) in measured.metrics.iter().enumerate() {
            let known = [self.known[0][at], self.known[1][at]];
            match metric.is_joint() {
                true if known == [true; 2] => figures.push(sides[0][at] + sides[1][at]),
                true => {}
                false => figures.extend((0..2).filter(|&of| known[of]).map(|of| sides[of][at])),
            }
        }
        figures
    }
}

impl Side {
    fn new(
        measured: &[&Measured],
        direction: Direction,
        units: &[(u32, u32)],
        folds: &[std::ops::Range<usize>],
    ) -> Self {
        let unit_of = |row: &QueryRow| {
            let found = units.binary_search(&(row.fold, row.unit));
            found.expect("units come from the first evaluation, whose queries all have")
        };
        let rows = &measured[0].asked(direction).rows;
        let dense: Vec<usize> = rows.iter().map(unit_of).collect();
        let mut n_queries = vec![0; units.len()];
        dense.iter().for_each(|&unit| n_queries[unit] += 1);
        let sums = measured.iter().map(|measured| {
            let n_metrics = measured.metrics.len();
            let mut sums = vec![0.0; units.len() * n_metrics];
            for (row, &unit) in measured.asked(direction).rows.iter().zip(&dense) {
                let sums = &mut sums[unit * n_metrics..][..n_metrics];
                sums.iter_mut()
                    .zip(&row.values)
                    .for_each(|(sum, value)| *sum += value);
            }
            sums
        });
        let sorted = measured.iter().map(|measured| {
            let metrics = measured.metrics.iter().enumerate();
            let medians = metrics.filter(|(_, metric)| metric.pool() == Pool::Median);
            let of_fold = |metric: usize, fold: &std::ops::Range<usize>| {
                let rows = measured.asked(direction).rows.iter().zip(&dense);
                let mut values: Vec<(f64, u32)> = rows
                    .filter(|(_, unit)| fold.contains(unit))
                    .map(|(row, &unit)| (row.values[metric], unit as u32))
                    .collect();
                values.sort_by(|a, b| a.0.total_cmp(&b.0));
                values
            };
            let by_fold = |metric: usize| folds.iter().map(|fold| of_fold(metric, fold)).collect();
            medians.map(|(at, _)| (at, by_fold(at))).collect()
        });
        Self {
            sums: sums.collect(),
            sorted: sorted.collect(),
            n_queries,
        }
    }

    /// For each metric, the mean over folds when unit `n` counts `weights[n]` times; NaN when a fold is
    /// left without a query.
    fn values(
        &self,
        which: usize,
        metrics: &[&'static dyn Metric],
        folds: &[std::ops::Range<usize>],
        weights: &[u32],
    ) -> Vec<f64> {
        let n_metrics = metrics.len();
        let mut means = vec![0.0; n_metrics];
        let mut sums = vec![0.0; n_metrics];
        // A fold without a query of this direction does not contribute to its mean.
        let asks =
            |fold: &&std::ops::Range<usize>| self.n_queries[(*fold).clone()].iter().any(|&n| n > 0);
        let share = 1.0 / folds.iter().filter(asks).count() as f64;
        for (at, fold) in folds.iter().enumerate().filter(|(_, fold)| asks(fold)) {
            sums.fill(0.0);
            let mut n = 0;
            for unit in fold.clone().filter(|&unit| weights[unit] > 0) {
                n += weights[unit] * self.n_queries[unit];
                let weight = f64::from(weights[unit]);
                let of_unit = &self.sums[which][unit * n_metrics..][..n_metrics];
                sums.iter_mut()
                    .zip(of_unit)
                    .for_each(|(sum, value)| *sum += weight * value);
            }
            for (metric, by_fold) in &self.sorted[which] {
                sums[*metric] = weighted_median(&by_fold[at], weights, n) * f64::from(n);
            }
            for (mean, sum) in means.iter_mut().zip(&sums) {
                *mean += share * sum / f64::from(n);
            }
        }
        means
    }
}

/// The median as [`Pool::Median`] counts it, of `n` values in all.
fn weighted_median(ascending: &[(f64, u32)], weights: &[u32], n: u32) -> f64 {
    let (low, high) = (n.saturating_sub(1) / 2, n / 2);
    let (mut before, mut lower) = (0, f64::NAN);
    for &(value, unit) in ascending {
        let after = before + weights[unit as usize];
        if (before..after).contains(&low) {
            lower = value;
        }
        if (before..after).contains(&high) {
            return ((lower + value) / 2.0).floor();
        }
        before = after;
    }
    f64::NAN
}

fn interval(draws: &[f64]) -> Interval {
    Interval {
        low: quantile(draws, 0.025),
        high: quantile(draws, 0.975),
    }
}

/// The smallest of the sorted `draws` that at least this share of them does not exceed.
pub(super) fn quantile(draws: &[f64], share: f64) -> f64 {
    let rank = (share * draws.len() as f64).ceil() as usize;
    draws
        .get(rank.clamp(1, draws.len().max(1)) - 1)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Two-sided achieved significance level, with one added to count and total so that it is never 0.
pub(super) fn significance(draws: &[f64]) -> f64 {
    let below = draws.iter().filter(|&&draw| draw <= 0.0).count();
    let above = draws.iter().filter(|&&draw| draw >= 0.0).count();
    let tail = (1 + below.min(above)) as f64 / (1 + draws.len()) as f64;
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Protocol, Relevant, Source, measure};
    use crate::pair::Pair;
    use crate::relevance::Relevance;
    use crate::rng::normal;
    use crate::scores::{Matrix, ScoreMatrix};

    const N: usize = 4;

    /// Four images, the first with three captions and the others with one.
    fn pairs() -> Relevance {
        let owners = [0, 0, 0, 1, 2, 3];
        let pairs: Vec<Pair> = (0u32..)
            .zip(owners)
            .map(|(caption, image)| Pair { image, caption })
            .collect();
        Relevance::from_pairs(N, owners.len(), &pairs)
    }

    fn measured(seed: u64, folds: u32) -> Measured {
        let mut rng = Seed(seed).stream("test", &[]);
        let values = (0..N * 6).map(|_| normal(&mut rng) as f32).collect();
        let scores = ScoreMatrix(Matrix::new(values, 6));
        let pairs = pairs();
        let protocol = Protocol {
            folds,
            ..Protocol::new("toy", "test", &pairs)
        };
        measure(
            Source::Scores(&scores),
            Relevant::Lists(&pairs),
            &pairs,
            protocol,
            &mut (),
        )
        .unwrap()
    }

    /// Every figure when the images `drawn` and their captions are the test split, from the rows.
    fn redrawn(measured: &Measured, drawn: &[u32]) -> Vec<f64> {
        let mut copy = measured.clone();
        for asked in [&mut copy.image_to_text, &mut copy.text_to_image] {
            let of = |&unit: &u32| {
                asked
                    .rows
                    .iter()
                    .filter(move |row| row.unit == unit)
                    .cloned()
            };
            asked.rows = drawn.iter().flat_map(of).collect();
        }
        copy.figures().iter().map(|figure| figure.value).collect()
    }

    fn every_draw(look: impl Fn(&[u32]) -> Vec<f64>) -> Vec<Vec<f64>> {
        let draws: Vec<Vec<f64>> = (0..N.pow(N as u32))
            .map(|code| {
                let drawn: Vec<u32> = (0..N as u32)
                    .map(|at| (code / N.pow(at) % N) as u32)
                    .collect();
                look(&drawn)
            })
            .collect();
        let n_figures = draws[0].len();
        let sorted = |figure: usize| {
            let mut of: Vec<f64> = draws.iter().map(|draw| draw[figure]).collect();
            of.sort_by(f64::total_cmp);
            of
        };
        (0..n_figures).map(sorted).collect()
    }

    /// The empirical distribution of a large sample is near the exact one everywhere.
    fn distance(sample: &[f64], exact: &[f64]) -> f64 {
        let below = |draws: &[f64], value: f64| {
            draws.partition_point(|&draw| draw <= value + 1e-9) as f64 / draws.len() as f64
        };
        let gap = |&value: &f64| (below(sample, value) - below(exact, value)).abs();
        exact.iter().map(gap).fold(0.0, f64::max)
    }

    #[test]
    fn every_figures_sample_agrees_with_all_possible_draws() {
        let one = measured(5, 1);
        let exact = every_draw(|drawn| redrawn(&one, drawn));
        let sample = Sample::new(&[&one]).draws(20_000, Seed(1), |values| values[0]);
        assert_eq!(sample.len(), one.figures().len());
        for ((sample, exact), figure) in sample.iter().zip(&exact).zip(one.figures()) {
            assert!(distance(sample, exact) < 0.015, "{figure:?}");
        }
        for (figure, Interval { low, high }) in one.intervals(2000, Seed(1)) {
            assert!(
                low <= figure.value && figure.value <= high,
                "{figure:?} {low} {high}"
            );
        }
    }

    #[test]
    fn differences_are_drawn_in_pairs() {
        let (one, two) = (measured(5, 1), measured(6, 1));
        let exact = every_draw(|drawn| {
            let both = redrawn(&one, drawn).into_iter().zip(redrawn(&two, drawn));
            both.map(|(one, two)| one - two).collect()
        });
        let sample =
            Sample::new(&[&one, &two]).draws(20_000, Seed(1), |values| values[0] - values[1]);
        for (sample, exact) in sample.iter().zip(&exact) {
            assert!(distance(sample, exact) < 0.015);
        }
        let found = one.differences(&two, 999, Seed(2)).unwrap();
        assert_eq!(found.len(), one.figures().len());
        let none = one.differences(&one, 99, Seed(2)).unwrap();
        assert!(
            none.iter()
                .all(|one| one.p == 1.0 && one.interval.low == 0.0)
        );
    }

    #[test]
    fn folds_are_drawn_by_themselves() {
        let two_folds = measured(5, 2);
        let draws = Sample::new(&[&two_folds]).draws(400, Seed(1), |values| values[0]);
        // Two units per fold: each fold has three values of a figure at most.
        for draws in &draws {
            let mut distinct = draws.clone();
            distinct.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
            assert!(distinct.len() <= 9, "{distinct:?}");
        }
    }

    #[test]
    fn unlike_evaluations_are_refused() {
        let (one, mut two) = (measured(5, 1), measured(6, 1));
        two.protocol.relevance = "cxc".into();
        let error = one.differences(&two, 9, Seed(0)).unwrap_err().to_string();
        assert!(error.contains("relevance: pairs, not cxc"), "{error}");
        let mut two = measured(6, 1);
        two.text_to_image.rows.pop();
        let error = one.differences(&two, 9, Seed(0)).unwrap_err().to_string();
        assert!(
            error.contains("answered different queries: 6 and 5"),
            "{error}"
        );
    }
}
