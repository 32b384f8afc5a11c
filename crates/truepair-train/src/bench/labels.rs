//! One step of multimodal learning from class labels: two networks of three layers, robust
//! clustering and multimodal contrastive losses.

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use truepair_core::rng::{Seed, below};

use super::{Setup, Step, Workload, random};
use crate::encoding::unit_length;
use crate::error::Result;
use crate::init::Init;
use crate::linear::Linear;
use crate::optimizer::{AdamConfig, OptimizerConfig};

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

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Network {
    fn new(init: &mut Init) -> Self {
        Self {
            first: Linear::new(init, WIDTH, WIDTH),
            second: Linear::new(init, WIDTH, WIDTH),
            third: Linear::new(init, WIDTH, DIM),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.second.forward(relu(self.first.forward(x))));
        unit_length(self.third.forward(hidden))
    }
}

#[derive(Module, Debug)]
struct Networks {
    image: Network,
    text: Network,
    centers: Param<Tensor<2>>,
}

impl Networks {
    fn loss(&self, images: &Tensor<2>, texts: &Tensor<2>, labels: &Tensor<2, Int>) -> Tensor<1> {
        let views = [
            self.image.forward(images.clone()),
            self.text.forward(texts.clone()),
        ];
        let b = images.dims()[0];
        let centers = unit_length(self.centers.val()).transpose();
        let mut loss = Tensor::zeros([1], &images.device());
        for view in &views {
            let share = softmax(view.clone().matmul(centers.clone()), 1).gather(1, labels.clone());
            loss = loss + (share.neg() + 1.0 + 1e-6).log().mean();
            let mut total = Tensor::zeros([b, 1], &images.device());
            let mut own = Tensor::zeros([b, 1], &images.device());
            for other in &views {
                total = total
                    + view
                        .clone()
                        .matmul(other.clone().transpose())
                        .exp()
                        .sum_dim(1);
                own = own + (view.clone() * other.clone()).sum_dim(1).exp();
            }
            loss = loss - (own / total).log().mean();
        }
        loss
    }
}

fn step(setup: &Setup, b: usize) -> Result<Step> {
    let device = setup.device.clone().autodiff();
    let mut init = Init::new(Seed(0).stream("init", &[]), device.clone(), setup.precision);
    let mut networks = Some(Networks {
        image: Network::new(&mut init),
        text: Network::new(&mut init),
        centers: init.normal([CLASSES, DIM], 1.0),
    });
    let mut optimizer = OptimizerConfig::Adam(AdamConfig {
        rate: 2e-4,
        weight_decay: 0.0,
        ..AdamConfig::default()
    })
    .build();
    let images = random("images", [b, WIDTH], &device);
    let texts = random("texts", [b, WIDTH], &device);
    let mut rng = Seed(0).stream("labels", &[]);
    let labels: Vec<i64> = (0..b)
        .map(|_| below(&mut rng, CLASSES as u64) as i64)
        .collect();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [b, 1]), &device);
    Ok(Box::new(move || {
        let current = networks.take().expect("a step puts the networks back");
        let mut tape = current.loss(&images, &texts, &labels).backward();
        let (moved, _) = optimizer.step(current, &mut tape, 1.0, Some(2.0));
        networks = Some(moved);
        let _ = images.device().sync();
    }))
}
