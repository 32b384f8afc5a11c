//! Equivariant similarity as a regularizer, for every strategy.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use crate::objective::equivariance;

/// A term that is added to every pair's loss, whatever the strategy:
///
/// ```text
/// Lₙ + ω Eₙ
/// ```
/// with `E` the [`equivariance`] of the batch's scores: what two pairs lose by exchanging their captions, or
/// their images, is the same for both where both match. Every two pairs count by their labels, which are 1
/// unless the strategy gives its pairs other ones: a strategy that judges pairs thereby asks it of
/// pairs that it holds matched alone.
///
/// # Source
/// Yang et al., CVPR 2024 (ESC), of which neither text nor code was available: the principle is recalled,
/// the form is that of EqSim (Wang et al., ICCV 2023; code read at Wangt-CN/EqBen@ab6c79a), on which it rests.
/// # Deviations
/// 1. ESC also takes the size of the violation for a sign of noise and makes soft labels from it, by
///    equations that are not known here. That half is left out.
/// 2. Weight and margin of ESC are not known. EqSim's recipe has 0.5 and 0.1, on softmaxes of scores.
/// 3. Those of [`equivariance`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscConfig {
    /// ω: weight of the term. At 25 it holds the symmetry of SPS at that paper's weight.
    pub equivariance: f64,
    /// Squared differences below this cost nothing.
    pub margin: f64,
}

impl EscConfig {
    /// Whether the term is left out.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// If a setting is negative or not finite.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("equivariance", self.equivariance), ("margin", self.margin)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(
                    format!("esc.{name} = {value} is out of range"),
                    "it must be at least 0; equivariance = 0 leaves the term out",
                ));
            }
        }
        Ok(())
    }

    /// The term of a batch, `[b]`, weighted; `None` without a weight. `labels` `[b]` in [0, 1].
    pub fn term(&self, scores: &Tensor<2>, labels: &[f32]) -> Option<Tensor<1>> {
        (self.equivariance > 0.0)
            .then(|| equivariance(scores, labels, self.margin).0 * self.equivariance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::PairLoss;
    use crate::objective::check::{check_gradient, run, scores, tracked};

    #[test]
    fn the_term_has_its_weight_and_counts_by_labels() {
        let labels = [1.0, 0.4, 0.0, 0.7, 0.9];
        let term = |equivariance, margin, x: &Tensor<2>| {
            let config = EscConfig {
                equivariance,
                margin,
            };
            PairLoss(config.term(x, &labels).unwrap())
        };
        check_gradient(&scores(5), |x| term(2.0, 0.1, x));
        let (one, _) = run(&scores(5), |x| term(2.0, 0.0, x));
        let (twice, _) = run(&scores(5), |x| term(4.0, 0.0, x));
        let (lenient, _) = run(&scores(5), |x| term(2.0, 0.1, x));
        assert!((twice[0] - 2.0 * one[0]).abs() < 1e-5 && lenient[0] < one[0]);
        assert_eq!(one[2], 0.0, "a pair labeled 0 costs nothing");
    }

    #[test]
    fn nothing_is_added_without_a_weight_and_negative_settings_are_refused() {
        let off = EscConfig::default();
        assert!(off.is_off() && off.term(&tracked(&scores(5)), &[1.0; 5]).is_none());
        for (equivariance, margin, name) in [
            (-1.0, 0.0, "esc.equivariance"),
            (1.0, f64::NAN, "esc.margin"),
        ] {
            let config = EscConfig {
                equivariance,
                margin,
            };
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
