//! Ranks against their definition.

use super::*;
use crate::pair::Pair;
use crate::rng::{Seed, normal, unit};
use crate::scores::{InnerProduct, Matrix, ScoreMatrix};

fn relevance(n_images: usize, n_captions: usize, given: &[(u32, u32)]) -> Relevance {
    let pairs: Vec<Pair> = given
        .iter()
        .map(|&(image, caption)| Pair { image, caption })
        .collect();
    Relevance::from_pairs(n_images, n_captions, &pairs)
}

fn five_each(n_images: u32) -> Relevance {
    let pairs: Vec<_> = (0..n_images * 5)
        .map(|caption| (caption / 5, caption))
        .collect();
    relevance(n_images as usize, n_images as usize * 5, &pairs)
}

fn random(n: usize, dim: usize, seed: u64) -> Matrix {
    let mut rng = Seed(seed).stream("test", &[]);
    Matrix::new((0..n * dim).map(|_| normal(&mut rng) as f32).collect(), dim)
}

/// From the definition: 1 + non-relevant items that score at least the best relevant score.
fn oracle(
    n: usize,
    gallery: usize,
    score: impl Fn(usize, usize) -> f32,
    relevant: impl Fn(usize, usize) -> bool,
) -> Vec<u32> {
    let mut ranks = Vec::new();
    for query in 0..n {
        let own = (0..gallery).filter(|&item| relevant(query, item));
        let Some(best) = own.map(|item| score(query, item)).reduce(f32::max) else {
            continue;
        };
        let before =
            (0..gallery).filter(|&item| !relevant(query, item) && score(query, item) >= best);
        ranks.push(1 + before.count() as u32);
    }
    ranks
}

fn check(scores: &Matrix, relevance: &Relevance) {
    let found = ranks(&ScoreMatrix(scores.clone()), relevance, &mut ()).unwrap();
    let is = |image: usize, caption: usize| {
        relevance.contains(Pair {
            image: image as u32,
            caption: caption as u32,
        })
    };
    let (n, m) = (scores.len(), scores.dim());
    assert_eq!(
        found.image_to_text,
        oracle(n, m, |i, c| scores.row(i)[c], is)
    );
    assert_eq!(
        found.text_to_image,
        oracle(m, n, |c, i| scores.row(i)[c], |c, i| is(i, c))
    );
}

#[test]
fn ranks_follow_the_definition_on_scattered_pairs_and_coarse_scores() {
    let mut rng = Seed(3).stream("test", &[]);
    for (n, m) in [(1, 1), (7, 31), (530, 90), (40, 2100), (1025, 2049)] {
        let given: Vec<(u32, u32)> = (0..m as u32 + 5)
            .map(|_| {
                (
                    (unit(&mut rng) * n as f64) as u32,
                    (unit(&mut rng) * m as f64) as u32,
                )
            })
            .collect();
        let scores = (0..n * m)
            .map(|_| (unit(&mut rng) * 20.0).floor() as f32)
            .collect();
        check(&Matrix::new(scores, m), &relevance(n, m, &given));
    }
}

#[test]
fn constant_scores_rank_last() {
    let scores = ScoreMatrix(Matrix::new(vec![0.5; 4 * 20], 20));
    let ranks = ranks(&scores, &five_each(4), &mut ()).unwrap();
    assert_eq!(ranks.image_to_text, [16; 4]);
    assert_eq!(ranks.text_to_image, [4; 20]);
}

#[test]
fn the_transposed_matrix_swaps_the_directions() {
    let scores = random(30, 150, 5);
    let forward = ranks(&ScoreMatrix(scores.clone()), &five_each(30), &mut ()).unwrap();
    let transposed = (0..150 * 30)
        .map(|at| scores.row(at % 30)[at / 30])
        .collect();
    let turned: Vec<_> = (0..150).map(|caption| (caption, caption / 5)).collect();
    let turned = relevance(150, 30, &turned);
    let backward = ranks(&ScoreMatrix(Matrix::new(transposed, 30)), &turned, &mut ()).unwrap();
    assert_eq!(forward.image_to_text, backward.text_to_image);
    assert_eq!(forward.text_to_image, backward.image_to_text);
}

#[test]
fn queries_without_a_relevant_item_are_counted_and_left_out() {
    let relevance = relevance(3, 3, &[(0, 0), (2, 0)]);
    let ranks = ranks(&ScoreMatrix(random(3, 3, 1)), &relevance, &mut ()).unwrap();
    assert_eq!(
        (ranks.image_to_text.len(), ranks.images_without_caption),
        (2, 1)
    );
    assert_eq!(
        (ranks.text_to_image.len(), ranks.captions_without_image),
        (1, 2)
    );
}

/// Copies of an embedding in other tiles, rows and columns must tie to the bit.
#[test]
fn equal_embeddings_tie_wherever_they_stand() {
    let (n, dim) = (1100, 67);
    let mut images = random(n, dim, 7);
    let captions = random(n, dim, 8).values()[..dim].repeat(5 * n);
    let copied = images.row(0).to_vec();
    images = Matrix::new(copied.repeat(n), dim);
    let scorer = InnerProduct::new(images, Matrix::new(captions, dim)).unwrap();
    let ranks = ranks(&scorer, &five_each(n as u32), &mut ()).unwrap();
    assert!(
        ranks
            .image_to_text
            .iter()
            .all(|&rank| rank == 5 * n as u32 - 4)
    );
    assert!(ranks.text_to_image.iter().all(|&rank| rank == n as u32));
}

#[test]
fn a_score_that_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![0.0; 20];
        values[13] = bad;
        let error = ranks(
            &ScoreMatrix(Matrix::new(values, 10)),
            &five_each(2),
            &mut (),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("image 1 and caption 3"), "{error}");
    }
}

#[test]
fn other_sizes_and_missing_pairs_are_refused() {
    let scores = ScoreMatrix(random(3, 15, 2));
    assert!(ranks(&scores, &five_each(4), &mut ()).is_err());
    assert!(ranks(&scores, &relevance(3, 15, &[]), &mut ()).is_err());
}

#[test]
fn progress_ends_at_the_total() {
    struct Last(u64, u64);
    impl Watch for Last {
        fn advance(&mut self, _: &str, done: u64, total: u64) {
            (self.0, self.1) = (done, total);
        }
    }
    let mut last = Last(0, 0);
    ranks(
        &ScoreMatrix(random(1200, 6000, 2)),
        &five_each(1200),
        &mut last,
    )
    .unwrap();
    assert_eq!((last.0, last.1), (6, 6));
}
