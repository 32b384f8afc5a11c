//! Finite differences on every backbone and every similarity of the registries: the framework has
//! shipped wrong gradients before.
//!
//! For every parameter on its own, the loss is moved along that parameter's analytic gradient; the
//! slope must equal the gradient's length. A missing or doubled part would change it.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use truepair_core::rng::{Seed, normal};
use truepair_model::backbone::{Backbone, BackboneConfig, InputShape};
use truepair_model::encoding::{Encoding, Gaussian, Input};
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::parameters;
use truepair_model::similarity::{Similarity, SimilarityConfig, Space};

const ITEMS: usize = 3;
const LENGTH: usize = 4;
const WIDTH: usize = 10;
const WORDS: usize = 12;

fn device() -> Device {
    Device::flex().autodiff()
}

fn noise<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    let mut rng = Seed(3).stream(name, &[]);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| normal(&mut rng) as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// All backbones but those of pixels, which are never padded. Kinks of its thousands of rectifiers
/// lie within a step; `golden/resnet.rs` compares its gradients with those of double precision.
fn backbones() -> impl Iterator<Item = (&'static str, BackboneConfig)> {
    (BackboneConfig::all().into_iter())
        .filter(|(_, _, config)| {
            !matches!(
                config,
                BackboneConfig::Resnet(_) | BackboneConfig::ResnetPcme(_)
            )
        })
        .map(|(kind, _, config)| (kind, config))
}

/// Captions of 4, 2 and 3 valid tokens, or regions.
fn input(config: &BackboneConfig) -> (InputShape, Input) {
    if !config.reads_tokens() {
        let features = noise("features", [ITEMS, LENGTH, WIDTH]);
        return (
            InputShape::Features {
                width: WIDTH,
                regions: LENGTH,
            },
            Input::Features {
                values: features,
                mask: None,
            },
        );
    }
    let ids: Vec<i64> = vec![1, 5, 6, 2, 1, 2, 0, 0, 1, 7, 2, 0];
    let mask: Vec<f32> = ids.iter().map(|&id| f32::from(id != 0)).collect();
    let shape = [ITEMS, LENGTH];
    let tokens = Input::Tokens {
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &device()),
        mask: Tensor::from_data(TensorData::new(mask, shape), &device()),
    };
    (InputShape::Tokens(WORDS), tokens)
}

/// The same backbone with narrow layers, so that a test takes no seconds.
fn narrow(config: &BackboneConfig) -> BackboneConfig {
    const NARROW: i64 = 40;
    let mut settings = toml::Table::try_from(config).unwrap();
    for (key, value) in &mut settings {
        if ["dim", "hidden", "word_dim"].contains(&key.as_str()) {
            *value = NARROW.into();
        }
    }
    settings.try_into().unwrap()
}

/// With weights away from their start, where a layer that begins at 0 hides those before it.
fn built_backbone(config: &BackboneConfig, shape: InputShape) -> Backbone {
    let mut init = Init::new(Seed(1).stream("init", &[]), device(), Precision::F32);
    let backbone = narrow(config).build(shape, &mut init).unwrap();
    let mut rng = Seed(4).stream("moved", &[]);
    let mut weights = parameters::export(&backbone);
    for weight in weights.values_mut().flat_map(|values| &mut values.values) {
        *weight += 0.05 * normal(&mut rng) as f32;
    }
    parameters::import(backbone, weights).unwrap()
}

fn loss(backbone: &Backbone, input: &Input) -> Tensor<1> {
    let encoded = backbone.encode(input, &mut Mode::Evaluate);
    let weights = noise("cotangent", encoded.values.dims());
    let loss = (encoded.values * weights).sum();
    match encoded.gaussian {
        None => loss,
        Some(gaussian) => {
            let weights = noise("deviations", gaussian.log_deviation.dims());
            loss + (gaussian.log_deviation * weights).sum()
        }
    }
}

fn scalar(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_data().try_into_vec::<f32>().unwrap()[0])
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        self.found
            .push(gradient.map(|g| g.into_data().try_into_vec().unwrap()));
    }
}

#[test]
fn every_backbone_s_gradients_equal_finite_differences() {
    // A projection has nothing that gradients move.
    let moved = backbones().filter(|(_, config)| !matches!(config, BackboneConfig::Projection(_)));
    for (kind, config) in moved {
        let (shape, input) = input(&config);
        let backbone = built_backbone(&config, shape);
        let mut collect = Collect {
            gradients: &loss(&backbone, &input).backward(),
            found: vec![],
        };
        backbone.visit(&mut collect);
        let names = parameters::names(&backbone);
        let mut n_checked = 0;
        for (name, gradient) in names.iter().zip(collect.found) {
            let Some(gradient) = gradient else { continue };
            let length = gradient
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            let moved = |distance: f64| {
                let mut weights = parameters::export(&backbone);
                let values = &mut weights.get_mut(name).unwrap().values;
                for (w, g) in values.iter_mut().zip(&gradient) {
                    *w += (distance * f64::from(*g) / length) as f32;
                }
                scalar(loss(
                    &parameters::import(backbone.clone(), weights).unwrap(),
                    &input,
                ))
            };
            let slope = (moved(0.02) - moved(-0.02)) / 0.04;
            assert!(
                (slope - length).abs() < 0.02 * length + 1e-3,
                "{kind}: {name}: {slope} where {length}"
            );
            n_checked += 1;
        }
        assert!(
            n_checked >= 2,
            "{kind}: only {n_checked} parameters have gradients"
        );
    }
}

fn built(config: &SimilarityConfig) -> Similarity {
    let mut init = Init::new(Seed(2).stream("init", &[]), device(), Precision::F32);
    let space = Space {
        dim: WIDTH,
        regions: LENGTH,
    };
    config.build(space, &mut init).unwrap()
}

fn score_loss(similarity: &Similarity, images: &Tensor<3>, captions: &Tensor<3>) -> Tensor<1> {
    let mask = TensorData::new(
        vec![1f32, 1., 1., 0., 1., 0., 0., 0., 1., 1., 0., 0.],
        [ITEMS, LENGTH],
    );
    let mask: Tensor<2> = Tensor::from_data(mask, &device());
    let gaussian = |name, n| {
        let log_deviation = noise(name, [n, WIDTH]) * 0.3 - 1.0;
        Some(Gaussian::new(log_deviation))
    };
    let images = Encoding {
        gaussian: gaussian("image deviations", 2),
        ..Encoding::new(images.clone(), None)
    };
    let values = captions.clone() * mask.clone().unsqueeze_dim(2);
    let scores = similarity.scores(
        &images,
        &Encoding {
            gaussian: gaussian("caption deviations", ITEMS),
            ..Encoding::new(values, Some(mask))
        },
        &mut Mode::Evaluate,
    );
    (scores * noise("cotangent", [2, ITEMS])).sum()
}

#[test]
fn every_similarity_s_gradients_equal_finite_differences() {
    for (kind, _, config) in SimilarityConfig::all() {
        let similarity = built(&config);
        let images = noise::<3>("images", [2, LENGTH, WIDTH]).require_grad();
        let captions = noise::<3>("captions", [ITEMS, LENGTH, WIDTH]).require_grad();
        let gradients = score_loss(&similarity, &images, &captions).backward();
        for (side, values) in [("images", &images), ("captions", &captions)] {
            let gradient = values.grad(&gradients).unwrap();
            let length = scalar(gradient.clone().square().sum().sqrt());
            let direction: Tensor<3> =
                Tensor::from_data((gradient / length).into_data(), &device());
            let moved = |distance: f64| {
                let there = values.clone().detach() + direction.clone() * distance;
                scalar(match side {
                    "images" => score_loss(&similarity, &there, &captions.clone().detach()),
                    _ => score_loss(&similarity, &images.clone().detach(), &there),
                })
            };
            // A rectifier's kink can lie within a step, and then only on one side of the place.
            let here = moved(0.0);
            let slopes = [0.02, 0.005, 0.00125].map(|step| {
                let (ahead, behind) = (moved(step) - here, here - moved(-step));
                [ahead / step, behind / step, (ahead + behind) / (2.0 * step)]
            });
            let slopes = slopes.as_flattened();
            assert!(
                slopes
                    .iter()
                    .any(|slope| (slope - length).abs() < 0.02 * length),
                "{kind}: {side}: {slopes:?} {length}"
            );
        }
    }
}

/// Cosine scores of two fixed images against what `backbone` makes of `input`.
fn scores_of(backbone: &Backbone, input: &Input, dim: usize) -> Vec<f32> {
    let images = Encoding::new(noise::<3>("images", [2, 1, dim]), None);
    let encoded = backbone.encode(input, &mut Mode::Evaluate);
    built(&SimilarityConfig::Cosine(Default::default()))
        .scores(&images, &encoded, &mut Mode::Evaluate)
        .into_data()
        .try_into_vec()
        .unwrap()
}

fn tokens(ids: &[i64]) -> Input {
    let shape = [1, ids.len()];
    let mask: Vec<f32> = ids.iter().map(|&id| f32::from(id != 0)).collect();
    Input::Tokens {
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), shape), &device()),
        mask: Tensor::from_data(TensorData::new(mask, shape), &device()),
    }
}

/// Three images of two regions; with gaps, empty places lie before, between and behind them.
fn regions(gaps: bool) -> Input {
    let values = noise::<3>("features", [ITEMS, 2, WIDTH]);
    if !gaps {
        return Input::Features { values, mask: None };
    }
    let gap = Tensor::zeros([ITEMS, 1, WIDTH], &device());
    let region = |at| values.clone().narrow(1, at, 1);
    let parts = vec![gap.clone(), region(0), gap.clone(), region(1), gap];
    let mask = TensorData::new([0f32, 1., 0., 1., 0.].repeat(ITEMS), [ITEMS, 5]);
    Input::Features {
        values: Tensor::cat(parts, 1),
        mask: Some(Tensor::from_data(mask, &device())),
    }
}

#[test]
fn padding_changes_no_encoding_and_no_score() {
    for (kind, config) in backbones() {
        let (shape, short, long) = match config.reads_tokens() {
            true => (
                InputShape::Tokens(WORDS),
                tokens(&[1, 5, 2, 0]),
                tokens(&[1, 5, 2, 0, 0, 0, 0]),
            ),
            false => (
                InputShape::Features {
                    width: WIDTH,
                    regions: 5,
                },
                regions(false),
                regions(true),
            ),
        };
        let backbone = built_backbone(&config, shape);
        let dim = narrow(&config).dim();
        let scores = scores_of(&backbone, &short, dim);
        for (a, b) in scores.iter().zip(scores_of(&backbone, &long, dim)) {
            assert!((a - b).abs() < 1e-6, "{kind}: {a} {b}");
        }
    }
}
