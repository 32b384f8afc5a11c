//! Robust complementary contrastive learning: the given pair is never asserted, only that random
//! others are no match, a statement that is wrong once in a batch at most.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::rng::{Stream, sample};

use super::{BatchView, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{ComplementForm, Complementary, positive};

/// Settings of `rcl`.
///
/// # Source
/// Hu et al., TPAMI 2023; code read at penghu-cs/RCL. One network, no warm-up, no division.
/// # Deviations
/// 1. The default temperature is 0.07, for cosine scores; the paper's 0.05 is for the sigmoid scores
///    of SGR and SAF, and its configs under `configs/` say so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RclConfig {
    /// Shape of the penalty: `log`, `tan`, `mae`, `exp` or `gce`.
    pub form: ComplementForm,
    /// Divides the scores.
    pub temperature: f64,
    /// Exponent of the `gce` form, (0, 1].
    pub q: f64,
    /// Share of the batch that each anchor counts as negatives, drawn anew for every batch, (0, 1].
    pub negatives: f64,
}

impl Default for RclConfig {
    fn default() -> Self {
        let Complementary {
            form,
            temperature,
            q,
        } = Complementary::default();
        Self {
            form,
            temperature,
            q,
            negatives: 1.0,
        }
    }
}

#[derive(Debug)]
struct Rcl {
    objective: Complementary,
    negatives: f64,
}

impl RclConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        for (name, share) in [("q", self.q), ("negatives", self.negatives)] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::argument(
                    format!("strategy.{name} = {share} is not in (0, 1]"),
                    "1 counts every negative; the paper's `gce` uses q = 0.5",
                )
                .into());
            }
        }
        let Self {
            form,
            temperature,
            q,
            negatives,
        } = *self;
        let objective = Complementary {
            form,
            temperature,
            q,
        };
        Ok(Box::new(Rcl {
            objective,
            negatives,
        }))
    }
}

impl Strategy for Rcl {
    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let chosen = (self.negatives < 1.0).then(|| {
            let b = view.pairs.len();
            let mask = negative_mask(view.rng, b, (self.negatives * b as f64) as usize);
            Tensor::from_data(TensorData::new(mask, [b, b]), &view.scores.device())
        });
        self.objective.pair_loss(view.scores, chosen).into()
    }
}

/// `k` candidates other than itself for each of `b` anchors, as 1 in `[b * b]`.
pub(super) fn negative_mask(rng: &mut Stream, b: usize, k: usize) -> Vec<f32> {
    let mut mask = vec![0.0; b * b];
    for anchor in 0..b {
        for other in sample(rng, b - 1, k.max(1)) {
            let candidate = (other as usize + usize::from(other as usize >= anchor)) % b;
            mask[anchor * b + candidate] = 1.0;
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::Seed;

    #[test]
    fn every_anchor_gets_its_share_of_negatives_and_never_itself() {
        let mask = negative_mask(&mut Seed(3).stream("test", &[]), 8, 3);
        for anchor in 0..8 {
            let row = &mask[anchor * 8..][..8];
            assert_eq!(row.iter().sum::<f32>(), 3.0);
            assert_eq!(row[anchor], 0.0);
        }
    }

    #[test]
    fn shares_outside_the_range_are_refused() {
        assert!(
            RclConfig {
                negatives: 0.0,
                ..RclConfig::default()
            }
            .build(1)
            .is_err()
        );
        assert!(
            RclConfig {
                q: 1.5,
                ..RclConfig::default()
            }
            .build(1)
            .is_err()
        );
    }
}
