//! Self-reinforcing errors mitigation: only pairs of low loss *and* low energy are asserted, weighted
//! by the other modality's certainty, while every pair learns what it does not match.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::ColumnSpec;
use truepair_core::mixture::{self, GaussianConfig};

use super::{
    BatchView, Beliefs, Epoch, Judgement, Measured, Plan, Planning, Square, Strategy, Survey,
};
use crate::error::Result;
use truepair_model::objective::{
    BiasedComplementary, PairLoss, per_pair, positive, swapped_certainty, weighted_hinge,
};

/// Settings of `srem`.
///
/// The batch is read as classification, `pᵢ` of image `i` over the captions and `uᵢ` of caption `i`
/// over the images. Before every main epoch each pair's cross-entropy and free energy are measured,
///
/// ```text
/// Eᵢ = −τ/2 (log meanⱼ exp(Sᵢⱼ / τ) + log meanⱼ exp(Sⱼᵢ / τ))
/// ```
/// and a two-component Gaussian mixture is fitted to each. A pair is clean if it belongs to the lower
/// component of both: `clean_posterior` is the smaller of the two posteriors, `soft_label` is `y`, 1 for
/// clean and 0 for noisy pairs. The loss is
///
/// ```text
/// Lᵢ = yᵢ hingeᵢ + λ CLᵢ
/// ```
/// with [`weighted_hinge`] under [`swapped_certainty`] and [`BiasedComplementary`] over all pairs; warm-up
/// epochs have the second term alone, which is safe under any noise.
///
/// # Source
/// SREM, AAAI 2024 (arXiv 2312.16478): energy-guided filtration, swapped gradient weighting,
/// cross-modal biased complementary learning. Only the abstract and the beginning of the introduction could be read
/// (the paper's HTML page was looked for on 2026-11-30), no equation and no code.
/// # Deviations
/// 1. The three parts and what they are for are the paper's; every equation above and every default
///    is a reconstruction. Published figures are not to be expected from it.
/// 2. The energy is that of the mean, not of the sum, so that a smaller last batch does not look
///    uncertain.
/// 3. Clean pairs' hinges are averaged over the batch, so the term weighs less the fewer are clean.
/// 4. When a group would be empty, see [`mixture::divide`].
/// 5. The form and size of the complementary term's bias are not in the abstract. Its wording,
///    "negative matches overlooked in hard-negative training", asks for κ < 0, which denies easy
///    negatives more often than hard ones. κ = 0 is not the paper's term but the log form of `rcl`,
///    which the paper has as a special case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SremConfig {
    /// τ: divides the scores, in every softmax and in the energy.
    pub temperature: f64,
    /// α of the hinge, in units of the similarity.
    pub margin: f64,
    /// λ: weight of the complementary term, at least 0.
    pub complement: f64,
    /// κ: below 0 hard negatives are denied less often, above 0 more often; 0 denies all alike, which
    /// is `rcl`'s term. Only small values train well: at a low τ the labels soon fall on a few negatives
    /// alone.
    pub bias: f64,
    /// Both posteriors of a clean pair are above this, [0, 1].
    pub threshold: f64,
    /// Whether a clean pair needs a low energy as well as a low loss.
    pub energy: bool,
    /// Whether hinges are weighted by the other modality's certainty.
    pub swapped: bool,
    /// Epochs of complementary learning alone, in addition to `training.epochs`.
    pub warm_up: usize,
    /// How the mixtures are fitted and guarded.
    pub mixture: GaussianConfig,
}

impl Default for SremConfig {
    fn default() -> Self {
        Self {
            temperature: 0.05,
            margin: 0.2,
            complement: 1.0,
            bias: -0.1,
            threshold: 0.5,
            energy: true,
            swapped: true,
            warm_up: 5,
            mixture: GaussianConfig::default(),
        }
    }
}

/// The ledger's column of energies.
const ENERGY: ColumnSpec = ColumnSpec::floats("energy");

#[derive(Debug)]
struct Srem {
    config: SremConfig,
    complementary: BiasedComplementary,
}

impl SremConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        positive("strategy.temperature", self.temperature)?;
        positive("strategy.margin", self.margin)?;
        positive("strategy.complement", self.complement)?;
        if !self.bias.is_finite() || !(0.0..=1.0).contains(&self.threshold) {
            return Err(Error::argument(
                format!(
                    "strategy.bias = {} is no number or strategy.threshold = {} not in [0, 1]",
                    self.bias, self.threshold
                ),
                "start from bias -0.1 and threshold 0.5",
            )
            .into());
        }
        Ok(Box::new(Srem {
            config: self.clone(),
            complementary: BiasedComplementary {
                temperature: self.temperature,
                bias: self.bias,
            },
        }))
    }

    /// Cross-entropy and free energy of every pair of scores `[b * b]`, means of both directions,
    /// `[b]` each; the energy in units of the similarity.
    pub fn measure(&self, scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let square = Square::new(scores);
        (0..square.side())
            .map(|i| {
                let row = self.free_energy(square.row(i));
                let column = self.free_energy(&square.column(i).collect::<Vec<f32>>());
                let energy = (row + column) / 2.0;
                let log_b = (square.side() as f64).ln();
                let own = f64::from(square.at(i, i));
                let loss = log_b - (own + energy) / self.temperature;
                (loss as f32, energy as f32)
            })
            .unzip()
    }

    /// `−τ log mean exp(x / τ)`.
    fn free_energy(&self, values: &[f32]) -> f64 {
        let largest = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let lifted = |&x: &f32| ((f64::from(x) - largest) / self.temperature).exp();
        let mean = values.iter().map(lifted).sum::<f64>() / values.len() as f64;
        -(largest + self.temperature * mean.ln())
    }
}

impl Strategy for Srem {
    fn n_warm_up(&self) -> usize {
        self.config.warm_up
    }

    fn columns(&self) -> &'static [ColumnSpec] {
        &[ENERGY]
    }

    fn survey(&self, epoch: Epoch) -> Option<Survey<'_>> {
        epoch.surveyed(|scores| {
            let (loss, energy) = self.config.measure(scores);
            Measured {
                loss,
                beliefs: Beliefs {
                    columns: vec![(ENERGY, energy)],
                    ..Beliefs::default()
                },
            }
        })
    }

    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let everything = planning.everything(1);
        let (config, ledger) = (&self.config, &mut planning.ledgers[0]);
        let mut posterior = mixture::clean_posterior(&ledger.loss, &config.mixture)?.posterior;
        if config.energy {
            let known = mixture::clean_posterior(ledger.floats(ENERGY), &config.mixture)?;
            for (clean, low_energy) in posterior.iter_mut().zip(known.posterior) {
                *clean = clean.min(low_energy);
            }
        }
        let division = mixture::divide(&posterior, config.threshold as f32)?;
        ledger.clean_posterior = posterior;
        ledger.soft_label = (division.clean.iter())
            .map(|&clean| f32::from(u8::from(clean)))
            .collect();
        Ok(Plan {
            note: division.fallback.map(|fallback| fallback.to_string()),
            ..everything
        })
    }

    fn pair_loss(&mut self, epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        let (config, scores) = (&self.config, view.scores);
        let complementary = self.complementary.pair_loss(scores).0 * config.complement;
        if epoch.is_warm_up() {
            return PairLoss(complementary).into();
        }
        let labels = per_pair(&view.recall(&view.ledgers[view.peer].soft_label), scores);
        let weights = match config.swapped {
            true => swapped_certainty(scores, config.temperature),
            false => [(); 2].map(|()| per_pair(&vec![1.0; view.pairs.len()], scores)),
        };
        let hinge = weighted_hinge(scores, config.margin, weights).0;
        PairLoss(hinge * labels + complementary).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::ledger::Ledger;
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{run, scores, tracked};
    use truepair_model::objective::{Complementary, InfoNce, Margins, Negatives, triplet};

    #[test]
    fn loss_and_energy_are_the_two_sides_of_cross_entropy() {
        let (s, config) = (scores(5), SremConfig::default());
        let (loss, energy) = config.measure(&s);
        let objective = InfoNce {
            temperature: config.temperature,
        };
        let (expected, _) = run(&s, |x| objective.pair_loss(x));
        let close = |a: &f32, b: &f32| (a - b).abs() < 1e-4 * (1.0 + b.abs());
        assert!(loss.iter().zip(&expected).all(|(a, b)| close(a, b)));
        let (_, flat) = config.measure(&[0.3; 9]);
        assert!(flat.iter().all(|e| (e + 0.3).abs() < 1e-6), "{flat:?}");
        assert!(energy.iter().all(|e| e.is_finite()));
    }

    /// In warm-up the loss is the complementary term alone, and the default one is biased.
    #[test]
    fn the_default_denies_easy_negatives_more_often_than_hard_ones() {
        let config = SremConfig::default();
        assert!(config.bias < 0.0);
        let s = scores(5);
        let expected = |bias| {
            let term = BiasedComplementary {
                temperature: config.temperature,
                bias,
            };
            run(&s, |x| term.pair_loss(x)).0
        };
        let (tensor, ledgers) = (tracked(&s), [Ledger::with_columns(5, &[ENERGY])]);
        let mut view = BatchView {
            peer: 0,
            group: 0,
            step: 0,
            n_steps: 1,
            pairs: &[0, 1, 2, 3, 4],
            scores: &tensor,
            structure: None,
            opinions: &[],
            ledgers: &ledgers,
            rng: &mut Seed(0).stream("test", &[]),
        };
        let warm_up = Epoch {
            index: 0,
            n_warm_up: 5,
            n_main: 1,
        };
        let mut strategy = config.build(1).unwrap();
        let found = floats(strategy.pair_loss(warm_up, &mut view).loss.0);
        assert_eq!(found, expected(config.bias));
        assert_ne!(found, expected(0.0));
    }

    #[test]
    fn labels_of_1_without_weights_and_bias_give_triplet_and_complementary_loss() {
        let config = SremConfig {
            swapped: false,
            bias: 0.0,
            temperature: 0.4,
            ..SremConfig::default()
        };
        let (s, ledgers) = (scores(4), [Ledger::with_columns(4, &[ENERGY])]);
        let tensor = tracked(&s);
        let mut view = BatchView {
            peer: 0,
            group: 0,
            step: 0,
            n_steps: 1,
            pairs: &[0, 1, 2, 3],
            scores: &tensor,
            structure: None,
            opinions: &[],
            ledgers: &ledgers,
            rng: &mut Seed(0).stream("test", &[]),
        };
        let epoch = Epoch {
            index: 5,
            n_warm_up: 5,
            n_main: 1,
        };
        let judgement = config.build(1).unwrap().pair_loss(epoch, &mut view);
        let (hinge, _) = run(&s, |x| triplet(x, &Margins::Fixed(0.2), Negatives::Hardest));
        let plain = Complementary {
            temperature: 0.4,
            ..Complementary::default()
        };
        let (denial, _) = run(&s, |x| plain.pair_loss(x, None));
        for (i, found) in floats(judgement.loss.0).into_iter().enumerate() {
            assert!((found - hinge[i] - denial[i]).abs() < 1e-4 * found);
        }
    }
}
