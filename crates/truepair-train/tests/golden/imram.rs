//! IMRAM: complete models of all three modes, with the gradients of all weights.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, GruConfig, InputShape, RegionLinearConfig};
use truepair_model::encoding::Input;
use truepair_model::kernel::Precision;
use truepair_model::layer::Mode;
use truepair_model::matcher::{Matcher, MatcherConfig};
use truepair_model::objective::{Negatives, Triplet};
use truepair_model::parameters;
use truepair_model::similarity::{ImramConfig, ImramMode, SimilarityConfig};
use truepair_train::published::Names;
use truepair_train::published::imram::names;

use crate::cases::weights;
use crate::scan::mask;
use crate::support::{Golden, assert_close, device, vector};

/// The model of a file with its weights and their names; those that the mode does not use are left
/// out.
fn matcher(golden: &Golden, similarity: ImramConfig) -> (Matcher, Names) {
    let [_, regions, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    let dim = golden.shape("w.img_enc.fc_local.bias")[0];
    let [vocabulary, word_dim] = golden.shape("w.txt_enc.embed.weight")[..] else {
        panic!("two axes")
    };
    let config = MatcherConfig::new(
        BackboneConfig::RegionLinear(RegionLinearConfig { dim }),
        BackboneConfig::Gru(GruConfig {
            word_dim,
            dim,
            dropout: 0.0,
            ..GruConfig::default()
        }),
        SimilarityConfig::Imram(similarity),
    );
    let (image, caption) = (
        InputShape::Features { width, regions },
        InputShape::Tokens(vocabulary),
    );
    let matcher = (config.build(image, caption, Seed(0), &device(), Precision::F32)).unwrap();
    let names = names(&config);
    let matcher = parameters::import(matcher, weights(golden, &names)).unwrap();
    (matcher, names)
}

fn official_names(golden: &Golden) -> Vec<String> {
    (golden.tensors().names().into_iter())
        .filter_map(|name| name.strip_prefix("w.").map(str::to_owned))
        .collect()
}

fn inputs(golden: &Golden) -> (Tensor<3>, Input, Input) {
    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
    let images: Tensor<3> = golden.tensor("in.images");
    let features = Input::Features {
        values: images.clone(),
        mask: None,
    };
    let tokens = Input::Tokens {
        ids: Tensor::<2, Int>::from_data(ids, &device()),
        mask: mask(&golden.integers("in.lengths"), t),
    };
    (images, features, tokens)
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        self.found
            .push(vector(gradient.expect("every weight takes part")));
    }
}

/// What the index says of the file.
fn settings(golden: &Golden) -> ImramConfig {
    ImramConfig {
        smooth: golden.number("lambda_softmax"),
        steps: golden.count("iteration_step"),
        ..ImramConfig::default()
    }
}

/// Scores and loss of one case, and the gradients of the images and of every weight.
fn check(golden: &Golden, mode: ImramMode, case: &str, normalize_query: bool) {
    let config = ImramConfig {
        mode,
        normalize_query,
        ..settings(golden)
    };
    let (matcher, names) = matcher(golden, config);
    let (images, features, tokens) = inputs(golden);
    let scores = matcher.scores(&features, &tokens, &mut Mode::Evaluate);
    let key = format!("out.{case}.S");
    let expected = golden.floats(&key);
    assert_close(&key, &vector(scores.clone()), &expected, 1e-5, 1e-6);
    let objective = Triplet {
        margin: golden.stated(&format!("out.{case}.loss"), "margin"),
        negatives: Negatives::Hardest,
    };
    let loss = objective.pair_loss(&scores).0.sum();
    let key = format!("out.{case}.loss");
    assert_close(
        &key,
        &vector(loss.clone()),
        &golden.floats(&key),
        2e-5,
        1e-5,
    );
    let tape = loss.backward();
    let key = format!("grad.{case}.in.images");
    let found = vector(images.grad(&tape).unwrap());
    assert_close(&key, &found, &golden.floats(&key), 1e-4, 1e-5);
    let mut collect = Collect {
        gradients: &tape,
        found: Vec::new(),
    };
    matcher.visit(&mut collect);
    let order = parameters::names(&matcher);
    assert_eq!(order.len(), names.len());
    for official in official_names(golden) {
        let key = format!("grad.{case}.w.{official}");
        let expected = golden.floats(&key);
        let used = names.iter().find(|(_, theirs)| *theirs == official);
        let at = used.and_then(|(ours, _)| order.iter().position(|name| name == ours));
        match at {
            Some(at) => assert_close(&key, &collect.found[at], &expected, 1e-4, 1e-5),
            None => assert!(expected.iter().all(|g| *g == 0.0), "{key} is in use"),
        }
    }
}

/// The score of step k is the difference of models with k and with k - 1 steps.
fn check_steps(golden: &Golden, mode: ImramMode, side: &str, normalize_query: bool) {
    let (_, features, tokens) = inputs(golden);
    let scores = |steps| {
        let config = ImramConfig {
            mode,
            steps,
            normalize_query,
            ..settings(golden)
        };
        let (matcher, _) = matcher(golden, config);
        vector(matcher.scores(&features, &tokens, &mut Mode::Evaluate))
    };
    let mut before = vec![0.0; golden.floats("out.norm.S").len()];
    for step in 1..=golden.count("iteration_step") {
        let now = scores(step);
        let found: Vec<f32> = now.iter().zip(&before).map(|(a, b)| a - b).collect();
        let key = format!("out.norm.{side}_step{step}");
        assert_close(&key, &found, &golden.floats(&key), 1e-5, 1e-6);
        before = now;
    }
}

#[test]
fn golden_imram_text() {
    let golden = Golden::open("u07_imram_text.safetensors");
    check(&golden, ImramMode::Text, "norm", true);
    check(&golden, ImramMode::Text, "no_norm", false);
    check_steps(&golden, ImramMode::Text, "text", true);
}

#[test]
fn golden_imram_image() {
    let golden = Golden::open("u07_imram_image.safetensors");
    check(&golden, ImramMode::Image, "norm", true);
    check(&golden, ImramMode::Image, "no_norm", false);
    check_steps(&golden, ImramMode::Image, "image", true);
}

#[test]
fn golden_imram_full() {
    let golden = Golden::open("u07_imram_full.safetensors");
    check(&golden, ImramMode::Full, "norm", true);
    check(&golden, ImramMode::Full, "no_norm", false);
    check_steps(&golden, ImramMode::Text, "text", true);
    check_steps(&golden, ImramMode::Image, "image", true);
}
