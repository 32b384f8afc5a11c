//! Losses, encoders and optimizers that every method shares.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, GruConfig, InputShape, RegionLinearConfig};
use truepair_model::encoding::{Encoding, Input};
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Linear, Mode};
use truepair_model::objective::{
    ComplementForm, Complementary, Margins, Negatives, PairLoss, Triplet, triplet,
};
use truepair_model::optimizer::{AdamConfig, OptimizerConfig, clip_scale, global_norm};
use truepair_model::parameters::{self, Parameters, Values};
use truepair_model::similarity::{SimilarityConfig, Space};
use truepair_train::strategy::{MarginAxis, NcrConfig, SoftMargin};

use crate::support::{
    Golden, assert_close, check_gradients, device, in_name, loaded, stated, vector,
};

/// A scalar loss and its gradient with respect to the scores against case `case` of a file.
pub(crate) fn check_loss(
    golden: &Golden,
    input: &str,
    case: &str,
    loss: impl Fn(&Tensor<2>) -> Tensor<1>,
) {
    let scores: Tensor<2> = golden.tensor(input);
    let value = loss(&scores);
    let found = vector(value.clone());
    let gradients = value.backward();
    let name = format!("out.{case}.loss");
    assert_close(&name, &found, &golden.floats(&name), 2e-5, 1e-6);
    let name = format!("grad.{case}.{input}");
    let expected = golden.floats(&name);
    let gradient = scores
        .grad(&gradients)
        .expect("the loss depends on the scores");
    assert_close(&name, &vector(gradient), &expected, 5e-5, 1e-6);
}

fn sum(loss: PairLoss) -> Tensor<1> {
    loss.0.sum()
}

/// NCR with the file's margin.
fn ncr(golden: &Golden) -> NcrConfig {
    NcrConfig {
        margin: golden.number("margin"),
        ..NcrConfig::default()
    }
}

#[test]
fn golden_ncr_triplet_losses_and_gradients() {
    let golden = Golden::open("u02_ncr_losses.safetensors");
    let config = ncr(&golden);
    let fixed = Margins::Fixed(config.margin);
    for (case, negatives) in [
        ("warmup", Negatives::Mean),
        ("mean", Negatives::Mean),
        ("hard", Negatives::Hardest),
    ] {
        check_loss(&golden, "in.S", case, |s| {
            sum(triplet(s, &fixed, negatives))
        });
    }
    let found = config.mean_hinge(&golden.floats("in.S"));
    assert_close(
        "eval_loss",
        &found,
        &golden.floats("out.eval_loss"),
        1e-5,
        1e-6,
    );
}

#[test]
fn golden_ncr_soft_margins_of_the_paper_and_of_released_code() {
    let golden = Golden::open("u02_ncr_losses.safetensors");
    let labels = golden.floats("in.y");
    let clean = golden.floats("out.perpair_clean_target");
    let (w, p) = (golden.floats("in.w"), golden.floats("in.P"));
    for (name, soft_margin) in SOFT_MARGINS {
        let with = |margin_axis| NcrConfig {
            soft_margin,
            margin_axis,
            base: golden.number("m (exponential base)"),
            ..ncr(&golden)
        };
        let hard = |s: &Tensor<2>, margins| triplet(s, &margins, Negatives::Hardest);
        let paper = with(MarginAxis::Anchor);
        for (case, labels) in [("perpair", &labels), ("perpair_clean", &clean)] {
            let case = format!("{case}_{name}");
            check_loss(&golden, "in.S", &case, |s| {
                sum(hard(s, paper.margins(labels, s)))
            });
            let scores = golden.tensor("in.S");
            let found = vector(hard(&scores, paper.margins(labels, &scores)).0);
            let key = format!("out.{case}.per_sample");
            assert_close(&key, &found, &golden.floats(&key), 1e-5, 1e-6);
        }
        for (case, axis) in [
            ("head_vec", MarginAxis::Column),
            ("head_col", MarginAxis::Row),
        ] {
            let config = with(axis);
            let case = format!("{case}_{name}");
            check_loss(&golden, "in.S", &case, |s| {
                sum(hard(s, config.margins(&labels, s)))
            });
        }
        let case = format!("head_mat_{name}");
        check_loss(&golden, "in.S", &case, |s| {
            sum(hard(s, paper.outer_margins(&w, &p, s)))
        });
    }
}

const SOFT_MARGINS: [(&str, SoftMargin); 3] = [
    ("linear", SoftMargin::Linear),
    ("exponential", SoftMargin::Exponential),
    ("sin", SoftMargin::Sine),
];

#[test]
fn golden_ncr_margin_table() {
    let golden = Golden::open("u02_ncr_margin_table.safetensors");
    let labels = golden.floats("in.y");
    let tensors = golden.tensors();
    let margins = tensors
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix("in.margin_"));
    let mut n_checked = 0;
    for suffix in margins {
        let margin = f64::from(golden.floats(&format!("in.margin_{suffix}"))[0]);
        for (name, soft_margin) in SOFT_MARGINS {
            let config = NcrConfig {
                margin,
                soft_margin,
                ..NcrConfig::default()
            };
            let found: Vec<f32> = labels
                .iter()
                .map(|y| config.soft_margin_at(f64::from(*y)) as f32)
                .collect();
            let key = format!("out.margin_{name}_{suffix}");
            assert_close(&key, &found, &golden.floats(&key), 1e-5, 1e-6);
            n_checked += 1;
        }
    }
    assert!(n_checked > 0, "the file holds no margin");
}

#[test]
fn golden_ncr_prediction() {
    let golden = Golden::open("u02_ncr_predict.safetensors");
    let config = ncr(&golden);
    let tensors = golden.tensors();
    let cases: Vec<&str> = (tensors.names().into_iter())
        .filter_map(|name| name.strip_prefix("in.S_"))
        .collect();
    assert!(cases.len() >= 3, "{cases:?}");
    for case in cases {
        let found = config.predict(&golden.floats(&format!("in.S_{case}")));
        let key = format!("out.P_{case}");
        let mut expected = golden.floats(&key);
        // Where the reference divides 0 by 0, every label is 0.
        expected
            .iter_mut()
            .filter(|p| p.is_nan())
            .for_each(|p| *p = 0.0);
        assert_close(&key, &found, &expected, 1e-5, 1e-5);
    }
}

#[test]
fn golden_rcl_forms() {
    let golden = Golden::open("u04_rcl.safetensors");
    let forms = [
        ("log", ComplementForm::Log),
        ("tan", ComplementForm::Tan),
        ("abs", ComplementForm::Mae),
        ("exp", ComplementForm::Exp),
        ("gce", ComplementForm::Gce),
    ];
    for temperature in golden.numbers("tau") {
        let suffix = in_name(temperature);
        for (name, form) in forms {
            let objective = Complementary {
                form,
                temperature,
                q: golden.number("q"),
            };
            let case = format!("{name}_tau{suffix}");
            check_loss(&golden, "in.S", &case, |s| {
                objective.pair_loss(s, None).0.mean()
            });
        }
    }
    let random = golden.floats("in.rand");
    let b = golden.shape("in.rand")[0];
    for (name, form) in [("log", ComplementForm::Log), ("gce", ComplementForm::Gce)] {
        let case = format!("{name}_ratio");
        let stated = |key: &str| golden.stated(&format!("out.{case}.loss"), key);
        let objective = Complementary {
            form,
            temperature: stated("tau"),
            q: stated("q"),
        };
        let used = (stated("ratio") * b as f64) as usize;
        let mask = largest_off_diagonal(&random, b, used);
        check_loss(&golden, "in.S", &case, |s| {
            let mask = Tensor::from_data(TensorData::new(mask.clone(), [b, b]), &device());
            objective.pair_loss(s, Some(mask)).0.mean()
        });
    }
}

/// 1 at the `k` largest entries of every row that are not on the diagonal.
fn largest_off_diagonal(values: &[f32], b: usize, k: usize) -> Vec<f32> {
    let mut mask = vec![0.0; b * b];
    for i in 0..b {
        let mut columns: Vec<usize> = (0..b).filter(|&j| j != i).collect();
        columns.sort_by(|&x, &y| values[i * b + y].total_cmp(&values[i * b + x]));
        columns.iter().take(k).for_each(|&j| mask[i * b + j] = 1.0);
    }
    mask
}

#[test]
fn golden_vse_scores_and_losses() {
    let golden = Golden::open("u06_vsepp_loss.safetensors");
    let cases = [
        ("cosine", "in.img", "in.cap"),
        ("order", "in.img_abs", "in.cap_abs"),
    ];
    for (kind, image, caption) in cases {
        let config = SimilarityConfig::all()
            .into_iter()
            .find(|row| row.0 == kind)
            .unwrap()
            .2;
        let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
        let space = Space {
            dim: golden.shape(image)[1],
            regions: 1,
        };
        let similarity = config.build(space, &mut init).unwrap();
        let (images, captions): (Tensor<2>, Tensor<2>) =
            (golden.tensor(image), golden.tensor(caption));
        let encoding = |values: &Tensor<2>| Encoding::new(values.clone().unsqueeze_dim(1), None);
        let scores = similarity.scores(
            &encoding(&images),
            &encoding(&captions),
            &mut Mode::Evaluate,
        );
        let key = format!("out.{kind}.S");
        assert_close(
            &key,
            &vector(scores.clone()),
            &golden.floats(&key),
            1e-5,
            1e-6,
        );
        let objective = Triplet {
            margin: golden.number(&format!("margin {kind}")),
            negatives: Negatives::Hardest,
        };
        let loss = sum(objective.pair_loss(&scores));
        let key = format!("out.{kind}_max.loss");
        assert_close(&key, &vector(loss), &golden.floats(&key), 1e-5, 1e-6);
    }
}

#[test]
fn golden_region_projection() {
    let golden = Golden::open("u01_sgraf_image_encoder.safetensors");
    let [_, _, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    let dim = golden.shape("w.fc.weight")[0];
    let config = BackboneConfig::RegionLinear(RegionLinearConfig { dim });
    let weights = Parameters::from([
        ("fc.weight".to_owned(), golden.values("w.fc.weight")),
        ("fc.bias".to_owned(), golden.values("w.fc.bias")),
    ]);
    let backbone = loaded(&config, InputShape::Features { width, regions: 1 }, weights);
    let encoded = backbone.encode(
        &Input::Features {
            values: golden.tensor("in.images"),
            mask: None,
        },
        &mut Mode::Evaluate,
    );
    let expected = golden.floats("out.img_emb");
    assert_close(
        "img_emb",
        &vector(encoded.values.clone()),
        &expected,
        1e-5,
        1e-6,
    );
    let loss = (encoded.values * golden.tensor("in.cotangent")).sum();
    let names = [("fc.weight", "w.fc.weight"), ("fc.bias", "w.fc.bias")];
    check_gradients(&golden, &backbone, loss, &names);
}

#[test]
fn golden_bidirectional_gru_and_its_gradients() {
    let golden = Golden::open("u01_sgraf_text_encoder.safetensors");
    let [vocabulary, word_dim] = golden.shape("w.embed.weight")[..] else {
        panic!("two axes")
    };
    let dim = golden.shape("w.cap_rnn.weight_hh_l0")[1];
    let mut names: Vec<(String, String)> = vec![("embed".into(), "w.embed.weight".into())];
    for (direction, suffix) in [("forward", ""), ("backward", "_reverse")] {
        for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
            names.push((
                format!("{direction}.{part}"),
                format!("w.cap_rnn.{part}_l0{suffix}"),
            ));
        }
    }
    let names: Vec<(&str, &str)> = names
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let weights = names
        .iter()
        .map(|(ours, theirs)| ((*ours).to_owned(), golden.values(theirs)))
        .collect();
    let config = BackboneConfig::Gru(GruConfig {
        word_dim,
        dim,
        dropout: 0.0,
        ..GruConfig::default()
    });
    let backbone = loaded(&config, InputShape::Tokens(vocabulary), weights);

    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
    let lengths = golden.integers("in.lengths");
    let mask: Vec<f32> = (0..n * t)
        .map(|at| f32::from((at % t) < lengths[at / t] as usize))
        .collect();
    let input = Input::Tokens {
        ids: Tensor::<2, Int>::from_data(ids, &device()),
        mask: Tensor::from_data(TensorData::new(mask, [n, t]), &device()),
    };
    let encoded = backbone.encode(&input, &mut Mode::Evaluate);
    let expected = golden.floats("out.cap_emb");
    assert_close(
        "cap_emb",
        &vector(encoded.values.clone()),
        &expected,
        1e-5,
        1e-6,
    );
    let loss = (encoded.values * golden.tensor("in.cotangent")).sum();
    check_gradients(&golden, &backbone, loss, &names);
}

#[test]
fn golden_adam_and_adamw_trajectories() {
    let golden = Golden::open("u10_torch_optim.safetensors");
    let setting = |case: &str, key: &str| stated(golden.setting(case).as_str().unwrap(), key);
    let config = |case: &str| AdamConfig {
        rate: (setting(case, "lr")).unwrap_or_else(|| setting("adam", "lr").unwrap()),
        weight_decay: setting(case, "weight_decay").unwrap_or(0.0),
        beta1: setting(case, "betas").unwrap_or(AdamConfig::default().beta1),
        ..AdamConfig::default()
    };
    let adam = (golden.cases("out.adam", ".w").into_iter()).map(|rest| format!("adam{rest}"));
    let cases = adam.map(|case| {
        let config = config(&case);
        let optimizer = if case.starts_with("adamw") {
            OptimizerConfig::AdamW(config)
        } else {
            OptimizerConfig::Adam(config)
        };
        (case, optimizer)
    });
    let [steps, rows, columns] = golden.shape("in.grads")[..] else {
        panic!("three axes")
    };
    let gradients = golden.floats("in.grads");
    for (case, config) in cases {
        let mut layer = Linear::new(
            &mut Init::new(Seed(0).stream("init", &[]), device(), Precision::F32),
            columns,
            rows,
        );
        layer = parameters::import(
            layer,
            Parameters::from([
                ("weight".to_owned(), golden.values("in.w0")),
                (
                    "bias".to_owned(),
                    Values {
                        shape: vec![rows],
                        values: vec![0.0; rows],
                    },
                ),
            ]),
        )
        .unwrap();
        let mut optimizer = config.build();
        let key = format!("out.{case}.w");
        let expected = golden.floats(&key);
        for step in 0..steps {
            let n = rows * columns;
            let gradient = gradients[step * n..][..n].to_vec();
            let gradient: Tensor<2> =
                Tensor::from_data(TensorData::new(gradient, [rows, columns]), &device());
            let mut tape = (layer.weight.val() * gradient).sum().backward();
            (layer, _) = optimizer.step(layer, &mut tape, 1.0, None);
            let found = vector(layer.weight.val());
            assert_close(&key, &found, &expected[step * n..][..n], 1e-5, 2e-6);
        }
    }
}

#[test]
fn golden_gradient_clipping() {
    let golden = Golden::open("u10_clip_grad.safetensors");
    let gradients = [golden.floats("in.g0"), golden.floats("in.g1")];
    let norm = global_norm(gradients.iter().map(Vec::as_slice));
    for limit in golden.numbers("max_norm") {
        let case = format!("c{}", in_name(limit));
        let key = format!("out.{case}.norm");
        assert_close(&key, &[norm as f32], &golden.floats(&key), 1e-6, 1e-6);
        let scale = clip_scale(norm, limit) as f32;
        for (at, gradient) in gradients.iter().enumerate() {
            let found: Vec<f32> = gradient.iter().map(|g| g * scale).collect();
            let key = format!("out.{case}.g{at}");
            assert_close(&key, &found, &golden.floats(&key), 1e-5, 1e-6);
        }
    }
}
