//! The scores that decide ranks: those of each query's relevant items.

use super::placed::PlacedQueries;
use crate::relevance::Relevance;
use crate::scores::Direction;

/// Which of a query's relevant items are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Only the best one.
    Best,
    /// Only the best one, with other items of the same score ranked after it.
    BestInFavor,
    /// All of them.
    All,
}

/// The relevant scores of one direction's queries, and how many items reach each.
pub(super) struct Thresholds {
    /// Query `n` has the slots `starts[n]..starts[n + 1]`.
    starts: Vec<u32>,
    /// One per slot; minus infinity until it is known.
    scores: Vec<f32>,
    /// Items that score at least as high, per slot; of the best score in a query's first slot when
    /// only that is wanted.
    counts: Vec<u32>,
    wanted: Wanted,
}

impl Thresholds {
    pub(super) fn new(relevance: &Relevance, direction: Direction, wanted: Wanted) -> Self {
        let mut starts = vec![0];
        for query in 0..relevance.n_queries(direction) as u32 {
            let end = starts[query as usize] + relevance.relevant(direction, query).len() as u32;
            starts.push(end);
        }
        let n = starts[starts.len() - 1] as usize;
        Self {
            starts,
            scores: vec![f32::NEG_INFINITY; n],
            counts: vec![0; n],
            wanted,
        }
    }

    pub(super) fn learn(&mut self, slot: u32, score: f32) {
        self.scores[slot as usize] = score;
    }

    fn n_queries(&self) -> usize {
        self.starts.len() - 1
    }

    fn slots(&self, query: u32) -> std::ops::Range<usize> {
        self.starts[query as usize] as usize..self.starts[query as usize + 1] as usize
    }

    /// The scores to count for a query, one per counted slot.
    pub(super) fn of(&self, query: u32) -> impl Iterator<Item = f32> {
        let scores = &self.scores[self.slots(query)];
        let (first, all) = match self.wanted {
            Wanted::All => (None, scores),
            Wanted::Best => (Some(best(scores)), &scores[..0]),
            Wanted::BestInFavor => (Some(best(scores).next_up()), &scores[..0]),
        };
        let first = first.filter(|_| !scores.is_empty());
        first.into_iter().chain(all.iter().copied())
    }

    /// Adds to the counts of a query, one number per counted slot.
    pub(super) fn add(&mut self, query: u32, counts: impl Iterator<Item = u32>) {
        let slots = self.slots(query);
        for (slot, count) in self.counts[slots].iter_mut().zip(counts) {
            *slot += count;
        }
    }

    /// 1-based ranks of the best relevant items, of queries that have one, in order.
    pub(super) fn best_ranks(&self) -> Vec<u32> {
        let ranks = (0..self.n_queries() as u32).filter_map(|query| {
            let scores = &self.scores[self.slots(query)];
            let count = self.counts[self.slots(query)].first()?;
            // Relevant items that share the best score do not count against each other.
            let counted = self.of(query).next()?;
            let own = scores.iter().filter(|&&score| score >= counted).count();
            Some(count - own as u32 + 1)
        });
        ranks.collect()
    }

    /// 1-based ranks of all relevant items.
    pub(super) fn placed(&self, relevance: &Relevance, direction: Direction) -> PlacedQueries {
        let n_gallery = match direction {
            Direction::ImageToText => relevance.n_captions(),
            Direction::TextToImage => relevance.n_images(),
        };
        let mut placed = PlacedQueries::new(n_gallery as u32);
        let mut order: Vec<(f32, u32)> = Vec::new();
        let mut ranks = Vec::new();
        for query in 0..self.n_queries() as u32 {
            let slots = self.slots(query);
            order.clear();
            order.extend(
                (self.scores[slots.clone()].iter().copied())
                    .zip(self.counts[slots].iter().copied()),
            );
            order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            ranks.clear();
            let mut before = 0;
            for tied in order.chunk_by(|a, b| a.0 == b.0) {
                // `count` holds the relevant items up to these and all others that reach them.
                let others = tied[0].1 - (before + tied.len()) as u32;
                ranks.extend((1..=tied.len()).map(|at| others + (before + at) as u32));
                before += tied.len();
            }
            placed.push(query, &ranks, relevance.n_absent(direction, query));
        }
        placed
    }
}

fn best(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}
