//! One optimizer step of Gaussian embeddings: encoders as in `matching`, two linear heads a side on
//! their mean vectors, seven draws an item, soft contrastive loss over all pairs, backward, clipping
//! to norm 2, Adam. And the match probabilities of a test set of the usual size.

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::rng::Seed;

use super::matching::{SIZES, Size, encoder_products, inputs};
use super::{Setup, Step, Workload, random};
use crate::error::Result;
use truepair_model::backbone::{
    Backbone, BackboneConfig, GruConfig, InputShape, RegionLinearConfig,
};
use truepair_model::encoding::{Encoding, Gaussian, Input, unit_length};
use truepair_model::layer::{Init, Linear, Mode};
use truepair_model::objective::{Over, SoftContrastive};
use truepair_model::optimizer::{AdamConfig, OptimizerConfig};
use truepair_model::similarity::{
    Logistic, MatchProbabilityConfig, Similarity, SimilarityConfig, Space,
};

const DRAWS: usize = 7;

const EVALUATED: (usize, usize, usize) = (1000, 5000, 1024);

pub(super) fn workloads(batch: Option<usize>) -> Vec<Workload> {
    let mut all = Vec::new();
    for mut size in SIZES {
        let mut label = size.name.to_owned();
        if let Some(batch) = batch {
            size.batch = batch;
            label = format!("{label}@b{batch}");
        }
        let heads = (4 * size.batch * size.dim * size.dim) as f64;
        let distances = ((size.batch * DRAWS).pow(2) * size.dim) as f64;
        let gflop = 3.0 * 2.0 * (encoder_products(&size) + heads + distances) / 1e9;
        all.push(Workload::new(
            format!("train/pcme/{label}"),
            gflop,
            move |setup| step(&size, setup),
        ));
    }
    all
}

/// Log odds of every pair of a test set, in the tiles of an evaluation.
pub(super) fn evaluation() -> Workload {
    let (n, m, d) = EVALUATED;
    let gflop = 2.0 * (n * m * DRAWS * DRAWS * d) as f64 / 1e9;
    Workload::new("eval/match_probability/1000x5000", gflop, |setup| {
        let (n, m, d) = EVALUATED;
        let mut init = Init::new(
            Seed(0).stream("init", &[]),
            setup.device.clone(),
            setup.precision,
        );
        let similarity = similarity(&mut init)?;
        let items = |name: &str, n: usize| Encoding {
            gaussian: Some(Gaussian::new(
                random(name, [n, d], &setup.device) * 0.1 - 4.0,
            )),
            ..Encoding::new(unit_length(random(name, [n, 1, d], &setup.device)), None)
        };
        let (images, captions) = (items("images", n), items("texts", m));
        let device = setup.device.clone();
        Ok(Box::new(move || {
            const TILE: usize = 500;
            for first in (0..n).step_by(TILE) {
                let images = part(&images, first, TILE.min(n - first));
                for second in (0..m).step_by(TILE) {
                    let captions = part(&captions, second, TILE.min(m - second));
                    let _ = similarity.scores(&images, &captions, &mut Mode::Evaluate);
                }
            }
            let _ = device.sync();
        }))
    })
}

fn part(items: &Encoding, first: usize, count: usize) -> Encoding {
    let log_deviation = items.log_deviation().narrow(0, first, count);
    Encoding {
        gaussian: Some(Gaussian::new(log_deviation)),
        ..Encoding::new(items.values.clone().narrow(0, first, count), None)
    }
}

fn similarity(init: &mut Init) -> Result<Similarity> {
    let space = Space { dim: 1, regions: 1 };
    let config = MatchProbabilityConfig {
        logistic: Logistic::Doubled,
        samples: DRAWS,
        ..MatchProbabilityConfig::default()
    };
    Ok(SimilarityConfig::MatchProbability(config).build(space, init)?)
}

#[derive(Module, Debug)]
struct Gaussians {
    image: Backbone,
    caption: Backbone,
    image_mean: Linear,
    image_deviation: Linear,
    caption_mean: Linear,
    caption_deviation: Linear,
    similarity: Similarity,
}

impl Gaussians {
    fn new(size: &Size, init: &mut Init) -> Result<Self> {
        let d = size.dim;
        let image = BackboneConfig::RegionLinear(RegionLinearConfig { dim: d });
        let caption = BackboneConfig::Gru(GruConfig {
            word_dim: size.word_dim,
            dim: d,
            dropout: 0.0,
            ..GruConfig::default()
        });
        let regions = InputShape::Features {
            width: size.features,
            regions: size.regions,
        };
        Ok(Self {
            image: image.build(regions, init)?,
            caption: caption.build(InputShape::Tokens(size.vocabulary), init)?,
            image_mean: Linear::new(init, d, d),
            image_deviation: Linear::new(init, d, d),
            caption_mean: Linear::new(init, d, d),
            caption_deviation: Linear::new(init, d, d),
            similarity: similarity(init)?,
        })
    }

    fn loss(&self, images: &Input, captions: &Input, mode: &mut Mode<'_>) -> Tensor<1> {
        let images = self.image.encode(images, mode).pooled();
        let captions = self.caption.encode(captions, mode).pooled();
        let gaussian = |x: Tensor<2>, mean: &Linear, deviation: &Linear| Encoding {
            gaussian: Some(Gaussian::new(deviation.forward(x.clone()))),
            ..Encoding::new(unit_length(mean.forward(x)).unsqueeze_dim(1), None)
        };
        let images = gaussian(images, &self.image_mean, &self.image_deviation);
        let captions = gaussian(captions, &self.caption_mean, &self.caption_deviation);
        let scores = self.similarity.scores(&images, &captions, mode);
        let objective = SoftContrastive {
            over: Over::Sum,
            pseudo: 0.0,
        };
        // One of the two equal directions, a mean over the batch.
        objective.pair_loss(&scores).0.mean() / 2.0
    }
}

fn step(size: &Size, setup: &Setup) -> Result<Step> {
    let device = setup.device.clone().autodiff();
    let mut init = Init::new(Seed(0).stream("init", &[]), device.clone(), setup.precision);
    let mut model = Some(Gaussians::new(size, &mut init)?);
    let mut optimizer = OptimizerConfig::Adam(AdamConfig {
        rate: 2e-4,
        weight_decay: 0.0,
        ..AdamConfig::default()
    })
    .build();
    let (images, captions) = inputs(size, &device);
    let mut draws = Seed(0).stream("draws", &[]);
    Ok(Box::new(move || {
        let current = model.take().expect("a step puts the model back");
        let loss = current.loss(&images, &captions, &mut Mode::Train(&mut draws));
        let mut tape = loss.backward();
        let (moved, _) = optimizer.step(current, &mut tape, 1.0, Some(2.0));
        model = Some(moved);
        let _ = device.sync();
    }))
}
