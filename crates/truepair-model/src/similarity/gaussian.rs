//! Distances of two Gaussians with independent dimensions, each by the name of what it is.
//!
//! They are for ranking with trained Gaussian embeddings; nothing here is learned.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::draws::both;
use super::{Head, Space};
use crate::encoding::Encoding;
use crate::layer::{Init, Mode};

/// Settings of [`GaussianDistance`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianDistanceConfig {
    /// Which measure.
    pub measure: GaussianMeasure,
    /// Draws an item for the measures that are estimated from draws, at least 1.
    pub samples: usize,
}

impl Default for GaussianDistanceConfig {
    fn default() -> Self {
        Self {
            measure: GaussianMeasure::Mean,
            samples: 7,
        }
    }
}

/// How two Gaussians are compared. `δ` is a difference of means, `v = σ²`; sums run over
/// dimensions, and the score is larger for more similar items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GaussianMeasure {
    /// `−Σ δ²`: means alone.
    #[default]
    Mean,
    /// `−Σ (δ² + v + v')`: the expected squared distance of independent draws.
    ExpectedSquare,
    /// `−mean_{k,l} ‖zₖ − z'ₗ‖²` of draws: the expected squared distance, estimated.
    SampledSquare,
    /// `−mean_{k,l} ‖zₖ − z'ₗ‖` of draws: the expected distance, which has no closed form; PCME's
    /// average L2 as printed.
    SampledDistance,
    /// `−½ Σ [δ² / (v + v') + log(v + v')]`: the logarithm of `∫ p p'`, the expected likelihood
    /// kernel, without its constant.
    ExpectedLikelihood,
    /// `−KL(image ‖ caption)`
    KullbackLeibler,
    /// `−Σ [δ² / v' + 2 log(σ / σ') + v / v']`: what PCME's code names KL; the sign of its
    /// logarithm is wrong.
    KullbackLeiblerReleased,
    /// `−KL(image ‖ caption) − KL(caption ‖ image)`: Jeffreys' divergence. PCME's code names twice
    /// this plus a constant Jensen-Shannon, which it is not; both rank alike.
    Jeffreys,
    /// `−¼ Σ [δ² / (v + v') + 2 log((σ / σ' + σ' / σ) / 2)]`: the Bhattacharyya distance.
    Bhattacharyya,
    /// `−Σ [δ² + (σ − σ')²]`: the squared 2-Wasserstein distance.
    Wasserstein,
    /// How much more the caption's Gaussian covers the image's than the other way around:
    /// `log ∫ p² p' − log ∫ p p'²`, without constants that cancel.
    Inclusion,
    /// The same as ProLIP's code computes it, with the logarithm of the variance in the place of
    /// that of the deviation.
    InclusionReleased,
}

/// The score of an image's and a caption's Gaussian under one [`GaussianMeasure`].
///
/// # Shapes
/// - means `[n, 1, d]` with log σ `[n, d]` on either side; returns `[n_images, n_captions]`
/// # Source
/// The comparison of distances in Chun et al., CVPR 2021 (PCME), code read at naver-ai/pcme@4947684;
/// inclusion: Chun et al., ICLR 2025 (ProLIP), code read at naver-ai/prolip@59f6324.
/// # Deviations
/// 1. PCME's code takes the sum of the draws' inner products for its average L2; `sampled-distance`
///    is the mean of distances that the paper prints. Draws are shared as in
///    [`MatchProbability`](super::MatchProbability).
/// 2. KL and inclusion are the divergence and the integral that their names say; what the released
///    code computes are `kullback-leibler-released` and `inclusion-released`.
#[derive(Module, Debug)]
pub struct GaussianDistance {
    #[module(skip)]
    measure: GaussianMeasure,
    #[module(skip)]
    samples: usize,
}

impl GaussianDistanceConfig {
    pub(super) fn build(&self, _space: Space, _init: &mut Init) -> Result<GaussianDistance> {
        if self.samples == 0 {
            return Err(Error::argument(
                "similarity `gaussian` cannot have samples = 0",
                "draw at least 1 (published: 7), or choose a measure in closed form and leave it out",
            ));
        }
        Ok(GaussianDistance {
            measure: self.measure,
            samples: self.samples,
        })
    }
}

impl Head for GaussianDistance {
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        use GaussianMeasure as M;
        if let M::SampledSquare | M::SampledDistance = self.measure {
            let [images, captions] = both(images, captions, self.samples, mode);
            return match self.measure {
                M::SampledSquare => mean_square(images, captions).neg(),
                _ => mean_distance(images, captions).neg(),
            };
        }
        let ([n, _], [m, _]) = (images.pooled().dims(), captions.pooled().dims());
        let sides = Sides {
            difference: images.pooled().unsqueeze_dim::<3>(1)
                - captions.pooled().unsqueeze_dim::<3>(0),
            image: images.log_deviation().unsqueeze_dim(1),
            caption: captions.log_deviation().unsqueeze_dim(0),
        };
        sides.terms(self.measure).sum_dim(2).reshape([n, m])
    }

    fn pair_bytes(&self, images: &Encoding, _captions: &Encoding) -> usize {
        let numbers = match self.measure {
            GaussianMeasure::SampledSquare => 4,
            // Squares, roots and two terms of the same size.
            GaussianMeasure::SampledDistance => 4 * self.samples.pow(2),
            // The difference and a few terms of the same size.
            _ => 6 * images.values.dims()[2],
        };
        numbers * size_of::<f32>()
    }
}

/// `mean_{k,l} ‖xₖ − yₗ‖²` of draws `[n, j, d]` and `[m, j, d]`, `[n, m]`: the mean squared lengths of
/// both less twice the inner product of the mean draws.
fn mean_square(x: Tensor<3>, y: Tensor<3>) -> Tensor<2> {
    let length = |draws: &Tensor<3>| -> Tensor<1> {
        let [n, ..] = draws.dims();
        draws.clone().square().sum_dim(2).mean_dim(1).reshape([n])
    };
    let mean = |draws: Tensor<3>| -> Tensor<2> { draws.mean_dim(1).squeeze_dim(1) };
    let (x_length, y_length) = (length(&x), length(&y));
    let product = mean(x).matmul(mean(y).transpose());
    x_length.unsqueeze_dim::<2>(1) + y_length.unsqueeze_dim::<2>(0) - product * 2.0
}

/// `mean_{k,l} ‖xₖ − yₗ‖` of draws `[n, j, d]` and `[m, j, d]`, `[n, m]`.
fn mean_distance(x: Tensor<3>, y: Tensor<3>) -> Tensor<2> {
    /// A root's slope at 0 is not a number.
    const GUARD: f64 = 1e-12;
    let ([n, j, d], [m, ..]) = (x.dims(), y.dims());
    let (x, y) = (x.reshape([n * j, d]), y.reshape([m * j, d]));
    let length = |rows: &Tensor<2>| rows.clone().square().sum_dim(1);
    let lengths = length(&x) + length(&y).transpose();
    let squares = lengths - x.matmul(y.transpose()) * 2.0;
    let distances = squares.clamp_min(GUARD).sqrt().reshape([n, j, m, j]);
    distances.mean_dim(3).mean_dim(1).reshape([n, m])
}

/// Every image beside every caption.
struct Sides {
    /// `δ`, `[n, m, d]`.
    difference: Tensor<3>,
    /// log σ, `[n, 1, d]`.
    image: Tensor<3>,
    /// log σ', `[1, m, d]`.
    caption: Tensor<3>,
}

impl Sides {
    /// The addends of the score, `[n, m, d]`.
    fn terms(self, measure: GaussianMeasure) -> Tensor<3> {
        use GaussianMeasure as M;
        let square = self.difference.clone().square();
        let variance = |log_deviation: &Tensor<3>| (log_deviation.clone() * 2.0).exp();
        let (v, w) = (variance(&self.image), variance(&self.caption));
        match measure {
            M::SampledSquare | M::SampledDistance => unreachable!("estimated from draws"),
            M::Mean => square.neg(),
            M::ExpectedSquare => (square + v + w).neg(),
            M::ExpectedLikelihood => {
                let sum = v + w;
                (square / sum.clone() + sum.log()) * -0.5
            }
            M::KullbackLeibler => {
                let logs = (self.caption - self.image) * 2.0;
                ((square + v) / w + logs - 1.0) * -0.5
            }
            M::KullbackLeiblerReleased => {
                ((square + v) / w + (self.image - self.caption) * 2.0).neg()
            }
            M::Jeffreys => {
                ((square.clone() + v.clone()) / w.clone() + (square + w) / v - 2.0) * -0.5
            }
            M::Bhattacharyya => {
                let ratio = self.image - self.caption;
                let mean = (ratio.clone().exp() + ratio.neg().exp()) / 2.0;
                (square / (v + w) + mean.log() * 2.0) * -0.25
            }
            M::Wasserstein => {
                let deviations = self.image.exp() - self.caption.exp();
                (square + deviations.square()).neg()
            }
            M::Inclusion => self.inclusion(1.0),
            M::InclusionReleased => self.inclusion(2.0),
        }
    }

    /// With precisions `α = 1 / v`, `β = 1 / v'`: `log ∫ p² p'` is `−2 log σ − log σ' − ½ log(α + β / 2)`
    /// and a quadratic part in `δ`, which is placed at the image's mean; `logs` counts the first two.
    fn inclusion(self, logs: f64) -> Tensor<3> {
        let precision = |log_deviation: &Tensor<3>| (log_deviation.clone() * -2.0).exp();
        let (image, caption) = (precision(&self.image), precision(&self.caption));
        let half = |wide: Tensor<3>, narrow: Tensor<3>| {
            // p² p' with the squared one's mean at 0: B = ±δ β, A = α + β / 2, C = δ² β / 2.
            let a = narrow.clone() + wide.clone() / 2.0;
            let square = self.difference.clone().square();
            let b = square.clone() * wide.clone().square();
            b / (a.clone() * 4.0) - square * wide / 2.0 - a.log() * 0.5
        };
        let there = half(caption.clone(), image.clone());
        let back = half(image, caption);
        // −2 log σ − log σ' less −2 log σ' − log σ.
        there - back + (self.caption - self.image) * logs
    }
}

#[cfg(test)]
mod tests {
    use super::super::ItemSide;
    use super::super::draws::draws;
    use super::*;
    use crate::encoding::Gaussian;
    use crate::numbers::floats;
    use burn::tensor::{Device, TensorData};

    const IMAGE: ([f64; 2], [f64; 2]) = ([1.0, 0.0], [0.2, 0.5]);
    const CAPTION: ([f64; 2], [f64; 2]) = ([0.6, 0.8], [0.4, 0.1]);

    fn items<const D: usize>((mean, deviation): ([f64; D], [f64; D])) -> Encoding {
        let tensor = |values: [f64; D]| {
            let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [1, D]), &Device::flex())
        };
        Encoding {
            gaussian: Some(Gaussian::new(tensor(deviation).log())),
            ..Encoding::new(tensor(mean).unsqueeze_dim(1), None)
        }
    }

    fn score<const D: usize>(
        measure: GaussianMeasure,
        image: ([f64; D], [f64; D]),
        caption: ([f64; D], [f64; D]),
    ) -> f64 {
        let module = GaussianDistance {
            measure,
            samples: 7,
        };
        let scores = module.scores(&items(image), &items(caption), &mut Mode::Evaluate);
        f64::from(floats(scores)[0])
    }

    /// Logarithm of `∫ pᵃ p'ᵇ` in one dimension by the trapezoid rule, without the Gaussians'
    /// factors of 2π.
    fn log_integral((mu, s): (f64, f64), (nu, t): (f64, f64), a: f64, b: f64) -> f64 {
        let step = 1e-3;
        let log = |x: f64, mean: f64, s: f64| -0.5 * ((x - mean) / s).powi(2) - s.ln();
        let sum: f64 = (-20_000..20_000)
            .map(|i| {
                let x = f64::from(i) * step;
                (a * log(x, mu, s) + b * log(x, nu, t)).exp()
            })
            .sum();
        (sum * step).ln()
    }

    /// Expectation of `f` under the first Gaussian in one dimension.
    fn expected((mu, s): (f64, f64), f: impl Fn(f64) -> f64) -> f64 {
        let step = 1e-3;
        let density = |x: f64| {
            (-0.5 * ((x - mu) / s).powi(2)).exp() / (s * (2.0 * std::f64::consts::PI).sqrt())
        };
        (-20_000..20_000)
            .map(|i| f64::from(i) * step)
            .map(|x| density(x) * f(x) * step)
            .sum()
    }

    fn divergence(p: (f64, f64), q: (f64, f64)) -> f64 {
        let log = |x: f64, (mean, s): (f64, f64)| -0.5 * ((x - mean) / s).powi(2) - s.ln();
        expected(p, |x| log(x, p) - log(x, q))
    }

    #[test]
    fn every_measure_is_what_it_is_named_after() {
        use GaussianMeasure as M;
        let dims = |side: ([f64; 2], [f64; 2])| [(side.0[0], side.1[0]), (side.0[1], side.1[1])];
        let pairs: Vec<_> = dims(IMAGE).into_iter().zip(dims(CAPTION)).collect();
        let sum = |f: &dyn Fn((f64, f64), (f64, f64)) -> f64| -> f64 {
            pairs.iter().map(|(p, q)| f(*p, *q)).sum()
        };
        let kernel = sum(&|p, q| log_integral(p, q, 1.0, 1.0));
        let half = (0.5 * (2.0 * std::f64::consts::PI).ln()) * 2.0;
        let overlap = sum(&|p, q| log_integral(p, q, 0.5, 0.5)) - half;
        let cases = [
            (M::Mean, -0.8),
            (M::ExpectedSquare, -1.26),
            (M::ExpectedLikelihood, kernel - half),
            (M::KullbackLeibler, -sum(&divergence)),
            (M::KullbackLeiblerReleased, -92.082_581_463_7),
            (
                M::Jeffreys,
                -sum(&|p, q| divergence(p, q) + divergence(q, p)),
            ),
            (M::Bhattacharyya, overlap),
            (M::Wasserstein, -1.0),
            (
                M::Inclusion,
                sum(&|p, q| log_integral(p, q, 2.0, 1.0) - log_integral(p, q, 1.0, 2.0)),
            ),
        ];
        for (measure, expected) in cases {
            let found = score(measure, IMAGE, CAPTION);
            let error = (found - expected).abs();
            assert!(
                error < 1e-4 * expected.abs().max(1.0),
                "{measure:?}: {found} {expected}"
            );
        }
    }

    /// Both sides' draws when evaluating, `[samples][d]` each.
    fn drawn(samples: usize) -> [Vec<[f64; 2]>; 2] {
        [(IMAGE, ItemSide::Image), (CAPTION, ItemSide::Caption)].map(|(item, side)| {
            let values = floats(draws(&items(item), samples, side, &mut Mode::Evaluate));
            let rows = values.chunks_exact(2);
            rows.map(|row| [f64::from(row[0]), f64::from(row[1])])
                .collect()
        })
    }

    fn sampled(measure: GaussianMeasure, samples: usize) -> f64 {
        let module = GaussianDistance { measure, samples };
        let scores = module.scores(&items(IMAGE), &items(CAPTION), &mut Mode::Evaluate);
        f64::from(floats(scores)[0])
    }

    #[test]
    fn sampled_measures_are_means_over_all_pairs_of_draws() {
        for samples in [1, 7] {
            let [images, captions] = drawn(samples);
            let squares = || {
                (images.iter()).flat_map(|x| {
                    let square = |y: &[f64; 2]| (x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2);
                    captions.iter().map(square)
                })
            };
            let n = (samples * samples) as f64;
            let square = -squares().sum::<f64>() / n;
            let distance = -squares().map(f64::sqrt).sum::<f64>() / n;
            let found = sampled(GaussianMeasure::SampledSquare, samples);
            assert!((found - square).abs() < 1e-5, "{found} {square}");
            let found = sampled(GaussianMeasure::SampledDistance, samples);
            assert!((found - distance).abs() < 1e-5, "{found} {distance}");
        }
    }

    #[test]
    fn many_draws_approach_the_closed_form() {
        let closed = score(GaussianMeasure::ExpectedSquare, IMAGE, CAPTION);
        let found = sampled(GaussianMeasure::SampledSquare, 3000);
        // The deviation of ‖z − z'‖² is about 0.8, that of the mean about 0.8 √(2 / 3000).
        assert!((found - closed).abs() < 0.08, "{found} {closed}");
        let distance = sampled(GaussianMeasure::SampledDistance, 3000);
        assert!(distance > -(-closed).sqrt(), "Jensen: {distance} {closed}");
        assert!((found - sampled(GaussianMeasure::SampledSquare, 1)).abs() > 1e-3);
    }

    #[test]
    fn what_released_code_computes_differs_as_documented() {
        let (image, caption) = (([0.0], [(-0.5f64).exp()]), ([0.5], [1.0]));
        let released = score(GaussianMeasure::InclusionReleased, image, caption);
        assert!((released - 0.883_174_476_6).abs() < 1e-5, "{released}");
        let exact = score(GaussianMeasure::Inclusion, image, caption);
        assert!((exact - 0.383_174_476_6).abs() < 1e-5, "{exact}");
        let jeffreys = score(GaussianMeasure::Jeffreys, IMAGE, CAPTION);
        assert!((2.0 * jeffreys - 4.0 + 100.85).abs() < 1e-3, "{jeffreys}");
        let distance = score(GaussianMeasure::Bhattacharyya, IMAGE, CAPTION);
        assert!((distance + 1.404_712_113_6).abs() < 1e-5, "{distance}");
    }

    #[test]
    fn one_sided_measures_are_one_sided_and_the_others_are_not() {
        use GaussianMeasure as M;
        let both = |measure| {
            (
                score(measure, IMAGE, CAPTION),
                score(measure, CAPTION, IMAGE),
            )
        };
        for measure in [
            M::Mean,
            M::ExpectedSquare,
            M::ExpectedLikelihood,
            M::Jeffreys,
            M::Bhattacharyya,
            M::Wasserstein,
        ] {
            let (there, back) = both(measure);
            assert!((there - back).abs() < 1e-4 * there.abs(), "{measure:?}");
        }
        let (there, back) = both(M::Inclusion);
        assert!((there + back).abs() < 1e-4 * there.abs() && there.abs() > 0.1);
        let (there, back) = both(M::KullbackLeibler);
        assert!((there - back).abs() > 10.0);
    }
}
