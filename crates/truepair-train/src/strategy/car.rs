//! Consistency-aware regularization: predictions are held near what the network said of a pair in its
//! early, clean phase.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::ColumnSpec;

use super::co_division::{CoDivision, CoTeaching, DividedLoss, soft_triplet};
use super::division_config::DivisionConfig;
use super::early_targets::{EarlyTargets, MASS, MATCH_MASS, implied_label};
use super::nlnc::check_weight;
use super::{BatchView, Beliefs, Epoch, Judgement, Strategy};
use crate::error::Result;
use truepair_model::objective::{PairLoss, early_learning, per_entry};

/// Settings of `car`.
///
/// `ncr` and λ = `weight` times a regularizer R ≤ 0, on every batch after the warm-up.
/// `form = "scalar"` has running targets of each pair (see [`EarlyTargets`]), which the warm-up fills.
/// `form = "mean-teacher"` has no memory of pairs but a running average of the other peer's weights:
///
/// ```text
/// tᵢⱼ = softmaxⱼ(S̄ᵢⱼ / τ)    pᵢⱼ = softmaxⱼ(Sᵢⱼ / τ)    S̄ the averaged weights' scores
/// Rᵢ = (log(1 − Σⱼ pᵢⱼ tᵢⱼ) + log(1 − Σⱼ uᵢⱼ vᵢⱼ)) / 2    u, v likewise by column
/// ```
///
/// # Source
/// A graduation report (Kookmin University) in one line: pseudo-labels by moving average after Liu et
/// al. (ELR, NeurIPS 2020) prevent over-fitting to noisy labels. The form of the regularizer is ELR's;
/// both transfers to pairs, which have no fixed classes, are reconstructions.
/// # Deviations
/// 1. λ multiplies a loss per pair, so it means the same under mean and sum reduction.
/// 2. With `form = "mean-teacher"` the soft labels' predictions also come from averaged weights. With
///    two peers the teacher is the other's, as in ELR+; its mixup and its ramp of λ are left out.
/// 3. `label = "accumulated"` replaces `ncr`'s prediction by what the running targets imply,
///    `clip(2 tm / cm − 1, 0, 1)`: the moving average as label instead of as regularizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CarConfig {
    /// Division, labels and margins.
    pub ncr: DivisionConfig,
    /// What predictions are held near to.
    pub form: CarForm,
    /// λ, at least 0.
    pub weight: f64,
    /// β and τ.
    pub targets: EarlyTargets,
    /// Decay a step of the mean teacher's weights, [0, 1).
    pub decay: f64,
    /// What a soft label is made from.
    pub label: CarLabel,
}

/// What predictions are held near to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarForm {
    /// Each pair's running two-class target.
    Scalar,
    /// A mean teacher's softmax over the batch.
    MeanTeacher,
}

/// What a soft label is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarLabel {
    /// `ncr`'s prediction in the batch.
    Predicted,
    /// The running targets; needs `form = "scalar"`.
    Accumulated,
}

impl Default for CarConfig {
    fn default() -> Self {
        Self {
            ncr: DivisionConfig::default(),
            form: CarForm::Scalar,
            weight: 1.0,
            targets: EarlyTargets::default(),
            decay: 0.999,
            label: CarLabel::Predicted,
        }
    }
}

impl CarConfig {
    pub(super) fn build(&self, n_main: usize) -> Result<Box<dyn Strategy>> {
        self.targets.check("strategy.targets")?;
        check_weight("weight", self.weight)?;
        let refuse = |problem: String, hint: &str| Err(Error::argument(problem, hint).into());
        if !(0.0..1.0).contains(&self.decay) {
            let problem = format!("strategy.decay = {} is not in [0, 1)", self.decay);
            return refuse(problem, "0.999 is usual");
        }
        if (self.form, self.label) == (CarForm::MeanTeacher, CarLabel::Accumulated) {
            let problem = "strategy.label = \"accumulated\" needs targets of each pair";
            return refuse(problem.into(), "choose form = \"scalar\"");
        }
        let division = CoDivision::new(&self.ncr, n_main)?;
        Ok(match self.form {
            CarForm::Scalar => Box::new(CoTeaching {
                division,
                loss: ScalarConsistency {
                    targets: self.targets,
                    weight: self.weight,
                    label: self.label,
                },
            }),
            CarForm::MeanTeacher => Box::new(CoTeaching {
                division,
                loss: TeacherConsistency {
                    temperature: self.targets.temperature,
                    weight: self.weight,
                    decay: self.decay,
                },
            }),
        })
    }
}

#[derive(Debug)]
struct ScalarConsistency {
    targets: EarlyTargets,
    weight: f64,
    label: CarLabel,
}

impl ScalarConsistency {
    /// What a peer predicts of the batch, `[b]`.
    fn predict(&self, division: &CoDivision, view: &BatchView<'_>, peer: usize) -> Vec<f32> {
        match self.label {
            CarLabel::Predicted => division.config.predict(&view.opinions[peer].scores),
            CarLabel::Accumulated => {
                let ledger = &view.ledgers[peer];
                let matched = view.recall(ledger.floats(MATCH_MASS));
                let mass = view.recall(ledger.floats(MASS));
                let pairs = matched.iter().zip(&mass);
                pairs
                    .map(|(&matched, &mass)| implied_label(matched, mass))
                    .collect()
            }
        }
    }
}

impl DividedLoss for ScalarConsistency {
    fn columns(&self) -> &'static [ColumnSpec] {
        &EarlyTargets::COLUMNS
    }

    fn watch_warm_up(&self, _division: &CoDivision, view: &BatchView<'_>) -> Beliefs {
        self.targets.visit(view).remember(Beliefs::default())
    }

    fn judge(
        &mut self,
        division: &CoDivision,
        _epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let rectified = division.rectified(view, |peer| self.predict(division, view, peer));
        let targets = self.targets.visit(view);
        let regularizer = self.targets.regularizer(view.scores, &targets);
        Judgement {
            loss: PairLoss(soft_triplet(view, &rectified).0 + regularizer * self.weight),
            beliefs: targets.remember(Beliefs {
                soft_label: Some(rectified.labels),
                ..Beliefs::default()
            }),
        }
    }
}

#[derive(Debug)]
struct TeacherConsistency {
    temperature: f64,
    weight: f64,
    decay: f64,
}

impl DividedLoss for TeacherConsistency {
    fn teacher_decay(&self) -> Option<f64> {
        Some(self.decay)
    }

    fn judge(
        &mut self,
        division: &CoDivision,
        _epoch: Epoch,
        view: &mut BatchView<'_>,
    ) -> Judgement {
        let predict = |peer: usize| division.config.predict(&view.opinions[peer].scores);
        let rectified = division.rectified(view, predict);
        let teacher = &view.opinions[division.other(view.peer)].scores;
        let regularizer = agreement(view.scores, teacher, self.temperature);
        Judgement {
            loss: PairLoss(soft_triplet(view, &rectified).0 + regularizer * self.weight),
            beliefs: Beliefs {
                soft_label: Some(rectified.labels),
                ..Beliefs::default()
            },
        }
    }
}

/// R of scores `[b, b]` against a teacher's `[b * b]`, mean of both directions, `[b]`.
fn agreement(scores: &Tensor<2>, teacher: &[f32], temperature: f64) -> Tensor<1> {
    let logits = scores.clone() / temperature;
    let held = per_entry(teacher, scores) / temperature;
    let one = |p: Tensor<2>, t: Tensor<2>| early_learning(softmax(p, 1), softmax(t, 1));
    (one(logits.clone(), held.clone()) + one(logits.transpose(), held.transpose())) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::StrategyConfig;
    use crate::strategy::co_division::tests::{FIRST, LAST, check_plain_when_certain, judge};
    use truepair_model::numbers::floats;
    use truepair_model::objective::check::{check_gradient, run, scores};

    fn weighted(form: CarForm, weight: f64) -> StrategyConfig {
        StrategyConfig::Car(CarConfig {
            form,
            weight,
            ..CarConfig::default()
        })
    }

    #[test]
    fn without_the_regularizer_certain_pairs_have_the_plain_triplet() {
        for form in [CarForm::Scalar, CarForm::MeanTeacher] {
            check_plain_when_certain(&weighted(form, 0.0));
        }
    }

    #[test]
    fn the_warm_up_fills_targets_and_the_first_visit_weighs_little() {
        let warm_up = Epoch { index: 0, ..FIRST };
        let config = weighted(CarForm::Scalar, 1.0);
        let (watched, plain) = (
            judge(&config, warm_up, 0, 1.0),
            judge(&weighted(CarForm::Scalar, 0.0), warm_up, 0, 1.0),
        );
        assert_eq!(
            floats(watched.loss.0.inner()),
            floats(plain.loss.0.inner()),
            "the term is off in the warm-up"
        );
        let columns = watched.beliefs.columns;
        assert_eq!((columns[0].0, columns[1].0), (MATCH_MASS, MASS));
        assert!(columns[1].1.iter().all(|mass| (mass - 0.3).abs() < 1e-6));
        let difference = |weight| -> f32 {
            let judged = judge(&weighted(CarForm::Scalar, weight), LAST, 0, 1.0);
            floats(judged.loss.0.inner()).iter().sum()
        };
        let term = difference(1.0) - difference(0.0);
        assert!(term < 0.0 && term > 6.0 * 0.7f32.ln(), "{term}");
    }

    #[test]
    fn the_teachers_term_falls_with_agreement_and_its_gradient_is_that_of_the_equation() {
        let s = scores(5);
        let other: Vec<f32> = s.iter().map(|x| -x).collect();
        let loss = |x: &Tensor<2>| PairLoss(agreement(x, &other, 0.5));
        check_gradient(&s, loss);
        let sum = |teacher: &[f32]| -> f32 {
            run(&s, |x| PairLoss(agreement(x, teacher, 0.05)))
                .0
                .iter()
                .sum()
        };
        assert!(sum(&s) < sum(&other));
        let (saturated, gradient) = run(&s, |x| PairLoss(agreement(x, &s, 1e-3)));
        assert!(saturated.iter().chain(&gradient).all(|x| x.is_finite()));
    }

    #[test]
    fn accumulated_labels_need_targets() {
        let config = CarConfig {
            form: CarForm::MeanTeacher,
            label: CarLabel::Accumulated,
            ..CarConfig::default()
        };
        assert!(config.build(4).is_err());
        let config = CarConfig {
            label: CarLabel::Accumulated,
            ..CarConfig::default()
        };
        let judged = judge(&StrategyConfig::Car(config), LAST, 1, 0.5);
        assert_eq!(judged.beliefs.soft_label, Some(vec![1.0; 6]));
    }
}
