//! Trajectories of AdamP.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use truepair_train::optimizer::{AdamPConfig, OptimizerConfig};

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

#[test]
fn golden_adamp_trajectories() {
    let golden = Golden::open("u10_adamp.safetensors");
    let config = |rate, weight_decay| AdamPConfig {
        rate,
        weight_decay,
        ..AdamPConfig::default()
    };
    check::<2>(&golden, "generic", config(0.01, 0.01));
    check::<2>(&golden, "channel_invariant", config(0.01, 0.01));
    check::<2>(&golden, "layer_invariant", config(0.01, 0.01));
    check::<2>(&golden, "mixed", config(0.005, 1e-4));
    check::<1>(&golden, "vector", config(0.01, 0.01));
    let nesterov = AdamPConfig {
        nesterov: true,
        ..config(0.02, 0.0)
    };
    check::<2>(&golden, "channel_nesterov", nesterov);
    let conv = AdamPConfig {
        beta1: 0.8,
        beta2: 0.99,
        ..config(0.01, 0.01)
    };
    check::<4>(&golden, "conv", conv);
}
