//! One optimizer step of an image-text matcher on regions and words: forward, hinge loss with the
//! hardest negatives summed over the batch, backward, clipping to norm 2, Adam.

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::rng::{Seed, below};

use super::{Setup, Step, Workload, random};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruConfig, InputShape, RegionLinearConfig};
use truepair_model::encoding::Input;
use truepair_model::kernel::Pooling;
use truepair_model::layer::Mode;
use truepair_model::matcher::{Matcher, MatcherConfig};
use truepair_model::objective::Triplet;
use truepair_model::optimizer::{AdamConfig, OptimizerConfig};
use truepair_model::similarity::{ScanConfig, SgrConfig, SimilarityConfig};

#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) name: &'static str,
    pub(super) batch: usize,
    pub(super) regions: usize,
    pub(super) features: usize,
    pub(super) dim: usize,
    pub(super) sim_dim: usize,
    pub(super) tokens: usize,
    pub(super) word_dim: usize,
    pub(super) vocabulary: usize,
}

pub(super) const SIZES: [Size; 2] = [
    Size {
        name: "small",
        batch: 64,
        regions: 36,
        features: 512,
        dim: 256,
        sim_dim: 64,
        tokens: 14,
        word_dim: 128,
        vocabulary: 3000,
    },
    Size {
        name: "paper",
        batch: 128,
        regions: 36,
        features: 2048,
        dim: 1024,
        sim_dim: 256,
        tokens: 14,
        word_dim: 300,
        vocabulary: 8481,
    },
];

/// Another number of pairs than the size's own is part of the name: `train/sgr/paper@b64`.
pub(super) fn workloads(batch: Option<usize>) -> Vec<Workload> {
    let mut all = Vec::new();
    for mut size in SIZES {
        let mut label = size.name.to_owned();
        if let Some(batch) = batch {
            size.batch = batch;
            label = format!("{label}@b{batch}");
        }
        for (name, similarity, per_pair) in rows(&size) {
            let pairs = (size.batch * size.batch) as f64;
            let gflop = 3.0 * 2.0 * (encoder_products(&size) + pairs * per_pair) / 1e9;
            all.push(Workload::new(
                format!("train/{name}/{label}"),
                gflop,
                move |setup| step(&size, &similarity, setup),
            ));
        }
    }
    all
}

/// Method, similarity, and multiplications with addition that one pair takes forward, as executed.
fn rows(size: &Size) -> Vec<(&'static str, SimilarityConfig, f64)> {
    let Size {
        dim,
        regions,
        tokens,
        sim_dim,
        ..
    } = *size;
    let nodes = tokens + 1;
    let square = sim_dim * sim_dim;
    let attention = 2 * regions * tokens * dim;
    let projections = nodes * dim * sim_dim;
    let edges = 2 * nodes * nodes * sim_dim;
    // Two of three steps move every node, with two products each; the last moves one node.
    let reasoning = 2 * (2 * nodes * square + edges) + 2 * square + 2 * nodes * sim_dim;
    let sgr = SgrConfig {
        sim_dim,
        dropout: 0.0,
        ..SgrConfig::default()
    };
    let scan = ScanConfig {
        pooling: Pooling::Mean,
        ..ScanConfig::default()
    };
    // Raw products once; a product of each word's weights with the image's Gram matrix.
    let gram = regions * tokens * (dim + regions);
    vec![
        ("scan_t2i", SimilarityConfig::Scan(scan), gram as f64),
        (
            "vse",
            SimilarityConfig::Cosine(Default::default()),
            dim as f64,
        ),
        (
            "sgr",
            SimilarityConfig::Sgr(sgr),
            (attention + projections + reasoning) as f64,
        ),
    ]
}

/// Multiplications with addition of both encoders, forward.
pub(super) fn encoder_products(size: &Size) -> f64 {
    let regions = size.batch * size.regions * size.features * size.dim;
    let words = size.batch * size.tokens * 2 * 3 * size.dim * (size.word_dim + size.dim);
    (regions + words) as f64
}

fn step(size: &Size, similarity: &SimilarityConfig, setup: &Setup) -> Result<Step> {
    let device = setup.device.clone().autodiff();
    let config = MatcherConfig::new(
        BackboneConfig::RegionLinear(RegionLinearConfig { dim: size.dim }),
        BackboneConfig::Gru(GruConfig {
            word_dim: size.word_dim,
            dim: size.dim,
            dropout: 0.0,
            ..GruConfig::default()
        }),
        similarity.clone(),
    );
    let image = InputShape::Features {
        width: size.features,
        regions: size.regions,
    };
    let caption = InputShape::Tokens(size.vocabulary);
    let mut matcher = Some(config.build(image, caption, Seed(0), &device, setup.precision)?);
    let mut optimizer = OptimizerConfig::Adam(AdamConfig {
        rate: 2e-4,
        weight_decay: 0.0,
        ..AdamConfig::default()
    })
    .build();
    let (images, captions) = inputs(size, &device);
    let objective = Triplet::default();
    let mut dropout = Seed(0).stream("dropout", &[]);
    Ok(Box::new(move || {
        let current: Matcher = matcher.take().expect("a step puts the matcher back");
        let scores = current.scores(&images, &captions, &mut Mode::Train(&mut dropout));
        let mut tape = objective.pair_loss(&scores).0.sum().backward();
        let (moved, _) = optimizer.step(current, &mut tape, 1.0, Some(2.0));
        matcher = Some(moved);
        let _ = device.sync();
    }))
}

/// Random regions and words of one batch.
pub(super) fn inputs(size: &Size, device: &Device) -> (Input, Input) {
    let images = Input::Features {
        values: random("images", [size.batch, size.regions, size.features], device),
        mask: None,
    };
    let mut rng = Seed(0).stream("words", &[]);
    let shape = [size.batch, size.tokens];
    let ids: Vec<i64> = (0..size.batch * size.tokens)
        .map(|_| 4 + below(&mut rng, size.vocabulary as u64 - 4) as i64)
        .collect();
    let captions = Input::Tokens {
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device),
        mask: Tensor::ones(shape, device),
    };
    (images, captions)
}
