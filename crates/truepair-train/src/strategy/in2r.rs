//! Neighbor refinement: an image whose caption is wrong learns from the captions of clean images that
//! look like it, a caption whose image is wrong from the images of clean captions that read like it.

use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::audit::Findings;
use truepair_core::ledger::Ledger;

use super::{
    AuditRequest, BatchView, Epoch, Judgement, Needs, Plan, Planning, Square, Strategy, kept,
};
use crate::error::Result;
use truepair_model::encoding::Structure;
use truepair_model::numbers::floats;
use truepair_model::objective::{
    ObjectiveConfig, PairLoss, per_pair, positive, symmetric_cross_entropy,
};

/// Settings of `in2r`.
///
/// Before the first epoch the pairs are audited by cross-fitting, as in `truepair`; `K` are the pairs
/// whose probability of being mismatched is below `keep_below`. Warm-up on `K` alone. Then batches
/// hold all pairs. A dropped pair's caption is not asserted; its image is drawn to a prototype instead,
/// made of the captions of the `k` kept images of the batch that are most like it, and its caption
/// likewise to one of images:
///
/// ```text
/// Nᵢ = the k pairs of K in the batch with the largest Iᵢⱼ,   wᵢⱼ = 1 / |Nᵢ| in Nᵢ, else 0
/// Zᵢₘ = Σⱼ wₘⱼ Sᵢⱼ / √(Σⱼₗ wₘⱼ wₘₗ Tⱼₗ)          image i and the prototype of dropped pair m
/// Lᵢ = ℓᵢ for kept pairs,   λ (SCEᵢ(Z) + SCEᵢ(Z')) for dropped ones
/// ```
/// with `I` and `T` the cosines inside a modality, `Z'` the same with images and captions exchanged, `ℓ` a
/// plain objective over the whole batch and `SCE` [`symmetric_cross_entropy`] over the dropped pairs. `Z` is
/// the cosine of an image and the mean of its neighbors' captions. Where `truepair` gives a dropped caption
/// one image or none, here every dropped item has a target that nobody gave. With `k = 1` it is the
/// neighbor's own half.
///
/// # Source
/// Liu et al., ICML 2026 (arXiv 2606.04061, of which the abstract was read). Code read at
/// liuyyy111/IN2R@909e532 (`co_train.py`, `vse.py`).
/// # Deviations
/// 1. The audit divides the pairs, once. The released code divides them before every epoch by the other
///    network's loss mixture, and trains two networks; here is one.
/// 2. Neighbors come from the batch. The released code keeps the embeddings of 65536 clean items, those
///    with a posterior above the clean ones' mean, so that its neighbors are nearer.
/// 3. The gradient reaches the neighbors, too; the released queue holds numbers.
/// 4. A prototype is the mean. The released code mixes neighbors by a small attention layer that it trains
///    along, and has the mean where that is left out.
/// 5. `Z` is the cosine of the prototype where a score is the cosine of two vectors. For other
///    similarities it is a mean of scores over a length of means, a reconstruction.
/// 6. Left out: hinges between two dropout views inside either modality, and centering embeddings by their
///    batch, which makes a test score depend on what else is tested.
/// 7. Kept pairs learn by `objective`, the released code's by the hardest-negative triplet; dropped items
///    are among their negatives. Warm-up is on kept pairs, there on all.
/// 8. Losses are averaged over the batch, so that λ counts a pair; the released code averages over
///    clean and over noisy batches and adds.
/// 9. `k` is the released layer's default; its program's is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct In2rConfig {
    /// What kept pairs minimize.
    pub objective: ObjectiveConfig,
    /// Epochs on the kept pairs alone, in addition to `training.epochs`.
    pub warm_up: usize,
    /// Pairs are kept below this probability of being mismatched, (0, 1].
    pub keep_below: f64,
    /// k: kept neighbors that a prototype is made of.
    pub neighbors: usize,
    /// λ: weight of dropped pairs; 0 leaves them out.
    pub weight: f64,
    /// τ: divides scores of prototypes.
    pub temperature: f64,
    /// How the audit's matchers are trained and what it concludes from them.
    pub audit: Box<AuditRequest>,
}

impl Default for In2rConfig {
    fn default() -> Self {
        Self {
            objective: ObjectiveConfig::default(),
            warm_up: 1,
            keep_below: 0.5,
            neighbors: 5,
            weight: 0.5,
            temperature: 0.05,
            audit: Box::default(),
        }
    }
}

#[derive(Debug)]
struct In2r {
    config: In2rConfig,
    /// Whether the audit keeps each pair, known from an epoch's plan on.
    is_kept: Vec<bool>,
    /// What the reader of the log should know about the audit.
    remark: Option<String>,
}

impl In2rConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        kept::check(self.keep_below)?;
        positive("strategy.temperature", self.temperature)?;
        if self.weight != 0.0 {
            positive("strategy.weight", self.weight)?;
        }
        if self.neighbors == 0 {
            return Err(Error::argument(
                "strategy.neighbors = 0 leaves nothing to make a prototype of",
                "use at least 1; weight = 0 leaves dropped pairs out",
            )
            .into());
        }
        Ok(Box::new(In2r {
            config: self.clone(),
            is_kept: Vec::new(),
            remark: None,
        }))
    }

    /// The loss of the pairs of a batch that are not `kept`, `[b]`, 0 for the others.
    pub fn refined(&self, scores: &Tensor<2>, structure: &Structure, kept: &[bool]) -> PairLoss {
        let device = scores.device();
        let b = kept.len();
        let dropped: Vec<usize> = (0..b).filter(|&i| !kept[i]).collect();
        if dropped.is_empty() || dropped.len() == b {
            return PairLoss(Tensor::zeros([b], &device));
        }
        let m = dropped.len();
        let images = floats(structure.images.clone().inner());
        let captions = floats(structure.captions.clone().inner());
        let prototypes = |like: &[f32], other: &[f32]| {
            let weights = self.weights(like, kept, &dropped);
            let lengths = lengths(&weights, other);
            let shares: Vec<f32> = (weights.chunks(b).zip(&lengths))
                .flat_map(|(row, length)| row.iter().map(move |w| w / length))
                .collect();
            Tensor::<2>::from_data(TensorData::new(shares, [m, b]), &device)
        };
        let rows: Vec<i64> = dropped.iter().map(|&i| i as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [m]), &device);
        let of_captions = prototypes(&images, &captions);
        let of_images = prototypes(&captions, &images);
        let by_image = scores
            .clone()
            .select(0, rows.clone())
            .matmul(of_captions.transpose());
        let by_caption = of_images.matmul(scores.clone().select(1, rows));
        let loss = symmetric_cross_entropy(&by_image, self.temperature).0
            + symmetric_cross_entropy(&by_caption, self.temperature).0;
        let mut places = vec![0.0f32; b * m];
        for (at, &i) in dropped.iter().enumerate() {
            places[i * m + at] = 1.0;
        }
        let places = Tensor::<2>::from_data(TensorData::new(places, [b, m]), &device);
        PairLoss(places.matmul(loss.reshape([m, 1])).reshape([b]) * self.weight)
    }

    /// What each pair of the batch counts in the prototype of each dropped one, `[m * b]`, from likeness
    /// inside a modality `[b * b]`.
    fn weights(&self, like: &[f32], kept: &[bool], dropped: &[usize]) -> Vec<f32> {
        let like = Square::new(like);
        let b = kept.len();
        let mut weights = vec![0.0; dropped.len() * b];
        for (at, &i) in dropped.iter().enumerate() {
            let mut order: Vec<usize> = (0..b).filter(|&j| kept[j]).collect();
            order.sort_by(|&x, &y| like.at(i, y).total_cmp(&like.at(i, x)));
            order.truncate(self.neighbors);
            for &j in &order {
                weights[at * b + j] = 1.0 / order.len() as f32;
            }
        }
        weights
    }
}

/// Lengths of means of unit vectors with the given weights `[m * b]` and cosines `[b * b]`, `[m]`.
fn lengths(weights: &[f32], cosines: &[f32]) -> Vec<f32> {
    let cosines = Square::new(cosines);
    let length = |row: &[f32]| {
        let members: Vec<usize> = (0..row.len()).filter(|&j| row[j] > 0.0).collect();
        let square: f32 = (members.iter())
            .flat_map(|&j| members.iter().map(move |&l| (j, l)))
            .map(|(j, l)| row[j] * row[l] * cosines.at(j, l))
            .sum();
        square.max(LEAST).sqrt()
    };
    weights.chunks(cosines.side()).map(length).collect()
}

/// The least squared length of a mean: opposite neighbors cancel.
const LEAST: f32 = 1e-4;

impl In2r {
    fn kept_of(&self, pairs: &[u32]) -> Vec<bool> {
        let kept = |&pair: &u32| self.is_kept.get(pair as usize).copied().unwrap_or(true);
        pairs.iter().map(kept).collect()
    }

    fn refines(&self, epoch: Epoch) -> bool {
        !epoch.is_warm_up() && self.config.weight > 0.0
    }
}

impl Strategy for In2r {
    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn wants_audit(&self, epoch: Epoch) -> Option<AuditRequest> {
        (epoch.index == 0).then(|| (*self.config.audit).clone())
    }

    fn take_audit(&mut self, findings: &Findings, ledgers: &mut [Ledger]) {
        self.remark = kept::believe(findings, ledgers);
    }

    fn plan(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let ledger = &planning.ledgers[0];
        let (kept, note) = kept::kept(ledger, self.config.keep_below);
        self.is_kept = vec![false; ledger.len()];
        for &pair in &kept {
            self.is_kept[pair as usize] = true;
        }
        let counted = format!(
            "{} pairs kept and {} dropped",
            kept.len(),
            ledger.len() - kept.len()
        );
        let plan = match self.refines(planning.epoch) {
            true => planning.everything(1),
            false => Plan::same(1, vec![kept]),
        };
        let remarks = [self.remark.take(), note, Some(counted)];
        Ok(Plan {
            note: Some(remarks.into_iter().flatten().collect::<Vec<_>>().join("; ")),
            ..plan
        })
    }

    fn needs(&self, epoch: Epoch, _group: usize) -> Needs {
        Needs {
            structure: self.refines(epoch),
            ..Needs::default()
        }
    }

    /// 1 for kept pairs, 0 for others.
    fn labels(&self, _peer: usize, pairs: &[u32], _ledgers: &[Ledger]) -> Vec<f32> {
        let kept = self.kept_of(pairs).into_iter();
        kept.map(|kept| f32::from(u8::from(kept))).collect()
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let given = self.config.objective.pair_loss(view.scores);
        if !self.refines(epoch) {
            return given.into();
        }
        let kept = self.kept_of(view.pairs);
        let labels = self.labels(view.peer, view.pairs, view.ledgers);
        let structure = view.structure.expect("structure is what this method needs");
        let refined = self.config.refined(view.scores, structure, &kept);
        PairLoss(given.0 * per_pair(&labels, view.scores) + refined.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::Seed;
    use truepair_model::objective::check::{check_gradient, run, tracked};

    const B: usize = 6;
    const KEPT: [bool; B] = [true, false, true, true, false, true];

    /// Unit vectors `[B][3]`.
    fn vectors(phase: f64) -> Vec<[f64; 3]> {
        let vector = |i: usize| {
            let x = [0, 1, 2].map(|d| ((i * 5 + d * 3) as f64 * 0.71 + phase).sin());
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.map(|x| x / length)
        };
        (0..B).map(vector).collect()
    }

    fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn products(a: &[[f64; 3]], b: &[[f64; 3]]) -> Vec<f32> {
        let row = |a: [f64; 3]| b.iter().map(move |b| dot(a, *b) as f32);
        a.iter().flat_map(|a| row(*a)).collect()
    }

    fn structure(images: &[[f64; 3]], captions: &[[f64; 3]]) -> Structure {
        Structure {
            images: tracked(&products(images, images)),
            captions: tracked(&products(captions, captions)),
        }
    }

    /// The prototype of `i`: the mean of the others' halves of its nearest kept items, at length 1.
    fn prototype(i: usize, k: usize, own: &[[f64; 3]], other: &[[f64; 3]]) -> [f64; 3] {
        let mut order: Vec<usize> = (0..B).filter(|&j| KEPT[j]).collect();
        order.sort_by(|&x, &y| dot(own[i], own[y]).total_cmp(&dot(own[i], own[x])));
        let mut mean = [0.0; 3];
        for &j in &order[..k] {
            (0..3).for_each(|d| mean[d] += other[j][d]);
        }
        let length = dot(mean, mean).sqrt();
        mean.map(|x| x / length)
    }

    /// Symmetric cross-entropy of `[m][m]` scores.
    fn entropy(z: &[Vec<f64>], temperature: f64) -> Vec<f64> {
        let e = |i: usize, j: usize| (z[i][j] / temperature).exp();
        let one = |p: f64| -p.ln() - 1e-7f64.ln() * (1.0 - p);
        (0..z.len())
            .map(|i| {
                let row: f64 = (0..z.len()).map(|j| e(i, j)).sum();
                let column: f64 = (0..z.len()).map(|j| e(j, i)).sum();
                (one(e(i, i) / row) + one(e(i, i) / column)) / 2.0
            })
            .collect()
    }

    #[test]
    fn scores_of_prototypes_are_cosines_with_the_neighbors_mean() {
        let (images, captions) = (vectors(0.0), vectors(1.3));
        let s = products(&images, &captions);
        for k in [1, 2, 3] {
            let config = In2rConfig {
                neighbors: k,
                temperature: 0.4,
                ..In2rConfig::default()
            };
            let structure = structure(&images, &captions);
            let (losses, _) = run(&s, |x| config.refined(x, &structure, &KEPT));
            let dropped = [1, 4];
            let scores = |own: &[[f64; 3]], other: &[[f64; 3]]| -> Vec<Vec<f64>> {
                let row = |i: usize| dropped.map(|m| dot(own[i], prototype(m, k, own, other)));
                dropped.map(|i| row(i).to_vec()).to_vec()
            };
            let by_image = entropy(&scores(&images, &captions), 0.4);
            let by_caption = entropy(&scores(&captions, &images), 0.4);
            for (at, i) in dropped.into_iter().enumerate() {
                let expected = 0.5 * (by_image[at] + by_caption[at]);
                assert!(
                    (f64::from(losses[i]) - expected).abs() < 1e-4,
                    "{k}: {losses:?} {expected}"
                );
            }
            assert_eq!(losses[0], 0.0, "a kept pair has no prototype");
            check_gradient(&s, |x| config.refined(x, &structure, &KEPT));
        }
    }

    #[test]
    fn batches_of_one_kind_refine_nothing_and_few_neighbors_are_enough() {
        let (images, captions) = (vectors(0.0), vectors(1.3));
        let s = tracked(&products(&images, &captions));
        let structure = structure(&images, &captions);
        let losses = |kept: [bool; B]| {
            let refined = In2rConfig::default().refined(&s, &structure, &kept);
            floats(refined.0.inner())
        };
        assert_eq!(losses([true; B]), [0.0; B]);
        assert_eq!(losses([false; B]), [0.0; B]);
        let mut one = [false; B];
        one[2] = true;
        assert!(losses(one).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn neighbors_that_cancel_give_no_infinite_score() {
        assert_eq!(lengths(&[0.5, 0.5], &[1.0, -1.0, -1.0, 1.0]), [0.01]);
    }

    #[test]
    fn dropped_pairs_join_after_the_warm_up() {
        let mut strategy = In2r {
            config: In2rConfig::default(),
            is_kept: Vec::new(),
            remark: Some("a remark".into()),
        };
        let mut ledgers = vec![Ledger::new(6)];
        ledgers[0].clean_posterior[2] = 0.1;
        let mut sizes = |index: usize| {
            let epoch = Epoch {
                index,
                n_warm_up: 1,
                n_main: 4,
            };
            let planning = Planning {
                epoch,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut Seed(0).stream("test", &[]),
            };
            let plan = strategy.plan(planning).unwrap();
            (plan.peers[0].groups[0].len(), plan.note.unwrap())
        };
        assert_eq!(sizes(0), (5, "a remark; 5 pairs kept and 1 dropped".into()));
        assert_eq!(sizes(1), (6, "5 pairs kept and 1 dropped".into()));
        assert_eq!(strategy.labels(0, &[1, 2], &[]), [1.0, 0.0]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let wrong = [
            In2rConfig {
                neighbors: 0,
                ..In2rConfig::default()
            },
            In2rConfig {
                keep_below: 1.5,
                ..In2rConfig::default()
            },
            In2rConfig {
                weight: -1.0,
                ..In2rConfig::default()
            },
        ];
        assert!(wrong.iter().all(|config| config.build(1).is_err()));
    }
}
