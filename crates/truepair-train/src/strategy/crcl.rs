//! Cross-modal robust complementary learning: every pair is asserted as far as a label says that
//! follows the predictions slowly, and networks start anew while labels stay.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::{BatchView, Beliefs, Epoch, Judgement, Square, Strategy};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{ActiveComplementary, positive};

/// Settings of `crcl`.
///
/// Believes one soft correspondence `y` a pair, 1 at first, and minimizes the
/// [`ActiveComplementary`] loss with it. `p` is the mean of both directions' in-batch probabilities of
/// the pair while training:
///
/// ```text
/// warm-up of every stage:       y stays; after the very first one y ← p
/// other epochs, at every visit: y ← m y + (1 − m) p
/// at every visit:               y < floor becomes 0
/// ```
/// Without memory `y ← p` at every visit, in warm-ups too, and no label is floored.
///
/// The main part is several stages. At the start of each the networks and optimizers are new, so that
/// what a network memorized of wrong pairs is forgotten, and the labels are kept. The learning rate
/// follows the schedule of the last stage, `training.epochs` long, from every stage's start.
///
/// # Source
/// Qin et al., NeurIPS 2023; code read at QinYang79/CRCL@4a96406. Golden `u04_crcl`.
/// # Deviations
/// 1. A run keeps the best epoch of all stages; released code forgets the best at every stage's start.
/// 2. Released code adds 1e-10 to the softmax's sum; here the softmax is exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrclConfig {
    /// τ: divides the scores. The paper's 0.05 is for the sigmoid scores of SGR and SAF.
    pub temperature: f64,
    /// λ: weight of the complementary term.
    pub denial: f64,
    /// Whether labels remember earlier visits.
    pub memory: LabelMemory,
    /// m: how much of the old label a visit keeps, [0, 1].
    pub momentum: f64,
    /// Remembered labels below this become 0, [0, 1].
    pub floor: f64,
    /// Epochs of the stages before the last, which has `training.epochs`; warm-ups come on top.
    pub stages: Vec<usize>,
    /// Epochs at the start of every stage in which labels stay.
    pub warm_up: usize,
}

/// Whether a pair's label remembers earlier visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelMemory {
    /// It follows the predictions by `momentum`, stays in warm-ups and has a floor; the paper's.
    Momentum,
    /// It is the prediction of the visit: the paper's ablation, `mc` off in the released code.
    None,
}

impl Default for CrclConfig {
    fn default() -> Self {
        Self {
            temperature: 0.05,
            denial: 5.0,
            memory: LabelMemory::Momentum,
            momentum: 0.8,
            floor: 0.1,
            stages: vec![5, 5, 5],
            warm_up: 2,
        }
    }
}

#[derive(Debug)]
struct Crcl(CrclConfig);

impl CrclConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        positive("strategy.denial", self.denial)?;
        for (name, share) in [("momentum", self.momentum), ("floor", self.floor)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::argument(
                    format!("strategy.{name} = {share} is not in [0, 1]"),
                    "the paper uses momentum 0.8 and floor 0.1",
                )
                .into());
            }
        }
        if self.stages.contains(&0) {
            return Err(Error::argument(
                "strategy.stages holds a stage of 0 epochs",
                "leave the stage out, or give it at least 1 epoch",
            )
            .into());
        }
        Ok(Box::new(Crcl(self.clone())))
    }

    /// Where an epoch stands in its stage; every stage has the last one's schedule.
    fn in_stage(&self, epoch: Epoch) -> Epoch {
        let mut index = epoch.index;
        for stage in &self.stages {
            let length = self.warm_up + stage;
            if index < length {
                break;
            }
            index -= length;
        }
        Epoch {
            index,
            n_warm_up: self.warm_up,
            n_main: epoch.n_main,
        }
    }

    /// The label after a visit, [0, 1].
    fn refine(&self, label: f32, predicted: f32) -> f32 {
        let share = (1.0 - self.momentum) as f32;
        (label + share * (predicted - label)).clamp(0.0, 1.0)
    }

    /// The labels of a visit, from those before it and what is predicted, `[b]`.
    fn labels(&self, epoch: Epoch, before: &[f32], predicted: &[f32]) -> Vec<f32> {
        if self.memory == LabelMemory::None {
            return predicted.to_vec();
        }
        let stays = self.in_stage(epoch).is_warm_up();
        let visit = |(&label, &p): (&f32, &f32)| {
            let label = if stays { label } else { self.refine(label, p) };
            if label < self.floor as f32 {
                0.0
            } else {
                label
            }
        };
        before.iter().zip(predicted).map(visit).collect()
    }
}

impl Strategy for Crcl {
    fn n_warm_up(&self) -> usize {
        let config = &self.0;
        config.warm_up * (config.stages.len() + 1) + config.stages.iter().sum::<usize>()
    }

    fn restarts(&self, epoch: Epoch) -> bool {
        epoch.index > 0 && self.0.in_stage(epoch).index == 0
    }

    fn schedule_epoch(&self, epoch: Epoch) -> Epoch {
        self.0.in_stage(epoch)
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let config = &self.0;
        let scores = floats(view.scores.clone().detach());
        let predicted = Square::new(&scores).mean_given(config.temperature);
        let before = view.recall(&view.ledgers[view.peer].soft_label);
        let labels = config.labels(epoch, &before, &predicted);
        let objective = ActiveComplementary {
            temperature: config.temperature,
            denial: config.denial,
        };
        let loss = objective.pair_loss(view.scores, &labels);
        let ends_first_warm_up = epoch.index + 1 == config.warm_up;
        Judgement {
            loss,
            beliefs: Beliefs {
                soft_label: Some(if ends_first_warm_up {
                    predicted
                } else {
                    labels
                }),
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crcl() -> Crcl {
        Crcl(CrclConfig {
            stages: vec![3, 1],
            warm_up: 2,
            ..CrclConfig::default()
        })
    }

    fn at(index: usize) -> Epoch {
        Epoch {
            index,
            n_warm_up: crcl().n_warm_up(),
            n_main: 4,
        }
    }

    #[test]
    fn stages_restart_the_networks_and_the_schedule() {
        let crcl = crcl();
        assert_eq!(crcl.n_warm_up(), 3 * 2 + 3 + 1);
        let restarts: Vec<usize> = (0..14).filter(|&i| crcl.restarts(at(i))).collect();
        assert_eq!(restarts, [5, 8]);
        let places: Vec<usize> = (0..14).map(|i| crcl.schedule_epoch(at(i)).index).collect();
        assert_eq!(places, [0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 4, 5]);
        assert!(crcl.schedule_epoch(at(9)).is_warm_up());
        assert_eq!(crcl.schedule_epoch(at(13)).main_index(), 3);
    }

    #[test]
    fn labels_without_memory_are_the_predictions_in_warm_ups_too() {
        let (before, predicted) = ([1.0, 0.05], [0.02, 0.6]);
        let with = |memory| CrclConfig { memory, ..crcl().0 };
        let alone = with(LabelMemory::None);
        let remembering = with(LabelMemory::Momentum);
        for epoch in [at(0), at(2)] {
            assert_eq!(alone.labels(epoch, &before, &predicted), predicted);
        }
        assert_eq!(remembering.labels(at(0), &before, &predicted), [1.0, 0.0]);
        let later = remembering.labels(at(2), &[0.1, 0.5], &predicted);
        assert_eq!(later[0], 0.0, "0.8 · 0.1 + 0.2 · 0.02 is below the floor");
        assert!((later[1] - 0.52).abs() < 1e-6);
    }

    #[test]
    fn settings_outside_their_ranges_are_refused() {
        let refused = [
            CrclConfig {
                momentum: 1.5,
                ..CrclConfig::default()
            },
            CrclConfig {
                floor: -0.1,
                ..CrclConfig::default()
            },
            CrclConfig {
                stages: vec![5, 0],
                ..CrclConfig::default()
            },
        ];
        assert!(refused.iter().all(|config| config.build(1).is_err()));
    }
}
