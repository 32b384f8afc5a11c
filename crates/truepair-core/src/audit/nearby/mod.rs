//! What surrounds a pair: evidence about near misses, pairs of the right scene with a wrong detail.
//!
//! A near miss ranks well among random items, so ranks alone do not show it. It stands out among its
//! neighbors: captions of images that look like its own fit as well as it does, and it resembles the
//! image's other captions less than a caption of the image would. A [`Plan`] plants such pairs, whose
//! number is known, and [`NearbyFeatures`] describe given and planted pairs alike;
//! [`learn`](super::near::learn) tells one from the other.

mod features;
mod nearest;
mod planting;

use crate::error::Result;
use crate::pair::Pair;
use crate::rng::Seed;
use crate::scores::{Matrix, Scorer};

use super::{Links, NullStatistic};

pub(super) use features::describe;
pub(super) use nearest::nearest;

/// Vectors by which items of one modality resemble each other.
pub trait Likeness: Sync {
    /// Vectors of length 1 of these images, `[images, d]`.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn images(&self, rows: &[u32]) -> Result<Matrix>;

    /// Vectors of length 1 of these captions, `[captions, d]`.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn captions(&self, rows: &[u32]) -> Result<Matrix>;
}

/// Numbers that describe the surroundings of a pair.
pub const N_FEATURES: usize = 11;

/// The surroundings of an image and a caption; every number is larger the better they fit.
///
/// | number | |
/// |---|---|
/// | 0 | score |
/// | 1 | minus the logarithm of the score's rank among captions of near images |
/// | 2 | minus the logarithm of the score's rank among near images |
/// | 3 | score less that of the best near image |
/// | 4, 5 | median and largest likeness to the image's other captions |
/// | 6 | minus the logarithm of the rank of that median among captions of near images |
/// | 7, 8 | likeness of the image to images of the nearest captions: weighted mean, five best |
/// | 9, 10 | likeness of the caption to captions of near images: mean, five best |
pub type NearbyFeatures = [f64; N_FEATURES];

/// How a planted pair came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A caption with an image that looks like its own.
    ByImage,
    /// A caption with the image of a caption that reads like it.
    ByCaption,
}

impl Planted {
    /// Both kinds.
    pub const ALL: [Planted; 2] = [Planted::ByImage, Planted::ByCaption];
}

/// An image and a caption that were put together to see what a near miss looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planting {
    /// The image.
    pub image: u32,
    /// The pair that lent its caption.
    pub partner: u32,
    /// Why these two were put together.
    pub kind: Planted,
}

/// What is examined besides the given pairs; the same for every cut.
pub struct Plan<'a> {
    /// The vectors by which neighbors are found.
    pub(super) likeness: &'a dyn Likeness,
    /// Planted near misses.
    pub(super) planted: Vec<Planting>,
    /// Pairs whose first re-pairing is described too, ascending.
    pub(super) repaired: Vec<u32>,
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (formatter.debug_struct("Plan"))
            .field("planted", &self.planted.len())
            .field("repaired", &self.repaired.len())
            .finish_non_exhaustive()
    }
}

/// The surroundings of a fold's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct NearbyStatistics {
    /// Those of the judged pairs, in their order.
    pub given: Vec<NearbyFeatures>,
    /// Those of the planted pairs whose image is in the fold.
    pub planted: Vec<PlantedStatistics>,
    /// Those of re-pairings: the place of a pair in the fold, and the surroundings of its first re-pairing.
    pub repaired: Vec<(u32, NearbyFeatures)>,
}

/// Statistics of a planted pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlantedStatistics {
    /// Its place in the plan.
    pub place: u32,
    /// The planted pair.
    pub planting: Planting,
    /// How it ranks. Like re-pairings, it is known to be mismatched.
    pub null: NullStatistic,
    /// Its surroundings.
    pub features: NearbyFeatures,
}

/// An image and a caption to describe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) image: u32,
    pub(super) caption: u32,
}

/// The items that neighbors are found among.
pub(super) struct Neighborhood<'a> {
    pub(super) scorer: &'a dyn Scorer,
    pub(super) likeness: &'a dyn Likeness,
    pub(super) links: &'a Links,
    pub(super) pairs: &'a [Pair],
    /// Pairs of the fold, ascending.
    pub(super) judged: &'a [u32],
    pub(super) seed: Seed,
}
