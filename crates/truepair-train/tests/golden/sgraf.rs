//! SGR and SAF: global vectors, heads, and whole models from features and tokens to the loss.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Int, Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, GruConfig, InputShape, RegionLinearConfig};
use truepair_model::encoding::{Encoding, Input};
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::matcher::{Matcher, MatcherConfig};
use truepair_model::objective::{Negatives, Triplet};
use truepair_model::parameters::{self, Parameters};
use truepair_model::similarity::sgraf::published::{self, Renamed};
use truepair_model::similarity::sgraf::{TextGlobal, VisualGlobal};
use truepair_model::similarity::{SafConfig, SgrConfig, SimilarityConfig, Space};

use crate::support::{Golden, assert_close, device, vector};

fn init() -> Init {
    Init::new(Seed(0).stream("init", &[]), device(), Precision::F32)
}

/// Runs `check` in evaluation and in training mode; nothing is dropped.
fn in_both_modes(mut check: impl FnMut(&str, &mut Mode<'_>)) {
    check("eval.", &mut Mode::Evaluate);
    let mut rng = Seed(0).stream("dropout", &[]);
    check("train.", &mut Mode::Train(&mut rng));
}

fn weights(golden: &Golden, names: &[Renamed]) -> Parameters {
    (names.iter())
        .map(|(theirs, ours)| (ours.clone(), golden.values(&format!("w.{theirs}"))))
        .collect()
}

/// A value, the loss, the gradients of inputs and weights, and the running statistics of `case`.
fn check(
    golden: &Golden,
    case: &str,
    value: (&str, Vec<f32>),
    loss: Tensor<1>,
    inputs: &[(&str, &Tensor<3>)],
    module: &impl Module,
    names: &[Renamed],
) {
    let key = format!("out.{case}{}", value.0);
    assert_close(&key, &value.1, &golden.floats(&key), 1e-5, 1e-6);
    let key = format!("out.{case}loss");
    assert_close(
        &key,
        &vector(loss.clone()),
        &golden.floats(&key),
        1e-4,
        1e-5,
    );
    let tape = loss.backward();
    let mut found = Vec::new();
    for (name, input) in inputs {
        let gradient = vector(input.grad(&tape).expect("the loss reads its inputs"));
        found.push((format!("grad.{case}{name}"), gradient));
    }
    let mut collect = Collect {
        tape: &tape,
        values: Vec::new(),
    };
    module.visit(&mut collect);
    for (name, (value, gradient)) in parameters::names(module).iter().zip(collect.values) {
        let theirs = &names.iter().find(|(_, ours)| ours == name).unwrap().0;
        if theirs.contains("running") {
            let key = match case {
                "train." => format!("out.train.{theirs}"),
                _ => format!("w.{theirs}"),
            };
            assert_close(&key, &value, &golden.floats(&key), 1e-5, 1e-6);
        } else {
            let gradient = gradient.expect("every weight takes part");
            found.push((format!("grad.{case}w.{theirs}"), gradient));
        }
    }
    let expected: Vec<Vec<f32>> = found.iter().map(|(key, _)| golden.floats(key)).collect();
    let largest = expected.iter().flatten().fold(0f32, |m, g| m.max(g.abs()));
    for ((key, gradient), expected) in found.iter().zip(&expected) {
        assert_close(key, gradient, expected, 2e-5, 1e-6 + 1e-5 * largest);
    }
}

/// Every parameter's value and its gradient, if it has one.
struct Collect<'a> {
    tape: &'a Gradients,
    values: Vec<(Vec<f32>, Option<Vec<f32>>)>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let gradient = value.grad(self.tape).map(vector);
        self.values.push((vector(value), gradient));
    }
}

fn layer(theirs: &str, ours: &str) -> Vec<Renamed> {
    ["weight", "bias"]
        .map(|part| (format!("{theirs}.{part}"), format!("{ours}.{part}")))
        .to_vec()
}

fn global_layers() -> Vec<Renamed> {
    [
        layer("embedding_local.0", "local"),
        layer("embedding_global.0", "global"),
        layer("embedding_common.0", "attention"),
    ]
    .concat()
}

fn plain(values: &Tensor<3>) -> Encoding {
    Encoding::new(values.clone(), None)
}

#[test]
fn golden_global_vector_of_an_image() {
    let golden = Golden::open("u01_sgraf_visual_sa.safetensors");
    let mut names = global_layers();
    for part in ["local", "global"] {
        for state in ["weight", "bias", "running_mean", "running_var"] {
            names.push((
                format!("embedding_{part}.1.{state}"),
                format!("{part}_norm.{state}"),
            ));
        }
    }
    in_both_modes(|case, mode| {
        let regions: Tensor<3> = golden.tensor("in.local");
        let [_, slots, dim] = regions.dims();
        let module = VisualGlobal::new(&mut init(), dim, slots, 0.0);
        let module = parameters::import(module, weights(&golden, &names)).unwrap();
        let found = module.forward(&plain(&regions), mode);
        let loss = (found.clone() * golden.tensor("in.cotangent")).sum();
        let value = ("img_glo", vector(found));
        let inputs = [("in.local", &regions)];
        check(&golden, case, value, loss, &inputs, &module, &names);
    });
}

#[test]
fn golden_global_vector_of_a_caption() {
    let golden = Golden::open("u01_sgraf_text_sa.safetensors");
    let names = global_layers();
    let words: Tensor<3> = golden.tensor("in.local");
    let module = TextGlobal::new(&mut init(), words.dims()[2], 0.0);
    let module = parameters::import(module, weights(&golden, &names)).unwrap();
    let found = module.forward(&plain(&words), &mut Mode::Evaluate);
    let loss = (found.clone() * golden.tensor("in.cotangent")).sum();
    let value = ("cap_glo", vector(found));
    let inputs = [("in.local", &words)];
    check(&golden, "", value, loss, &inputs, &module, &names);
}

/// 1 for the first `lengths` of every row of `t`.
fn mask(lengths: &[i64], t: usize) -> Tensor<2> {
    let values: Vec<f32> = (lengths.iter())
        .flat_map(|&length| (0..t).map(move |at| f32::from(at < length as usize)))
        .collect();
    Tensor::from_data(TensorData::new(values, [lengths.len(), t]), &device())
}

fn sgr(golden: &Golden, prefix: &str) -> (SimilarityConfig, Vec<Renamed>) {
    let [sim_dim, _] = golden.shape(&format!("w.{prefix}sim_tranloc_w.weight"))[..] else {
        panic!("two axes")
    };
    let step = |at: usize| format!("w.{prefix}SGR_module.{at}.graph_key_w.bias");
    let steps = (0..)
        .take_while(|&at| golden.tensors().tensor(&step(at)).is_ok())
        .count();
    let config = SgrConfig {
        sim_dim,
        steps,
        smooth: golden.number_or("smooth", SgrConfig::default().smooth),
        dropout: 0.0,
    };
    (SimilarityConfig::Sgr(config), published::sgr(steps))
}

fn saf(golden: &Golden, prefix: &str) -> (SimilarityConfig, Vec<Renamed>) {
    let [sim_dim, _] = golden.shape(&format!("w.{prefix}sim_tranloc_w.weight"))[..] else {
        panic!("two axes")
    };
    let config = SafConfig {
        sim_dim,
        smooth: golden.number_or("smooth", SafConfig::default().smooth),
        dropout: 0.0,
        ..SafConfig::default()
    };
    (SimilarityConfig::Saf(config), published::saf())
}

fn check_head(golden: &Golden, (config, names): (SimilarityConfig, Vec<Renamed>)) {
    let names: Vec<Renamed> = (names.iter())
        .filter_map(|(theirs, ours)| {
            let theirs = theirs.strip_prefix("sim_enc.")?;
            let ours = ours.strip_prefix("similarity.")?;
            Some((theirs.to_owned(), ours.to_owned()))
        })
        .collect();
    in_both_modes(|case, mode| {
        let images: Tensor<3> = golden.tensor("in.img_emb");
        let words: Tensor<3> = golden.tensor("in.cap_emb");
        let [_, regions, dim] = images.dims();
        let module = config.build(Space { dim, regions }, &mut init()).unwrap();
        let module = parameters::import(module, weights(golden, &names)).unwrap();
        let mask = mask(&golden.integers("in.lengths"), words.dims()[1]);
        let captions = Encoding::new(words.clone() * mask.clone().unsqueeze_dim(2), Some(mask));
        let scores = module.scores(&plain(&images), &captions, mode);
        let loss = (scores.clone() * golden.tensor("in.cotangent")).sum();
        let inputs = [("in.img_emb", &images), ("in.cap_emb", &words)];
        let value = ("S", vector(scores));
        check(golden, case, value, loss, &inputs, &module, &names);
    });
}

#[test]
fn golden_sgr_head() {
    let golden = Golden::open("u01_sgr_head.safetensors");
    check_head(&golden, sgr(&golden, ""));
}

#[test]
fn golden_saf_head() {
    let golden = Golden::open("u01_saf_head.safetensors");
    check_head(&golden, saf(&golden, ""));
}

fn whole_model(golden: &Golden, similarity: SimilarityConfig, names: &[Renamed]) -> Matcher {
    let [_, regions, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    let dim = golden.shape("w.img_enc.fc.weight")[0];
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
        similarity,
    );
    let (image, caption) = (
        InputShape::Features { width, regions },
        InputShape::Tokens(vocabulary),
    );
    let matcher = config
        .build(image, caption, Seed(0), &device(), Precision::F32)
        .unwrap();
    parameters::import(matcher, weights(golden, names)).unwrap()
}

fn check_whole_model(golden: &Golden, (similarity, names): (SimilarityConfig, Vec<Renamed>)) {
    in_both_modes(|case, mode| {
        let matcher = whole_model(golden, similarity.clone(), &names);
        let features: Tensor<3> = golden.tensor("in.images");
        let images = Input::Features {
            values: features.clone(),
            mask: None,
        };
        let [n, t] = golden.shape("in.captions")[..] else {
            panic!("two axes")
        };
        let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
        let captions = Input::Tokens {
            ids: Tensor::<2, Int>::from_data(ids, &device()),
            mask: mask(&golden.integers("in.lengths"), t),
        };
        let scores = matcher.scores(&images, &captions, mode);
        let objective = Triplet {
            margin: golden.number("margin"),
            negatives: Negatives::Hardest,
        };
        let loss = objective.pair_loss(&scores).0.sum();
        let value = ("S", vector(scores));
        let inputs = [("in.images", &features)];
        check(golden, case, value, loss, &inputs, &matcher, &names);
    });
}

#[test]
fn golden_sgr_from_features_and_tokens_to_the_loss() {
    let golden = Golden::open("u01_sgr_full.safetensors");
    check_whole_model(&golden, sgr(&golden, "sim_enc."));
}

#[test]
fn golden_saf_from_features_and_tokens_to_the_loss() {
    let golden = Golden::open("u01_saf_full.safetensors");
    check_whole_model(&golden, saf(&golden, "sim_enc."));
}
