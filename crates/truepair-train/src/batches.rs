//! Shuffled batches of pairs.

use truepair_core::rng::{Seed, shuffle};

/// Endless batches of one group; every round is shuffled anew from its own stream.
#[derive(Debug)]
pub(crate) struct Batches {
    pairs: Vec<u32>,
    size: usize,
    seed: Seed,
    key: [u64; 3],
    round: u64,
    next: usize,
}

impl Batches {
    /// Batches of about `size` pairs. `key` names the stream: epoch, peer and group.
    pub(crate) fn new(pairs: Vec<u32>, size: usize, seed: Seed, key: [u64; 3]) -> Self {
        let mut batches = Self {
            pairs,
            size,
            seed,
            key,
            round: 0,
            next: 0,
        };
        batches.start_round();
        batches
    }

    /// Batches in a round: a remainder smaller than half a batch joins the last full one, so that
    /// no pair is compared with next to nothing.
    pub(crate) fn per_round(&self) -> usize {
        ((self.pairs.len() + self.size / 2) / self.size).max(1)
    }

    /// The next batch; a new round begins when one ends.
    pub(crate) fn next_batch(&mut self) -> Vec<u32> {
        if self.next == self.per_round() {
            self.round += 1;
            self.start_round();
        }
        let start = self.next * self.size;
        self.next += 1;
        let end = if self.next == self.per_round() {
            self.pairs.len()
        } else {
            start + self.size
        };
        self.pairs[start..end].to_vec()
    }

    fn start_round(&mut self) {
        let [epoch, peer, group] = self.key;
        let mut rng = self
            .seed
            .stream("shuffle", &[epoch, peer, group, self.round]);
        shuffle(&mut rng, &mut self.pairs);
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_visits_every_pair_once_and_no_batch_is_tiny() {
        for n in [1usize, 2, 9, 10, 14, 15, 20, 23] {
            let mut batches = Batches::new((0..n as u32).collect(), 10, Seed(1), [0, 0, 0]);
            let mut seen = Vec::new();
            for _ in 0..batches.per_round() {
                let batch = batches.next_batch();
                assert!(
                    batch.len() >= 5.min(n) && batch.len() < 15,
                    "{n}: {}",
                    batch.len()
                );
                seen.extend(batch);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..n as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rounds_differ_and_repeat_by_key() {
        let round = |key| {
            let mut batches = Batches::new((0..20).collect(), 20, Seed(1), key);
            (batches.next_batch(), batches.next_batch())
        };
        let (first, second) = round([0, 0, 0]);
        assert_ne!(first, second);
        assert_eq!(round([0, 0, 0]).1, second);
        assert_ne!(round([1, 0, 0]).0, first);
    }
}
