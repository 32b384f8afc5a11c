//! Labels of half of the classes that slip onto the other half.

use super::LabelNoiseModel;
use crate::rng::Stream;

/// The classes are put in a random order; a chosen item whose class is the `c`-th of the first half
/// gets the `c`-th class of the second half, any other keeps its label. So a rate `r` makes about
/// `r / 2` of the labels wrong, classes of the first half lose a share `r` of their items, and those
/// of the second half are joined by items of one other class. With an odd number of classes the last
/// one neither gives nor takes.
///
/// # Source
/// The asymmetric noise of the released program of Hu et al., CVPR 2021 (MRL), whose tables are of
/// symmetric noise. Code read at penghu-cs/MRL@914fdd7.
///
/// # Deviations
/// 1. Noise is seeded; the released code caches the first draw in a file.
#[derive(Debug, Clone, Copy)]
pub struct Halves;

impl LabelNoiseModel for Halves {
    fn name(&self) -> &'static str {
        "halves"
    }

    fn summary(&self) -> &'static str {
        "Of that share of the items, those of one random half of the classes get their partner in the other half (MRL's asymmetric noise)."
    }

    fn relabel(&self, label: u32, order: &[u32], _rng: &mut Stream) -> u32 {
        let half = order.len() / 2;
        match order[..half].iter().position(|&class| class == label) {
            Some(at) => order[half + at],
            None => label,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn the_first_half_moves_onto_the_second() {
        let stream = &mut Seed(1).stream("label-noise", &[]);
        let order = [3, 1, 4, 0, 2];
        let moved: Vec<u32> = (0..5).map(|c| Halves.relabel(c, &order, stream)).collect();
        assert_eq!(moved, [0, 0, 2, 4, 4]);
    }
}
