//! What surrounds the pairs of a fold: given, planted and re-paired pairs are described, and planted
//! ones are also ranked like re-pairings.

use super::block_judge::{BlockJudge, Legibility, own_scores};
use super::fold::candidates;
use super::nearby::{
    self, NearbyFeatures, NearbyStatistics, Neighborhood, Plan, PlantedStatistics, Planting,
};
use super::sweep::Gallery;
use super::trials::Block;
use super::{BLOCK_PAIRS, Fold, FoldStatistics, PairStatistics};
use crate::error::Result;
use crate::rng::Seed;
use crate::scores::Direction;

/// What it takes to look at the surroundings of a fold's pairs.
pub(super) struct Around<'a> {
    pub(super) fold: &'a Fold<'a>,
    pub(super) plan: &'a Plan<'a>,
    pub(super) galleries: [&'a Gallery; 2],
    pub(super) sharpness: f64,
    pub(super) legibility: &'a Legibility,
    pub(super) seed: Seed,
}

impl Around<'_> {
    /// Describes the pairs of the fold and some of its re-pairings, and judges the planted pairs.
    pub(super) fn look(&self, statistics: &FoldStatistics) -> Result<NearbyStatistics> {
        let (fold, pairs, rows) = (self.fold, self.fold.pairs, &statistics.pairs);
        let (images, _) = candidates(fold, Direction::TextToImage);
        let planted: Vec<(u32, Planting)> = (0..)
            .zip(self.plan.planted.iter().copied())
            .filter(|(_, planting)| images.binary_search(&planting.image).is_ok())
            .collect();
        let partner = |place: u32| {
            let first = place as usize * statistics.n_repairings;
            statistics.null[first].partner
        };
        let repaired: Vec<u32> = (0..)
            .zip(rows)
            .filter(|(_, row)| self.plan.repaired.binary_search(&row.pair).is_ok())
            .map(|(place, _)| place)
            .filter(|&place| partner(place) != u32::MAX)
            .collect();
        let trial = |image: u32, partner: u32| nearby::Trial {
            image,
            caption: pairs[partner as usize].caption,
        };
        let image = |row: &PairStatistics| pairs[row.pair as usize].image;
        let given = rows.iter().map(|row| trial(image(row), row.pair));
        let of_planted = planted.iter().map(|(_, one)| trial(one.image, one.partner));
        let of_repaired =
            (repaired.iter()).map(|&place| trial(image(&rows[place as usize]), partner(place)));
        let trials: Vec<nearby::Trial> = given.chain(of_planted).chain(of_repaired).collect();
        let neighborhood = Neighborhood {
            scorer: fold.scorer,
            likeness: self.plan.likeness,
            links: fold.links,
            pairs,
            judged: fold.judged,
            seed: self.seed,
        };
        let mut described = nearby::describe(&neighborhood, &trials)?;
        let of_repaired = described.split_off(rows.len() + planted.len());
        let of_planted = described.split_off(rows.len());
        Ok(NearbyStatistics {
            given: described,
            planted: self.planted(&planted, &of_planted)?,
            repaired: repaired.into_iter().zip(of_repaired).collect(),
        })
    }

    /// Ranks the planted pairs like re-pairings.
    fn planted(
        &self,
        planted: &[(u32, Planting)],
        features: &[NearbyFeatures],
    ) -> Result<Vec<PlantedStatistics>> {
        let (fold, [captions, images]) = (self.fold, self.galleries);
        let mut tile = Vec::new();
        let mut found = Vec::with_capacity(planted.len());
        let blocks = planted.chunks(BLOCK_PAIRS);
        for (planted, features) in blocks.zip(features.chunks(BLOCK_PAIRS)) {
            let plantings: Vec<Planting> = planted.iter().map(|(_, planting)| *planting).collect();
            let block = Block::of_planted(fold.pairs, &plantings);
            let judged = BlockJudge {
                links: fold.links,
                block: &block,
                scores: own_scores(fold, &block)?,
                sharpness: self.sharpness,
                legibility: self.legibility,
            };
            let i2t = judged.sweep(fold.scorer, Direction::ImageToText, captions, &mut tile)?;
            let t2i = judged.sweep(fold.scorer, Direction::TextToImage, images, &mut tile)?;
            let each = planted.iter().zip(features).enumerate();
            found.extend(
                each.map(|(at, (&(place, planting), &features))| PlantedStatistics {
                    place,
                    planting,
                    null: judged.null(at, &i2t, &t2i),
                    features,
                }),
            );
        }
        Ok(found)
    }
}
