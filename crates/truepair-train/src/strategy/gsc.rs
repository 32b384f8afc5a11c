//! Geometrical structure consistency: a mismatched pair sits in unlike neighborhoods of images and
//! captions, even when its own score has been memorized.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::mixture::{self, GaussianConfig};

use super::setting::check_share;
use super::{BatchView, Beliefs, Epoch, Judgement, Needs, Plan, Planning, Square, Strategy};
use crate::error::Result;
use truepair_model::encoding::Structure;
use truepair_model::numbers::floats;
use truepair_model::objective::{
    InfoNce, PairLoss, StructureDirection, neighborhood_agreement, per_pair, positive, structural,
};

/// Settings of `gsc`.
///
/// Two indicators are collected for every pair during an epoch, in its batch: the probability of the
/// given pair, and how alike its neighborhoods are. After the epoch both are smoothed, and the
/// smaller is the pair's label `y` in the next:
///
/// ```text
/// pᵢ = (softmaxⱼ(Sᵢⱼ / τ)ᵢ + softmaxⱼ(Sⱼᵢ / τ)ᵢ) / 2     gᵢ = cos(y ∘ Iᵢ·, y ∘ Tᵢ·)
/// P ← β p + (1 − β) P      G ← β w(g) + (1 − β) G      y = min(P, G)
/// L = yᵢ InfoNCEᵢ + γ yᵢ InfoNCEᵢ(structure)
/// ```
/// with `w` the posterior of the component with the larger mean of a two-component Gaussian mixture
/// over all pairs, `I` and `T` the cosines inside a modality. `P`, `G` and `y` start at 1. With two
/// peers (GSC+) each trains with the other's labels. The ledger's clean posterior is `G`, its soft
/// label `y`.
///
/// # Source
/// Zhao et al., CVPR 2024. Code read at MediaBrain-SJTU/GSC@2759ba0. Golden `u04_gsc_loss`,
/// `u04_gsc_targets`.
/// # Deviations
/// 1. Likeness inside a modality is the cosine of mean-pooled encodings. The released code runs its
///    similarity head on pairs of images and pairs of captions, through a sigmoid.
/// 2. The structural loss is averaged over both directions; the released code looks for caption
///    neighborhoods only: `direction = "image-to-caption"`.
/// 3. The mixture has guards (see [`GaussianConfig`]) that the released code lacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GscConfig {
    /// Networks: 1, or 2 that exchange labels.
    pub peers: usize,
    /// τ: divides the scores.
    pub temperature: f64,
    /// β: weight of the *new* value in both running averages, [0, 1].
    pub refresh: f64,
    /// γ: weight of the structural loss.
    pub structure: f64,
    /// Which side's neighborhoods look for the other's.
    pub direction: StructureDirection,
    /// How the mixture is fitted and guarded.
    pub mixture: GaussianConfig,
}

impl Default for GscConfig {
    fn default() -> Self {
        Self {
            peers: 1,
            temperature: 0.07,
            refresh: 0.7,
            structure: 0.01,
            direction: StructureDirection::Both,
            mixture: GaussianConfig::default(),
        }
    }
}

/// The ledger's columns of this method.
const COLLECTED_PREDICTION: ColumnSpec = ColumnSpec::floats("collected_prediction");
const COLLECTED_AGREEMENT: ColumnSpec = ColumnSpec::floats("collected_agreement");
const PREDICTION: ColumnSpec = ColumnSpec::floats("smoothed_prediction");

#[derive(Debug)]
struct Gsc {
    config: GscConfig,
}

/// What an epoch taught about all pairs, `[n_pairs]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Purified {
    /// P: the smoothed probability of the given pair.
    pub prediction: Vec<f32>,
    /// G: the smoothed posterior of agreeing neighborhoods.
    pub agreement: Vec<f32>,
    /// y: the smaller of both.
    pub label: Vec<f32>,
    /// Whether nothing distinguished the pairs' neighborhoods.
    pub indistinguishable: bool,
}

impl GscConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        check_share("refresh", self.refresh, "0.7 is the default")?;
        if !(self.structure >= 0.0 && self.structure.is_finite()) {
            return Err(Error::argument(
                format!("strategy.structure = {} is out of range", self.structure),
                "it must be at least 0; 0 leaves the term out",
            )
            .into());
        }
        if !(1..=2).contains(&self.peers) {
            return Err(Error::argument(
                format!("strategy.peers = {} is neither 1 nor 2", self.peers),
                "1 is the paper's GSC, 2 its GSC+",
            )
            .into());
        }
        Ok(Box::new(Gsc {
            config: self.clone(),
        }))
    }

    /// The loss of every pair, for labels `[b]`.
    pub fn pair_loss(
        &self,
        scores: &burn::tensor::Tensor<2>,
        structure: &Structure,
        labels: &[f32],
    ) -> PairLoss {
        let Structure { images, captions } = structure;
        let temperature = self.temperature;
        let mut loss = InfoNce { temperature }.pair_loss(scores).0 * per_pair(labels, scores);
        if self.structure > 0.0 {
            loss = loss + structural(images, captions, labels, self.direction).0 * self.structure;
        }
        PairLoss(loss)
    }

    /// Smooths what an epoch collected, `[n_pairs]` each, into what was `before`.
    ///
    /// # Errors
    /// If a value is NaN or infinite.
    pub fn purify(
        &self,
        prediction: &[f32],
        agreement: &[f32],
        before: [&[f32]; 2],
    ) -> Result<Purified> {
        let disagreement: Vec<f32> = agreement.iter().map(|x| -x).collect();
        let fit = mixture::clean_posterior(&disagreement, &self.mixture)?;
        let prediction = self.smooth(prediction, before[0]);
        let agreement = self.smooth(&fit.posterior, before[1]);
        Ok(Purified {
            label: (prediction.iter().zip(&agreement))
                .map(|(p, g)| p.min(*g))
                .collect(),
            prediction,
            agreement,
            indistinguishable: fit.mixture.is_none(),
        })
    }

    fn smooth(&self, new: &[f32], old: &[f32]) -> Vec<f32> {
        let refresh = self.refresh as f32;
        (new.iter().zip(old))
            .map(|(new, old)| (refresh * new + (1.0 - refresh) * old).clamp(0.0, 1.0))
            .collect()
    }
}

impl Gsc {
    /// Takes in what the last epoch collected; says whether it taught anything of neighborhoods.
    fn revise(&self, ledger: &mut Ledger) -> Result<bool> {
        let before = [ledger.floats(PREDICTION), &ledger.clean_posterior];
        let purified = self.config.purify(
            ledger.floats(COLLECTED_PREDICTION),
            ledger.floats(COLLECTED_AGREEMENT),
            before,
        )?;
        *ledger.floats_mut(PREDICTION) = purified.prediction;
        ledger.clean_posterior = purified.agreement;
        ledger.soft_label = purified.label;
        Ok(!purified.indistinguishable)
    }
}

impl Strategy for Gsc {
    fn n_peers(&self) -> usize {
        self.config.peers
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        &[COLLECTED_PREDICTION, COLLECTED_AGREEMENT, PREDICTION]
    }

    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let mut plan = planning.everything(self.config.peers);
        for ledger in planning.ledgers {
            if planning.epoch.index == 0 {
                ledger.floats_mut(PREDICTION).fill(1.0);
            } else if !self.revise(ledger)? {
                plan.note = Some("all neighborhoods agree equally; none is held mismatched".into());
            }
        }
        Ok(plan)
    }

    fn needs(&self, _epoch: Epoch, _group: usize) -> Needs {
        Needs {
            structure: true,
            ..Needs::default()
        }
    }

    /// Those that the other peer gives, where there is one.
    fn labels(&self, peer: usize, pairs: &[u32], ledgers: &[Ledger]) -> Vec<f32> {
        let teacher = &ledgers[self.config.peers - 1 - peer].soft_label;
        pairs.iter().map(|&pair| teacher[pair as usize]).collect()
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let labels = self.labels(view.peer, view.pairs, view.ledgers);
        let structure = view.structure.expect("structure is what this method needs");
        let scores = floats(view.scores.clone().inner());
        let prediction = Square::new(&scores).mean_given(self.config.temperature);
        let agreement = neighborhood_agreement(
            &floats(structure.images.clone().inner()),
            &floats(structure.captions.clone().inner()),
            &labels,
        );
        Judgement {
            loss: self.config.pair_loss(view.scores, structure, &labels),
            beliefs: Beliefs {
                columns: vec![
                    (COLLECTED_PREDICTION, prediction),
                    (COLLECTED_AGREEMENT, agreement),
                ],
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::Seed;
    use truepair_model::objective::check::{check_gradient, run, scores, tracked};

    fn structure() -> Structure {
        let mut captions = scores(5);
        captions.reverse();
        Structure {
            images: tracked(&scores(5)),
            captions: tracked(&captions),
        }
    }

    #[test]
    fn labels_of_1_without_structure_give_plain_info_nce() {
        let config = GscConfig {
            structure: 0.0,
            ..GscConfig::default()
        };
        let (losses, _) = run(&scores(5), |x| config.pair_loss(x, &structure(), &[1.0; 5]));
        let temperature = config.temperature;
        let (plain, _) = run(&scores(5), |x| InfoNce { temperature }.pair_loss(x));
        assert_eq!(losses, plain);
    }

    #[test]
    fn the_structural_term_adds_its_weight_and_its_gradient() {
        let labels = [1.0, 0.4, 0.0, 0.7, 0.9];
        let loss = |weight, x: &burn::tensor::Tensor<2>| {
            let config = GscConfig {
                temperature: 0.5,
                structure: weight,
                ..GscConfig::default()
            };
            config.pair_loss(x, &structure(), &labels)
        };
        check_gradient(&scores(5), |x| loss(0.3, x));
        let (with, _) = run(&scores(5), |x| loss(0.3, x));
        let (without, _) = run(&scores(5), |x| loss(0.0, x));
        assert!(with[0] > without[0]);
        assert_eq!(with[2], 0.0, "a pair labeled 0 costs nothing");
    }

    #[test]
    fn a_pair_in_unlike_neighborhoods_loses_its_label() {
        let mut gsc = Gsc {
            config: GscConfig::default(),
        };
        let n = 100;
        let mut ledgers = vec![Ledger::with_columns(n, gsc.columns())];
        let mut plan = |index: usize, ledgers: &mut Vec<Ledger>| {
            let epoch = Epoch {
                index,
                n_warm_up: 0,
                n_main: 4,
            };
            let mut rng = Seed(0).stream("test", &[]);
            gsc.plan(Planning {
                epoch,
                ledgers,
                pairs: &[],
                rng: &mut rng,
            })
            .unwrap()
        };
        plan(0, &mut ledgers);
        for pair in 0..n {
            let wrong = pair % 5 == 0;
            ledgers[0].floats_mut(COLLECTED_PREDICTION)[pair] = 0.9;
            let agreement = if wrong { 0.2 } else { 0.8 } + 1e-4 * pair as f32;
            ledgers[0].floats_mut(COLLECTED_AGREEMENT)[pair] = agreement;
        }
        assert!(plan(1, &mut ledgers).note.is_none());
        let label = &ledgers[0].soft_label;
        assert!((label[0] - 0.3).abs() < 1e-3, "{}", label[0]);
        assert!((label[1] - 0.93).abs() < 1e-3, "{}", label[1]);
        ledgers[0].floats_mut(COLLECTED_AGREEMENT).fill(0.5);
        assert!(plan(2, &mut ledgers).note.is_some());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for config in [
            GscConfig {
                peers: 3,
                ..GscConfig::default()
            },
            GscConfig {
                refresh: 1.5,
                ..GscConfig::default()
            },
            GscConfig {
                structure: -1.0,
                ..GscConfig::default()
            },
        ] {
            assert!(config.build(1).is_err());
        }
    }
}
