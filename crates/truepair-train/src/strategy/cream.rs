//! Consistency refining and mining: where two peers agree, a pair is clean or noisy, where they differ,
//! it is hard; what a pair's label leaves open goes to the batch's similar others.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::mixture::{self, GaussianConfig};

use super::co_division::epoch_at;
use super::setting::check_share;
use super::{
    BatchView, Beliefs, Consult, Epoch, Judgement, Measured, Needs, Plan, Planning, Square,
    Strategy, Survey,
};
use crate::error::Result;
use truepair_model::numbers::floats;
use truepair_model::objective::{InfoNce, PairLoss, positive, soft_cross_entropy};

/// Settings of `cream`.
///
/// Warm-up on all pairs with InfoNCE. Then, before every epoch, each of two peers fits a two-component
/// Gaussian mixture to its own InfoNCE losses of all pairs, `w` being the posterior of the lower one, and
/// the pairs are divided in three: clean where both hold them clean, noisy where neither does, hard
/// where they differ. With `pᵢ` the mean of both directions' probabilities of the given pair, a peer's
/// labels are
///
/// ```text
/// clean:  y = w' + (1 − w') p        hard:  y = w̄ + (1 − w̄) p        noisy:  y = p̄
/// ```
/// (`'` the other peer's, `¯` the mean of both). What a label leaves open is the mass of false negatives; it
/// goes to the other candidates by their scores, as far as one gets enough:
///
/// ```text
/// aᵢᵢ = yᵢ,   aᵢⱼ = (1 − yᵢ) [Sᵢⱼ]₊ / Σ_{k≠i} [Sᵢₖ]₊, 0 where that is below f
/// Lᵢ  = −Σⱼ aᵢⱼ log pᵢⱼ − Σⱼ bᵢⱼ log uᵢⱼ,        b likewise by columns
/// ```
/// The floor `f` is the mean label of all pairs. Clean pairs assert themselves alone until hard ones
/// join, after `hard_after` of the epochs; noisy pairs join after `noisy_after`. The ledger's clean posterior
/// is the peer's `w`, its soft label `y`.
///
/// # Source
/// Ma et al., TIP 2024. Code read at XLearning-SCU/2024-TIP-CREAM@f487d6f (`train.py`,
/// `InfoNCELoss.py`); the paper's text was not read.
/// # Deviations
/// 1. Masses are constants; in the released code the gradient reaches the scores that they are made of.
/// 2. Scores below 0 get no mass (reconstructed): the released code's are sigmoids. Among cosines, which
///    are alike, hardly a candidate gets enough to pass the floor: `floor = false` lets all pass.
/// 3. The floor is computed before an epoch, from the survey's predictions of all pairs. The released
///    code computes it at every step from three batches, weighted by the sizes of their sets.
/// 4. Hard pairs start over when they have all been drawn, as noisy ones do; the released code goes on
///    without them until the epoch's end.
/// 5. The end of the warm-up is where training goes on; the released code goes back to the warm-up's best
///    epoch on the development split.
/// 6. The mixture has guards (see [`GaussianConfig`] and [`mixture::divide`]), and where fewer than 2
///    pairs are clean, all are; the released code leaves the epoch out.
/// 7. Hard and noisy pairs join after shares of the epochs; the released code says 10 and 15, of 40 on
///    Flickr30K and of 20 on MS-COCO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreamConfig {
    /// τ: divides the scores in every softmax.
    pub temperature: f64,
    /// Epochs before the division, in addition to `training.epochs`.
    pub warm_up: usize,
    /// A peer holds a pair clean when its posterior is above this, [0, 1].
    pub threshold: f64,
    /// Share of the epochs after which hard pairs join, [0, 1].
    pub hard_after: f64,
    /// Share of the epochs after which noisy pairs join, [0, 1], at least `hard_after`.
    pub noisy_after: f64,
    /// Whether a candidate needs a mass of at least the mean label.
    pub floor: bool,
    /// No floor for clean and hard pairs when more than this share of all pairs is clean, [0, 1].
    pub floor_below: f64,
    /// How the mixtures are fitted and guarded.
    pub mixture: GaussianConfig,
}

impl Default for CreamConfig {
    fn default() -> Self {
        Self {
            temperature: 0.07,
            warm_up: 5,
            threshold: 0.5,
            hard_after: 0.25,
            noisy_after: 0.375,
            floor: true,
            floor_below: 0.85,
            mixture: GaussianConfig::default(),
        }
    }
}

/// The ledger's column of the survey's predictions.
const PREDICTION: ColumnSpec = ColumnSpec::floats("prediction");

/// A third of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Clean,
    Hard,
    Noisy,
}

#[derive(Debug)]
struct Cream {
    config: CreamConfig,
    hard_from: usize,
    noisy_from: usize,
    /// What the groups of the epoch's plan are.
    parts: Vec<Part>,
    /// Mean label of all pairs, for each peer.
    floors: [f32; 2],
    /// Share of pairs held clean.
    clean_share: f64,
}

impl CreamConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        for (name, share) in [
            ("threshold", self.threshold),
            ("hard_after", self.hard_after),
            ("noisy_after", self.noisy_after),
            ("floor_below", self.floor_below),
        ] {
            check_share(name, share, "see the defaults in docs/methods.md")?;
        }
        if self.noisy_after < self.hard_after {
            return Err(Error::argument(
                format!(
                    "strategy.noisy_after = {} is below strategy.hard_after = {}",
                    self.noisy_after, self.hard_after
                ),
                "noisy pairs join together with hard ones at the earliest",
            )
            .into());
        }
        Ok(Box::new(Cream {
            config: self.clone(),
            hard_from: epoch_at(self.hard_after, n_main),
            noisy_from: epoch_at(self.noisy_after, n_main),
            parts: vec![Part::Clean, Part::Hard, Part::Noisy],
            floors: [0.0; 2],
            clean_share: 0.0,
        }))
    }

    /// InfoNCE of every pair of scores `[b * b]`, summed over both directions, and the mean of both
    /// directions' probabilities, `[b]` each.
    pub fn measure(&self, scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (rows, columns) = Square::new(scores).given(self.temperature);
        let log = |p: f32| p.max(f32::MIN_POSITIVE).ln();
        (rows.iter().zip(&columns))
            .map(|(&p, &u)| (-log(p) - log(u), (p + u) / 2.0))
            .unzip()
    }

    /// What is asserted of every candidate of scores `[b * b]`: `[b * b]` by images, and by captions with
    /// one row a caption. `floor` is the least mass that counts.
    pub fn masses(&self, scores: &[f32], labels: &[f32], floor: f32) -> [Vec<f32>; 2] {
        let square = Square::new(scores);
        let b = square.side();
        let mut masses = [vec![0.0; b * b], vec![0.0; b * b]];
        for (i, &label) in labels.iter().enumerate() {
            let column: Vec<f32> = square.column(i).collect();
            for (masses, scores) in masses.iter_mut().zip([square.row(i), &column[..]]) {
                let sum: f32 = (scores.iter().enumerate())
                    .filter(|&(j, _)| j != i)
                    .map(|(_, score)| score.max(0.0))
                    .sum();
                for (j, score) in scores.iter().enumerate() {
                    let mass = (1.0 - label) * score.max(0.0) / (sum + LEAST);
                    masses[i * b + j] = match (i == j, mass < floor) {
                        (true, _) => label,
                        (false, true) => 0.0,
                        (false, false) => mass,
                    };
                }
            }
        }
        masses
    }
}

/// What the released code adds to a sum that it divides by.
const LEAST: f32 = 1e-6;

/// `w + (1 − w) p`.
fn refine(w: f32, p: f32) -> f32 {
    (w + (1.0 - w) * p).clamp(0.0, 1.0)
}

/// A pair's label, from the posteriors and predictions of a peer and the other one.
fn label(part: Part, posteriors: [f32; 2], predictions: [f32; 2]) -> f32 {
    match part {
        Part::Clean => refine(posteriors[1], predictions[0]),
        Part::Hard => refine(posteriors.iter().sum::<f32>() / 2.0, predictions[0]),
        Part::Noisy => predictions.iter().sum::<f32>() / 2.0,
    }
}

impl Cream {
    /// Which part every pair belongs to, and what the reader of the log should know.
    fn parts(&self, ledgers: &[Ledger]) -> Result<(Vec<Part>, Option<String>)> {
        let (mut verdicts, mut note) = (Vec::new(), None);
        for (peer, ledger) in ledgers.iter().enumerate() {
            let threshold = self.config.threshold as f32;
            let division = mixture::divide(&ledger.clean_posterior, threshold)?;
            if let Some(fallback) = division.fallback {
                note = Some(format!("division by peer {peer}: {fallback}"));
            }
            verdicts.push(division.clean);
        }
        let parts: Vec<Part> = (verdicts[0].iter().zip(&verdicts[1]))
            .map(|verdicts| match verdicts {
                (true, true) => Part::Clean,
                (false, false) => Part::Noisy,
                _ => Part::Hard,
            })
            .collect();
        let n_clean = parts.iter().filter(|&&part| part == Part::Clean).count();
        if n_clean >= 2 {
            return Ok((parts, note));
        }
        let note = "the peers agree on fewer than 2 clean pairs; every pair is held clean";
        Ok((vec![Part::Clean; parts.len()], Some(note.to_owned())))
    }

    /// The least mass that counts; none counts where it is infinite.
    fn floor(&self, epoch: Epoch, part: Part, peer: usize) -> f32 {
        let early = epoch.main_index() < self.hard_from;
        let mostly_clean = self.clean_share > self.config.floor_below;
        match part {
            Part::Clean if early && !mostly_clean => f32::INFINITY,
            Part::Clean | Part::Hard if mostly_clean => 0.0,
            _ if !self.config.floor => 0.0,
            _ => self.floors[peer],
        }
    }
}

impl Strategy for Cream {
    fn n_peers(&self) -> usize {
        2
    }

    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        &[PREDICTION]
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| {
            let (loss, prediction) = self.config.measure(scores);
            Measured {
                loss,
                beliefs: Beliefs {
                    columns: vec![(PREDICTION, prediction)],
                    ..Beliefs::default()
                },
            }
        })
    }

    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let Planning { epoch, ledgers, .. } = planning;
        for ledger in ledgers.iter_mut() {
            let fit = mixture::clean_posterior(&ledger.loss, &self.config.mixture)?;
            ledger.clean_posterior = fit.posterior;
        }
        let (parts, note) = self.parts(ledgers)?;
        let of = |wanted: Part| -> Vec<u32> {
            (0..parts.len() as u32)
                .filter(|&pair| parts[pair as usize] == wanted)
                .collect()
        };
        for peer in 0..2 {
            let (own, other) = (&ledgers[peer], &ledgers[1 - peer]);
            let columns = [own, other].map(|ledger| ledger.floats(PREDICTION));
            let labels: Vec<f32> = (parts.iter().enumerate())
                .map(|(pair, &part)| {
                    let posteriors = [own, other].map(|ledger| ledger.clean_posterior[pair]);
                    label(part, posteriors, columns.map(|column| column[pair]))
                })
                .collect();
            self.floors[peer] = labels.iter().sum::<f32>() / labels.len().max(1) as f32;
            ledgers[peer].soft_label = labels;
        }
        let clean = of(Part::Clean);
        self.clean_share = clean.len() as f64 / parts.len() as f64;
        self.parts = vec![Part::Clean];
        let mut groups = vec![clean];
        for (part, from) in [(Part::Hard, self.hard_from), (Part::Noisy, self.noisy_from)] {
            let pairs = of(part);
            if epoch.main_index() >= from && !pairs.is_empty() {
                groups.push(pairs);
                self.parts.push(part);
            }
        }
        Ok(Plan {
            note,
            ..Plan::same(2, groups)
        })
    }

    fn needs(&self, epoch: Epoch, group: usize) -> Needs {
        let opinions = match (epoch.is_warm_up(), self.parts[group]) {
            (true, _) => Consult::Nobody,
            (false, Part::Noisy) => Consult::Everyone,
            (false, Part::Clean | Part::Hard) => Consult::Own,
        };
        Needs {
            opinions,
            ..Needs::default()
        }
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let temperature = self.config.temperature;
        if epoch.is_warm_up() {
            let both = InfoNce { temperature }.pair_loss(view.scores).0 * 2.0;
            return PairLoss(both).into();
        }
        let part = self.parts[view.group];
        let peers = [view.peer, 1 - view.peer];
        let posteriors = peers.map(|peer| view.recall(&view.ledgers[peer].clean_posterior));
        let predict =
            |peer: usize| Square::new(&view.opinions[peer].scores).mean_given(temperature);
        let own = predict(view.peer);
        let other = match part {
            Part::Noisy => predict(1 - view.peer),
            Part::Clean | Part::Hard => own.clone(),
        };
        let labels: Vec<f32> = (0..own.len())
            .map(|i| {
                let posteriors = [posteriors[0][i], posteriors[1][i]];
                label(part, posteriors, [own[i], other[i]])
            })
            .collect();
        let floor = self.floor(epoch, part, view.peer);
        let scores = floats(view.scores.clone().inner());
        let [images, captions] = self.config.masses(&scores, &labels, floor);
        Judgement {
            loss: soft_cross_entropy(view.scores, &images, &captions, temperature),
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
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::judge_scores;
    use truepair_core::rng::Seed;

    /// Scores of 3 pairs, of which the second image and the third caption look alike.
    const SCORES: [f32; 9] = [0.9, 0.2, 0.1, -0.3, 0.2, 0.7, 0.4, 0.1, 0.5];

    const ALL: [f32; 3] = [0.747999, 1.743889, 1.925725];
    const FLOORED: [f32; 3] = [0.747999, 1.434819, 1.702272];
    const ALONE: [f32; 3] = [0.747999, 0.610973, 1.138636];

    fn cream() -> Cream {
        let config = CreamConfig::default();
        Cream {
            hard_from: 1,
            noisy_from: 2,
            parts: vec![Part::Clean, Part::Hard, Part::Noisy],
            floors: [0.0; 2],
            clean_share: 0.0,
            config,
        }
    }

    const fn main(index: usize) -> Epoch {
        Epoch {
            index: 5 + index,
            n_warm_up: 5,
            n_main: 4,
        }
    }

    /// The numbers are those of the released formula in another program.
    #[test]
    fn masses_and_losses_equal_an_independent_computation() {
        let config = CreamConfig {
            temperature: 0.5,
            ..CreamConfig::default()
        };
        let labels = [1.0, 0.25, 0.6];
        for (floor, expected) in [(0.0, ALL), (0.3, FLOORED), (f32::INFINITY, ALONE)] {
            let [images, captions] = config.masses(&SCORES, &labels, floor);
            let x = truepair_model::objective::check::tracked(&SCORES);
            let losses = floats(soft_cross_entropy(&x, &images, &captions, 0.5).0.inner());
            for (found, expected) in losses.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{floor}: {losses:?}");
            }
        }
    }

    #[test]
    fn doubt_goes_to_similar_others_and_never_to_negative_scores() {
        let [images, captions] = CreamConfig::default().masses(&SCORES, &[1.0, 0.25, 0.6], 0.0);
        assert_eq!(images[..3], [1.0, 0.0, 0.0]);
        assert_eq!((images[3], images[4]), (0.0, 0.25));
        assert!((images[5] - 0.75).abs() < 1e-5);
        for (i, row) in captions.chunks(3).enumerate() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{i}: {row:?}");
        }
        // The second caption's others are images 0 and 2, at 0.2 and 0.1.
        assert!((captions[3] - 0.5).abs() < 1e-4 && (captions[5] - 0.25).abs() < 1e-4);
    }

    #[test]
    fn peers_divide_in_three_and_parts_join_in_turn() {
        let n = 40;
        let mut cream = cream();
        let mut ledgers = vec![Ledger::with_columns(n, cream.columns()); 2];
        let mut plan = |index: usize, ledgers: &mut Vec<Ledger>| {
            for (peer, ledger) in ledgers.iter_mut().enumerate() {
                for pair in 0..n {
                    // Pairs below 8 look wrong to both, from 8 to 12 to one.
                    let wrong = pair < 8 + 4 * peer;
                    ledger.loss[pair] = if wrong { 6.0 } else { 0.5 } + 1e-3 * pair as f32;
                    ledger.floats_mut(PREDICTION)[pair] = if wrong { 0.1 } else { 0.9 };
                }
            }
            let planning = Planning {
                epoch: main(index),
                ledgers,
                pairs: &[],
                rng: &mut Seed(0).stream("test", &[]),
            };
            cream.plan(planning).unwrap()
        };
        let sizes =
            |plan: &Plan| -> Vec<usize> { plan.peers[1].groups.iter().map(Vec::len).collect() };
        assert_eq!(sizes(&plan(0, &mut ledgers)), [28]);
        assert_eq!(sizes(&plan(1, &mut ledgers)), [28, 4]);
        assert_eq!(sizes(&plan(2, &mut ledgers)), [28, 4, 8]);
        let labels = &ledgers[0].soft_label;
        assert!((labels[0] - 0.1).abs() < 1e-6, "noisy: the mean prediction");
        assert!((labels[9] - 0.95).abs() < 0.02, "hard: half a posterior");
        assert!(labels[20] > 0.98, "clean");
        assert!((cream.floors[0] - labels.iter().sum::<f32>() / 40.0).abs() < 1e-6);
        assert_eq!(cream.clean_share, 0.7);
    }

    #[test]
    fn the_floor_is_infinite_early_and_absent_where_most_is_clean() {
        let mut cream = cream();
        cream.floors = [0.6, 0.7];
        assert_eq!(cream.floor(main(0), Part::Clean, 0), f32::INFINITY);
        assert_eq!(cream.floor(main(1), Part::Clean, 0), 0.6);
        assert_eq!(cream.floor(main(2), Part::Noisy, 1), 0.7);
        cream.clean_share = 0.9;
        assert_eq!(cream.floor(main(0), Part::Clean, 0), 0.0);
        assert_eq!(cream.floor(main(2), Part::Hard, 0), 0.0);
        assert_eq!(cream.floor(main(2), Part::Noisy, 0), 0.6);
        cream.config.floor = false;
        assert_eq!(cream.floor(main(2), Part::Noisy, 0), 0.0);
    }

    #[test]
    fn pairs_that_are_clean_for_certain_have_info_nce() {
        let config = StrategyConfig::Cream(CreamConfig::default());
        let judged = judge_scores(&config, main(3), 0, 1.0, &SCORES);
        let x = truepair_model::objective::check::tracked(&SCORES);
        let plain = InfoNce { temperature: 0.07 }.pair_loss(&x).0 * 2.0;
        let (found, plain) = (floats(judged.loss.0.inner()), floats(plain.inner()));
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(found.iter().zip(&plain).all(close), "{found:?} {plain:?}");
        assert_eq!(judged.beliefs.soft_label, Some(vec![1.0; 3]));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let wrong = [
            CreamConfig {
                hard_after: 0.5,
                noisy_after: 0.25,
                ..CreamConfig::default()
            },
            CreamConfig {
                threshold: f64::NAN,
                ..CreamConfig::default()
            },
            CreamConfig {
                temperature: 0.0,
                ..CreamConfig::default()
            },
        ];
        assert!(wrong.iter().all(|config| config.build(1).is_err()));
    }
}
