//! Blocks of judged pairs, each with the re-pairings that show what a mismatched pair looks like.
//!
//! A block is re-paired within itself, so one small tile holds the scores of its given pairs and of
//! all their re-pairings, and one sweep over the null judges both.

use crate::lists::{distinct, place};
use crate::pair::Pair;
use crate::rng::{Seed, Stream, below, shuffle};

use super::Links;
use super::nearby::Planting;

/// Attempts to find an exchange partner before giving up on re-pairing a pair.
const ATTEMPTS: usize = 64;

/// An image and a caption of a block to be judged, given or re-paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial {
    /// Position of the image in [`Block::images`].
    pub(super) image: u32,
    /// Position of the caption in [`Block::captions`].
    pub(super) caption: u32,
    /// The pair whose caption this is; the judged pair itself for the given trial.
    pub(super) partner: u32,
    /// Whether image and caption were given as a pair.
    pub(super) is_given: bool,
}

/// Pairs that are scored together.
#[derive(Debug)]
pub(super) struct Block {
    /// Indices of the judged pairs.
    pub(super) pairs: Vec<u32>,
    /// Their distinct images, ascending.
    pub(super) images: Vec<u32>,
    /// Their distinct captions, ascending.
    pub(super) captions: Vec<u32>,
    /// `[pairs, 1 + n_repairings]`: the given pair first; `None` where no valid re-pairing exists.
    pub(super) trials: Vec<Option<Trial>>,
}

/// Cuts `judged` into blocks of at most `block_size` pairs, in an order that depends only on the seed
/// and the pairs of a cell. Pairs of different cells never share a block.
pub(super) fn blocks(
    pairs: &[Pair],
    judged: &[u32],
    cell_of_pair: Option<&[u32]>,
    block_size: usize,
    seed: Seed,
) -> Vec<Vec<u32>> {
    let cell = |pair: u32| cell_of_pair.map_or(0, |cells| cells[pair as usize]);
    let mut order = judged.to_vec();
    order.sort_unstable_by_key(|&pair| (cell(pair), pairs[pair as usize].image, pair));
    let mut blocks = Vec::new();
    for members in order.chunk_by(|&a, &b| cell(a) == cell(b)) {
        let stream = &mut seed.stream("blocks", &[u64::from(cell(members[0]))]);
        // Pairs of one image stay together, so that its row is scored once.
        let mut by_image: Vec<&[u32]> = members
            .chunk_by(|&a, &b| pairs[a as usize].image == pairs[b as usize].image)
            .collect();
        shuffle(stream, &mut by_image);
        let shuffled = by_image.concat();
        let n_blocks = shuffled.len().div_ceil(block_size);
        blocks.extend(
            shuffled
                .chunks(shuffled.len().div_ceil(n_blocks))
                .map(<[u32]>::to_vec),
        );
    }
    blocks
}

impl Block {
    /// Lays out a block and draws its re-pairings.
    pub(super) fn new(
        pairs: &[Pair],
        members: Vec<u32>,
        links: &Links,
        n_repairings: usize,
        seed: Seed,
    ) -> Self {
        let images = distinct(members.iter().map(|&pair| pairs[pair as usize].image));
        let captions = distinct(members.iter().map(|&pair| pairs[pair as usize].caption));
        let trial = |pair: u32, partner: u32| Trial {
            image: place(&images, pairs[pair as usize].image),
            caption: place(&captions, pairs[partner as usize].caption),
            partner,
            is_given: pair == partner,
        };
        let mut trials = vec![None; members.len() * (1 + n_repairings)];
        for (slots, &pair) in trials.chunks_exact_mut(1 + n_repairings).zip(&members) {
            slots[0] = Some(trial(pair, pair));
        }
        for repairing in 1..=n_repairings {
            let key = [u64::from(members[0]), repairing as u64];
            let partners = derange(pairs, &members, links, &mut seed.stream("re-pairing", &key));
            for (n, partner) in partners.into_iter().enumerate() {
                trials[n * (1 + n_repairings) + repairing] =
                    partner.map(|partner| trial(members[n], partner));
            }
        }
        Self {
            pairs: members,
            images,
            captions,
            trials,
        }
    }

    /// Lays out planted pairs, one trial each; `pairs` holds the partners.
    pub(super) fn of_planted(pairs: &[Pair], planted: &[Planting]) -> Self {
        let caption = |planting: &Planting| pairs[planting.partner as usize].caption;
        let images = distinct(planted.iter().map(|planting| planting.image));
        let captions = distinct(planted.iter().map(caption));
        let trials = planted.iter().map(|planting| {
            Some(Trial {
                image: place(&images, planting.image),
                caption: place(&captions, caption(planting)),
                partner: planting.partner,
                is_given: false,
            })
        });
        Self {
            trials: trials.collect(),
            pairs: planted.iter().map(|planting| planting.partner).collect(),
            images,
            captions,
        }
    }
}

/// A random exchange of captions among `members` in which no pair gets a caption that the data assigns
/// to its image; `None` where no exchange was found.
fn derange(
    pairs: &[Pair],
    members: &[u32],
    links: &Links,
    stream: &mut Stream,
) -> Vec<Option<u32>> {
    let clash = |pair: u32, partner: u32| {
        links.joins(pairs[pair as usize].image, pairs[partner as usize].caption)
    };
    let mut partners = members.to_vec();
    shuffle(stream, &mut partners);
    for n in 0..members.len() {
        for _ in 0..ATTEMPTS {
            if !clash(members[n], partners[n]) {
                break;
            }
            let other = below(stream, members.len() as u64) as usize;
            if !clash(members[n], partners[other]) && !clash(members[other], partners[n]) {
                partners.swap(n, other);
            }
        }
    }
    let checked = members.iter().zip(partners);
    checked
        .map(|(&pair, partner)| (!clash(pair, partner)).then_some(partner))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five captions per image, caption `n` with image `n / 5`.
    fn pairs(n: u32) -> Vec<Pair> {
        (0..n)
            .map(|caption| Pair {
                image: caption / 5,
                caption,
            })
            .collect()
    }

    #[test]
    fn re_pairings_are_permutations_that_never_keep_an_own_caption() {
        let pairs = pairs(60);
        let links = Links::without_duplicates(&pairs, 12, 60).unwrap();
        let block = Block::new(&pairs, (0..60).collect(), &links, 3, Seed(5));
        for repairing in 1..=3 {
            let trials: Vec<Trial> = block
                .trials
                .chunks(4)
                .map(|slots| slots[repairing].unwrap())
                .collect();
            for (n, trial) in trials.iter().enumerate() {
                assert_eq!(block.images[trial.image as usize], pairs[n].image);
                assert_ne!(trial.partner / 5, pairs[n].image);
            }
            assert_eq!(distinct(trials.iter().map(|trial| trial.partner)).len(), 60);
        }
    }

    #[test]
    fn a_block_of_one_image_has_no_re_pairing() {
        let pairs = pairs(5);
        let links = Links::without_duplicates(&pairs, 1, 5).unwrap();
        let block = Block::new(&pairs, (0..5).collect(), &links, 1, Seed(5));
        assert!(
            block
                .trials
                .chunks(2)
                .all(|slots| slots[0].is_some() && slots[1].is_none())
        );
    }

    #[test]
    fn blocks_hold_every_pair_once_and_respect_cells() {
        let pairs = pairs(100);
        let cells: Vec<u32> = (0..100).map(|pair| (pair / 5) % 3).collect();
        let judged: Vec<u32> = (0..100).collect();
        let blocks = blocks(&pairs, &judged, Some(&cells), 16, Seed(1));
        for block in &blocks {
            assert!(block.len() <= 16);
            assert!(
                block
                    .iter()
                    .all(|&pair| cells[pair as usize] == cells[block[0] as usize])
            );
        }
        assert_eq!(distinct(blocks.concat()), judged);
    }
}
