//! The regularizers of SPS, for every strategy.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use crate::encoding::Structure;
use crate::objective::{PairLoss, asymmetry, modality_gap};

/// Two terms that are added to every pair's loss, whatever the strategy:
///
/// ```text
/// Lₙ + σ Aₙ + γ Gₙ
/// ```
/// with `A` the squared asymmetry of the batch's scores and `G` the squared difference of likeness
/// inside the two modalities. Every entry counts by the labels of both its pairs, which are 1 unless
/// the strategy gives its pairs other ones.
///
/// # Source
/// SPS, IJCAI 2025. Code read at C-TeaRanger/SPS@b985abe. Golden `u04_sps`.
/// # Deviations
/// 1. SPS, where both weigh 25, applies the terms to pairs held strictly clean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpsConfig {
    /// σ: weight of the squared asymmetry of the scores; SPS uses 25.
    pub symmetry: f64,
    /// γ: weight of the squared difference between likeness of images and of captions; SPS uses 25.
    pub modality_gap: f64,
}

impl SpsConfig {
    /// Whether both terms are left out.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// If a weight is negative or not finite.
    pub fn check(&self) -> Result<()> {
        for (name, weight) in [
            ("symmetry", self.symmetry),
            ("modality_gap", self.modality_gap),
        ] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::argument(
                    format!("sps.{name} = {weight} is out of range"),
                    "it must be at least 0; 0 leaves the term out, SPS uses 25",
                ));
            }
        }
        Ok(())
    }

    /// Whether likeness inside each modality is read.
    pub fn reads_structure(&self) -> bool {
        self.modality_gap > 0.0
    }

    /// The terms of a batch, `[b]`, weighted; `None` without any. `structure` is there where it is
    /// read, `labels` `[b]` in [0, 1].
    pub fn terms(
        &self,
        scores: &Tensor<2>,
        structure: Option<&Structure>,
        labels: &[f32],
    ) -> Option<Tensor<1>> {
        let mut sum: Option<Tensor<1>> = None;
        let mut add = |PairLoss(term): PairLoss, weight: f64| {
            let term = term * weight;
            sum = Some(match sum.take() {
                Some(sum) => sum + term,
                None => term,
            });
        };
        if self.symmetry > 0.0 {
            add(asymmetry(scores, labels), self.symmetry);
        }
        if let (true, Some(Structure { images, captions })) = (self.reads_structure(), structure) {
            add(modality_gap(images, captions, labels), self.modality_gap);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, run, scores, tracked};

    fn structure() -> Structure {
        let captions: Vec<f32> = scores(5).iter().map(|x| 1.0 - x).collect();
        Structure {
            images: tracked(&scores(5)),
            captions: tracked(&captions),
        }
    }

    #[test]
    fn terms_add_their_weights_and_gradients_and_count_by_labels() {
        let labels = [1.0, 0.4, 0.0, 0.7, 0.9];
        let terms = |symmetry, modality_gap, x: &Tensor<2>| {
            let config = SpsConfig {
                symmetry,
                modality_gap,
            };
            PairLoss(config.terms(x, Some(&structure()), &labels).unwrap())
        };
        check_gradient(&scores(5), |x| terms(2.0, 3.0, x));
        let (both, _) = run(&scores(5), |x| terms(2.0, 3.0, x));
        let (one, _) = run(&scores(5), |x| terms(2.0, 0.0, x));
        let (twice, _) = run(&scores(5), |x| terms(4.0, 0.0, x));
        assert!(both[0] > one[0] && one[0] > 0.0);
        assert!((twice[0] - 2.0 * one[0]).abs() < 1e-6);
        assert_eq!(both[2], 0.0, "a pair labeled 0 costs nothing");
    }

    #[test]
    fn nothing_is_added_without_weights_and_negative_ones_are_refused() {
        let off = SpsConfig::default();
        assert!(off.is_off() && !off.reads_structure());
        assert!(off.terms(&tracked(&scores(5)), None, &[1.0; 5]).is_none());
        let negative = SpsConfig {
            symmetry: -1.0,
            ..off
        };
        assert!(
            negative
                .check()
                .unwrap_err()
                .to_string()
                .contains("sps.symmetry")
        );
    }
}
