//! One step of residual two-layer heads on embeddings under InfoNCE.

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::rng::Seed;

use super::{Setup, Step, Workload, random};
use crate::error::Result;
use truepair_model::encoding::unit_length;
use truepair_model::kernel::{gelu, inner_products};
use truepair_model::layer::{Init, Linear};
use truepair_model::objective::InfoNce;
use truepair_model::optimizer::{AdamConfig, OptimizerConfig};

const PAIRS: usize = 1024;
const DIM: usize = 512;
const HIDDEN: usize = 1024;

pub(super) fn workloads(batch: Option<usize>) -> Vec<Workload> {
    let b = batch.unwrap_or(PAIRS);
    let forward = 2 * 2 * b * DIM * HIDDEN + b * b * DIM;
    let gflop = 3.0 * 2.0 * forward as f64 / 1e9;
    let name = format!("train/clip_head/b{b}");
    vec![Workload::new(name, gflop, move |setup| step(setup, b))]
}

#[derive(Module, Debug)]
struct Head {
    first: Linear,
    second: Linear,
}

impl Head {
    fn new(init: &mut Init) -> Self {
        Self {
            first: Linear::new(init, DIM, HIDDEN),
            second: Linear::new(init, HIDDEN, DIM),
        }
    }

    fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        let hidden = gelu(self.first.forward(x.clone()));
        unit_length(x.clone() + self.second.forward(hidden))
    }
}

#[derive(Module, Debug)]
struct Heads {
    image: Head,
    text: Head,
}

fn step(setup: &Setup, b: usize) -> Result<Step> {
    let device = setup.device.clone().autodiff();
    let mut init = Init::new(Seed(0).stream("init", &[]), device.clone(), setup.precision);
    let mut heads = Some(Heads {
        image: Head::new(&mut init),
        text: Head::new(&mut init),
    });
    let mut optimizer = OptimizerConfig::Adam(AdamConfig {
        rate: 2e-4,
        weight_decay: 0.0,
        ..AdamConfig::default()
    })
    .build();
    let images = unit_length(random("images", [b, DIM], &device));
    let texts = unit_length(random("texts", [b, DIM], &device));
    let precision = setup.precision;
    let objective = InfoNce { temperature: 0.05 };
    Ok(Box::new(move || {
        let current = heads.take().expect("a step puts the heads back");
        let (u, v) = (current.image.forward(&images), current.text.forward(&texts));
        let scores = inner_products(u, v, precision);
        let mut tape = objective.pair_loss(&scores).0.sum().backward();
        let (moved, _) = optimizer.step(current, &mut tape, 1.0, Some(2.0));
        heads = Some(moved);
        let _ = images.device().sync();
    }))
}
