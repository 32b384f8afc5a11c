//! PCME: both encoders and the loss of draws.

use burn::tensor::{Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{
    BackboneConfig, Deviation, GruPcmeConfig, InputScale, InputShape, PcmeConfig,
};
use truepair_model::encoding::{Encoding, Gaussian, Input};
use truepair_model::kernel::{Distance, Precision};
use truepair_model::layer::{BackwardState, Init, Mode};
use truepair_model::matcher::regularizer::{Divergence, DivergenceForm, Regularizers};
use truepair_model::objective::{Over, SoftContrastive};
use truepair_model::parameters::{self, Parameters, Values};
use truepair_model::similarity::{
    Logistic, MatchProbabilityConfig, Similarity, SimilarityConfig, Space,
};
use truepair_train::published::Names;

use crate::cases::{check_case, weights};
use crate::pvse::{captions, pie_names, sentence_names};
use crate::support::{Golden, assert_close, device, loaded, vector};

/// Wide enough to clip nothing.
const DEVIATION: Deviation = Deviation {
    start: 0.0,
    low: -50.0,
    high: 50.0,
};

fn uncertain_names() -> Names {
    [
        ("attention.first", "attention.w_1.weight"),
        ("attention.second", "attention.w_2.weight"),
        ("fc.weight", "fc.weight"),
        ("fc.bias", "fc.bias"),
    ]
    .map(|(ours, theirs)| {
        (
            format!("uncertain.{ours}"),
            format!("uncertain_net.{theirs}"),
        )
    })
    .into()
}

fn same(names: &[&str]) -> Names {
    let names = names.iter();
    names
        .map(|name| ((*name).to_owned(), (*name).to_owned()))
        .collect()
}

/// Means and deviations, and the loss that the files were made with.
fn check_encoding(golden: &Golden, encoded: Encoding) -> Tensor<1> {
    let gaussian = encoded.gaussian.expect("Gaussians");
    let mean: Tensor<2> = encoded.values.squeeze_dim(1);
    let check = |key: &str, found: Tensor<2>| {
        assert_close(key, &vector(found), &golden.floats(key), 1e-5, 2e-6);
    };
    check("out.mu", mean.clone());
    check("out.logsigma", gaussian.log_deviation.clone());
    let epsilon = golden.tensor::<3>("in.epsilon").detach();
    let draws =
        epsilon * gaussian.log_deviation.clone().exp().unsqueeze_dim(1) + mean.unsqueeze_dim(1);
    let key = "out.embedding";
    assert_close(key, &vector(draws.clone()), &golden.floats(key), 1e-5, 2e-6);
    let by_deviation = gaussian.log_deviation * golden.tensor("in.cotangent_logsigma");
    (draws * golden.tensor("in.cotangent")).sum() + by_deviation.sum()
}

#[test]
fn golden_pcme_images_and_their_gradients() {
    let golden = Golden::open("u09_pcme_image.safetensors");
    let [b, f, height, width] = golden.shape("in.features")[..] else {
        panic!("four axes")
    };
    let grid = golden.tensor::<4>("in.features");
    let values = grid.reshape([b, f, height * width]).swap_dims(1, 2);
    let mut names = same(&["fc.weight", "fc.bias"]);
    names.extend(pie_names("pie.", "pie_net."));
    names.extend(uncertain_names());
    names.extend(["weight", "bias"].map(|part| {
        (
            format!("uncertain.fc2.{part}"),
            format!("uncertain_net.fc2.{part}"),
        )
    }));
    let config = BackboneConfig::Pcme(PcmeConfig {
        dim: golden.shape("w.fc.weight")[0],
        hidden: 0,
        dropout: 0.0,
        input: InputScale::Raw,
        deviation: DEVIATION,
    });
    let shape = InputShape::Features {
        width: f,
        regions: height * width,
    };
    let encoder = loaded(&config, shape, weights(&golden, &names));
    let input = Input::Features { values, mask: None };
    let loss = check_encoding(&golden, encoder.encode(&input, &mut Mode::Evaluate));
    check_case(&golden, "", &encoder, &names, ("", None), loss, 2e-5);
}

#[test]
fn golden_pcme_captions_and_their_gradients() {
    let golden = Golden::open("u09_pcme_text.safetensors");
    let [vocabulary, word_dim] = golden.shape("w.embed.weight")[..] else {
        panic!("two axes")
    };
    let mut names = vec![("embed".to_owned(), "embed.weight".to_owned())];
    names.extend(sentence_names("sentence.", "rnn."));
    names.extend(pie_names("pie.", "pie_net."));
    names.extend(uncertain_names());
    names.extend(sentence_names("uncertain.sentence.", "uncertain_net.rnn."));
    let config = BackboneConfig::GruPcme(GruPcmeConfig {
        word_dim,
        dim: golden.shape("w.pie_net.fc.weight")[0],
        dropout: 0.0,
        backward: BackwardState::LastToken,
        deviation: DEVIATION,
    });
    let encoder = loaded(
        &config,
        InputShape::Tokens(vocabulary),
        weights(&golden, &names),
    );
    let encoded = encoder.encode(&captions(&golden), &mut Mode::Evaluate);
    let loss = check_encoding(&golden, encoded);
    check_case(&golden, "", &encoder, &names, ("", None), loss, 2e-5);
}

fn similarity(golden: &Golden) -> Similarity {
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let space = Space {
        dim: golden.shape("in.img_logsigma")[1],
        regions: 1,
    };
    let built = SimilarityConfig::MatchProbability(released(golden)).build(space, &mut init);
    parameters::import(built.unwrap(), learned(golden)).unwrap()
}

/// `a` and `b` of a file.
pub(crate) fn learned(golden: &Golden) -> Parameters {
    let value = |name: &str| Values {
        shape: vec![1],
        values: golden.floats(name),
    };
    [
        ("scale".to_owned(), value("w.negative_scale")),
        ("shift".to_owned(), value("w.shift")),
    ]
    .into()
}

/// Gaussians with the file's draws.
fn drawn(golden: &Golden, mean: &Tensor<2>, log_deviation: &Tensor<2>, side: &str) -> Encoding {
    let epsilon = golden.tensor::<3>(&format!("in.{side}_epsilon")).detach();
    let deviation: Tensor<3> = log_deviation.clone().exp().unsqueeze_dim(1);
    Encoding {
        gaussian: Some(Gaussian {
            samples: Some(epsilon * deviation + mean.clone().unsqueeze_dim(1)),
            ..Gaussian::new(log_deviation.clone())
        }),
        ..Encoding::new(mean.clone().unsqueeze_dim(1), None)
    }
}

/// The gradients of a case's inputs and of `a` and `b`.
pub(crate) fn check_by(
    golden: &Golden,
    case: &str,
    tape: &burn::tensor::Gradients,
    tracked: &[(&str, &Tensor<2>)],
    similarity: &Similarity,
    relative: f32,
) {
    let largest = (tracked.iter())
        .flat_map(|(name, _)| golden.floats(&format!("grad.{case}.in.{name}")))
        .fold(0f32, |m, g| m.max(g.abs()));
    for (name, tensor) in tracked {
        let key = format!("grad.{case}.in.{name}");
        let found = vector(tensor.grad(tape).expect("the input takes part"));
        assert_close(&key, &found, &golden.floats(&key), relative, 1e-5 * largest);
    }
    let learned = match similarity {
        Similarity::MatchProbability(module) => (&module.scale, &module.shift),
        Similarity::ClosedForm(module) => (&module.scale, &module.shift),
        _ => panic!("a similarity that learns"),
    };
    for (name, parameter) in [("w.negative_scale", learned.0), ("w.shift", learned.1)] {
        let key = format!("grad.{case}.{name}");
        let found = vector(parameter.val().grad(tape).expect("it takes part"));
        assert_close(&key, &found, &golden.floats(&key), relative, 1e-4);
    }
}

const RELEASED: MatchProbabilityConfig = MatchProbabilityConfig {
    samples: 4,
    distance: Distance::Euclidean,
    guard: 1e-6,
    logistic: Logistic::Doubled,
    scale: 1.0,
    shift: 1.0,
};

/// The release with as many draws as the file has.
fn released(golden: &Golden) -> MatchProbabilityConfig {
    MatchProbabilityConfig {
        samples: golden.shape("in.img_epsilon")[1],
        ..RELEASED
    }
}

#[test]
fn golden_pcme_loss_and_its_gradients() {
    let golden = Golden::open("u09_pcme_loss.safetensors");
    let similarity = similarity(&golden);
    for case in ["plain", "uniform", "vib", "both"] {
        let key = format!("out.{case}.loss");
        let uniformity = golden.stated(&key, "uniform_lambda");
        let weight = golden.stated(&key, "vib_beta");
        let divergence = (weight > 0.0).then_some(Divergence {
            weight,
            form: DivergenceForm::Released,
        });
        let [means, deviations] = ["mu", "logsigma"].map(|name| {
            ["img", "txt"].map(|side| golden.tensor::<2>(&format!("in.{side}_{name}")))
        });
        let [images, captions] = [("img", 0), ("txt", 1)]
            .map(|(side, at)| drawn(&golden, &means[at], &deviations[at], side));
        let scores = similarity.scores(&images, &captions, &mut Mode::Evaluate);
        let key = "out.match_prob";
        let odds = vector(scores.clone());
        let found: Vec<f32> = odds.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect();
        assert_close(key, &found, &golden.floats(key), 1e-5, 1e-6);
        let objective = SoftContrastive {
            over: Over::Sum,
            pseudo: 0.0,
        };
        let regularizers = Regularizers {
            divergence,
            uniformity,
            ..Regularizers::default()
        };
        let terms = regularizers.terms(&images, &captions, &mut Mode::Evaluate);
        let mut loss = objective.pair_loss(&scores).0.sum();
        for term in [terms.pairs.map(Tensor::sum), terms.batch]
            .into_iter()
            .flatten()
        {
            loss = loss + term;
        }
        let key = format!("out.{case}.loss");
        assert_close(
            &key,
            &vector(loss.clone()),
            &golden.floats(&key),
            1e-5,
            1e-5,
        );
        let tape = loss.backward();
        let tracked = [
            ("img_mu", &means[0]),
            ("txt_mu", &means[1]),
            ("img_logsigma", &deviations[0]),
            ("txt_logsigma", &deviations[1]),
        ];
        check_by(&golden, case, &tape, &tracked, &similarity, 5e-5);
    }
}

#[test]
fn golden_pcme_loss_as_pcmepp_has_it() {
    let golden = Golden::open("u09_pcmepp_mc_loss.safetensors");
    let cases = [("l2", Distance::Euclidean), ("squared", Distance::Squared)];
    for (case, distance) in cases {
        let config = MatchProbabilityConfig {
            distance,
            guard: 0.0,
            ..released(&golden)
        };
        let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
        let space = Space { dim: 1, regions: 1 };
        let built = SimilarityConfig::MatchProbability(config).build(space, &mut init);
        let value = |key: &str| Values {
            shape: vec![1],
            values: vec![golden.number(key) as f32],
        };
        // Shift and scale of this file stand in its index entry.
        let given = [
            ("scale".to_owned(), value("negative_scale")),
            ("shift".to_owned(), value("shift")),
        ];
        let similarity = parameters::import(built.unwrap(), given.into()).unwrap();
        let [means, deviations] = ["mean", "std"].map(|name| {
            ["img", "cap"].map(|side| golden.tensor::<2>(&format!("in.{side}_{name}")))
        });
        let [images, captions] = [("img", 0), ("cap", 1)]
            .map(|(side, at)| drawn(&golden, &means[at], &deviations[at], side));
        let scores = similarity.scores(&images, &captions, &mut Mode::Evaluate);
        let mut loss = SoftContrastive {
            over: Over::Sum,
            pseudo: 0.0,
        }
        .pair_loss(&scores)
        .0
        .sum();
        for (mean, std) in means.iter().zip(&deviations) {
            // Their divergence is that of a log variance, which `std` is taken for.
            let items = Encoding {
                gaussian: Some(Gaussian::new(std.clone() / 2.0)),
                ..Encoding::new(mean.clone().unsqueeze_dim(1), None)
            };
            loss = loss + DivergenceForm::Mean.of(&items).mean() * golden.number("vib_beta");
        }
        let key = format!("out.{case}.loss");
        assert_close(
            &key,
            &vector(loss.clone()),
            &golden.floats(&key),
            1e-5,
            1e-5,
        );
        let tape = loss.backward();
        let tracked = [
            ("img_mean", &means[0]),
            ("cap_mean", &means[1]),
            ("img_std", &deviations[0]),
            ("cap_std", &deviations[1]),
        ];
        check_by(&golden, case, &tape, &tracked, &similarity, 5e-5);
    }
}

#[test]
fn draws_are_needed_to_compare_draws() {
    let config = MatchProbabilityConfig {
        samples: 0,
        ..RELEASED
    };
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let space = Space { dim: 1, regions: 1 };
    let refused = SimilarityConfig::MatchProbability(config).build(space, &mut init);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("samples = 0"), "{message}");
    // A worked example: two draws on either side.
    let similarity = SimilarityConfig::MatchProbability(MatchProbabilityConfig {
        scale: 5.0,
        shift: 5.0,
        ..RELEASED
    })
    .build(space, &mut init)
    .unwrap();
    let draws = |values: [f32; 4]| {
        let samples = Tensor::from_data(TensorData::new(values.to_vec(), [1, 2, 2]), &device());
        Encoding {
            gaussian: Some(Gaussian {
                samples: Some(samples),
                ..Gaussian::new(Tensor::zeros([1, 2], &device()))
            }),
            ..Encoding::new(Tensor::zeros([1, 1, 2], &device()), None)
        }
    };
    let (images, captions) = (draws([0., 0., 1., 0.]), draws([0., 0., 0., 2.]));
    let odds = vector(similarity.scores(&images, &captions, &mut Mode::Evaluate))[0];
    let p = 1.0 / (1.0 + (-odds).exp());
    assert!((p.ln() + 0.980_827_5).abs() < 1e-5, "{p}");
}
