//! Deep evidential cross-modal learning: scores are evidence, a pair is clean when its own evidence
//! is the strongest, and little evidence is uncertainty.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::mixture;

use super::{
    BatchView, Beliefs, Epoch, Judgement, Measured, Plan, Planning, Square, Strategy, Survey,
};
use crate::error::Result;
use truepair_model::objective::{Evidential, PairLoss, dynamic_hinge, per_pair, positive};

/// Settings of `decl`.
///
/// A score `r` becomes the evidence `e = exp(tanh(r) / τ)`. Before every main epoch each pair is held
/// clean if, in its shuffled batch, none of its image's captions has more evidence in both directions
/// together, `eᵢⱼ + eⱼᵢ`. With labels `y` of 1 for clean and 0 for noisy pairs,
///
/// ```text
/// Lᵢ = evidentialᵢ(y) + λ₁ yᵢ b hingeᵢ(n),      n = max(⌊b − δ step⌋, μ)
/// ```
/// where the [`Evidential`] loss teaches noisy pairs' queries to find no evidence at all, and
/// [`dynamic_hinge`] acts on `tanh(r)` and moves from all negatives to the `μ` hardest. Warm-up
/// epochs hold every pair clean.
///
/// In the ledger: `soft_label` is `y`; `uncertainty` the mean of both directions' `b / Σ(e + 1)`.
///
/// # Source
/// Qin et al., ACM MM 2022; code read at QinYang79/DECL@1b0a775. Golden `u04_decl`.
/// # Deviations
/// 1. The paper's `r` is what its similarity network says before the sigmoid. Similarities here return
///    bounded scores: `raw = "as-is"` takes them for `r`, `raw = "logit"` undoes a sigmoid, clipped to
///    [1e-6, 1 − 1e-6].
/// 2. `clean_posterior` is `w / (w + w*)`, the evidence for the own caption and for its strongest
///    rival; it is above the paper's bound ½ exactly where the own caption's is the largest.
/// 3. When fewer than two pairs are clean, those with the highest posterior are; see
///    [`mixture::divide`]. The release has no rule for it.
/// 4. `n` is computed with the batch's own size; the release has the nominal one, also for a last
///    batch that is smaller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeclConfig {
    /// How a score becomes `r`.
    pub raw: RawScore,
    /// τ of the evidence.
    pub temperature: f64,
    /// λ₂: weight of the divergence of misleading evidence.
    pub divergence: f64,
    /// λ₁: weight of the hinge.
    pub hinge: f64,
    /// Whether the hinge is summed over the batch while the evidential loss is averaged, as released,
    /// or averaged too.
    pub hinge_sum: HingeSum,
    /// α of the hinge, in units of `tanh(r)`.
    pub margin: f64,
    /// δ: negatives that the hinge drops a step.
    pub decay: f64,
    /// μ: negatives that it keeps, at least 1.
    pub hardest: usize,
    /// Epochs before the first division, in addition to `training.epochs`.
    pub warm_up: usize,
}

/// How a score becomes the `r` of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawScore {
    /// `r = S`: for cosines and distances.
    AsIs,
    /// `r = log(S / (1 − S))`: for the sigmoid scores of SGR, SAF and SGRAF.
    Logit,
}

/// How the hinges of a batch count beside its averaged evidential losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HingeSum {
    /// By their sum; the release's.
    Batch,
    /// By their mean.
    Pair,
}

impl Default for DeclConfig {
    fn default() -> Self {
        Self {
            raw: RawScore::AsIs,
            temperature: 0.1,
            divergence: 0.1,
            hinge: 0.8,
            hinge_sum: HingeSum::Batch,
            margin: 0.2,
            decay: 0.025,
            hardest: 5,
            warm_up: 5,
        }
    }
}

#[derive(Debug)]
struct Decl(DeclConfig);

impl DeclConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        positive("strategy.margin", self.margin)?;
        let weights = [
            ("divergence", self.divergence),
            ("hinge", self.hinge),
            ("decay", self.decay),
        ];
        for (name, value) in weights {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(
                    format!("strategy.{name} = {value} is not a number of at least 0"),
                    "the paper uses divergence 0.1, hinge 0.8 and decay 0.025",
                )
                .into());
            }
        }
        if self.hardest == 0 {
            return Err(Error::argument(
                "strategy.hardest = 0 leaves the hinge nothing",
                "set it to at least 1; the paper uses 5",
            )
            .into());
        }
        Ok(Box::new(Decl(self.clone())))
    }

    /// `tanh(r)` of scores `[b, b]`.
    pub fn bounded(&self, scores: &Tensor<2>) -> Tensor<2> {
        let scores = scores.clone();
        match self.raw {
            RawScore::AsIs => scores.tanh(),
            RawScore::Logit => {
                let share = scores.clamp(CLIP, 1.0 - CLIP);
                (share.clone().log() - (share.neg() + 1.0).log()).tanh()
            }
        }
    }

    fn evidence(&self, score: f32) -> f64 {
        let score = f64::from(score);
        let raw = match self.raw {
            RawScore::AsIs => score,
            RawScore::Logit => {
                let share = score.clamp(CLIP, 1.0 - CLIP);
                (share / (1.0 - share)).ln()
            }
        };
        (raw.tanh() / self.temperature).exp()
    }

    /// Of every pair of scores `[b * b]` the own evidence's share beside that of the strongest rival
    /// caption, and the uncertainty; `[b]` each in [0, 1].
    pub fn read(&self, scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let square = Square::new(scores);
        let b = square.side();
        let evidence: Vec<f64> = scores.iter().map(|&score| self.evidence(score)).collect();
        let at = |i: usize, j: usize| evidence[i * b + j];
        (0..b)
            .map(|i| {
                let both = |j: usize| at(i, j) + at(j, i);
                let rival = (0..b).filter(|&j| j != i).map(both).fold(0.0, f64::max);
                let own = both(i);
                let row: f64 = (0..b).map(|j| at(i, j) + 1.0).sum();
                let column: f64 = (0..b).map(|j| at(j, i) + 1.0).sum();
                let unknown = b as f64 * (1.0 / row + 1.0 / column) / 2.0;
                ((own / (own + rival)) as f32, unknown as f32)
            })
            .unzip()
    }

    /// How many negatives the hinge counts in a batch of `b` pairs; steps count from 1.
    pub fn n_hardest(&self, b: usize, step: usize) -> usize {
        let left = b as f64 - self.decay * step as f64;
        (left.max(0.0) as usize).max(self.hardest)
    }

    /// The loss for labels `[b]` of 0 or 1, `n` negatives in the hinge.
    pub fn pair_loss(&self, scores: &Tensor<2>, labels: &[f32], n: usize) -> PairLoss {
        let bounded = self.bounded(scores);
        let evidential = Evidential {
            temperature: self.temperature,
            divergence: self.divergence,
        };
        let weight = match self.hinge_sum {
            HingeSum::Batch => self.hinge * labels.len() as f64,
            HingeSum::Pair => self.hinge,
        };
        let hinge = dynamic_hinge(&bounded, self.margin, n).0 * per_pair(labels, scores);
        PairLoss(evidential.pair_loss(&bounded, labels).0 + hinge * weight)
    }
}

/// How far from 0 and 1 a sigmoid's score is kept.
const CLIP: f64 = 1e-6;

impl Strategy for Decl {
    fn n_warm_up(&self) -> usize {
        self.0.warm_up
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| {
            let (posterior, uncertainty) = self.0.read(scores);
            Measured {
                loss: posterior.iter().map(|share| -share.ln()).collect(),
                beliefs: Beliefs {
                    clean_posterior: Some(posterior),
                    uncertainty: Some(uncertainty),
                    ..Beliefs::default()
                },
            }
        })
    }

    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let everything = planning.everything(1);
        let ledger = &mut planning.ledgers[0];
        if let Some(pair) = ledger.loss.iter().position(|loss| !loss.is_finite()) {
            return Err(Error::argument(
                format!("the evidence loss of pair {pair} is {}", ledger.loss[pair]),
                "look for NaN in the features, or lower the learning rate",
            )
            .into());
        }
        let mut clean: Vec<bool> = ledger.clean_posterior.iter().map(|&p| p > 0.5).collect();
        let mut note = None;
        if clean.iter().filter(|&&clean| clean).count() < 2 {
            let division = mixture::divide(&ledger.clean_posterior, 0.5)?;
            note = division.fallback.map(|fallback| fallback.to_string());
            clean = division.clean;
        }
        ledger.soft_label = clean.iter().map(|&is| f32::from(u8::from(is))).collect();
        Ok(Plan { note, ..everything })
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let labels = match epoch.is_warm_up() {
            true => vec![1.0; view.pairs.len()],
            false => view.recall(&view.ledgers[view.peer].soft_label),
        };
        let step = epoch.index * view.n_steps + view.step + 1;
        let n = self.0.n_hardest(labels.len(), step);
        self.0.pair_loss(view.scores, &labels, n).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{check_gradient, run, scores, tracked};

    #[test]
    fn labels_of_1_give_the_plain_objective() {
        let s = scores(6);
        let config = DeclConfig {
            hinge_sum: HingeSum::Pair,
            ..DeclConfig::default()
        };
        let (losses, _) = run(&s, |x| config.pair_loss(x, &[1.0; 6], 3));
        let (plain, _) = run(&s, |x| {
            let bounded = x.clone().tanh();
            let evidential = Evidential {
                temperature: 0.1,
                divergence: 0.1,
            };
            let hinge = dynamic_hinge(&bounded, 0.2, 3).0 * 0.8;
            PairLoss(evidential.pair_loss(&bounded, &[1.0; 6]).0 + hinge)
        });
        assert_eq!(losses, plain);
    }

    #[test]
    fn a_pair_is_clean_where_its_own_evidence_is_the_strongest() {
        let s = [0.9, 0.1, 0.0, 0.2, 0.3, 0.8, 0.0, 0.8, 0.7];
        let (posterior, uncertainty) = DeclConfig::default().read(&s);
        assert!(posterior[0] > 0.99 && posterior[1] < 0.5 && posterior[2] < 0.5);
        assert!(uncertainty[0] < uncertainty[1] * 2.0 && uncertainty[0] > 0.0);
        let (_, ignorant) = DeclConfig::default().read(&[-1.0; 9]);
        assert!(ignorant.iter().all(|&u| u > 0.99), "{ignorant:?}");
    }

    #[test]
    fn a_logit_undoes_a_sigmoid() {
        let config = DeclConfig {
            raw: RawScore::Logit,
            temperature: 0.5,
            ..DeclConfig::default()
        };
        let raw = scores(4);
        let sigmoid: Vec<f32> = raw.iter().map(|r| 1.0 / (1.0 + (-r).exp())).collect();
        let found = floats(config.bounded(&tracked(&sigmoid)));
        assert!(
            found
                .iter()
                .zip(&raw)
                .all(|(t, r)| (t - r.tanh()).abs() < 1e-5)
        );
        assert!((config.evidence(sigmoid[3]) - f64::from(raw[3].tanh() / 0.5).exp()).abs() < 1e-4);
        check_gradient(&sigmoid, |x| config.pair_loss(x, &[1.0, 0.0, 1.0, 1.0], 2));
        let bounds = [0.0, 1.0, 1.0, 0.0];
        let (losses, gradient) = run(&bounds, |x| config.pair_loss(x, &[1.0; 2], 1));
        assert!(losses.iter().chain(&gradient).all(|x| x.is_finite()));
    }

    #[test]
    fn the_hinge_moves_from_all_negatives_to_the_hardest() {
        let config = DeclConfig::default();
        let n = [1, 40, 1000, 1_000_000].map(|step| config.n_hardest(128, step));
        assert_eq!(n, [127, 127, 103, 5]);
    }
}
