//! Trajectories of AdamP.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use truepair_model::optimizer::{AdamPConfig, OptimizerConfig};

use crate::support::{Golden, assert_close, device, vector};

/// The weights after every step of a case against those of the source.
fn check<const D: usize>(golden: &Golden, case: &str, config: AdamPConfig) {
    let shape: [usize; D] = golden.shape(&format!("in.{case}.w0")).try_into().unwrap();
    let start = TensorData::new(golden.floats(&format!("in.{case}.w0")), shape);
    let mut weights: Param<Tensor<D>> = Param::from_data(start, &device());
    let gradients = golden.floats(&format!("in.{case}.grads"));
    let key = format!("out.{case}.w");
    let expected = golden.floats(&key);
    let n = shape.iter().product();
    let mut optimizer = OptimizerConfig::AdamP(config).build();
    for (gradient, expected) in gradients.chunks_exact(n).zip(expected.chunks_exact(n)) {
        let gradient: Tensor<D> =
            Tensor::from_data(TensorData::new(gradient.to_vec(), shape), &device());
        let mut tape = (weights.val() * gradient).sum().backward();
        (weights, _) = optimizer.step(weights, &mut tape, 1.0, None);
        assert_close(&key, &vector(weights.val()), expected, 1e-5, 2e-6);
    }
    let (_, moments) = optimizer.state();
    for (name, found) in [
        ("exp_avg", &moments[0].first),
        ("exp_avg_sq", &moments[0].second),
    ] {
        let key = format!("out.{case}.{name}");
        // 1 − β₂ in single precision is off by 1e-5 of itself.
        assert_close(&key, found, &golden.floats(&key), 3e-5, 1e-7);
    }
}

/// The settings of a case; what it does not name has its default.
fn config(settings: &Value) -> AdamPConfig {
    let default = AdamPConfig::default();
    let given = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default);
    let beta = |at: usize, default: f64| settings["betas"][at].as_f64().unwrap_or(default);
    AdamPConfig {
        rate: given("lr", default.rate),
        beta1: beta(0, default.beta1),
        beta2: beta(1, default.beta2),
        epsilon: given("eps", default.epsilon),
        weight_decay: given("weight_decay", default.weight_decay),
        delta: given("delta", default.delta),
        weight_decay_ratio: given("wd_ratio", default.weight_decay_ratio),
        nesterov: settings["nesterov"].as_bool().unwrap_or(default.nesterov),
    }
}

#[test]
fn golden_adamp_trajectories() {
    let golden = Golden::open("u10_adamp.safetensors");
    let cases = golden.setting("cases").as_object().unwrap();
    assert!(!cases.is_empty(), "the file holds no case");
    for (case, settings) in cases {
        let config = config(settings);
        match golden.shape(&format!("in.{case}.w0")).len() {
            1 => check::<1>(&golden, case, config),
            2 => check::<2>(&golden, case, config),
            4 => check::<4>(&golden, case, config),
            axes => panic!("{case} has {axes} axes"),
        }
    }
}
