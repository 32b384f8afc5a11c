//! Small evaluations that several tests share.

use crate::pair::Pair;
use crate::relevance::Relevance;
use crate::rng::{Seed, normal};
use crate::scores::{Matrix, ScoreMatrix};

/// Five captions for each image.
pub(super) fn five_each(n_images: u32) -> Relevance {
    let pairs: Vec<Pair> = (0..n_images * 5)
        .map(|caption| Pair {
            image: caption / 5,
            caption,
        })
        .collect();
    Relevance::from_pairs(n_images as usize, n_images as usize * 5, &pairs)
}

/// Random scores for [`five_each`].
pub(super) fn scores(n_images: usize) -> ScoreMatrix {
    let mut rng = Seed(4).stream("test", &[]);
    let values = (0..n_images * n_images * 5)
        .map(|_| normal(&mut rng) as f32)
        .collect();
    ScoreMatrix(Matrix::new(values, n_images * 5))
}
