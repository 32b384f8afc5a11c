//! Bidirectional cross-modal similarity consistency: if a pair's image is as like a clean pair's
//! image as its caption is like that pair's caption, the pair matches.

use serde::{Deserialize, Serialize};
use truepair_core::ledger::ColumnSpec;
use truepair_core::mixture::BetaConfig;

use super::beta_division;
use super::division_config::DivisionConfig;
use super::setting::check_share;
use super::{
    BatchView, Beliefs, Consult, Epoch, Judgement, Needs, Opinion, Plan, Planning, Square,
    Strategy, Survey,
};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{Margins, Negatives, PairLoss, per_pair, triplet};

/// Settings of `bicro`.
///
/// Two peers. Warm-up with the mean-negative triplet of the pairs that lose least in their batch;
/// then every epoch a beta mixture on every peer's losses divides the pairs for the *other* peer.
/// Inside a batch the best tenth of the pairs held clean, by the predictions of `ncr`, are anchors
/// `c`, and the other peer's cosines `I`, `T` inside a modality say how consistent a pair is:
///
/// ```text
/// r = ratio(Iᵢ꜀, Tᵢ꜀) at the anchor most like the image,  r' at the one most like the caption
/// ratio(a, b) = a / b where that is below 1, b / a elsewhere
/// anchors: y = 1      held clean: y = ½ + (r + r') / 4      held noisy: y = (r + r') / 2
/// ```
/// Labels up to `floor` are 0; the loss is the hardest-negative triplet with the soft margin of
/// [`DivisionConfig`].
///
/// # Source
/// Yang et al., CVPR 2023. Code read at xu5zhao/BiCro@0231631. Golden `u03_bicro_beta_mixture`,
/// `u03_bicro_soft_labels`.
/// # Deviations
/// 1. Every pair gets its own label; the released code hands the labels of a clean batch to other
///    pairs by an index mistake.
/// 2. Noisy pairs are compared with anchors of their own batch, which from `noisy_after` on mixes
///    all pairs; the released code draws a clean and a noisy batch, compares the noisy one with the
///    clean one's anchors, and takes two steps.
/// 3. A pair's soft margin acts in both directions on that pair as anchor; the released code gives
///    image anchors the margin of the negative's pair.
/// 4. The mixture is guarded; see [`BetaConfig`].
/// 5. Ratios are at least −1, which decides no label, and 0 when both cosines are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BicroConfig {
    /// α, in units of the similarity.
    pub margin: f64,
    /// m, the base of the exponential soft margin, above 1.
    pub base: f64,
    /// Epochs before the division, in addition to `training.epochs`.
    pub warm_up: usize,
    /// Share of a batch that warm-up learns from, those with the smallest losses, (0, 1].
    pub warm_up_share: f64,
    /// A pair is held clean when its posterior is above this, [0, 1].
    pub threshold: f64,
    /// Share of the main epochs before noisy pairs are used, [0, 1].
    pub noisy_after: f64,
    /// Labels up to this are 0, [0, 1]; `noise_tem` in the released code.
    pub floor: f64,
    /// What a label of 0 means.
    pub doubtful: Doubtful,
    /// How the mixture is fitted and guarded.
    pub mixture: BetaConfig,
}

/// What a label of 0 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubtful {
    /// The pair learns with a margin of 0, which still pulls a mismatched pair together;
    /// `noise_soft` in the released code.
    Marginless,
    /// The pair is left out; `noise_hard` in the released code.
    LeftOut,
}

impl Default for BicroConfig {
    fn default() -> Self {
        Self {
            margin: 0.2,
            base: 10.0,
            warm_up: 10,
            warm_up_share: 0.3,
            threshold: 0.5,
            noisy_after: 0.5,
            floor: 0.5,
            doubtful: Doubtful::Marginless,
            mixture: BetaConfig::default(),
        }
    }
}

/// The ledger's column that is 1 for pairs that the other peer holds clean.
const HELD_CLEAN: ColumnSpec = ColumnSpec::floats("held_clean");

#[derive(Debug)]
struct Bicro {
    config: BicroConfig,
    ncr: DivisionConfig,
    /// First main epoch that uses noisy pairs.
    noisy_from: usize,
}

impl BicroConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        check_share("warm_up_share", self.warm_up_share, "the default is 0.3")?;
        check_share("noisy_after", self.noisy_after, "the default is 0.5")?;
        check_share("floor", self.floor, "the default is 0.5")?;
        beta_division::check(self.threshold, &self.mixture)?;
        let ncr = self.ncr();
        ncr.check()?;
        let noisy_from = (self.noisy_after * n_main as f64).floor() as usize;
        Ok(Box::new(Bicro {
            config: self.clone(),
            ncr,
            noisy_from,
        }))
    }

    fn ncr(&self) -> DivisionConfig {
        DivisionConfig {
            margin: self.margin,
            base: self.base,
            ..DivisionConfig::default()
        }
    }

    /// y of every pair of a batch, `[b]` in [0, 1]: `opinion` is what the other peer sees,
    /// `held_clean` `[b]` which pairs are held clean.
    pub fn soft_labels(&self, opinion: &Opinion, held_clean: &[bool]) -> Vec<f32> {
        let anchors = self.anchors(&opinion.scores, held_clean);
        let (images, captions) = (Square::new(&opinion.images), Square::new(&opinion.captions));
        (0..held_clean.len())
            .map(|pair| {
                if anchors.contains(&pair) {
                    return 1.0;
                }
                let nearest = |likeness: Square<'_>, other: Square<'_>| {
                    let best = (anchors.iter().copied())
                        .max_by(|&a, &b| likeness.at(pair, a).total_cmp(&likeness.at(pair, b)));
                    best.map_or(0.0, |c| ratio(likeness.at(pair, c), other.at(pair, c)))
                };
                let consistency = (nearest(images, captions) + nearest(captions, images)) / 2.0;
                let label = match held_clean[pair] {
                    true => 0.5 + consistency / 2.0,
                    false => consistency,
                };
                match label > self.floor as f32 {
                    true => label.min(1.0),
                    false => 0.0,
                }
            })
            .collect()
    }

    /// The best tenth and one more of the pairs held clean, by their mean hinge among themselves.
    pub fn anchors(&self, scores: &[f32], held_clean: &[bool]) -> Vec<usize> {
        let square = Square::new(scores);
        let candidates: Vec<usize> = (0..held_clean.len()).filter(|&i| held_clean[i]).collect();
        let among: Vec<f32> = (candidates.iter())
            .flat_map(|&i| candidates.iter().map(move |&j| square.at(i, j)))
            .collect();
        let losses = self.ncr().mean_hinge(&among);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        (order.iter().take(candidates.len() / 10 + 1))
            .map(|&at| candidates[at])
            .collect()
    }

    /// 1 for the share of the losses `[b]` that are smallest, at least one, 0 for the others.
    fn smallest(&self, losses: &[f32]) -> Vec<f32> {
        let mut order: Vec<usize> = (0..losses.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let kept = (self.warm_up_share * losses.len() as f64).floor().max(1.0);
        let mut mask = vec![0.0; losses.len()];
        (order.iter().take(kept as usize)).for_each(|&at| mask[at] = 1.0);
        mask
    }
}

/// How equal two cosines are: 1 when they are, at most 0 when their signs differ.
fn ratio(a: f32, b: f32) -> f32 {
    let ratio = match (a, b) {
        (0.0, 0.0) => 0.0,
        (a, b) if b != 0.0 && a / b < 1.0 => a / b,
        (a, b) => b / a,
    };
    ratio.max(-1.0)
}

impl Bicro {
    fn uses_noisy(&self, epoch: Epoch) -> bool {
        epoch.main_index() >= self.noisy_from
    }

    fn warm_up(&self, view: &BatchView<'_>) -> PairLoss {
        let margin = Margins::Fixed(self.config.margin);
        let loss = triplet(view.scores, &margin, Negatives::Mean).0;
        let mask = self.config.smallest(&floats(loss.clone().inner()));
        PairLoss(loss * per_pair(&mask, view.scores))
    }
}

impl Strategy for Bicro {
    fn n_peers(&self) -> usize {
        2
    }

    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        &[HELD_CLEAN]
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| self.ncr.mean_hinge(scores).into())
    }

    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let Planning { epoch, ledgers, .. } = planning;
        let n_pairs = ledgers[0].len();
        for ledger in ledgers.iter_mut() {
            ledger.clean_posterior = beta_division::posterior(&ledger.loss, &self.config.mixture)?;
        }
        let (mut peers, mut note) = (Vec::new(), None);
        for peer in 0..2 {
            let posterior = &ledgers[1 - peer].clean_posterior;
            let divided = beta_division::divide(posterior, self.config.threshold)?;
            if let Some(why) = divided.note {
                note = Some(format!("division for peer {peer}: {why}"));
            }
            let ledger = &mut ledgers[peer];
            let held = ledger.floats_mut(HELD_CLEAN);
            held.fill(0.0);
            for &pair in &divided.clean {
                held[pair as usize] = 1.0;
            }
            // Pairs that no batch of the epoch visits would keep the label of an earlier division.
            for &pair in &divided.noisy {
                ledger.soft_label[pair as usize] = 0.0;
            }
            peers.push(vec![match self.uses_noisy(epoch) {
                true => (0..n_pairs as u32).collect(),
                false => divided.clean,
            }]);
        }
        Ok(Plan {
            note,
            ..Plan::of(peers)
        })
    }

    fn needs(&self, epoch: Epoch, _group: usize) -> Needs {
        match epoch.is_warm_up() {
            true => Needs::default(),
            false => Needs {
                opinions: Consult::Everyone,
                structure: true,
            },
        }
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        if epoch.is_warm_up() {
            return self.warm_up(view).into();
        }
        let held_clean: Vec<bool> = view
            .recall(view.ledgers[view.peer].floats(HELD_CLEAN))
            .iter()
            .map(|&held| held > 0.5)
            .collect();
        let labels = (self.config).soft_labels(&view.opinions[1 - view.peer], &held_clean);
        let margins = self.ncr.margins(&labels, view.scores);
        let mut loss = triplet(view.scores, &margins, Negatives::Hardest).0;
        if self.config.doubtful == Doubtful::LeftOut {
            let counted: Vec<f32> = labels.iter().map(|y| y.ceil()).collect();
            loss = loss * per_pair(&counted, view.scores);
        }
        Judgement {
            loss: PairLoss(loss),
            beliefs: Beliefs {
                soft_label: Some(labels),
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_model::objective::check::{run, scores};

    #[test]
    fn pairs_like_an_anchor_on_both_sides_to_the_same_degree_are_consistent() {
        // Pair 0 wins by far and is the one anchor; pair 1 relates to it alike on both sides, pair 2
        // does not, pair 3 with different signs.
        let mut s = vec![0.0; 16];
        (0..4).for_each(|i| s[i * 5] = if i == 0 { 0.9 } else { 0.1 });
        let cosines = |row: [f32; 3]| {
            let mut all = vec![0.0; 16];
            (0..4).for_each(|i| all[i * 5] = 1.0);
            (1..4).for_each(|i| {
                all[i] = row[i - 1];
                all[i * 4] = row[i - 1];
            });
            all
        };
        let opinion = Opinion {
            scores: s,
            images: cosines([0.8, 0.8, 0.8]),
            captions: cosines([0.8, 0.4, -0.8]),
        };
        let config = BicroConfig::default();
        let labels = config.soft_labels(&opinion, &[true; 4]);
        assert_eq!(labels, [1.0, 1.0, 0.75, 0.0]);
        let labels = config.soft_labels(&opinion, &[true, false, false, false]);
        assert_eq!(labels, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(config.soft_labels(&opinion, &[false; 4]), [0.0; 4]);
    }

    #[test]
    fn ratios_are_finite_and_never_above_1() {
        assert_eq!(ratio(0.0, 0.0), 0.0);
        assert_eq!(ratio(0.5, 0.0), 0.0);
        assert_eq!(ratio(0.0, 0.5), 0.0);
        assert_eq!(ratio(0.4, 0.8), 0.5);
        assert_eq!(ratio(0.8, 0.4), 0.5);
        assert_eq!(ratio(-0.4, -0.8), 0.5);
        assert_eq!(ratio(0.9, -0.1), -1.0);
    }

    #[test]
    fn labels_of_1_give_the_plain_triplet() {
        let (s, ncr) = (scores(6), BicroConfig::default().ncr());
        let (soft, _) = run(&s, |x| {
            triplet(x, &ncr.margins(&[1.0; 6], x), Negatives::Hardest)
        });
        let (plain, _) = run(&s, |x| triplet(x, &Margins::Fixed(0.2), Negatives::Hardest));
        assert!(soft.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn warm_up_learns_from_the_smallest_losses() {
        let config = BicroConfig::default();
        let losses = [0.5, 0.1, 0.9, 0.2, 0.3, 0.8, 0.7, 0.05, 0.6, 0.4];
        let mask = config.smallest(&losses);
        assert_eq!(mask, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(config.smallest(&[0.3, 0.2]), [0.0, 1.0]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for config in [
            BicroConfig {
                base: 1.0,
                ..BicroConfig::default()
            },
            BicroConfig {
                floor: -0.1,
                ..BicroConfig::default()
            },
        ] {
            assert!(config.build(4).is_err());
        }
    }
}
