//! Triplet alignment with confident consensus: two peers judge every pair, and a pair is asserted
//! when both, or one and a coin, hold it clean.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::mixture::{self, GaussianConfig};
use truepair_core::rng::{self, Stream};

use super::batch::shared;
use super::{BatchView, Epoch, Judgement, Plan, Planning, Strategy, Survey};
use crate::error::Result;
use truepair_model::objective::{PairLoss, Tal, per_entry, per_pair, positive};

/// Settings of `tal`.
///
/// Before every epoch each peer fits a two-component Gaussian mixture to its own [`Tal`] losses of all
/// pairs; `clean_posterior` is the posterior of the lower component. A pair both peers hold clean
/// gets the label 1, one that both hold noisy 0, and a fair coin, thrown anew every epoch, decides
/// where they differ. Both peers minimize
///
/// ```text
/// Lᵢ = yᵢ TALᵢ
/// ```
/// on all pairs, so that noisy pairs assert nothing and still serve as negatives.
///
/// # Source
/// Qin et al., CVPR 2024 (RDE: confident consensus division and triplet alignment loss); code read at
/// QinYang79/RDE@b3fd396. Golden `u04_rde_tal`.
/// # Deviations
/// 1. The paper's two judges are two similarity heads on one pretrained network; here they are two
///    networks. With `peers = 1` a network judges for itself.
/// 2. A warm-up on all pairs precedes the division: the paper starts from pretrained networks, whose
///    losses mean something before the first epoch.
/// 3. Losses are averaged over the batch; released code sums them (`training.reduction = "sum"`).
/// 4. The measurement before an epoch takes every other pair of its batch for a negative, also one of
///    the same image.
/// 5. The mixture has guards (see [`GaussianConfig`] and [`mixture::divide`]), and when no pair is left
///    that could be asserted, all are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TalConfig {
    /// α, in units of the similarity.
    pub margin: f64,
    /// τ, in units of the similarity.
    pub temperature: f64,
    /// Epochs before the division, in addition to `training.epochs`.
    pub warm_up: usize,
    /// A peer holds a pair clean when its posterior is above this, [0, 1].
    pub threshold: f64,
    /// Networks trained side by side: 1 or 2.
    pub peers: usize,
    /// Whether captions given to the same image are positives of one another.
    pub siblings: bool,
    /// How the mixtures are fitted and guarded. The release has 100 iterations and tolerance 1e-4 where
    /// it expects more than 40 % noise.
    pub mixture: GaussianConfig,
}

impl Default for TalConfig {
    fn default() -> Self {
        let Tal {
            margin,
            temperature,
        } = Tal::default();
        Self {
            margin,
            temperature,
            warm_up: 2,
            threshold: 0.5,
            peers: 2,
            siblings: true,
            mixture: GaussianConfig::default(),
        }
    }
}

#[derive(Debug)]
struct Consensus {
    config: TalConfig,
    objective: Tal,
    /// The image of every pair, known from the epoch's plan on.
    images: Vec<u32>,
}

impl TalConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.margin", self.margin)?;
        positive("strategy.temperature", self.temperature)?;
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(Error::argument(
                format!("strategy.threshold = {} is not in [0, 1]", self.threshold),
                "the paper uses 0.5",
            )
            .into());
        }
        if !(1..=2).contains(&self.peers) {
            return Err(Error::argument(
                format!("strategy.peers = {} is neither 1 nor 2", self.peers),
                "2 peers judge together, 1 judges for itself",
            )
            .into());
        }
        Ok(Box::new(Consensus {
            config: self.clone(),
            objective: Tal {
                margin: self.margin,
                temperature: self.temperature,
            },
            images: Vec::new(),
        }))
    }
}

impl Consensus {
    /// Pairs of the batch that share an image, `[b, b]`; `None` where every image is given once.
    fn positives(&self, pairs: &[u32], like: &Tensor<2>) -> Option<Tensor<2>> {
        let image = |pair: u32| self.images.get(pair as usize);
        let matched = shared(pairs, |a, b| image(a).is_some() && image(a) == image(b));
        matched.map(|matched| per_entry(&matched, like))
    }
}

impl Strategy for Consensus {
    fn n_peers(&self) -> usize {
        self.config.peers
    }

    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| self.objective.measure(scores).into())
    }

    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        if self.config.siblings {
            self.images = planning.pairs.iter().map(|pair| pair.image).collect();
        }
        let everything = planning.everything(self.config.peers);
        let Planning {
            epoch,
            ledgers,
            rng,
            ..
        } = planning;
        if epoch.is_warm_up() {
            return Ok(everything);
        }
        let (mut verdicts, mut note) = (Vec::new(), None);
        for (peer, ledger) in ledgers.iter_mut().enumerate() {
            let fit = mixture::clean_posterior(&ledger.loss, &self.config.mixture)?;
            ledger.clean_posterior = fit.posterior;
            let threshold = self.config.threshold as f32;
            let division = mixture::divide(&ledger.clean_posterior, threshold)?;
            if let Some(fallback) = division.fallback {
                note = Some(format!("division by peer {peer}: {fallback}"));
            }
            verdicts.push(division.clean);
        }
        let mut labels = consensus(&verdicts, rng);
        if labels.iter().filter(|&&label| label == 1.0).count() < 2 {
            labels.fill(1.0);
            note = Some("the peers agree on no clean pair; every pair is held clean".into());
        }
        for ledger in ledgers.iter_mut() {
            ledger.soft_label.clone_from(&labels);
        }
        Ok(Plan { note, ..everything })
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let positives = self.positives(view.pairs, view.scores);
        let loss = self.objective.pair_loss(view.scores, positives);
        if epoch.is_warm_up() {
            return loss.into();
        }
        let labels = view.recall(&view.ledgers[view.peer].soft_label);
        PairLoss(loss.0 * per_pair(&labels, view.scores)).into()
    }
}

/// 1 for the pairs that every peer holds clean, 0 for those that none does, a coin for the others.
fn consensus(verdicts: &[Vec<bool>], rng: &mut Stream) -> Vec<f32> {
    (0..verdicts[0].len())
        .map(|pair| {
            let n_clean = verdicts.iter().filter(|clean| clean[pair]).count();
            let label = match n_clean {
                0 => 0,
                n if n == verdicts.len() => 1,
                _ => rng::below(rng, 2),
            };
            label as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::ledger::Ledger;
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{run, scores, tracked};

    #[test]
    fn a_coin_decides_only_where_peers_differ() {
        let n = 1000;
        let verdicts = vec![
            (0..n).map(|i| i % 4 < 2).collect(),
            (0..n).map(|i| i % 2 == 0).collect(),
        ];
        let labels = consensus(&verdicts, &mut Seed(3).stream("test", &[]));
        assert!((0..n).step_by(4).all(|i| labels[i] == 1.0));
        assert!((3..n).step_by(4).all(|i| labels[i] == 0.0));
        let heads = (1..n).step_by(4).filter(|&i| labels[i] == 1.0).count();
        assert!((90..160).contains(&heads), "{heads} of 250");
    }

    #[test]
    fn labels_of_1_give_the_plain_objective() {
        let (s, config) = (scores(6), TalConfig::default());
        let (plain, _) = run(&s, |x| Tal::default().pair_loss(x, None));
        let tensor = tracked(&s);
        let ledgers = vec![Ledger::new(6); 2];
        let mut view = BatchView {
            peer: 1,
            group: 0,
            step: 0,
            n_steps: 1,
            pairs: &[0, 1, 2, 3, 4, 5],
            scores: &tensor,
            structure: None,
            opinions: &[],
            ledgers: &ledgers,
            rng: &mut Seed(0).stream("test", &[]),
        };
        let epoch = Epoch {
            index: 2,
            n_warm_up: 2,
            n_main: 1,
        };
        let mut strategy = config.build(1).unwrap();
        let judgement = strategy.pair_loss(epoch, &mut view);
        assert_eq!(floats(judgement.loss.0), plain);
    }

    #[test]
    fn three_peers_are_refused() {
        let config = TalConfig {
            peers: 3,
            ..TalConfig::default()
        };
        assert!(config.build(1).is_err());
    }
}
