//! Searches for the images that captions belong to.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use truepair_core::pair::Pair;
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;
use truepair_core::{Error as CoreError, ErrorKind};

use super::Trainer;
use crate::cross_fit::{CrossFitConfig, visit_held_out};
use crate::error::Result;
use crate::run::Session;
use crate::strategy::{AuditRequest, Candidate, Candidates, Epoch, PairCandidates, Search};
use truepair_model::encode;
use truepair_model::matcher::Matcher;
use truepair_model::reader::Reader;

/// Scores that are held at once, at most (64 MiB), but for those of one caption.
const SCORES_AT_ONCE: usize = 16 << 20;

/// Captions that are scored at once, at most.
const CAPTIONS_AT_ONCE: usize = 512;

impl Trainer<'_> {
    /// Searches the images of captions that the strategy has doubts about.
    pub(super) fn search(&mut self, epoch: Epoch, session: &mut Session<'_>) -> Result<()> {
        let mut ledgers = self.take_ledgers();
        let pairs = &self.data.pairs;
        if let Some(search) = self.strategy.wants_search(epoch, &ledgers, pairs) {
            let mut finder = Finder::new(pairs, &search, session.stop);
            match &search.held_out {
                Some(audit) => self.search_held_out(&mut finder, audit, epoch, session)?,
                None => self.search_by_networks(&mut finder, session)?,
            }
            self.strategy.take_candidates(&finder.found, &mut ledgers);
        }
        self.return_ledgers(ledgers);
        Ok(())
    }

    fn search_by_networks(&self, finder: &mut Finder<'_>, session: &mut Session<'_>) -> Result<()> {
        let matchers: Vec<Matcher> = (self.peers.iter())
            .map(|peer| peer.matcher.clone())
            .collect();
        let limits = &self.config.training;
        let texts = self.texts.as_ref();
        let reader = Reader::new(self.data, texts, limits.max_tokens, &self.plain_device)?;
        let scorer = encode::scorer(&matchers, &reader, limits.tile_mib, &mut *session.watch)?;
        finder.find(&*scorer, &finder.search.pairs, &mut *session.watch)
    }

    fn search_held_out(
        &self,
        finder: &mut Finder<'_>,
        audit: &AuditRequest,
        epoch: Epoch,
        session: &mut Session<'_>,
    ) -> Result<()> {
        let config = CrossFitConfig::from(audit.clone());
        let seed = self.seed.child("search", epoch.index as u64);
        let mut wanted = vec![false; self.data.pairs.len()];
        for &pair in &finder.search.pairs {
            wanted[pair as usize] = true;
        }
        visit_held_out(
            self.data,
            &config,
            seed,
            session,
            &mut |scorer, fold, watch| {
                let fold = fold.iter().filter(|&&pair| wanted[pair as usize]);
                let fold: Vec<u32> = fold.copied().collect();
                finder.find(scorer, &fold, watch)
            },
        )
    }
}

/// What was found so far.
struct Finder<'a> {
    pairs: &'a [Pair],
    search: &'a Search,
    /// The images of all pairs, ascending.
    images: Vec<u32>,
    /// Set from outside to stop.
    stop: &'a AtomicBool,
    found: Candidates,
}

impl<'a> Finder<'a> {
    fn new(pairs: &'a [Pair], search: &'a Search, stop: &'a AtomicBool) -> Self {
        let mut images: Vec<u32> = pairs.iter().map(|pair| pair.image).collect();
        images.sort_unstable();
        images.dedup();
        let found = Candidates {
            n_images: images.len(),
            of_pairs: Vec::with_capacity(search.pairs.len()),
        };
        Self {
            pairs,
            search,
            images,
            stop,
            found,
        }
    }

    /// The image that the data gives a pair.
    fn given(&self, pair: u32) -> u32 {
        self.pairs[pair as usize].image
    }

    /// Finds the best images for the captions of these pairs, each caption by itself or, if the search is for them
    /// together, those of an image as one.
    fn find(&mut self, scorer: &dyn Scorer, pairs: &[u32], watch: &mut dyn Watch) -> Result<()> {
        let mut pairs = pairs.to_vec();
        if self.search.together {
            pairs.sort_by_key(|&pair| self.given(pair));
        }
        let are_one = |a: &u32, b: &u32| self.search.together && self.given(*a) == self.given(*b);
        let groups: Vec<&[u32]> = pairs.chunk_by(are_one).collect();
        let at_once = (SCORES_AT_ONCE / self.images.len().max(1)).clamp(1, CAPTIONS_AT_ONCE);
        let mut rest = &groups[..];
        while !rest.is_empty() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(CoreError::from(ErrorKind::Stopped).into());
            }
            let block = rest
                .split_off(..n_groups(rest, at_once))
                .unwrap_or_default();
            let found = self.of_block(scorer, block)?;
            self.found.of_pairs.extend(found);
            let (done, all) = (self.found.of_pairs.len(), self.search.pairs.len());
            watch.advance("search images", done as u64, all as u64);
        }
        Ok(())
    }

    /// What is found for groups of pairs whose captions are scored at once.
    fn of_block(&self, scorer: &dyn Scorer, groups: &[&[u32]]) -> Result<Vec<PairCandidates>> {
        let captions = groups.iter().copied().flatten();
        let captions: Vec<u32> = captions
            .map(|&pair| self.pairs[pair as usize].caption)
            .collect();
        let mut scores = vec![0.0; self.images.len() * captions.len()];
        scorer.tile(&self.images, &captions, &mut scores)?;
        let first_columns = groups.iter().scan(0, |next, group| {
            let first = *next;
            *next += group.len();
            Some(first)
        });
        let columns: Vec<(usize, &[u32])> = first_columns.zip(groups.iter().copied()).collect();
        let found = columns.into_par_iter().flat_map_iter(|(first, group)| {
            let rows = scores.chunks_exact(captions.len());
            let sums = rows.map(|row| {
                row[first..][..group.len()]
                    .iter()
                    .map(|s| f64::from(*s))
                    .sum()
            });
            self.best(group, &sums.collect::<Vec<f64>>())
        });
        Ok(found.collect())
    }

    /// The best images of pairs that are given one image, by the sums of their captions' scores.
    fn best(&self, pairs: &[u32], sums: &[f64]) -> Vec<PairCandidates> {
        let given_image = self.given(pairs[0]);
        let given = self.images.binary_search(&given_image);
        let given = given.expect("the images of all pairs are compared");
        let best = best_rows(sums, self.search.n_best.max(1));
        // Captions of one image err alike, so `n` of them count as √n that do not.
        let temperature = self.search.temperature * (pairs.len() as f64).sqrt();
        let part = |row: usize| ((sums[row] - sums[best[0]]) / temperature).exp();
        let total: f64 = (0..sums.len()).map(part).sum();
        let share = |row: usize| (part(row) / total) as f32;
        let best = best.iter().map(|&row| Candidate {
            image: self.images[row],
            share: share(row),
        });
        let best: Vec<Candidate> = best.collect();
        let of_pairs = pairs.iter().map(|&pair| PairCandidates {
            pair,
            given_image,
            given: share(given),
            best: best.clone(),
        });
        of_pairs.collect()
    }
}

/// How many of the first groups have `most` members together, at least one group.
fn n_groups(groups: &[&[u32]], most: usize) -> usize {
    let totals = groups.iter().scan(0, |total, group| {
        *total += group.len();
        Some(*total)
    });
    totals.take_while(|total| *total <= most).count().max(1)
}

/// The rows of the `n` highest scores, highest first; of equal ones the earlier row comes first.
fn best_rows(scores: &[f64], n: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(n + 1);
    for (row, score) in scores.iter().enumerate() {
        let at = best.partition_point(|&other| scores[other] >= *score);
        if at < n {
            best.insert(at, row);
            best.truncate(n);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::scores::{Matrix, ScoreMatrix};

    fn pair(image: u32, caption: u32) -> Pair {
        Pair { image, caption }
    }

    fn found(together: bool, n_best: usize) -> Vec<PairCandidates> {
        // Image 1 has no pair, so it is not compared. Captions 0 and 2 are given image 0.
        let scores = [
            [0.0, 0.0, 0.3], //
            [9.0, 9.0, 9.0],
            [0.5, 0.0, 0.0],
            [0.4, 0.0, 0.4],
        ];
        let scorer = ScoreMatrix(Matrix::new(scores.concat(), 3));
        let pairs = [pair(0, 0), pair(2, 1), pair(0, 2), pair(3, 1)];
        let search = Search {
            pairs: vec![0, 1, 2],
            temperature: 0.1,
            n_best,
            together,
            held_out: None,
        };
        let stop = AtomicBool::new(false);
        let mut finder = Finder::new(&pairs, &search, &stop);
        finder.find(&scorer, &search.pairs, &mut ()).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(finder.find(&scorer, &[0], &mut ()).unwrap_err().is_stop());
        assert_eq!(finder.found.n_images, 3);
        finder.found.of_pairs
    }

    #[test]
    fn every_caption_finds_its_best_images_with_their_shares() {
        let found = found(false, 2);
        let of_first = |scores: [f64; 3]| {
            let parts = scores.map(|score: f64| (score / 0.1).exp());
            parts.map(|part| (part / parts.iter().sum::<f64>()) as f32)
        };
        let [own, second, third] = of_first([0.0, 0.5, 0.4]);
        assert_eq!((found[0].pair, found[0].given_image), (0, 0));
        let best: Vec<(u32, f32)> = (found[0].best.iter())
            .map(|best| (best.image, best.share))
            .collect();
        assert!((found[0].given - own).abs() < 1e-6, "{found:?}");
        assert_eq!([best[0].0, best[1].0], [2, 3]);
        assert!((best[0].1 - second).abs() < 1e-5 && (best[1].1 - third).abs() < 1e-5);
        // Of images that fit alike, the earlier one comes first.
        assert_eq!(found[1].best[0].image, 0);
        assert_eq!(found[2].best[0].image, 3);
    }

    #[test]
    fn blocks_hold_whole_groups() {
        let groups: [&[u32]; 4] = [&[0, 1], &[2], &[3, 4, 5], &[6]];
        assert_eq!(n_groups(&groups, 3), 2);
        assert_eq!(n_groups(&groups, 100), 4);
        // One that is too large stands alone.
        assert_eq!(n_groups(&groups[2..], 2), 1);
    }

    #[test]
    fn captions_that_lost_their_image_together_find_one_together() {
        let found = found(true, 1);
        let of = |pair: u32| found.iter().find(|found| found.pair == pair).unwrap();
        // Alone they fit image 2 and image 3 best, together image 3.
        assert_eq!(of(0).best, of(2).best);
        assert_eq!(of(0).best[0].image, 3);
        assert_eq!(of(1).best[0].image, 0);
        assert_eq!(found.len(), 3);
    }
}
