//! What must hold for every named value of the methods that divide, not only for the defaults.

use super::co_division::tests::{FIRST, LAST, judge_scores};
use super::*;
use truepair_model::numbers::floats;
use truepair_model::objective::{NegativeForm, NegativeTriplet, check as batches};

fn variants() -> Vec<StrategyConfig> {
    let one_peer = NcrConfig {
        peers: 1,
        ..NcrConfig::default()
    };
    let mut all = Vec::new();
    for form in [
        NegativeForm::Swap,
        NegativeForm::SwapStopped,
        NegativeForm::Reference,
        NegativeForm::Log,
    ] {
        let negative = NegativeTriplet {
            form,
            ..NegativeTriplet::default()
        };
        all.push(StrategyConfig::Nlnc(NlncConfig {
            negative: negative.clone(),
            ncr: one_peer.clone(),
            ..NlncConfig::default()
        }));
        all.push(StrategyConfig::CarHnsf(CarHnsfConfig {
            negative,
            negative_weight: 1.0,
            ..CarHnsfConfig::default()
        }));
    }
    all.push(StrategyConfig::Nlnc(NlncConfig {
        schedule: NegativeSchedule::Staged,
        ..NlncConfig::default()
    }));
    for drop in [
        DropRule::Never,
        DropRule::ZeroLabel,
        DropRule::ZeroPrediction,
    ] {
        all.push(StrategyConfig::Hnsf(HnsfConfig {
            drop,
            label: HardestLabel {
                hardest: 3,
                scale_floor: 0.0,
            },
            ..HnsfConfig::default()
        }));
    }
    for (form, label, ncr) in [
        (CarForm::Scalar, CarLabel::Predicted, NcrConfig::default()),
        (CarForm::Scalar, CarLabel::Accumulated, NcrConfig::default()),
        (
            CarForm::MeanTeacher,
            CarLabel::Predicted,
            NcrConfig::default(),
        ),
        (CarForm::MeanTeacher, CarLabel::Predicted, one_peer),
    ] {
        all.push(StrategyConfig::Car(CarConfig {
            form,
            label,
            ncr,
            ..CarConfig::default()
        }));
    }
    for balance in [Balance::GradientRatio, Balance::Fixed] {
        for gate in [Gate::Confidence, Gate::None] {
            for prediction in [Prediction::Mean, Prediction::Hardest] {
                all.push(StrategyConfig::Adaptive(AdaptiveConfig {
                    balance,
                    gate,
                    prediction,
                    ..AdaptiveConfig::default()
                }));
            }
        }
    }
    all
}

/// Scores of a cosine, a sigmoid and an order similarity, all equal ones, saturated ones, and those of
/// a lone pair.
fn batches_of_scores() -> Vec<Vec<f32>> {
    let cosines = batches::scores(6);
    let mut saturated = vec![-1.0; 36];
    (0..6).for_each(|i| saturated[i * 7] = 1.0);
    let wrong = saturated.iter().map(|s| -s).collect();
    vec![
        cosines
            .iter()
            .map(|s| 1.0 / (1.0 + (-5.0 * s).exp()))
            .collect(),
        cosines.iter().map(|s| -40.0 * (1.0 + s)).collect(),
        cosines,
        vec![0.5; 36],
        saturated,
        wrong,
        vec![0.3],
    ]
}

#[test]
fn losses_are_finite_and_beliefs_are_probabilities() {
    let warm_up = Epoch { index: 0, ..FIRST };
    for config in variants() {
        for scores in batches_of_scores() {
            for (epoch, group) in [(warm_up, 0), (FIRST, 0), (FIRST, 1), (LAST, 0), (LAST, 1)] {
                for posterior in [0.0, 0.4, 1.0] {
                    let judged = judge_scores(&config, epoch, group, posterior, &scores);
                    let case = || format!("{config:?} {epoch:?} {group} {posterior} {scores:?}");
                    let losses = floats(judged.loss.0.inner());
                    assert_eq!(losses.len().pow(2), scores.len());
                    assert!(losses.iter().all(|x| x.is_finite()), "{}", case());
                    let beliefs = &judged.beliefs;
                    let columns = beliefs.columns.iter().map(|(_, column)| column);
                    let mut values = columns.chain(&beliefs.soft_label).flatten();
                    assert!(values.all(|x| (0.0..=1.0).contains(x)), "{}", case());
                    let labeled = epoch.is_warm_up() || beliefs.soft_label.is_some();
                    assert!(labeled, "{}", case());
                }
            }
        }
    }
}

#[test]
fn a_score_that_is_not_a_number_is_not_a_small_loss() {
    let mut scores = batches::scores(6);
    scores[8] = f32::NAN;
    for config in variants() {
        for (epoch, group) in [(FIRST, 0), (LAST, 1)] {
            let judged = judge_scores(&config, epoch, group, 0.4, &scores);
            let losses = floats(judged.loss.0.inner());
            assert!(losses.iter().any(|x| x.is_nan()), "{config:?} {losses:?}");
        }
    }
}
