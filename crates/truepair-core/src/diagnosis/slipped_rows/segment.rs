//! The run of rows in which an order of rows fits better than the order given, and whether chance does that.
//!
//! Were the named image no better than its rivals, it would be the best of `m` with probability `1 / m` at
//! most. The likelihood ratio of a constant rate `q` against `1 / m`, multiplied over a run of rows, then has
//! a mean of at most 1, so a run whose product reaches `e^s` begins at a given row with probability at most
//! `e^-s`: over all rows and orders, `p ≤ rows · orders · rates · e^-s` (Ville's inequality, as in Page's 1954
//! test for a change). Besides, the named image must beat the row's own image, and every kind of
//! neighbor, more often than a fair coin would.

use super::trace::{Best, RIVALS, Traced};

/// Rates at which the named image may be the best one: of readable rows, and of barely readable ones.
const RATES: [f64; 2] = [0.5, 0.2];

/// Largest probability of a false alarm, in any order and row.
const LEVEL: f64 = 1e-4;

/// Logarithm of the chance, a row, that a neighbor would do as well.
const COIN: f64 = 3.0;

/// How many times as often as any other single image the named one must be the best, and how often at all.
const RATIO: f64 = 1.25;
const FEWEST: usize = 8;

/// A run of rows in which the named image fits best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    /// Places of its first and last row among those traced.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Rows in which the named image fits best, and in which the row's own does.
    pub(super) named: usize,
    pub(super) own: usize,
    /// Logarithm of the likelihood ratio.
    pub(super) gain: f64,
    /// Natural logarithm of the bound on the probability of a false alarm.
    pub(super) log_p: f64,
}

/// The strongest run of rows, where it is no chance; `n_orders` were tried.
pub(super) fn strongest(traced: &[Traced], n_orders: usize) -> Option<Segment> {
    let runs = RATES
        .into_iter()
        .filter_map(|rate| largest_run(traced, rate));
    let (gain, first, last) = runs.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let trials = (traced.len() * n_orders * RATES.len()) as f64;
    let log_p = (trials.ln() - gain).min(0.0);
    let mut counts = Counts::default();
    traced[first..=last]
        .iter()
        .for_each(|one| counts.add(one.best));
    let is_clear = log_p <= LEVEL.ln()
        && counts.named >= FEWEST
        && counts.beats_all((traced.len() as f64).ln() + COIN);
    is_clear.then_some(Segment {
        first,
        last,
        named: counts.named,
        own: counts.own,
        gain,
        log_p,
    })
}

/// The run with the largest logarithm of the likelihood ratio of `rate`, with its first and last row.
fn largest_run(traced: &[Traced], rate: f64) -> Option<(f64, usize, usize)> {
    let mut best: Option<(f64, usize, usize)> = None;
    let (mut sum, mut first) = (0.0, 0);
    for (place, one) in traced.iter().enumerate() {
        let chance = 1.0 / f64::from(one.n_compared);
        if sum <= 0.0 {
            (sum, first) = (0.0, place);
        }
        sum += match one.best {
            Best::Named => (rate.max(chance) / chance).ln(),
            _ => ((1.0 - rate.max(chance)) / (1.0 - chance)).ln(),
        };
        if best.is_none_or(|(largest, ..)| sum > largest) {
            best = Some((sum, first, place));
        }
    }
    best.filter(|(sum, ..)| *sum > 0.0)
}

#[derive(Debug, Default)]
struct Counts {
    named: usize,
    own: usize,
    rivals: [usize; RIVALS],
}

impl Counts {
    fn add(&mut self, best: Best) {
        match best {
            Best::Named => self.named += 1,
            Best::Own => self.own += 1,
            Best::Rival(kind) => self.rivals[usize::from(kind)] += 1,
        }
    }

    /// Whether the named image is the best more often than the own one, and than every kind of rival, by
    /// more than a fair coin allows but with probability `e^-evidence`.
    fn beats_all(&self, evidence: f64) -> bool {
        let others = self.rivals.iter().chain([&self.own]);
        let mut others = others.map(|&other| (self.named as f64, other as f64));
        others.all(|(named, other)| named >= RATIO * other && coin(named, other) >= evidence)
    }
}

/// Minus the logarithm of a bound on the chance that a fair coin gives at least `heads` heads against
/// `tails` tails (Chernoff).
fn coin(heads: f64, tails: f64) -> f64 {
    let n = heads + tails;
    if heads <= tails {
        return 0.0;
    }
    let part = |k: f64| if k > 0.0 { k * (2.0 * k / n).ln() } else { 0.0 };
    part(heads) + part(tails)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(best: impl Fn(usize) -> Best, n: usize) -> Vec<Traced> {
        let one = |row: usize| Traced {
            row: row as u32,
            best: best(row),
            n_compared: 14,
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn a_run_is_found_where_it_stands() {
        let rows = traced(
            |row| match row {
                200..260 if row % 9 != 0 => Best::Named,
                _ => Best::Own,
            },
            600,
        );
        let found = strongest(&rows, 30).unwrap();
        assert_eq!((found.first, found.last), (200, 259));
        assert_eq!((found.named, found.own), (54, 6));
        assert!(found.log_p < -50.0, "{}", found.log_p);
    }

    #[test]
    fn neighbors_that_fit_alike_are_no_slip() {
        // Frames of a film: the own image fits best, those beside it nearly as often.
        let film = traced(
            |row| match row * 7919 % 10 {
                0..4 => Best::Own,
                4..7 => Best::Named,
                _ => Best::Rival(4),
            },
            2000,
        );
        assert_eq!(strongest(&film, 30), None);
        let chance = traced(
            |row| {
                if row % 14 == 0 {
                    Best::Named
                } else {
                    Best::Rival(3)
                }
            },
            2000,
        );
        assert_eq!(strongest(&chance, 30), None);
    }

    #[test]
    fn the_coin_bound_is_that_of_all_heads() {
        assert!((coin(10.0, 0.0) - 10.0 * 2f64.ln()).abs() < 1e-12);
        assert_eq!(coin(5.0, 5.0), 0.0);
    }
}
