//! MRL: losses of two and three modalities, and whole networks, with every gradient.

use burn::tensor::{Gradients, Tensor};
use truepair_core::rng::Seed;
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::parameters;
use truepair_train::labeled::{
    CrossEntropyConfig, InputScale, LabelMethodConfig, LabelNetworks, LabelView, MrlConfig,
    NetworkConfig, SelfTerm, multimodal_contrastive, one_hot, robust_clustering,
};

use crate::support::{Golden, assert_close, device, in_name, vector};

/// Embeddings or inputs, one-hot labels and centers of `m` modalities.
struct Case {
    inputs: Vec<Tensor<2>>,
    targets: Vec<Tensor<2>>,
    centers: Tensor<2>,
}

/// A loss of a case, as a function so that every part has a graph of its own.
type Loss<'a> = &'a dyn Fn(&Case) -> Tensor<1>;

fn case(golden: &Golden, input: &str, m: usize) -> Case {
    let centers: Tensor<2> = golden.tensor("w.C");
    let k = centers.dims()[1];
    let target = |at: usize| {
        let labels = golden.integers(&format!("in.label{at}"));
        let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        one_hot(&labels, k, &device())
    };
    Case {
        inputs: (0..m)
            .map(|at| golden.tensor(&format!("in.{input}{at}")))
            .collect(),
        targets: (0..m).map(target).collect(),
        centers,
    }
}

fn check_value(golden: &Golden, name: &str, found: Tensor<1>) {
    let key = format!("out.{name}");
    assert_close(&key, &vector(found), &golden.floats(&key), 1e-5, 1e-6);
}

fn check_gradient<const D: usize>(golden: &Golden, key: &str, x: &Tensor<D>, tape: &Gradients) {
    let expected = golden.floats(key);
    let found = match x.grad(tape) {
        Some(gradient) => vector(gradient),
        // A tensor that takes no part has no gradient; the source records zeros.
        None => vec![0.0; expected.len()],
    };
    assert_close(key, &found, &expected, 2e-5, 1e-6);
}

fn mrl(golden: &Golden, temperature: f64) -> LabelMethodConfig {
    LabelMethodConfig::Mrl(MrlConfig {
        beta: golden.number("beta"),
        temperature,
        contrastive_temperature: temperature,
        self_term: SelfTerm::Excluded,
    })
}

fn clustering(case: &Case, temperature: f64) -> Tensor<1> {
    let each = case.inputs.iter().zip(&case.targets);
    let losses = each.map(|(z, y)| robust_clustering(z, &case.centers, y, temperature).mean());
    losses.reduce(|a, b| a + b).unwrap()
}

#[test]
fn golden_losses_of_two_and_three_modalities() {
    for (name, m) in [("2view", 2), ("3view", 3)] {
        let golden = Golden::open(&format!("u11_mrl_loss_{name}.safetensors"));
        for temperature in golden.numbers("tau") {
            let key = format!("tau{}", in_name(temperature));
            let parts: [(&str, Loss<'_>); 3] = [
                ("rc", &|case| clustering(case, temperature)),
                ("mc", &|case| {
                    multimodal_contrastive(&case.inputs, temperature, SelfTerm::Excluded).mean()
                }),
                ("loss", &|case| {
                    let view = view(case);
                    mrl(&golden, temperature).item_loss(&view).0.mean()
                }),
            ];
            for (part, loss) in parts {
                let case = case(&golden, "feature", m);
                let value = loss(&case);
                check_value(&golden, &format!("{key}.{part}"), value.clone());
                let tape = value.backward();
                let key = format!("grad.{key}.{part}");
                check_gradient(&golden, &format!("{key}.w.C"), &case.centers, &tape);
                for (at, input) in case.inputs.iter().enumerate() {
                    let key = format!("{key}.in.feature{at}");
                    check_gradient(&golden, &key, input, &tape);
                }
            }
        }
        check_cross_entropy(&golden, &case(&golden, "feature", m));
    }
}

/// Cross-entropy alone, and with the released program's share of contrast.
fn check_cross_entropy(golden: &Golden, case: &Case) {
    let beta = golden.number("beta");
    let contrastive_temperature = golden.numbers("tau")[0];
    let loss = |beta: f64| {
        let config = LabelMethodConfig::CrossEntropy(CrossEntropyConfig {
            beta,
            temperature: 1.0,
            contrastive_temperature,
            ..CrossEntropyConfig::default()
        });
        config.item_loss(&view(case)).0.mean()
    };
    check_value(golden, "ce", loss(1.0));
    let contrast = format!("out.tau{}.mc", in_name(contrastive_temperature));
    let [entropy, contrast] =
        ["out.ce", contrast.as_str()].map(|name| f64::from(golden.floats(name)[0]));
    let both = beta * entropy + (1.0 - beta) * contrast;
    let found = vector(loss(beta));
    assert_close("ce and mc", &found, &[both as f32], 1e-5, 1e-6);
}

fn view(case: &Case) -> LabelView<'_> {
    LabelView {
        embeddings: &case.inputs,
        centers: case.centers.clone(),
        head: None,
        targets: &case.targets,
        epoch: 0,
    }
}

#[test]
fn golden_networks_with_all_gradients() {
    let golden = Golden::open("u11_mrl_network.safetensors");
    for m in [2, 3] {
        let case = case(&golden, "x", m);
        let widths: Vec<usize> = case.inputs.iter().map(|x| x.dims()[1]).collect();
        let [dim, k] = case.centers.dims();
        let config = NetworkConfig {
            hidden: golden.shape("w.net0.fc1.bias")[0],
            dim,
            dropout: 0.0,
            input: InputScale::Raw,
        };
        let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
        let fresh = LabelNetworks::new(&config, &widths, k, false, &mut init);
        let mut weights = parameters::export(&fresh);
        let layers = [("first", "fc1"), ("second", "fc2"), ("third", "fc3")];
        for at in 0..m {
            for (ours, theirs) in layers {
                for part in ["weight", "bias"] {
                    let values = golden.values(&format!("w.net{at}.{theirs}.{part}"));
                    weights.insert(format!("networks.{at}.{ours}.{part}"), values);
                }
            }
        }
        weights.insert("centers".into(), golden.values("out.C_normalised"));
        let networks = parameters::import(fresh, weights).unwrap();
        let embeddings = networks.embed(&case.inputs, &mut Mode::Evaluate);
        for (at, embedding) in embeddings.iter().enumerate() {
            let key = format!("out.feature{at}");
            assert_close(
                &key,
                &vector(embedding.clone()),
                &golden.floats(&key),
                1e-5,
                1e-6,
            );
        }
        let view = LabelView {
            embeddings: &embeddings,
            centers: networks.centers.val(),
            head: None,
            targets: &case.targets,
            epoch: 0,
        };
        let loss = mrl(&golden, golden.number("tau")).item_loss(&view).0.mean();
        check_value(&golden, &format!("view{m}.loss"), loss.clone());
        let tape = loss.backward();
        let key = format!("grad.view{m}");
        check_gradient(
            &golden,
            &format!("{key}.w.C"),
            &networks.centers.val(),
            &tape,
        );
        for (at, network) in networks.networks.iter().enumerate() {
            check_gradient(&golden, &format!("{key}.in.x{at}"), &case.inputs[at], &tape);
            for (layer, name) in [&network.first, &network.second, &network.third]
                .into_iter()
                .zip(["fc1", "fc2", "fc3"])
            {
                let key = format!("{key}.w.net{at}.{name}");
                check_gradient(
                    &golden,
                    &format!("{key}.weight"),
                    &layer.weight.val(),
                    &tape,
                );
                check_gradient(&golden, &format!("{key}.bias"), &layer.bias.val(), &tape);
            }
        }
    }
}
