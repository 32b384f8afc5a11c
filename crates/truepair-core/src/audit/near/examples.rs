//! The pairs as the models see them: given ones, planted near misses and re-pairings.

use super::super::legibility::Readable;
use super::super::nearby::{N_FEATURES, NearbyFeatures, NearbyStatistics, Planted};
use super::super::{FoldStatistics, NullStatistic};
use super::Ranked;

/// The features, preceded by the surprisal and the log rank.
pub(super) const N: usize = N_FEATURES + 2;

/// The feature that says how much the caption is like the image's other captions, by the median.
pub(super) const SIBLINGS: usize = 6;

/// What a model sees of a pair; each number is larger the better image and caption fit.
pub(super) type Row = [f64; N];

/// A pair with its surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Example {
    /// What makes it dependent on others.
    pub(super) image: u32,
    /// p-value among re-pairings.
    pub(super) p_far: f64,
    pub(super) row: Row,
    /// Whether the matcher reads both items; assumed for planted pairs.
    pub(super) is_readable: bool,
    /// Whether image and caption are among the more legible half.
    pub(super) is_legible: [bool; 2],
}

/// All that the folds describe.
pub(super) struct Examples {
    /// One per given pair; `None` for a pair that could not be compared.
    pub(super) given: Vec<Option<Example>>,
    pub(super) planted: Vec<(Planted, Example)>,
    pub(super) repaired: Vec<Example>,
}

impl Examples {
    /// Gathers the examples of all folds; the parameters are those of [`learn`](super::learn).
    pub(super) fn of(
        folds: &[FoldStatistics],
        pairs: Ranked<'_>,
        image_group: &[u32],
        readable: &Readable,
    ) -> Self {
        let mut examples = Self {
            given: vec![None; pairs.p_far.len()],
            planted: Vec::new(),
            repaired: Vec::new(),
        };
        for (f, fold) in folds.iter().enumerate() {
            let Some(nearby) = &fold.nearby else { continue };
            let scale = Scale::of(fold, nearby);
            for (pair, features) in fold.pairs.iter().zip(&nearby.given) {
                let n = pair.pair as usize;
                if !pair.log_rank.is_nan() {
                    examples.given[n] = Some(Example {
                        image: pairs.image[n],
                        p_far: pairs.p_far[n],
                        row: row(pair.surprisal, pair.log_rank, features),
                        is_readable: readable.of_pair[n],
                        is_legible: scale.is_legible(pair.legibility),
                    });
                }
            }
            for planted in &nearby.planted {
                let image = image_group[planted.planting.image as usize];
                let example = scale.example(&planted.null, &planted.features, image);
                (examples.planted).extend(example.map(|example| (planted.planting.kind, example)));
            }
            for (place, features) in &nearby.repaired {
                let at = *place as usize * fold.n_repairings;
                let image = pairs.image[fold.pairs[*place as usize].pair as usize];
                let example = scale.example(&fold.null[at], features, image);
                examples.repaired.extend(example.map(|example| Example {
                    is_readable: readable.of_null(f, at),
                    ..example
                }));
            }
        }
        examples
    }
}

/// What the numbers of a fold are compared with; folds have different matchers.
struct Scale {
    /// Surprisals of the fold's re-pairings, ascending.
    null: Vec<f64>,
    /// Legibility of image and caption that half of the planted pairs reach.
    middle: [f64; 2],
}

impl Scale {
    fn of(fold: &FoldStatistics, nearby: &NearbyStatistics) -> Self {
        let null = fold.null.iter().map(|null| null.surprisal);
        let middle = |side: usize| {
            let planted = nearby.planted.iter();
            let values = ascending(planted.map(|planted| planted.null.legibility[side]));
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        Self {
            null: ascending(null.filter(|surprisal| !surprisal.is_nan())),
            middle: [middle(0), middle(1)],
        }
    }

    fn is_legible(&self, legibility: [f64; 2]) -> [bool; 2] {
        [0, 1].map(|side| legibility[side] >= self.middle[side])
    }

    /// A pair known to be mismatched; `None` where it could not be compared.
    fn example(
        &self,
        null: &NullStatistic,
        features: &NearbyFeatures,
        image: u32,
    ) -> Option<Example> {
        if null.surprisal.is_nan() {
            return None;
        }
        let n_below = self.null.partition_point(|&other| other <= null.surprisal);
        Some(Example {
            image,
            p_far: (1 + n_below) as f64 / (1 + self.null.len()) as f64,
            row: row(null.surprisal, null.log_rank, features),
            is_readable: true,
            is_legible: self.is_legible(null.legibility),
        })
    }
}

fn row(surprisal: f64, log_rank: f64, features: &NearbyFeatures) -> Row {
    let mut row = [0.0; N];
    row[..2].copy_from_slice(&[-surprisal, -log_rank]);
    row[2..].copy_from_slice(features);
    row
}

pub(super) fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}
