//! PVSE: the head of several embeddings, the caption encoder and the loss.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_model::backbone::{BackboneConfig, GruPieConfig, InputShape};
use truepair_model::encoding::{Encoding, Input};
use truepair_model::kernel::Precision;
use truepair_model::layer::{BackwardState, Init, Mode, PieNet};
use truepair_model::matcher::regularizer::{Regularizers, diversity};
use truepair_model::objective::{Negatives, Triplet};
use truepair_model::parameters::{self, Parameters};
use truepair_model::similarity::{SimilarityConfig, Space};
use truepair_train::published::Names;

use crate::cases::{check_case, weights};
use crate::support::{Golden, assert_close, device, loaded, vector};

/// Our names of a PIE-net's weights and theirs, each under its own prefix.
pub(crate) fn pie_names(ours: &str, theirs: &str) -> Names {
    [
        ("attention.first", "attention.w_1.weight"),
        ("attention.second", "attention.w_2.weight"),
        ("fc.weight", "fc.weight"),
        ("fc.bias", "fc.bias"),
        ("norm_weight", "layer_norm.weight"),
        ("norm_bias", "layer_norm.bias"),
    ]
    .map(|(name, source)| (format!("{ours}{name}"), format!("{theirs}{source}")))
    .into()
}

/// Likewise of a GRU in two directions.
pub(crate) fn sentence_names(ours: &str, theirs: &str) -> Names {
    let weights = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];
    let directions = [("forward", ""), ("backward", "_reverse")];
    (directions.into_iter())
        .flat_map(|(direction, suffix)| {
            weights.map(|weight| {
                (
                    format!("{ours}{direction}.{weight}"),
                    format!("{theirs}{weight}_l0{suffix}"),
                )
            })
        })
        .collect()
}

/// Token ids and mask of a file.
pub(crate) fn captions(golden: &Golden) -> Input {
    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    Input::Tokens {
        ids: Tensor::<2, Int>::from_data(
            TensorData::new(golden.integers("in.captions"), [n, t]),
            &device(),
        ),
        mask: mask(golden, t),
    }
}

fn mask(golden: &Golden, t: usize) -> Tensor<2> {
    let lengths = golden.integers("in.lengths");
    let mask: Vec<f32> = (0..lengths.len() * t)
        .map(|at| f32::from((at % t) < lengths[at / t] as usize))
        .collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), t]), &device())
}

fn pie_net(golden: &Golden) -> PieNet {
    let [d, f] = golden.shape("w.fc.weight")[..] else {
        panic!("two axes")
    };
    let heads = golden.shape("w.attention.w_2.weight")[0];
    let mut init = Init::new(
        truepair_core::rng::Seed(0).stream("init", &[]),
        device(),
        Precision::F32,
    );
    let weights: Parameters = weights(golden, &pie_names("", ""));
    parameters::import(PieNet::new(&mut init, f, d, heads, 0.0), weights).unwrap()
}

#[test]
fn golden_pie_net_and_its_gradients() {
    for file in ["u08_pienet_multi", "u08_pienet_single"] {
        let golden = Golden::open(&format!("{file}.safetensors"));
        for case in ["nomask.", "mask."] {
            let net = pie_net(&golden);
            let (x, global) = (golden.tensor::<3>("in.x"), golden.tensor::<2>("in.out"));
            let mask = (case == "mask.").then(|| mask(&golden, x.dims()[1]));
            let (embeddings, residuals) =
                net.forward(global.clone(), &x, mask.as_ref(), &mut Mode::Evaluate);
            for (name, found) in [("embedding", &embeddings), ("residual", &residuals)] {
                let key = format!("out.{case}{name}");
                let expected = golden.floats(&key);
                assert_close(&key, &vector(found.clone()), &expected, 1e-5, 1e-6);
            }
            let cotangent = TensorData::new(golden.floats("in.cotangent"), embeddings.dims());
            let loss = (embeddings * Tensor::from_data(cotangent, &device())).sum();
            let input = ("in.x", Some(x));
            let names = pie_names("", "");
            check_case(&golden, case, &net, &names, input, loss.clone(), 2e-5);
        }
    }
}

#[test]
fn golden_pvse_captions_and_their_gradients() {
    let golden = Golden::open("u08_pvse_text.safetensors");
    let [vocabulary, word_dim] = golden.shape("w.embed.weight")[..] else {
        panic!("two axes")
    };
    let mut names = vec![("embed".to_owned(), "embed.weight".to_owned())];
    names.extend(sentence_names("sentence.", "rnn."));
    names.extend(pie_names("pie.", "pie_net."));
    let states = [
        ("final.", BackwardState::Final),
        ("legacy.", BackwardState::LastToken),
    ];
    for (case, backward) in states {
        let config = BackboneConfig::GruPie(GruPieConfig {
            word_dim,
            dim: golden.shape("w.pie_net.fc.weight")[0],
            embeddings: golden.shape("w.pie_net.attention.w_2.weight")[0],
            dropout: 0.0,
            backward,
        });
        let encoder = loaded(
            &config,
            InputShape::Tokens(vocabulary),
            weights(&golden, &names),
        );
        let encoded = encoder.encode(&captions(&golden), &mut Mode::Evaluate);
        let residuals = encoded
            .residuals
            .expect("several embeddings have residuals");
        for (name, found) in [("embedding", &encoded.values), ("residual", &residuals)] {
            let key = format!("out.{case}{name}");
            let expected = golden.floats(&key);
            assert_close(&key, &vector(found.clone()), &expected, 1e-5, 1e-6);
        }
        let loss = (encoded.values * golden.tensor("in.cotangent")).sum();
        check_case(&golden, case, &encoder, &names, ("", None), loss, 2e-5);
    }
}

/// Embeddings of one side with their residuals, tracked.
fn items(golden: &Golden, side: &str) -> Encoding {
    Encoding {
        residuals: Some(golden.tensor(&format!("in.{side}_residual"))),
        ..Encoding::new(golden.tensor(&format!("in.{side}")), None)
    }
}

/// What of the gradients lies across unit vectors of width `d`.
fn across(unit: &[f32], gradients: &[f32], d: usize) -> Vec<f32> {
    let rows = unit.chunks_exact(d).zip(gradients.chunks_exact(d));
    rows.flat_map(|(x, g)| {
        let along: f32 = x.iter().zip(g).map(|(x, g)| x * g).sum();
        x.iter().zip(g).map(move |(x, g)| g - along * x)
    })
    .collect()
}

#[test]
fn golden_pvse_loss_and_its_gradients() {
    let golden = Golden::open("u08_pvse_loss.safetensors");
    let mut init = Init::new(
        truepair_core::rng::Seed(0).stream("init", &[]),
        device(),
        Precision::F32,
    );
    let space = Space {
        dim: golden.shape("in.img")[2],
        regions: 1,
    };
    let similarity = SimilarityConfig::MultipleInstance(Default::default());
    let similarity = similarity.build(space, &mut init).unwrap();
    let regularizers = Regularizers {
        diversity: golden.number("div_weight"),
        discrepancy: golden.number("mmd_weight"),
        ..Regularizers::default()
    };
    let cases = [
        ("max_mean", Negatives::Hardest),
        ("sum_mean", Negatives::Sum),
    ];
    for (case, negatives) in cases {
        let (images, captions) = (items(&golden, "img"), items(&golden, "txt"));
        let b = images.values.dims()[0];
        let scores = similarity.scores(&images, &captions, &mut Mode::Evaluate);
        let triplet = Triplet {
            margin: golden.number("margin"),
            negatives,
        };
        // The released mean of all hinges is over b² entries.
        let share = if case == "sum_mean" { b as f64 } else { 1.0 };
        let ranking = triplet.pair_loss(&scores).0.mean() / share;
        let terms = regularizers.terms(&images, &captions, &mut Mode::Evaluate);
        let pairs = terms.pairs.unwrap();
        let check = |name: &str, found: &Tensor<1>, share: f32| {
            let key = format!("out.{case}.{name}");
            let expected: Vec<f32> = golden.floats(&key).iter().map(|x| x * share).collect();
            assert_close(&key, &vector(found.clone()), &expected, 1e-5, 1e-6);
        };
        check("ranking_loss", &ranking, 1.0);
        check(
            "div_loss",
            &pairs.clone().mean(),
            regularizers.diversity as f32,
        );
        let batch = terms.batch.unwrap();
        check("mmd_loss", &batch, regularizers.discrepancy as f32);
        let loss = ranking + pairs.mean() + batch;
        check("loss", &loss, 1.0);
        let tape = loss.backward();
        for (side, items) in [("img", &images), ("txt", &captions)] {
            let residuals = items.residuals.clone().unwrap();
            // Scores do not depend on lengths here, so gradients are compared across them.
            let key = format!("grad.{case}.in.{side}");
            let unit = vector(items.values.clone());
            let d = items.values.dims()[2];
            let found = across(&unit, &vector(items.values.grad(&tape).unwrap()), d);
            let expected = across(&unit, &golden.floats(&key), d);
            assert_close(&key, &found, &expected, 2e-5, 2e-6);
            let key = format!("{key}_residual");
            let found = vector(residuals.grad(&tape).unwrap());
            assert_close(&key, &found, &golden.floats(&key), 2e-5, 2e-6);
        }
    }
}

#[test]
fn one_embedding_has_nothing_to_keep_apart() {
    let residuals = Tensor::<3>::ones([4, 1, 3], &device());
    assert!(vector(diversity(residuals)).iter().all(|x| x.abs() < 1e-12));
}
