//! Methods that read the structure of a batch: GSC, SPS, BiCro and L2RM.

use burn::tensor::{Tensor, TensorData};
use truepair_core::mixture::GaussianConfig;
use truepair_model::encoding::Structure;
use truepair_model::objective::{
    PairLoss, PartialTransport, StructureDirection, asymmetry, modality_gap,
    neighborhood_agreement, structural, symmetric_cross_entropy, symmetric_divergence,
};
use truepair_train::strategy::{BicroConfig, GscConfig, Opinion, Square};

use crate::support::{Golden, assert_close, device, in_name, vector};

fn check_gradient(golden: &Golden, name: &str, input: &Tensor<2>, loss: Tensor<1>) {
    check_gradients(golden, loss, &[(name, input)]);
}

fn check_gradients(golden: &Golden, loss: Tensor<1>, inputs: &[(&str, &Tensor<2>)]) {
    let gradients = loss.backward();
    for (name, input) in inputs {
        let gradient = input.grad(&gradients).expect("the loss depends on it");
        let expected = golden.floats(name);
        let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
        let absolute = 1e-6 + 1e-5 * largest;
        assert_close(name, &vector(gradient), &expected, 2e-5, absolute);
    }
}

fn sigmoid(golden: &Golden, name: &str) -> (Tensor<2>, Tensor<2>) {
    let raw: Tensor<2> = golden.tensor(name);
    (raw.clone(), burn::tensor::activation::sigmoid(raw))
}

#[test]
fn golden_gsc_loss_and_indicators() {
    let golden = Golden::open("u04_gsc_loss.safetensors");
    let scores: Tensor<2> = golden.tensor("in.S");
    let (raw_images, images) = sigmoid(&golden, "in.raw_img_img");
    let (raw_captions, captions) = sigmoid(&golden, "in.raw_txt_txt");
    let labels = golden.floats("in.target");
    let config = GscConfig {
        direction: StructureDirection::ImageToCaption,
        temperature: golden.number("temp"),
        structure: golden.number("gamma"),
        ..GscConfig::default()
    };
    let structure = Structure { images, captions };
    let PairLoss(losses) = config.pair_loss(&scores, &structure, &labels);
    let loss = losses.mean();
    let expected = golden.floats("out.loss");
    assert_close("loss", &vector(loss.clone()), &expected, 2e-5, 1e-6);
    let topological = structural(
        &structure.images,
        &structure.captions,
        &labels,
        config.direction,
    );
    let expected = golden.floats("out.loss_topo");
    let found = vector(topological.0.mean());
    assert_close("loss_topo", &found, &expected, 2e-5, 1e-6);
    let inputs = [
        ("grad.in.S", &scores),
        ("grad.in.raw_img_img", &raw_images),
        ("grad.in.raw_txt_txt", &raw_captions),
    ];
    check_gradients(&golden, loss, &inputs);

    let values = golden.floats("in.S");
    let prediction = Square::new(&values).mean_given(config.temperature);
    assert_close("pred", &prediction, &golden.floats("out.pred"), 1e-5, 1e-6);
    let (images, captions) = (vector(structure.images), vector(structure.captions));
    let agreement = neighborhood_agreement(&images, &captions, &labels);
    assert_close("topo", &agreement, &golden.floats("out.topo"), 1e-5, 1e-6);
}

#[test]
fn golden_gsc_targets() {
    let golden = Golden::open("u04_gsc_targets.safetensors");
    let config = GscConfig {
        mixture: GaussianConfig::unguarded(),
        refresh: golden.number("beta"),
        ..GscConfig::default()
    };
    let before = ["in.preds_target", "in.topo_target"].map(|name| golden.floats(name));
    let found = config
        .purify(
            &golden.floats("in.pred"),
            &golden.floats("in.topo"),
            [&before[0], &before[1]],
        )
        .unwrap();
    let columns = [
        ("out.preds_target", found.prediction),
        ("out.topo_target", found.agreement),
        ("out.target", found.label),
    ];
    for (name, column) in columns {
        assert_close(name, &column, &golden.floats(name), 1e-5, 1e-6);
    }
}

#[test]
fn golden_sps_regularizers() {
    let golden = Golden::open("u04_sps.safetensors");
    let scores: Tensor<2> = golden.tensor("in.S");
    let images: Tensor<2> = golden.tensor("in.img_img");
    let captions: Tensor<2> = golden.tensor("in.txt_txt");
    let ones = vec![1.0; golden.shape("in.S")[0]];
    let [by_cross, by_intra] = golden.numbers("weights")[..] else {
        panic!("two weights")
    };
    let cross = || asymmetry(&scores, &ones).0.mean() * by_cross;
    let intra = || modality_gap(&images, &captions, &ones).0.mean() * by_intra;
    let expected = golden.floats("out.reg_cross");
    assert_close("reg_cross", &vector(cross()), &expected, 1e-5, 1e-6);
    let expected = golden.floats("out.reg_intra");
    assert_close("reg_intra", &vector(intra()), &expected, 1e-5, 1e-6);
    check_gradient(&golden, "grad.reg_cross.in.S", &scores, cross());
    let inputs = [
        ("grad.reg_intra.in.img_img", &images),
        ("grad.reg_intra.in.txt_txt", &captions),
    ];
    check_gradients(&golden, intra(), &inputs);
}

/// Cosines `[n * n]` of vectors `[n, d]`.
fn cosines(rows: &[Vec<f32>]) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    (rows.iter())
        .flat_map(|a| rows.iter().map(move |b| cosine(a, b)))
        .collect()
}

/// A clean batch, and noisy pairs after it that are compared with its anchors.
#[test]
fn golden_bicro_labels() {
    let golden = Golden::open("u03_bicro_soft_labels.safetensors");
    let rows = |name: &str| -> Vec<Vec<f32>> {
        let dim = golden.shape(name)[1];
        let values = golden.floats(name);
        values.chunks_exact(dim).map(<[f32]>::to_vec).collect()
    };
    let both = |name: &str| [rows(name), rows(&format!("{name}_noisy"))].concat();
    let (clean, scores) = (golden.shape("in.S")[0], golden.floats("in.S"));
    let all = clean + golden.shape("in.img_glo_noisy")[0];
    let mut padded = vec![0.0; all * all];
    for (to, from) in padded.chunks_exact_mut(all).zip(scores.chunks_exact(clean)) {
        to[..clean].copy_from_slice(from);
    }
    let opinion = Opinion {
        scores: padded,
        images: cosines(&both("in.img_glo")),
        captions: cosines(&both("in.txt_glo")),
    };
    let held_clean: Vec<bool> = (0..all).map(|pair| pair < clean).collect();
    let config = BicroConfig {
        margin: golden.number("margin"),
        floor: golden.number("noise_tem"),
        ..BicroConfig::default()
    };
    let mut anchors: Vec<i64> = (config.anchors(&opinion.scores, &held_clean).iter())
        .map(|&at| at as i64)
        .collect();
    let mut expected = golden.integers("out.anchor_index");
    anchors.sort_unstable();
    expected.sort_unstable();
    assert_eq!(anchors, expected);
    let labels = config.soft_labels(&opinion, &held_clean);
    let expected = golden.floats("out.clean_labels_intended");
    assert_close("clean", &labels[..clean], &expected, 1e-5, 1e-6);
    let expected = golden.floats("out.noisy_labels");
    assert_close("noisy", &labels[clean..], &expected, 1e-5, 1e-6);
}

#[test]
fn golden_l2rm_losses() {
    let golden = Golden::open("u04_l2rm_losses.safetensors");
    let scores: Tensor<2> = golden.tensor("in.S");
    let matching = golden.floats("in.pi");
    for temperature in golden.numbers("tau") {
        let name = format!("tau{}", in_name(temperature));
        let losses: [(&str, &dyn Fn() -> PairLoss); 2] = [
            ("RCE", &|| symmetric_cross_entropy(&scores, temperature)),
            ("sym_KL", &|| {
                symmetric_divergence(&scores, &matching, temperature)
            }),
        ];
        for (case, loss) in losses {
            let key = format!("out.{case}_{name}.loss");
            let found = vector(loss().0.mean());
            assert_close(&key, &found, &golden.floats(&key), 2e-5, 1e-6);
            let key = format!("grad.{case}_{name}.in.S");
            check_gradient(&golden, &key, &scores, loss().0.mean());
        }
    }
}

#[test]
fn golden_l2rm_transport() {
    let golden = Golden::open("u04_l2rm_ot.safetensors");
    for cost in ["net", "init"] {
        for regularization in golden.numbers("reg") {
            let name = in_name(regularization);
            for (suffix, mask_given) in [("masked", true), ("unmasked", false)] {
                let transport = PartialTransport {
                    mass: golden.number("rho"),
                    regularization,
                    tolerance: golden.number("thresh"),
                    max_iterations: golden.count("niter"),
                    mask_given,
                };
                let plan = transport.plan(&golden.floats(&format!("out.cost_{cost}")));
                let key = format!("out.pi_{cost}_reg{name}_{suffix}");
                assert_close(&key, &plan, &golden.floats(&key), 5e-5, 1e-6);
            }
        }
    }
    let scores = golden.floats("in.S");
    let side = golden.shape("in.S")[0];
    let scores = Tensor::<2>::from_data(TensorData::new(scores, [side, side]), &device());
    let cost = vector((scores.neg() + 1.0).clamp_min(1e-10));
    assert_close("cost", &cost, &golden.floats("out.cost_init"), 1e-6, 1e-6);
}
