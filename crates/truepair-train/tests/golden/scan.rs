//! SCAN: scores, gradients and losses of both directions, and the names of its weights.

use burn::tensor::{Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, GruConfig, InputShape, RegionLinearConfig};
use truepair_model::encoding::Encoding;
use truepair_model::kernel::{Pooling, Precision, RawNorm};
use truepair_model::layer::{Init, Mode};
use truepair_model::matcher::MatcherConfig;
use truepair_model::objective::{Negatives, Triplet};
use truepair_model::parameters;
use truepair_model::similarity::{Direction, ScanConfig, SimilarityConfig, Space};
use truepair_train::published::encoders;

use crate::support::{Golden, assert_close, device, vector};

const DIRECTIONS: [(&str, Direction); 2] = [("t2i", Direction::T2i), ("i2t", Direction::I2t)];

/// The inverse temperatures of the attention and of the log-sum-exp in a direction.
fn lambdas(golden: &Golden, name: &str) -> [f64; 2] {
    let settings = golden.setting(name);
    ["lambda_softmax", "lambda_lse"].map(|key| settings[key].as_f64().unwrap())
}

const POOLINGS: [(&str, Pooling); 4] = [
    ("LogSumExp", Pooling::LogSumExp),
    ("Mean", Pooling::Mean),
    ("Max", Pooling::Max),
    ("Sum", Pooling::Sum),
];

const NORMS: [(&str, RawNorm); 7] = [
    ("clipped_l2norm", RawNorm::ClippedL2),
    ("softmax", RawNorm::Softmax),
    ("l2norm", RawNorm::L2),
    ("l1norm", RawNorm::L1),
    ("clipped_l1norm", RawNorm::ClippedL1),
    ("clipped", RawNorm::Clipped),
    ("no_norm", RawNorm::Plain),
];

/// 1 at the first `lengths` tokens of every caption.
pub(crate) fn mask(lengths: &[i64], longest: usize) -> Tensor<2> {
    let mask: Vec<f32> = (lengths.iter())
        .flat_map(|&length| (0..longest).map(move |t| f32::from((t as i64) < length)))
        .collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), longest]), &device())
}

/// Regions and words of a file, tracked.
fn embeddings(golden: &Golden) -> (Tensor<3>, Tensor<3>) {
    (golden.tensor("in.img_emb"), golden.tensor("in.cap_emb"))
}

fn scores(config: ScanConfig, golden: &Golden, sides: &(Tensor<3>, Tensor<3>)) -> Tensor<2> {
    let (images, captions) = sides;
    let [_, r, d] = images.dims();
    let longest = captions.dims()[1];
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let space = Space { dim: d, regions: r };
    let similarity = SimilarityConfig::Scan(config)
        .build(space, &mut init)
        .unwrap();
    let images = Encoding::new(images.clone(), None);
    let captions = Encoding::new(
        captions.clone(),
        Some(mask(&golden.integers("in.lengths"), longest)),
    );
    similarity.scores(&images, &captions, &mut Mode::Evaluate)
}

fn check_embedding_gradients(
    golden: &Golden,
    case: &str,
    sides: &(Tensor<3>, Tensor<3>),
    loss: Tensor<1>,
) {
    let key = format!("out.{case}.loss");
    assert_close(
        &key,
        &vector(loss.clone()),
        &golden.floats(&key),
        1e-5,
        1e-5,
    );
    let tape = loss.backward();
    for (name, values) in [("in.img_emb", &sides.0), ("in.cap_emb", &sides.1)] {
        let key = format!("grad.{case}.{name}");
        let found = vector(values.grad(&tape).unwrap());
        assert_close(&key, &found, &golden.floats(&key), 1e-4, 1e-6);
    }
}

#[test]
fn golden_scan_similarity_of_every_norm_and_pooling() {
    let golden = Golden::open("u05_scan_similarity.safetensors");
    let sides = embeddings(&golden);
    for (name, direction) in DIRECTIONS {
        let [smooth, lambda_lse] = lambdas(&golden, name);
        for (norm_name, raw_norm) in NORMS {
            for (pooling_name, pooling) in POOLINGS {
                let config = ScanConfig {
                    direction,
                    raw_norm,
                    smooth,
                    pooling,
                    lambda_lse,
                };
                let found = vector(scores(config, &golden, &sides));
                let key = format!("out.{name}.{norm_name}.{pooling_name}");
                assert_close(&key, &found, &golden.floats(&key), 1e-5, 1e-6);
            }
        }
    }
}

#[test]
fn golden_scan_gradients() {
    let golden = Golden::open("u05_scan_gradients.safetensors");
    let cotangent: Tensor<2> = golden.tensor("in.cotangent");
    let tensors = golden.tensors();
    let mut n_checked = 0;
    for (name, direction) in DIRECTIONS {
        let [smooth, lambda_lse] = lambdas(&golden, name);
        for (norm_name, raw_norm) in NORMS {
            for (pooling_name, pooling) in POOLINGS {
                let case = format!("{name}_{norm_name}_{pooling_name}");
                let key = format!("out.{case}.S");
                if tensors.tensor(&key).is_err() {
                    continue;
                }
                let config = ScanConfig {
                    direction,
                    raw_norm,
                    smooth,
                    pooling,
                    lambda_lse,
                };
                let sides = embeddings(&golden);
                let found = scores(config, &golden, &sides);
                let expected = golden.floats(&key);
                assert_close(&key, &vector(found.clone()), &expected, 1e-5, 1e-6);
                let loss = (found * cotangent.clone()).sum();
                check_embedding_gradients(&golden, &case, &sides, loss);
                n_checked += 1;
            }
        }
    }
    assert!(n_checked >= 18, "{n_checked}");
}

#[test]
fn golden_scan_loss() {
    let golden = Golden::open("u05_scan_loss.safetensors");
    for (name, direction, pooling) in [
        ("t2i_Mean", Direction::T2i, Pooling::Mean),
        ("t2i_LogSumExp", Direction::T2i, Pooling::LogSumExp),
        ("i2t_Mean", Direction::I2t, Pooling::Mean),
        ("i2t_LogSumExp", Direction::I2t, Pooling::LogSumExp),
    ] {
        let stated = |key: &str| golden.stated(&format!("out.{name}_max.loss"), key);
        let config = ScanConfig {
            direction,
            smooth: stated("lambda_softmax"),
            pooling,
            lambda_lse: stated("lambda_lse"),
            ..ScanConfig::default()
        };
        // The released code sums hinges where ours takes their mean over the batch.
        let b = golden.shape("in.img_emb")[0] as f64;
        for (form, negatives, scale) in [
            ("max", Negatives::Hardest, 1.0),
            ("sum", Negatives::Mean, b),
        ] {
            let sides = embeddings(&golden);
            let objective = Triplet {
                margin: golden.number("margin"),
                negatives,
            };
            let found = scores(config.clone(), &golden, &sides);
            let loss = objective.pair_loss(&found).0.sum() * scale;
            check_embedding_gradients(&golden, &format!("{name}_{form}"), &sides, loss);
        }
    }
}

#[test]
fn names_of_released_scan_weights_cover_the_model() {
    let config = MatcherConfig::new(
        BackboneConfig::RegionLinear(RegionLinearConfig { dim: 4 }),
        BackboneConfig::Gru(GruConfig {
            word_dim: 3,
            dim: 4,
            dropout: 0.0,
            ..GruConfig::default()
        }),
        SimilarityConfig::Scan(ScanConfig::default()),
    );
    let image = InputShape::Features {
        width: 5,
        regions: 2,
    };
    let caption = InputShape::Tokens(7);
    let matcher = (config.build(image, caption, Seed(0), &device(), Precision::F32)).unwrap();
    let cell = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
    let mut official: Vec<String> = (cell.iter())
        .flat_map(|part| ["", "_reverse"].map(|way| format!("txt_enc.rnn.{part}_l0{way}")))
        .collect();
    let others = [
        "img_enc.fc.weight",
        "img_enc.fc.bias",
        "txt_enc.embed.weight",
    ];
    official.extend(others.map(str::to_owned));
    let names = encoders::names(&config, "fc", "rnn");
    let (mut ours, mut theirs): (Vec<String>, Vec<String>) = names.into_iter().unzip();
    let mut expected = parameters::names(&matcher);
    for names in [&mut ours, &mut theirs, &mut expected, &mut official] {
        names.sort();
    }
    assert_eq!((ours, theirs), (expected, official));
}
