//! The best few of many rows.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A row that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row in its gallery.
    pub row: usize,
    /// Its score; larger is more similar.
    pub score: f32,
}

/// A hit in the order of a heap whose top is the worst: the lowest score, of those the highest row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worst(Hit);

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0.score.total_cmp(&self.0.score)).then(self.0.row.cmp(&other.0.row))
    }
}

/// The `k` best hits so far: highest scores, and of equal ones the lowest rows.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    k: usize,
    heap: BinaryHeap<Worst>,
}

impl Top {
    /// No hits yet; `k` is at least 1.
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::new(),
        }
    }

    /// The lowest of `k` scores; −∞ while there are fewer.
    pub(crate) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.0.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Takes a hit if it is among the best.
    pub(crate) fn offer(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(Worst(hit));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && Worst(hit) < *worst
        {
            *worst = Worst(hit);
        }
    }

    /// Takes the hits of another.
    pub(crate) fn merge(&mut self, other: Top) {
        other.heap.into_iter().for_each(|hit| self.offer(hit.0));
    }

    /// The hits, best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|worst| worst.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_ties_go_to_the_lower_row() {
        let scores = [1.0f32, 3.0, 3.0, -2.0, 3.0, 0.5, 1.0];
        for k in 1..9 {
            for reversed in [false, true] {
                let mut rows: Vec<usize> = (0..scores.len()).collect();
                if reversed {
                    rows.reverse();
                }
                let mut top = Top::new(k);
                for row in rows {
                    top.offer(Hit {
                        row,
                        score: scores[row],
                    });
                }
                let found: Vec<usize> = top.into_hits().iter().map(|hit| hit.row).collect();
                let best = [1, 2, 4, 0, 6, 5, 3];
                assert_eq!(found, best[..k.min(7)]);
            }
        }
    }
}
