//! Gradients of residual networks: both kinds of blocks, both stems, frozen and training norms.

use burn::tensor::Tensor;
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, InputShape, ResnetConfig, Stem};
use truepair_model::encoding::Input;
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::parameters;
use truepair_train::published::Names;

use crate::cases::{check_case, check_running, weights};
use crate::support::{Golden, assert_close, device, loaded, vector};

fn check(file: &str, depth: usize, stem: Stem) {
    let golden = Golden::open(file);
    let [_, planes, area] = golden.shape("in.pixels")[..] else {
        panic!("three axes")
    };
    let config = BackboneConfig::Resnet(ResnetConfig {
        depth,
        width: golden.shape("w.bn1.weight")[0],
        stem,
        dim: golden.shape("in.cotangent")[1],
        weights: None,
    });
    let shape = InputShape::Features {
        width: area,
        regions: planes,
    };
    let names = names(&config, shape);
    for case in ["eval.", "train."] {
        let backbone = loaded(&config, shape, weights(&golden, &names));
        let pixels: Tensor<3> = golden.tensor("in.pixels");
        let input = Input::Features {
            values: pixels.clone(),
            mask: None,
        };
        let mut rng = Seed(0).stream("dropout", &[]);
        let mut mode = match case {
            "eval." => Mode::Evaluate,
            _ => Mode::Train(&mut rng),
        };
        let found: Tensor<2> = backbone.encode(&input, &mut mode).values.squeeze_dim(1);
        let key = format!("out.{case}embeddings");
        let embeddings = vector(found.clone());
        assert_close(&key, &embeddings, &golden.floats(&key), 2e-5, 1e-6);
        if case == "train." {
            let running = names.iter().filter(|(name, _)| name.contains(".running_"));
            let n_checked = check_running(&golden, case, &backbone, &names);
            assert_eq!(n_checked, running.count());
        }
        let loss = (found * golden.tensor("in.cotangent")).sum();
        let input = ("in.pixels", Some(pixels));
        check_case(&golden, case, &backbone, &names, input, loss, 1e-4);
    }
}

/// Our names beside torchvision's.
fn names(config: &BackboneConfig, shape: InputShape) -> Names {
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let backbone = config.build(shape, &mut init).unwrap();
    (parameters::export(&backbone).into_keys())
        .map(|ours| {
            let theirs = (ours.replace("downsample.conv.", "downsample.0."))
                .replace("downsample.norm.", "downsample.1.");
            (ours, theirs)
        })
        .collect()
}

#[test]
fn golden_gradients_of_a_network_of_10_layers_with_the_large_stem() {
    check("u15_resnet10_gradients.safetensors", 10, Stem::Large);
}

#[test]
fn golden_gradients_of_a_network_of_50_layers_with_the_small_stem() {
    check("u15_resnet50_gradients.safetensors", 50, Stem::Small);
}
