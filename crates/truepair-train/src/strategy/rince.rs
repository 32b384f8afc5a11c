//! RINCE: one objective on every pair, made so that pairs that fit badly pull less.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{Rince, positive};

/// Settings of `rince`.
///
/// [`Rince`] on every pair: no belief, no warm-up, no division, one network.
///
/// ```text
/// r(s) = ((λ Σⱼ e^sⱼ)^q − e^(q sᵢ)) / q     of the scores over τ, both directions
/// ```
///
/// # Source
/// Chuang et al., CVPR 2022; code read at chingyaoc/RINCE@c7f8534.
/// # Deviations
/// Those of [`Rince`], and
/// 1. The temperature is that of cosines here, 0.07. q = 0.1 and λ = 0.01 are the defaults of the
///    released SimCLR, whose temperature is 0.1; the released MoCo has q = 0.6 at a temperature of 1, so
///    that q / τ, by which wrong pairs lose their pull, is about 1 in both and here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RinceConfig {
    /// τ: divides the scores.
    pub temperature: f64,
    /// q: InfoNCE near 0, a symmetric loss at 1, (0, 1].
    pub q: f64,
    /// λ: how much all candidates count beside the given one, (0, 1].
    pub lambda: f64,
}

impl Default for RinceConfig {
    fn default() -> Self {
        Self {
            temperature: 0.07,
            q: 0.1,
            lambda: 0.01,
        }
    }
}

#[derive(Debug)]
struct OneObjective(Rince);

impl RinceConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        for (name, value) in [("q", self.q), ("lambda", self.lambda)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::argument(
                    format!("strategy.{name} = {value} is not in (0, 1]"),
                    "the released code uses q from 0.1 to 0.6 and lambda 0.01",
                )
                .into());
            }
        }
        let Self {
            temperature,
            q,
            lambda,
        } = *self;
        Ok(Box::new(OneObjective(Rince {
            temperature,
            q,
            lambda,
        })))
    }
}

impl Strategy for OneObjective {
    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        self.0.pair_loss(view.scores).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let with = |q, lambda| RinceConfig {
            q,
            lambda,
            ..RinceConfig::default()
        };
        for config in [
            with(0.0, 0.01),
            with(1.1, 0.01),
            with(0.5, 0.0),
            with(f64::NAN, 0.5),
        ] {
            assert!(config.build(1).is_err(), "{config:?}");
        }
        assert!(with(1.0, 1.0).build(1).is_ok());
    }
}
