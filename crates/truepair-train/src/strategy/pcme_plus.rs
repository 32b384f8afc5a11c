//! PCME++: Gaussians under a distance in closed form, with pseudo-positives and mixed images.

use serde::{Deserialize, Serialize};
use truepair_core::rng::Stream;

use super::mixing::{MixingConfig, Mixture};
use super::pcme::{divergence, weights};
use super::{BatchView, Epoch, Judgement, Plan, Planning, Strategy};
use crate::error::Result;
use truepair_model::encoding::Input;
use truepair_model::matcher::regularizer::{DivergenceForm, Regularizers};
use truepair_model::objective::{Over, SoftContrastive};

/// Settings of `pcme++`. Captions of an image that is in a batch twice count as matches of both.
///
/// # Source
/// Chun, ICLR 2024; code read at naver-ai/pcmepp@8829c0d. Golden `u09_pcmepp_loss`.
/// # Deviations
/// 1. Images are mixed as features; see [`Mixture`].
/// 2. Matches of an image that is there twice are kept when images are mixed; the released code then
///    drops them.
/// 3. No label smoothing (published: 1e-4), and no averaging of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PcmePlusConfig {
    /// Weight of the divergence from the standard Gaussian, a mean over dimensions; 0 leaves it out.
    pub vib: f64,
    /// Weight of the terms with pseudo-positives; 0 leaves them out.
    pub pseudo: f64,
    /// How images are mixed.
    pub mixing: MixingConfig,
}

impl Default for PcmePlusConfig {
    fn default() -> Self {
        Self {
            vib: 1e-4,
            pseudo: 0.1,
            mixing: MixingConfig::default(),
        }
    }
}

#[derive(Debug)]
struct PcmePlus {
    objective: SoftContrastive,
    regularizers: Regularizers,
    mixing: MixingConfig,
    /// Image of every pair.
    images: Vec<u32>,
    /// What the batch's images were mixed of, until its loss is known.
    mixture: Option<Mixture>,
}

impl PcmePlusConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        weights(&[("vib", self.vib), ("pseudo", self.pseudo)])?;
        self.mixing.check()?;
        Ok(Box::new(PcmePlus {
            objective: SoftContrastive {
                over: Over::Mean,
                pseudo: self.pseudo,
            },
            regularizers: Regularizers {
                divergence: divergence(self.vib, DivergenceForm::Mean),
                ..Regularizers::default()
            },
            mixing: self.mixing,
            images: Vec::new(),
            mixture: None,
        }))
    }
}

impl PcmePlus {
    /// Per image and caption of a batch whether they are a given pair, `[b * b]`.
    fn given(&self, pairs: &[u32]) -> Vec<f32> {
        let image = |pair: u32| self.images.get(pair as usize);
        let rows = pairs.iter().flat_map(|&i| {
            pairs
                .iter()
                .map(move |&j| i == j || (image(i).is_some() && image(i) == image(j)))
        });
        rows.map(|is| f32::from(u8::from(is))).collect()
    }
}

impl Strategy for PcmePlus {
    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        self.images = planning.pairs.iter().map(|pair| pair.image).collect();
        Ok(planning.everything(1))
    }

    fn regularizers(&self) -> Regularizers {
        self.regularizers
    }

    fn mix(&mut self, _epoch: Epoch, images: &Input, rng: &mut Stream) -> Option<Mixture> {
        self.mixture = self.mixing.draw(images, rng);
        self.mixture.clone()
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let mut targets = self.given(view.pairs);
        if let Some(mixture) = self.mixture.take() {
            targets = mixture.targets(&targets);
        }
        self.objective.pair_loss_to(view.scores, &targets).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_of_an_image_that_is_there_twice_match_both() {
        let strategy = PcmePlus {
            objective: SoftContrastive::default(),
            regularizers: Regularizers::default(),
            mixing: MixingConfig::default(),
            images: vec![4, 7, 4],
            mixture: None,
        };
        let given = strategy.given(&[0, 1, 2]);
        assert_eq!(given, [1., 0., 1., 0., 1., 0., 1., 0., 1.]);
        // A pair of no given image matches itself alone.
        assert_eq!(strategy.given(&[9, 8]), [1., 0., 0., 1.]);
    }

    #[test]
    fn weights_below_0_and_shares_above_1_are_refused() {
        let config = PcmePlusConfig::default();
        let mixing = MixingConfig { share: 1.5 };
        assert!(
            PcmePlusConfig {
                vib: -1.0,
                ..config.clone()
            }
            .build(1)
            .is_err()
        );
        assert!(PcmePlusConfig { mixing, ..config }.build(1).is_err());
    }
}
