//! Which captions to plant with which images.

use super::super::Links;
use super::nearest::nearest;
use super::{Likeness, Plan, Planted, Planting};
use crate::error::Result;
use crate::pair::Pair;
use crate::rng::{Seed, Stream, below, sample, shuffle};
use crate::scores::Matrix;

/// At most this many planted pairs of each kind, and re-pairings, over all folds.
const PLANTED: usize = 3_000;
const REPAIRED: usize = 4_000;

/// How many items hosts are chosen among.
const POOL: usize = 4_096;

/// A host is drawn from this many nearest items, one of these numbers being chosen at random, so that
/// near misses differ in how near they are. The numbers are smaller where a host must be found in one
/// of several cells, which hold only some of an image's neighbors.
const NEAREST: [usize; 3] = [3, 8, 25];
const NEAREST_IN_CELL: [usize; 3] = [1, 3, 8];

impl<'a> Plan<'a> {
    /// Plants near misses among the pairs. The pair of a caption and its host are always in the same
    /// cell of `cells` `[n_pairs]`, so that every cut has both in one fold.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn new(
        pairs: &[Pair],
        links: &Links,
        cells: Option<&[u32]>,
        likeness: &'a dyn Likeness,
        seed: Seed,
    ) -> Result<Self> {
        let all: Vec<u32> = (0..pairs.len() as u32).collect();
        let cell = |pair: u32| cells.map_or(0, |cells| cells[pair as usize]);
        let mut by_cell = all.clone();
        by_cell.sort_by_key(|&pair| cell(pair));
        let mut planted = Vec::new();
        for members in by_cell.chunk_by(|&a, &b| cell(a) == cell(b)) {
            let of_cell = Members {
                pairs,
                links,
                likeness,
                members,
                nearest: if cells.is_some() {
                    NEAREST_IN_CELL
                } else {
                    NEAREST
                },
                n_wanted: (PLANTED * members.len()).div_ceil(pairs.len()),
                seed: seed.child("planting", u64::from(cell(members[0]))),
            };
            for kind in Planted::ALL {
                planted.extend(of_cell.plant(kind)?);
            }
        }
        let mut repaired = sample(&mut seed.stream("described", &[]), pairs.len(), REPAIRED);
        repaired.sort_unstable();
        Ok(Self {
            likeness,
            planted,
            repaired,
        })
    }
}

/// The pairs of a cell.
struct Members<'a> {
    pairs: &'a [Pair],
    links: &'a Links,
    likeness: &'a dyn Likeness,
    members: &'a [u32],
    nearest: [usize; 3],
    n_wanted: usize,
    seed: Seed,
}

impl Members<'_> {
    fn plant(&self, kind: Planted) -> Result<Vec<Planting>> {
        let by_caption = u64::from(kind == Planted::ByCaption);
        let stream = &mut self.seed.stream("plant", &[by_caption]);
        let mut movers = self.members.to_vec();
        shuffle(stream, &mut movers);
        movers.truncate(self.n_wanted);
        let pool = self.pool(kind, stream);
        let most = self.nearest[self.nearest.len() - 1];
        let looked_at = match kind {
            Planted::ByImage => most,
            // The captions of one image are often the nearest of one another, so more are looked at.
            Planted::ByCaption => 4 * most,
        };
        let found = nearest(
            &self.vectors(kind, &movers)?,
            &self.vectors(kind, &pool)?,
            looked_at,
            |mover, at| {
                let (host, mover) = (self.pair(pool[at]), self.pair(movers[mover]));
                !self.links.joins(host.image, mover.caption)
            },
        );
        let mut planted = Vec::with_capacity(movers.len());
        for (&partner, found) in movers.iter().zip(&found) {
            let mut hosts: Vec<u32> = Vec::with_capacity(found.len());
            for (at, _) in found {
                let image = self.pair(pool[*at as usize]).image;
                if !hosts.contains(&image) {
                    hosts.push(image);
                }
            }
            let among = self.nearest[below(stream, 3) as usize].min(hosts.len());
            if among > 0 {
                let image = hosts[below(stream, among as u64) as usize];
                planted.push(Planting {
                    image,
                    partner,
                    kind,
                });
            }
        }
        Ok(planted)
    }

    fn pair(&self, pair: u32) -> Pair {
        self.pairs[pair as usize]
    }

    /// Pairs whose images may be hosts.
    fn pool(&self, kind: Planted, stream: &mut Stream) -> Vec<u32> {
        let chosen = sample(stream, self.members.len(), POOL).into_iter();
        let mut pool: Vec<u32> = chosen.map(|at| self.members[at as usize]).collect();
        if kind == Planted::ByImage {
            // One pair per image stands for it.
            pool.sort_by_key(|&n| self.pair(n).image);
            pool.dedup_by_key(|n| self.pair(*n).image);
        }
        pool
    }

    /// The vectors by which hosts are found.
    fn vectors(&self, kind: Planted, of: &[u32]) -> Result<Matrix> {
        let pairs = of.iter().map(|&n| self.pair(n));
        match kind {
            Planted::ByImage => {
                let images: Vec<u32> = pairs.map(|pair| pair.image).collect();
                self.likeness.images(&images)
            }
            Planted::ByCaption => {
                let captions: Vec<u32> = pairs.map(|pair| pair.caption).collect();
                self.likeness.captions(&captions)
            }
        }
    }
}
