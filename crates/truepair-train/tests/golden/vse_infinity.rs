//! Generalized pooling and both encoders of VSE∞.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, GruGpoConfig, InputShape, RegionGpoConfig};
use truepair_model::encoding::Input;
use truepair_model::kernel::Precision;
use truepair_model::layer::{Gpo, Init, Mode};
use truepair_model::objective::{Margins, Negatives, triplet};
use truepair_model::parameters;
use truepair_train::published::vse_infinity::{caption_names, image_names, pool_names};

use crate::cases::{check_case, check_running, weights};
use crate::support::{Golden, assert_close, device, loaded, vector};

/// 1 for the first `lengths` places of `m`, `[n, m]`.
fn prefix_mask(lengths: &[i64], m: usize) -> Tensor<2> {
    let mask: Vec<f32> = (lengths.iter())
        .flat_map(|&length| (0..m as i64).map(move |p| f32::from(p < length)))
        .collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), m]), &device())
}

#[test]
fn golden_generalized_pooling_and_its_gradients() {
    let golden = Golden::open("u06_gpo.safetensors");
    let names = pool_names();
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let gpo = parameters::import(Gpo::new(&mut init), weights(&golden, &names)).unwrap();
    let features: Tensor<3> = golden.tensor("in.features");
    let lengths = golden.integers("in.lengths");
    let m = features.dims()[1];
    let each: Vec<usize> = lengths.iter().map(|&length| length as usize).collect();
    let close = |key: &str, found: Tensor<2>| {
        assert_close(key, &vector(found), &golden.floats(key), 1e-5, 1e-6);
    };
    close("out.weights", gpo.weights(&each, m, &device()));
    let mut n_lengths = 0;
    for key in golden.tensors().names() {
        if let Some(length) = key.strip_prefix("out.weights_len") {
            let length = length.parse().unwrap();
            close(key, gpo.weights(&[length], length, &device()));
            n_lengths += 1;
        }
    }
    assert!(n_lengths > 0, "the file holds no weights by length");
    let pooled = gpo.pool(features.clone(), Some(&prefix_mask(&lengths, m)));
    close("out.pooled", pooled.clone());
    let loss = (pooled * golden.tensor("in.cotangent")).sum();
    let input = ("in.features", Some(features));
    check_case(&golden, "", &gpo, &names, input, loss, 2e-5);
}

#[test]
fn golden_vse_infinity_image_encoder_evaluating_and_training() {
    let golden = Golden::open("u06_vseinf_image.safetensors");
    let [_, regions, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    let config = BackboneConfig::RegionGpo(RegionGpoConfig {
        dim: golden.shape("w.fc.weight")[0],
        hidden: Some(golden.shape("w.mlp.layers.0.weight")[0]),
        region_drop: 0.0,
    });
    let names = image_names();
    for case in ["eval.", "train."] {
        let shape = InputShape::Features { width, regions };
        let backbone = loaded(&config, shape, weights(&golden, &names));
        let images: Tensor<3> = golden.tensor("in.images");
        let input = Input::Features {
            values: images.clone(),
            mask: Some(prefix_mask(&golden.integers("in.image_lengths"), regions)),
        };
        let mut rng = Seed(0).stream("dropout", &[]);
        let mut mode = match case {
            "eval." => Mode::Evaluate,
            _ => Mode::Train(&mut rng),
        };
        let found = backbone
            .encode(&input, &mut mode)
            .values
            .squeeze_dim::<2>(1);
        let key = format!("out.{case}img_emb");
        assert_close(
            &key,
            &vector(found.clone()),
            &golden.floats(&key),
            1e-5,
            1e-6,
        );
        if case == "train." {
            assert_eq!(check_running(&golden, case, &backbone, &names), 2);
        }
        let loss = (found * golden.tensor("in.cotangent")).sum();
        // A region that is not there gets a gradient in the source, through the batch statistics.
        let input = ("in.images", (case == "eval.").then_some(images));
        check_case(&golden, case, &backbone, &names, input, loss, 2e-5);
    }
}

#[test]
fn golden_vse_infinity_text_encoder_and_its_gradients() {
    let golden = Golden::open("u06_vseinf_text.safetensors");
    let [rows, word_dim] = golden.shape("w.embed.weight")[..] else {
        panic!("two axes")
    };
    let config = BackboneConfig::GruGpo(GruGpoConfig {
        word_dim,
        dim: golden.shape("w.rnn.weight_hh_l0")[1],
        token_change: 0.2,
    });
    let names = caption_names();
    // The table's last row is the mask token's, which is no word of the vocabulary here.
    let backbone = loaded(
        &config,
        InputShape::Tokens(rows - 1),
        weights(&golden, &names),
    );
    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
    let input = Input::Tokens {
        ids: Tensor::<2, Int>::from_data(ids, &device()),
        mask: prefix_mask(&golden.integers("in.lengths"), t),
    };
    let found = backbone.encode(&input, &mut Mode::Evaluate).values;
    let found: Tensor<2> = found.squeeze_dim(1);
    let expected = golden.floats("out.cap_emb");
    assert_close("cap_emb", &vector(found.clone()), &expected, 1e-5, 1e-6);
    let loss = (found * golden.tensor("in.cotangent")).sum();
    check_case(&golden, "", &backbone, &names, ("", None), loss, 2e-5);
}

/// The loss of the warm-up epoch.
#[test]
fn golden_triplet_over_all_negatives() {
    let golden = Golden::open("u06_vsepp_loss.safetensors");
    let sides = ["in.img", "in.cap"].map(|side| golden.tensor::<2>(side));
    let scores = sides[0].clone().matmul(sides[1].clone().transpose());
    let loss = triplet(
        &scores,
        &Margins::Fixed(golden.number("margin cosine")),
        Negatives::Sum,
    )
    .0
    .sum();
    let expected = golden.floats("out.cosine_sum.loss");
    assert_close("loss", &vector(loss.clone()), &expected, 1e-5, 1e-6);
    let gradients = loss.backward();
    for (side, name) in sides.iter().zip(["in.img", "in.cap"]) {
        let key = format!("grad.cosine_sum.{name}");
        let found = vector(side.grad(&gradients).unwrap());
        assert_close(&key, &found, &golden.floats(&key), 2e-5, 1e-5);
    }
}
