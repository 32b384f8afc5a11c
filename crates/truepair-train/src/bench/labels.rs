//! One step of multimodal learning from class labels: two networks of three layers, robust
//! clustering and multimodal contrastive losses.

use burn::tensor::Tensor;
use truepair_core::rng::{Seed, below};

use super::{Setup, Step, Workload, random};
use crate::error::Result;
use crate::labeled::{
    InputScale, LabelMethodConfig, LabelNetworks, LabelView, MrlConfig, NetworkConfig, SelfTerm,
    one_hot,
};
use truepair_model::layer::{Init, Mode};
use truepair_model::optimizer::{AdamConfig, OptimizerConfig};

const PAIRS: usize = 100;
const WIDTH: usize = 4096;
const DIM: usize = 512;
const CLASSES: usize = 10;

pub(super) fn workloads(batch: Option<usize>) -> Vec<Workload> {
    let b = batch.unwrap_or(PAIRS);
    let layers = (2 * WIDTH * WIDTH + WIDTH * DIM) as f64;
    let gflop = 3.0 * 2.0 * 2.0 * b as f64 * layers / 1e9;
    let name = format!("train/mrl/b{b}");
    vec![Workload::new(name, gflop, move |setup| step(setup, b))]
}

fn step(setup: &Setup, b: usize) -> Result<Step> {
    let device = setup.device.clone().autodiff();
    let mut init = Init::new(Seed(0).stream("init", &[]), device.clone(), setup.precision);
    let sizes = NetworkConfig {
        hidden: WIDTH,
        dim: DIM,
        dropout: 0.0,
        input: InputScale::Raw,
    };
    let networks = LabelNetworks::new(&sizes, &[WIDTH, WIDTH], CLASSES, false, &mut init);
    let mut networks = Some(networks);
    let method = LabelMethodConfig::Mrl(MrlConfig {
        beta: 0.5,
        temperature: 1.0,
        contrastive_temperature: 1.0,
        self_term: SelfTerm::Included,
    });
    let mut optimizer = OptimizerConfig::Adam(AdamConfig {
        rate: 2e-4,
        weight_decay: 0.0,
        ..AdamConfig::default()
    })
    .build();
    let inputs: [Tensor<2>; 2] = ["images", "texts"].map(|name| random(name, [b, WIDTH], &device));
    let mut rng = Seed(0).stream("labels", &[]);
    let labels: Vec<u32> = (0..b)
        .map(|_| below(&mut rng, CLASSES as u64) as u32)
        .collect();
    let targets = [(); 2].map(|()| one_hot(&labels, CLASSES, &device));
    Ok(Box::new(move || {
        let current = networks.take().expect("a step puts the networks back");
        let embeddings = current.embed(&inputs, &mut Mode::Evaluate);
        let view = LabelView {
            embeddings: &embeddings,
            centers: current.centers.val(),
            head: None,
            targets: &targets,
            epoch: 0,
        };
        let mut tape = method.item_loss(&view).0.mean().backward();
        let (moved, _) = optimizer.step(current, &mut tape, 1.0, Some(2.0));
        networks = Some(moved);
        let _ = inputs[0].device().sync();
    }))
}
