//! What holds for every head: padding, blocks, items without vectors, dropout.

use super::{SafConfig, SgrConfig, SgrafConfig};
use crate::encoding::Encoding;
use crate::kernel::Precision;
use crate::layer::{Init, Mode};
use crate::numbers::floats;
use crate::similarity::{Similarity, SimilarityConfig, Space};
use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Seed, normal};

const DIM: usize = 8;
const REGIONS: usize = 4;

fn all() -> [SimilarityConfig; 3] {
    let sim_dim = 6;
    [
        SimilarityConfig::Sgr(SgrConfig {
            sim_dim,
            steps: 2,
            ..SgrConfig::default()
        }),
        SimilarityConfig::Saf(SafConfig {
            sim_dim,
            ..SafConfig::default()
        }),
        SimilarityConfig::Sgraf(SgrafConfig {
            sim_dim,
            ..SgrafConfig::default()
        }),
    ]
}

fn built(config: &SimilarityConfig) -> Similarity {
    let stream = Seed(2).stream("init", &[]);
    let mut init = Init::new(stream, Device::flex(), Precision::F32);
    let space = Space {
        dim: DIM,
        regions: REGIONS,
    };
    config.build(space, &mut init).unwrap()
}

/// Items of the given numbers of vectors, padded to `m`.
fn items(name: &str, counts: &[usize], m: usize) -> Encoding {
    let (mut values, mut mask) = (Vec::new(), Vec::new());
    for (item, &count) in counts.iter().enumerate() {
        let mut rng = Seed(3).stream(name, &[item as u64]);
        for at in 0..m {
            let kept = f32::from(at < count);
            mask.push(kept);
            values.extend((0..DIM).map(|_| kept * normal(&mut rng) as f32));
        }
    }
    let (n, device) = (counts.len(), Device::flex());
    Encoding::new(
        Tensor::from_data(TensorData::new(values, [n, m, DIM]), &device),
        Some(Tensor::from_data(TensorData::new(mask, [n, m]), &device)),
    )
}

fn scores(similarity: &Similarity, images: &Encoding, captions: &Encoding) -> Vec<f32> {
    floats(similarity.scores(images, captions, &mut Mode::Evaluate))
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{found:?} {expected:?}");
    }
}

#[test]
fn padding_of_either_side_changes_no_score() {
    for config in all() {
        let similarity = built(&config);
        let short = scores(
            &similarity,
            &items("images", &[2, 3], 3),
            &items("captions", &[4, 1], 4),
        );
        let long = scores(
            &similarity,
            &items("images", &[2, 3], 4),
            &items("captions", &[4, 1], 9),
        );
        assert_close(&short, &long);
    }
}

#[test]
fn blocks_of_an_evaluation_give_what_single_pairs_give() {
    for config in all() {
        let similarity = built(&config);
        let (images, words) = ([4, 2], [3usize, 5, 1, 4, 2].repeat(60));
        let captions = items("captions", &words, 5);
        let found = scores(&similarity, &items("images", &images, 4), &captions);
        let first: Vec<f32> = [0, 270, 299].map(|at| found[at]).to_vec();
        let picked = Encoding::new(
            pick(captions.values.clone()),
            captions.mask.clone().map(pick),
        );
        let alone = scores(&similarity, &items("images", &images, 4), &picked);
        assert_close(&first, &alone[..3]);
    }
}

fn pick<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    let picked = [0, 270, 299].map(|at| values.clone().narrow(0, at, 1));
    Tensor::cat(picked.to_vec(), 0)
}

#[test]
fn the_bytes_of_a_pair_hold_its_nodes_and_little_else() {
    for config in all() {
        let similarity = built(&config);
        for m in [1, 5] {
            let (images, captions) = (items("images", &[4], 4), items("captions", &[m], m));
            let bytes = similarity.pair_bytes(&images, &captions);
            let nodes = (m + 1) * 6 * size_of::<f32>();
            assert!(nodes < bytes && bytes < 3 * nodes, "{bytes} {nodes}");
        }
    }
}

#[test]
fn items_without_vectors_and_single_vectors_have_finite_scores() {
    for config in all() {
        let similarity = built(&config);
        let images = items("images", &[0, 4, 1], 4);
        let captions = items("captions", &[2, 0, 1], 2);
        let found = scores(&similarity, &images, &captions);
        let single = scores(
            &similarity,
            &items("images", &[1, 1], 1),
            &items("captions", &[1], 1),
        );
        for score in found.iter().chain(&single) {
            assert!(*score > 0.0 && *score < 1.0, "{found:?} {single:?}");
        }
    }
}

#[test]
fn training_drops_values_and_repeats_with_its_stream() {
    for config in all() {
        let similarity = built(&config);
        let train = || {
            let mut rng = Seed(5).stream("dropout", &[]);
            let (images, captions) = (items("images", &[4, 3], 4), items("captions", &[3, 2], 3));
            floats(similarity.scores(&images, &captions, &mut Mode::Train(&mut rng)))
        };
        let first = train();
        assert_eq!(first, train());
        let evaluated = scores(
            &similarity,
            &items("images", &[4, 3], 4),
            &items("captions", &[3, 2], 3),
        );
        assert!(first.iter().zip(&evaluated).any(|(a, b)| a != b));
    }
}
