//! Images put together from two of a batch, which then match two captions in part.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::rng::{Stream, shuffle, unit};

use crate::error::Result;
use truepair_model::encoding::Input;

/// Settings of mixing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixingConfig {
    /// Probability that an image is mixed, [0, 1]; 0 mixes none.
    pub share: f64,
}

impl Default for MixingConfig {
    fn default() -> Self {
        Self { share: 0.25 }
    }
}

/// How the images of one batch are mixed: image `i` with image `b − 1 − i`, by turns as a weighted
/// mean of features (mixup) and by exchanging regions (CutMix; a weighted mean where an image is one
/// vector).
///
/// # Source
/// Zhang et al., ICLR 2018; Yun et al., ICCV 2019; as the mixed-sample augmentation of PCME++
/// (naver-ai/pcmepp@8829c0d), weights from Beta(2, 2).
/// # Deviations
/// 1. Features are mixed, not pixels.
/// 2. CutMix exchanges random regions, not a rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Per image the share that stays its own, (0, 1]; 1 where it is not mixed.
    own: Vec<f32>,
    /// Per image whether regions are exchanged, in which order they go.
    exchanged: Vec<Option<Vec<u32>>>,
}

impl MixingConfig {
    /// # Errors
    /// If the share is no probability.
    pub(super) fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        Err(Error::argument(
            format!("strategy.mixing.share = {} is not in [0, 1]", self.share),
            "it is the probability that an image is mixed; published: 0.25",
        )
        .into())
    }

    /// Draws a mixture of `images`; `None` when nothing is mixed.
    pub(super) fn draw(&self, images: &Input, rng: &mut Stream) -> Option<Mixture> {
        let Input::Features { values, .. } = images else {
            return None;
        };
        let [b, r, _] = values.dims();
        if self.share <= 0.0 || b < 2 {
            return None;
        }
        let (mut own, mut exchanged) = (vec![1.0; b], vec![None; b]);
        for image in 0..b {
            let (mixed, cut) = (unit(rng) < self.share, unit(rng) < 0.5);
            let weight = beta_2_2(rng);
            if !mixed || image == b - 1 - image {
                continue;
            }
            own[image] = weight as f32;
            if cut && r > 1 {
                let mut order: Vec<u32> = (0..r as u32).collect();
                shuffle(rng, &mut order);
                order.truncate(((1.0 - weight) * r as f64).round() as usize);
                own[image] = 1.0 - order.len() as f32 / r as f32;
                exchanged[image] = Some(order);
            }
        }
        own.iter()
            .any(|&own| own < 1.0)
            .then_some(Mixture { own, exchanged })
    }
}

/// The middle one of three uniform numbers is distributed as Beta(2, 2).
fn beta_2_2(rng: &mut Stream) -> f64 {
    let mut three = [unit(rng), unit(rng), unit(rng)];
    three.sort_by(f64::total_cmp);
    three[1]
}

impl Mixture {
    /// The mixed images. An empty place of a region stays as it is where its partner's is empty.
    ///
    /// # Panics
    /// If the images are others than the mixture was drawn for.
    pub(crate) fn apply(&self, images: Input) -> Input {
        let Input::Features { values, mask } = images else {
            panic!("features are mixed")
        };
        let ([b, r, _], device) = (values.dims(), values.device());
        assert_eq!(b, self.own.len(), "one weight an image");
        let mut weights = vec![0.0; b * r];
        for (image, weights) in weights.chunks_exact_mut(r).enumerate() {
            match &self.exchanged[image] {
                None => weights.fill(self.own[image]),
                Some(gone) => {
                    weights.fill(1.0);
                    gone.iter().for_each(|&at| weights[at as usize] = 0.0);
                }
            }
        }
        let weights: Tensor<2> = Tensor::from_data(TensorData::new(weights, [b, r]), &device);
        let partner = values.clone().flip([0]);
        let own: Tensor<3> = weights.clone().unsqueeze_dim(2);
        let mixed = values * own.clone() + partner * (own.neg() + 1.0);
        let mask = mask.map(|mask| {
            let there = mask.clone() * weights.clone() + mask.flip([0]) * (weights.neg() + 1.0);
            there.greater_elem(0.0).float()
        });
        Input::Features {
            values: mixed,
            mask,
        }
    }

    /// Targets `[b * b]`: what an image keeps of its own targets, and what its partner brings.
    pub(super) fn targets(&self, targets: &[f32]) -> Vec<f32> {
        let b = self.own.len();
        let rows = targets.chunks_exact(b).zip(targets.chunks_exact(b).rev());
        (rows.zip(&self.own))
            .flat_map(|((own, partner), &weight)| {
                let places = own.iter().zip(partner);
                places.map(move |(own, partner)| weight * own + (1.0 - weight) * partner)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;

    fn images(b: usize, r: usize) -> Input {
        let values: Vec<f32> = (0..b * r).map(|at| at as f32).collect();
        Input::Features {
            values: Tensor::from_data(TensorData::new(values, [b, r, 1]), &Device::flex()),
            mask: None,
        }
    }

    fn values(input: Input) -> Vec<f32> {
        let Input::Features { values, .. } = input else {
            unreachable!()
        };
        floats(values)
    }

    #[test]
    fn features_and_targets_are_mixed_alike() {
        let mixture = Mixture {
            own: vec![0.75, 1.0, 0.5],
            exchanged: vec![None, None, Some(vec![1])],
        };
        let mixed = values(mixture.apply(images(3, 2)));
        assert_eq!(mixed, [1.0, 2.0, 2.0, 3.0, 4.0, 1.0]);
        let identity = [1., 0., 0., 0., 1., 0., 0., 0., 1.];
        let targets = mixture.targets(&identity);
        assert_eq!(targets, [0.75, 0., 0.25, 0., 1., 0., 0.5, 0., 0.5]);
    }

    #[test]
    fn as_many_images_are_mixed_as_asked_for_by_weights_around_one_half() {
        let config = MixingConfig { share: 0.25 };
        let mut rng = Seed(4).stream("test", &[]);
        let mixture = config.draw(&images(4000, 3), &mut rng).unwrap();
        let mixed: Vec<f32> = mixture.own.iter().copied().filter(|x| *x < 1.0).collect();
        let share = mixed.len() as f64 / 4000.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
        let drawn: Vec<f64> = (0..4000).map(|_| beta_2_2(&mut rng)).collect();
        let mean = drawn.iter().sum::<f64>() / 4000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02 && (variance - 0.05).abs() < 0.005);
        assert!(
            MixingConfig { share: 0.0 }
                .draw(&images(4, 1), &mut rng)
                .is_none()
        );
    }
}
