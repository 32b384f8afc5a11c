//! Hardest-negative soft-label filter: a pair is trusted as far as it beats the most similar wrong
//! answer, and not at all where it loses to it.

use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::batch::Square;
use super::co_division::{CoDivision, CoTeaching, DividedLoss, Rectified, soft_triplet};
use super::division_config::{DivisionConfig, scaled};
use super::setting::check_share;
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{PairLoss, per_pair};

/// Settings of `hnsf`.
///
/// `ncr` with this prediction in place of its mean over all negatives (α = `ncr.margin`):
///
/// ```text
/// qᵢ = clip((min(α, Sᵢᵢ − S_{i,h}) + min(α, Sᵢᵢ − S_{h',i})) / 2, 0, α)
/// Pᵢ = clip(qᵢ / τ, 0, 1),   τ = max(mean of the largest tenth of q, scale_floor · α)
/// ```
///
/// A pair whose soft label is 0 leaves the triplet; its image and caption stay as the others'
/// negatives. Without that the filter would have no effect, since a soft margin of 0 still pulls a
/// losing pair together.
///
/// `divide_by` is the second reading of the method's line: that the hardest negative decides who is
/// clean at all, before any label. What the mixture of the division sees of pair i is then no longer
/// `ncr`'s loss over all negatives of the batch, but
///
/// ```text
/// mean      Σⱼ ([α + Sᵢⱼ − Sᵢᵢ]₊ + [α + Sⱼᵢ − Sᵢᵢ]₊) / b, as `ncr`: the first reading alone
/// hardest   [α + S_{i,h} − Sᵢᵢ]₊ + [α + S_{h',i} − Sᵢᵢ]₊
/// gap       ((S_{i,h} − Sᵢᵢ) + (S_{h',i} − Sᵢᵢ)) / 2
/// ```
///
/// with the k hardest averaged, if `label.hardest` says so. `hardest` puts every pair that wins by α
/// both ways at exactly 0; `gap` has no end on either side and no margin.
///
/// # Source
/// A graduation report (Kookmin University) in one line: NCR's mean-based soft label is replaced by a
/// confidence from the most similar wrong answer only. Its equations are not public: the exchange of
/// the mean for the maximum is read off that line, the rest is NCR's or a reconstruction. Whether the exchange is
/// meant for the labels, for the division or for both is open: `divide_by` has both readings.
/// # Deviations
/// 1. τ has a floor. In a batch where nearly every pair loses, its best tenth would otherwise be
///    scaled up to labels of 1.
/// 2. The mask of pairs with soft label 0 is a reconstruction: `drop`.
/// 3. `label.hardest` averages the hinges of the k hardest negatives. With several captions an image,
///    the single hardest of a batch is sometimes a match.
/// 4. The hardest negative of a division is that of the batch in which the pair is measured, not of
///    all training pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HnsfConfig {
    /// Division, margins and the use of noisy pairs.
    pub ncr: DivisionConfig,
    /// The prediction.
    pub label: HardestLabel,
    /// What the mixture sees.
    pub divide_by: DivideBy,
    /// Which pairs leave the triplet.
    pub drop: DropRule,
}

/// A soft label from a pair's gap to its hardest negatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardestLabel {
    /// k: negatives a direction whose hinges are averaged, at least 1.
    pub hardest: usize,
    /// Least τ as a share of the margin, [0, 1].
    pub scale_floor: f64,
}

/// What the division's mixture sees of a pair; the card of [`HnsfConfig`] has the equations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DivideBy {
    /// Its loss over all negatives of the batch, as `ncr`.
    #[default]
    Mean,
    /// Its loss over the hardest negatives.
    Hardest,
    /// How far the hardest negatives are ahead of it, without hinge.
    Gap,
}

/// Which pairs leave the triplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropRule {
    /// None.
    Never,
    /// Those whose soft label is 0; a clean pair's label never is.
    ZeroLabel,
    /// Those whose prediction is 0, clean pairs included.
    ZeroPrediction,
}

impl Default for HnsfConfig {
    fn default() -> Self {
        Self {
            ncr: DivisionConfig::default(),
            label: HardestLabel::default(),
            divide_by: DivideBy::default(),
            drop: DropRule::ZeroLabel,
        }
    }
}

impl Default for HardestLabel {
    fn default() -> Self {
        Self {
            hardest: 1,
            scale_floor: 0.1,
        }
    }
}

impl HardestLabel {
    pub(super) fn check(&self, table: &str) -> Result<()> {
        check_share(
            &format!("{table}.scale_floor"),
            self.scale_floor,
            "0.1 is usual",
        )?;
        if self.hardest > 0 {
            return Ok(());
        }
        Err(Error::argument(
            format!("strategy.{table}.hardest = 0 compares with nothing"),
            "1 is the hardest negative alone; 3 to 5 smooth",
        )
        .into())
    }

    /// P of every pair of evaluation-mode scores `[b * b]` under margin α, `[b]` in [0, 1].
    pub fn predict(&self, scores: &[f32], margin: f64) -> Vec<f32> {
        let half = self.both_ways(scores, |lead| hinge(lead, margin) / 2.0);
        let gaps: Vec<f32> = (half.iter())
            .map(|hinges| (margin as f32 - hinges).clamp(0.0, margin as f32))
            .collect();
        // The smallest floor keeps 0 / 0 from arising where `scale_floor` is 0.
        scaled(&gaps, ((self.scale_floor * margin) as f32).max(1e-8))
    }

    /// The sum over both directions of the mean of the k largest values of `of`, which is given a
    /// wrong answer's lead over the pair and grows with it, `[b]`; 0 for a pair alone.
    fn both_ways(&self, scores: &[f32], of: impl Fn(f32) -> f32) -> Vec<f32> {
        let square = Square::new(scores);
        let hardest = |anchor: usize, candidates: &mut dyn Iterator<Item = f32>| {
            let own = square.at(anchor, anchor);
            let others = candidates.enumerate().filter(|(at, _)| *at != anchor);
            let mut values: Vec<f32> = others.map(|(_, score)| of(score - own)).collect();
            values.sort_unstable_by(|a, b| b.total_cmp(a));
            let hardest = &values[..self.hardest.min(values.len())];
            hardest.iter().sum::<f32>() / hardest.len().max(1) as f32
        };
        (0..square.side())
            .map(|i| {
                hardest(i, &mut square.row(i).iter().copied()) + hardest(i, &mut square.column(i))
            })
            .collect()
    }
}

/// `[α + lead]₊`; a tie is exactly α.
fn hinge(lead: f32, margin: f64) -> f32 {
    let violation = margin as f32 + lead;
    // Not `max`, which would let NaN look like no violation.
    if violation < 0.0 { 0.0 } else { violation }
}

impl DivideBy {
    /// What the mixture sees of every pair of evaluation-mode scores `[b * b]`, `[b]`.
    pub(super) fn measure(
        self,
        label: &HardestLabel,
        division: &CoDivision,
        scores: &[f32],
    ) -> Vec<f32> {
        let margin = division.config.margin;
        match self {
            Self::Mean => division.config.mean_hinge(scores),
            Self::Hardest => label.both_ways(scores, |lead| hinge(lead, margin)),
            Self::Gap => label.both_ways(scores, |lead| lead / 2.0),
        }
    }
}

impl DropRule {
    /// 1 for pairs that stay in the triplet, 0 for those that leave it, `[b]`.
    pub(super) fn kept(self, rectified: &Rectified) -> Vec<f32> {
        let stays = |value: &f32| f32::from(*value > 0.0 || value.is_nan());
        match self {
            Self::Never => vec![1.0; rectified.labels.len()],
            Self::ZeroLabel => rectified.labels.iter().map(stays).collect(),
            Self::ZeroPrediction => rectified.predicted.iter().map(stays).collect(),
        }
    }
}

impl HnsfConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        self.label.check("label")?;
        Ok(Box::new(CoTeaching {
            division: CoDivision::new(&self.ncr, n_main)?,
            loss: HardestFilter {
                label: self.label,
                divide_by: self.divide_by,
                drop: self.drop,
            },
        }))
    }
}

#[derive(Debug)]
struct HardestFilter {
    label: HardestLabel,
    divide_by: DivideBy,
    drop: DropRule,
}

impl DividedLoss for HardestFilter {
    fn measure(&self, division: &CoDivision, scores: &[f32]) -> Vec<f32> {
        self.divide_by.measure(&self.label, division, scores)
    }

    fn judge(
        &mut self,
        division: &CoDivision,
        _epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let margin = division.config.margin;
        let predict = |peer: usize| self.label.predict(&view.opinions[peer].scores, margin);
        let rectified = division.rectified(view, predict);
        let kept = self.drop.kept(&rectified);
        let triplet = soft_triplet(view, &rectified);
        Judgement {
            loss: PairLoss(triplet.0 * per_pair(&kept, view.scores)),
            beliefs: Beliefs {
                soft_label: Some(rectified.labels),
                ..Beliefs::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::co_division::tests::{LAST, check_plain_when_certain, judge};
    use crate::strategy::{CarHnsfConfig, Planning, StrategyConfig};
    use truepair_core::ledger::Ledger;
    use truepair_core::rng::Seed;
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::scores;

    #[test]
    fn pairs_that_are_clean_for_certain_have_the_plain_triplet() {
        check_plain_when_certain(&StrategyConfig::Hnsf(HnsfConfig::default()));
    }

    /// Three pairs: the first beats its hardest negatives by 0.4 and 0.1, the second by 0.1 and 0.4,
    /// the third loses both ways.
    const SCORES: [f32; 9] = [0.7, 0.3, 0.2, 0.6, 0.7, 0.2, 0.5, 0.1, 0.1];

    #[test]
    fn labels_are_capped_gaps_to_the_hardest_and_0_for_a_pair_that_loses() {
        let label = HardestLabel::default();
        let found = label.predict(&SCORES, 0.2);
        assert!((found[0] - 1.0).abs() < 1e-5 && (found[1] - 1.0).abs() < 1e-5);
        assert_eq!(found[2], 0.0);
        let tight = label.predict(&[0.5, 0.4, 0.45, 0.9, 0.5, 0.2, 0.1, 0.3, 0.5], 0.2);
        // Gaps: (0.05 − 0.4) / 2, (−0.4 + 0.1) / 2, (0.2 + 0.05) / 2.
        assert_eq!(tight[..2], [0.0, 0.0]);
        assert!((tight[2] - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_floor_keeps_a_hopeless_batch_doubtful() {
        let mut s = vec![0.5f32; 9];
        s[0] = 0.501;
        let label = HardestLabel::default();
        let found = label.predict(&s, 0.2);
        assert!((found[0] - 0.05).abs() < 1e-3, "{found:?}");
        let unguarded = HardestLabel {
            scale_floor: 0.0,
            ..label
        };
        assert!((unguarded.predict(&s, 0.2)[0] - 1.0).abs() < 1e-4);
        assert_eq!(unguarded.predict(&[0.5; 9], 0.2), [0.0; 3]);
    }

    #[test]
    fn averaging_all_negatives_is_milder_than_the_hardest() {
        let s = scores(6);
        let of = |hardest| HardestLabel {
            hardest,
            scale_floor: 1.0,
        };
        let (one, all) = (of(1).predict(&s, 0.2), of(99).predict(&s, 0.2));
        assert!(one.iter().zip(&all).all(|(one, all)| one <= all));
        assert!(all.iter().sum::<f32>() > one.iter().sum::<f32>());
    }

    #[test]
    fn the_mixture_sees_the_loss_that_is_named() {
        let measure = |config: &StrategyConfig| {
            let strategy = config.build(4).unwrap();
            strategy.survey(LAST).unwrap()(&SCORES).loss
        };
        let hnsf = |divide_by, hardest| {
            StrategyConfig::Hnsf(HnsfConfig {
                divide_by,
                label: HardestLabel {
                    hardest,
                    ..HardestLabel::default()
                },
                ..HnsfConfig::default()
            })
        };
        let near = |found: Vec<f32>, expected: [f32; 3]| {
            let equal = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
            assert!(found.iter().zip(&expected).all(equal), "{found:?}");
        };
        // Leads of the hardest: −0.4 and −0.1, −0.1 and −0.4, 0.4 and 0.1.
        near(measure(&hnsf(DivideBy::Hardest, 1)), [0.1, 0.1, 0.9]);
        near(measure(&hnsf(DivideBy::Gap, 1)), [-0.25, -0.25, 0.25]);
        // Of the other: −0.5 and −0.2, −0.5 and −0.6, 0.0 and 0.1.
        near(measure(&hnsf(DivideBy::Hardest, 9)), [0.05, 0.05, 0.7]);
        near(measure(&hnsf(DivideBy::Gap, 9)), [-0.3, -0.4, 0.15]);
        // Of three, both others' hinges count, divided by three: 0.1, 0.1 and 0.6 + 0.2 + 0.3 + 0.3.
        let mean = measure(&hnsf(DivideBy::Mean, 1));
        near(mean.clone(), [0.1 / 3.0, 0.1 / 3.0, 1.4 / 3.0]);
        assert_eq!(
            mean,
            measure(&StrategyConfig::Ncr(DivisionConfig::default()))
        );
        let remembered = |divide_by| {
            measure(&StrategyConfig::CarHnsf(CarHnsfConfig {
                divide_by,
                ..CarHnsfConfig::default()
            }))
        };
        assert_eq!(remembered(DivideBy::Mean), mean);
        near(remembered(DivideBy::Gap), [-0.25, -0.25, 0.25]);
    }

    #[test]
    fn who_loses_to_one_wrong_answer_is_noisy_by_the_hardest() {
        // 20 pairs far above all others, 10 of which lose to one wrong caption and one wrong image.
        let (n, n_losers) = (20, 10);
        let mut scores = vec![-1.0f32; n * n];
        for i in 0..n {
            scores[i * n + i] = 0.9 + 0.001 * i as f32;
        }
        for i in 0..n_losers {
            let other = (i + 1) % n_losers;
            scores[i * n + other] = 0.96;
        }
        let noisy = |divide_by| {
            let config = HnsfConfig {
                divide_by,
                ..HnsfConfig::default()
            };
            let mut strategy = config.build(4).unwrap();
            let loss = strategy.survey(LAST).unwrap()(&scores).loss;
            let mut ledgers = vec![Ledger::new(n), Ledger::new(n)];
            ledgers.iter_mut().for_each(|l| l.loss.clone_from(&loss));
            let mut rng = Seed(1).stream("test", &[]);
            let planning = Planning {
                epoch: LAST,
                ledgers: &mut ledgers,
                pairs: &[],
                rng: &mut rng,
            };
            strategy.plan(planning).unwrap().peers[0].groups[1].clone()
        };
        let losers: Vec<u32> = (0..n_losers as u32).collect();
        assert_eq!(noisy(DivideBy::Hardest), losers);
        assert_eq!(noisy(DivideBy::Gap), losers);
    }

    #[test]
    fn noisy_pairs_with_label_0_leave_the_triplet() {
        let with = |drop| {
            let config = HnsfConfig {
                drop,
                ..HnsfConfig::default()
            };
            judge(&StrategyConfig::Hnsf(config), LAST, 1, 0.2)
        };
        let (kept, dropped) = (with(DropRule::Never), with(DropRule::ZeroLabel));
        let labels = dropped.beliefs.soft_label.unwrap();
        let (kept, dropped) = (floats(kept.loss.0.inner()), floats(dropped.loss.0.inner()));
        assert!(labels.contains(&0.0), "{labels:?}");
        for i in 0..6 {
            let expected = if labels[i] == 0.0 { 0.0 } else { kept[i] };
            assert_eq!(dropped[i], expected);
        }
    }
}
