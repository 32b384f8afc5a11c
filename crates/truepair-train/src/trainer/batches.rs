//! The order of training: batches of pairs.

use std::collections::BTreeMap;

use truepair_core::rng::{Seed, Stream, below, shuffle};

use crate::config::Sampling;

/// Endless batches of one group; every round comes from a stream of its own.
#[derive(Debug)]
pub(crate) enum Batches {
    /// Every pair once a round.
    Shuffled(Shuffled),
    /// One pair of every class in each batch.
    ByClass(ByClass),
}

impl Batches {
    /// Shuffled batches of about `size` pairs. `key` names the stream: epoch, peer and group.
    pub(crate) fn shuffled(pairs: Vec<u32>, size: usize, seed: Seed, key: [u64; 3]) -> Self {
        Self::Shuffled(Shuffled::new(pairs, size, seed, key))
    }

    /// Batches of one pair of every class that `pairs` have; `class` is asked by a pair's index.
    pub(crate) fn by_class(
        pairs: &[u32],
        class: impl Fn(u32) -> i64,
        seed: Seed,
        key: [u64; 3],
    ) -> Self {
        Self::ByClass(ByClass::new(pairs, class, seed, key))
    }

    /// Batches in a round.
    pub(crate) fn per_round(&self) -> usize {
        match self {
            Self::Shuffled(batches) => batches.per_round(),
            Self::ByClass(batches) => batches.per_round(),
        }
    }

    /// The next batch; a new round begins when one ends.
    pub(crate) fn next_batch(&mut self) -> Vec<u32> {
        match self {
            Self::Shuffled(batches) => batches.next_batch(),
            Self::ByClass(batches) => batches.next_batch(),
        }
    }
}

/// Pairs shuffled anew every round.
#[derive(Debug)]
pub(crate) struct Shuffled {
    pairs: Vec<u32>,
    size: usize,
    seed: Seed,
    key: [u64; 3],
    round: u64,
    next: usize,
}

impl Shuffled {
    fn new(pairs: Vec<u32>, size: usize, seed: Seed, key: [u64; 3]) -> Self {
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
    fn per_round(&self) -> usize {
        Sampling::Shuffled.steps(self.pairs.len(), self.size)
    }

    fn next_batch(&mut self) -> Vec<u32> {
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

/// One pair of every class a batch: two items of a batch never share a class, so that every other
/// item is a true negative.
///
/// Every batch has an anchor, the next of all pairs in an order that is drawn anew every round; of
/// every other class it has one pair drawn at random, whatever was drawn before. The batch is then
/// shuffled. A round has as many batches as there are pairs divided by classes, rounded down, and two
/// more, but no more than there are pairs.
///
/// # Source
/// Chun et al., CVPR 2021 (PCME), training on CUB Captions; code read at naver-ai/pcme@4947684,
/// `CUBSampler` of `datasets/cub.py`. The configured batch size is not read there either.
/// # Deviations
/// 1. The released sampler ends an epoch by an exception that Python takes for an error since 3.7; here
///    the epoch ends.
/// 2. Where there are fewer pairs in all than a round would have batches, a round has one for each.
#[derive(Debug)]
pub(crate) struct ByClass {
    classes: Vec<Vec<u32>>,
    /// All pairs in the round's order, each with the place of its class.
    anchors: Vec<(u32, usize)>,
    seed: Seed,
    key: [u64; 3],
    round: u64,
    next: usize,
}

impl ByClass {
    fn new(pairs: &[u32], class: impl Fn(u32) -> i64, seed: Seed, key: [u64; 3]) -> Self {
        let mut by_class: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for &pair in pairs {
            by_class.entry(class(pair)).or_default().push(pair);
        }
        let classes: Vec<Vec<u32>> = by_class.into_values().collect();
        let anchors = (classes.iter().enumerate())
            .flat_map(|(place, pairs)| pairs.iter().map(move |&pair| (pair, place)))
            .collect();
        let mut batches = Self {
            classes,
            anchors,
            seed,
            key,
            round: 0,
            next: 0,
        };
        batches.start_round();
        batches
    }

    fn per_round(&self) -> usize {
        Sampling::OnePerClass.steps(self.anchors.len(), self.classes.len())
    }

    fn next_batch(&mut self) -> Vec<u32> {
        if self.next == self.per_round() {
            self.round += 1;
            self.start_round();
        }
        let mut rng = self.stream("batch by class", &[self.next as u64]);
        let Some(&(anchor, own)) = self.anchors.get(self.next) else {
            return Vec::new();
        };
        self.next += 1;
        let mut batch = vec![anchor];
        let others = self.classes.iter().enumerate();
        for (_, pairs) in others.filter(|&(place, _)| place != own) {
            batch.push(pairs[below(&mut rng, pairs.len() as u64) as usize]);
        }
        shuffle(&mut rng, &mut batch);
        batch
    }

    fn start_round(&mut self) {
        let mut rng = self.stream("anchors by class", &[]);
        shuffle(&mut rng, &mut self.anchors);
        self.next = 0;
    }

    fn stream(&self, name: &str, step: &[u64]) -> Stream {
        let [epoch, peer, group] = self.key;
        let key = [&[epoch, peer, group, self.round], step].concat();
        self.seed.stream(name, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_visits_every_pair_once_and_no_batch_is_tiny() {
        for n in [1usize, 2, 9, 10, 14, 15, 20, 23] {
            let mut batches = Batches::shuffled((0..n as u32).collect(), 10, Seed(1), [0, 0, 0]);
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
            let mut batches = Batches::shuffled((0..20).collect(), 20, Seed(1), key);
            (batches.next_batch(), batches.next_batch())
        };
        let (first, second) = round([0, 0, 0]);
        assert_ne!(first, second);
        assert_eq!(round([0, 0, 0]).1, second);
        assert_ne!(round([1, 0, 0]).0, first);
    }

    /// Classes 0, 1, 2 and 7 of 2, 4, 6 and 8 pairs.
    fn class(pair: u32) -> i64 {
        [0, 1, 1, 2, 2, 2, 7, 7, 7, 7][pair as usize / 2]
    }

    #[test]
    fn a_batch_has_one_pair_of_every_class_in_any_order() {
        let pairs: Vec<u32> = (0..20).collect();
        let mut batches = Batches::by_class(&pairs, class, Seed(1), [0, 0, 0]);
        assert_eq!(batches.per_round(), 20 / 4 + 2);
        let mut first = Vec::new();
        for _ in 0..40 {
            let batch = batches.next_batch();
            let mut classes: Vec<i64> = batch.iter().map(|&pair| class(pair)).collect();
            first.push(classes[0]);
            classes.sort_unstable();
            assert_eq!(classes, [0, 1, 2, 7]);
        }
        first.sort_unstable();
        first.dedup();
        assert_eq!(first, [0, 1, 2, 7], "batches are shuffled");
    }

    #[test]
    fn anchors_follow_all_pairs_and_the_rest_is_drawn_with_replacement() {
        let pairs: Vec<u32> = (0..20).collect();
        let round = |key| {
            let mut batches = Batches::by_class(&pairs, class, Seed(1), key);
            let n = batches.per_round();
            (0..n).map(|_| batches.next_batch()).collect::<Vec<_>>()
        };
        let (mut drawn, mut repeated) = (vec![0usize; 20], 0);
        for epoch in 0..200 {
            let mut in_round = [0usize; 20];
            for &pair in round([epoch, 0, 0]).iter().flatten() {
                drawn[pair as usize] += 1;
                in_round[pair as usize] += 1;
            }
            // Seven batches draw seven of the eight pairs of class 7, if none comes twice.
            repeated += usize::from((12..20).any(|pair| in_round[pair] > 1));
        }
        assert!(repeated > 150, "{repeated} of 200 rounds draw a pair twice");
        assert!(drawn.iter().all(|&n| n > 0), "{drawn:?}");
        // 7 batches in 200 rounds, shared by the pairs of a class.
        for (range, n) in [(0..2, 2.0), (2..6, 4.0), (6..12, 6.0), (12..20, 8.0)] {
            let sum: usize = drawn[range.clone()].iter().sum();
            assert_eq!(sum, 1400);
            for &count in &drawn[range] {
                assert!((count as f64 - 1400.0 / n).abs() < 120.0, "{drawn:?}");
            }
        }
    }

    #[test]
    fn batches_by_class_differ_by_key_and_repeat() {
        let pairs: Vec<u32> = (6..20).collect();
        let round = |key| {
            let mut batches = Batches::by_class(&pairs, class, Seed(1), key);
            (0..6).map(|_| batches.next_batch()).collect::<Vec<_>>()
        };
        assert_eq!(round([0, 0, 0]), round([0, 0, 0]));
        assert_ne!(round([0, 0, 0]), round([1, 0, 0]));
        assert_eq!(
            round([0, 0, 0])[0].len(),
            2,
            "classes without pairs are left out"
        );
    }
}
