//! Cutting pairs into folds.

use super::Links;
use crate::pair::Pair;
use crate::rng::{Seed, shuffle};

/// Fold of every pair. Pairs that share an image, a caption, or a copy of one stay together, unless
/// that would chain most of the data into one piece; then only images keep pairs together.
pub(crate) fn assign_folds(pairs: &[Pair], links: &Links, n_folds: usize, seed: Seed) -> Vec<u32> {
    let image = |pair: &Pair| links.image_group()[pair.image as usize];
    let caption = |pair: &Pair| links.caption_group()[pair.caption as usize];
    let n_groups = links.image_group().len();
    let mut joined = Joined::new(n_groups);
    let mut first_image = vec![u32::MAX; links.caption_group().len()];
    for pair in pairs {
        match &mut first_image[caption(pair) as usize] {
            first if *first == u32::MAX => *first = image(pair),
            first => joined.join(*first, image(pair)),
        }
    }
    let mut sizes = sizes(pairs, image, &mut joined);
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if largest > pairs.len() / (2 * n_folds) {
        joined = Joined::new(n_groups);
        sizes = self::sizes(pairs, image, &mut joined);
    }
    let mut pieces: Vec<u32> = (0..n_groups as u32)
        .filter(|&piece| sizes[piece as usize] > 0)
        .collect();
    shuffle(&mut seed.stream("folds", &[]), &mut pieces);
    let mut fold_of_piece = vec![0u32; n_groups];
    let mut filled = vec![0usize; n_folds];
    for piece in pieces {
        let emptiest = (0..n_folds)
            .min_by_key(|&fold| filled[fold])
            .expect("there are folds");
        filled[emptiest] += sizes[piece as usize];
        fold_of_piece[piece as usize] = emptiest as u32;
    }
    pairs
        .iter()
        .map(|pair| fold_of_piece[joined.root(image(pair)) as usize])
        .collect()
}

/// Pairs of every piece, by its root.
fn sizes(pairs: &[Pair], image: impl Fn(&Pair) -> u32, joined: &mut Joined) -> Vec<usize> {
    let mut sizes = vec![0; joined.0.len()];
    for pair in pairs {
        sizes[joined.root(image(pair)) as usize] += 1;
    }
    sizes
}

/// Per pair, a label that is equal only for pairs that share a fold in every cut.
pub(super) fn common_folds(cuts: &[Vec<u32>], n_folds: usize) -> Vec<u32> {
    let label =
        |pair: usize| (cuts.iter()).fold(0, |label, cut| label * n_folds as u32 + cut[pair]);
    (0..cuts[0].len()).map(label).collect()
}

/// Disjoint sets.
struct Joined(Vec<u32>);

impl Joined {
    fn new(n: usize) -> Self {
        Self((0..n as u32).collect())
    }

    fn root(&mut self, mut at: u32) -> u32 {
        while self.0[at as usize] != at {
            self.0[at as usize] = self.0[self.0[at as usize] as usize];
            at = self.0[at as usize];
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(n_images: u32, per_image: u32) -> Vec<Pair> {
        (0..n_images * per_image)
            .map(|caption| Pair {
                image: caption / per_image,
                caption,
            })
            .collect()
    }

    #[test]
    fn pairs_of_an_image_or_of_equal_captions_share_a_fold() {
        let pairs = pairs(60, 3);
        let mut caption_group: Vec<u32> = (0..180).collect();
        // Caption 100 repeats caption 7, on another row.
        caption_group[100] = 7;
        let image_group = (0..60).map(|image| if image == 20 { 3 } else { image });
        let links = Links::new(&pairs, caption_group, image_group.collect()).unwrap();
        let folds = assign_folds(&pairs, &links, 3, Seed(1));
        for of_image in folds.chunks(3) {
            assert!(of_image.iter().all(|fold| *fold == of_image[0]));
        }
        assert_eq!(folds[7], folds[100]);
        assert_eq!(folds[9], folds[60]);
        for fold in 0..3 {
            let n = folds.iter().filter(|own| **own == fold).count();
            assert!((55..=65).contains(&n), "{n}");
        }
    }

    #[test]
    fn captions_that_chain_the_data_together_do_not_bind() {
        let pairs = pairs(50, 2);
        let caption_group = (0..100).map(|caption| if caption % 2 == 0 { 0 } else { caption });
        let links = Links::new(&pairs, caption_group.collect(), (0..50).collect()).unwrap();
        let folds = assign_folds(&pairs, &links, 2, Seed(1));
        assert_eq!(folds.iter().filter(|fold| **fold == 0).count(), 50);
    }

    #[test]
    fn common_folds_part_what_any_cut_parts() {
        let cuts = [vec![0, 0, 1, 1], vec![0, 1, 1, 1]];
        let labels = common_folds(&cuts, 2);
        assert_eq!(labels[2], labels[3]);
        assert!(labels[0] != labels[1] && labels[1] != labels[2]);
    }
}
