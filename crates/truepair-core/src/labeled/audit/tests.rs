//! Items whose truth is known: scores with a known relation to the class, labels with known noise.

use super::*;
use crate::rng::normal;

struct World {
    names: Vec<String>,
    scores: Vec<Matrix>,
    truth: Vec<u32>,
}

/// Scores of two modalities: normal, raised by `signal` at the true class.
fn world(n: usize, k: usize, signal: [f64; 2]) -> World {
    let mut rng = Seed(5).stream("world", &[]);
    let truth: Vec<u32> = (0..n).map(|_| below(&mut rng, k as u64) as u32).collect();
    let scores = signal.map(|signal| {
        let score = |at: usize| {
            let own = truth[at / k] as usize == at % k;
            // Not on the scale of probabilities; the audit must find the scale.
            0.05 * (normal(&mut rng) + if own { signal } else { 0.0 }) as f32
        };
        Matrix::new((0..n * k).map(score).collect(), k)
    });
    World {
        names: ["img", "txt"].map(str::to_owned).to_vec(),
        scores: scores.to_vec(),
        truth,
    }
}

/// Draws a wrong label with probability `rate`, by `wrong` from the true one.
fn noisy(truth: &[u32], rate: f64, name: &str, mut wrong: impl FnMut(u32, u64) -> u32) -> Vec<u32> {
    let mut rng = Seed(6).stream(name, &[]);
    let draw = |&label: &u32| match crate::rng::unit(&mut rng) < rate {
        true => wrong(label, below(&mut rng, 1 << 40)),
        false => label,
    };
    truth.iter().map(draw).collect()
}

fn other(k: u32) -> impl Fn(u32, u64) -> u32 {
    move |label, draw| (label + 1 + (draw % u64::from(k - 1)) as u32) % k
}

fn audited(world: &World, labels: &[Vec<u32>]) -> LabelFindings {
    let evidence = LabelEvidence {
        names: &world.names,
        scores: &world.scores,
        labels,
    };
    let mut findings = audit_labels(evidence, &LabelAuditOptions::default(), Seed(1)).unwrap();
    let wrong: Vec<Vec<bool>> = (labels.iter())
        .map(|labels| {
            labels
                .iter()
                .zip(&world.truth)
                .map(|(a, b)| a != b)
                .collect()
        })
        .collect();
    findings.measure(&wrong);
    findings
}

#[test]
fn independent_noise_is_found_with_calibrated_probabilities() {
    let world = world(3000, 6, [1.5, 2.5]);
    for rate in [0.2, 0.5] {
        let labels = [
            noisy(&world.truth, rate, "a", other(6)),
            noisy(&world.truth, rate, "b", other(6)),
        ];
        let findings = audited(&world, &labels);
        assert_eq!(findings.outcome, LabelOutcome::WrongLabels);
        for (found, truth) in findings.modalities.iter().zip(&findings.truth) {
            assert_eq!(found.shape, NoiseShape::Symmetric);
            let estimate = found.noise_rate;
            assert!(
                (estimate.estimate - truth.realized).abs() < 0.02,
                "{estimate:?}"
            );
            assert!(estimate.low <= truth.realized && truth.realized <= estimate.high);
            assert!(
                truth.ece < 0.03 && truth.auc > 0.95,
                "{} {}",
                truth.ece,
                truth.auc
            );
            assert!((found.confident_rate - truth.realized).abs() < 0.15);
        }
    }
}

#[test]
fn one_shared_list_of_labels_is_one_witness() {
    let world = world(3000, 6, [1.5, 2.5]);
    let labels = noisy(&world.truth, 0.4, "a", other(6));
    let findings = audited(&world, &[labels.clone(), labels]);
    assert!(findings.shared);
    let truth = &findings.truth[0];
    assert!(
        truth.ece < 0.03 && truth.auc > 0.9,
        "{} {}",
        truth.ece,
        truth.auc
    );
    let verdicts = &findings.modalities[0].verdicts;
    let wrong = verdicts.iter().filter(|verdict| verdict.posterior > 0.9);
    let (right, all) = wrong.fold((0, 0), |(right, all), verdict| {
        let hit = verdict.suggested == world.truth[verdict.item as usize];
        (right + usize::from(hit), all + 1)
    });
    assert!(
        all > 500 && right as f64 > 0.8 * all as f64,
        "{right} of {all}"
    );
}

/// Scores of thirty classes that hardly make a mistake; a whole Newton step from equal probabilities
/// would end on the other side of the maximum.
#[test]
fn scores_with_few_mistakes_are_not_turned_around() {
    for signal in [3.0, 4.5, 6.0, 9.0] {
        let world = world(2000, 30, [signal, signal + 1.0]);
        let labels = noisy(&world.truth, 0.4, "a", other(30));
        let findings = audited(&world, &[labels.clone(), labels]);
        assert_eq!(findings.outcome, LabelOutcome::WrongLabels, "{signal}");
        assert!(findings.weights.iter().all(|weight| *weight > 0.0));
        let truth = &findings.truth[0];
        assert!(truth.auc > 0.99, "{signal}: {}", truth.auc);
    }
}

#[test]
fn one_class_taken_for_the_next_is_seen_as_a_confusion() {
    let world = world(3000, 6, [1.5, 2.5]);
    let labels = noisy(&world.truth, 0.3, "a", |label, _| (label + 1) % 6);
    let findings = audited(&world, &[labels.clone(), labels]);
    let found = &findings.modalities[0];
    assert_eq!(found.shape, NoiseShape::ByClass);
    for class in 0..6 {
        let row = &found.confusion[class * 6..][..6];
        assert!((row[(class + 1) % 6] - 0.3).abs() < 0.1, "{row:?}");
    }
    assert!(findings.truth[0].ece < 0.03, "{}", findings.truth[0].ece);
}

#[test]
fn right_labels_are_no_evidence_and_ignorant_scores_are_refused() {
    let clever = world(3000, 6, [1.5, 2.5]);
    let findings = audited(&clever, &[clever.truth.clone(), clever.truth.clone()]);
    assert_eq!(findings.outcome, LabelOutcome::NoEvidence);
    assert!(findings.notes.iter().any(|note| note.contains("traded")));
    let rate = findings.modalities[0].noise_rate;
    // The width is never 0.
    assert!(rate.estimate < 0.02 && rate.low == 0.0 && rate.high > 0.001 && rate.high < 0.05);
    let right = |verdict: &LabelVerdict| findings.judgment(verdict) == LabelJudgment::Right;
    assert!(findings.modalities[0].verdicts.iter().all(right));
    let ignorant = world(3000, 6, [0.0, 0.0]);
    let findings = audited(&ignorant, &[ignorant.truth.clone(), ignorant.truth.clone()]);
    assert!(matches!(findings.outcome, LabelOutcome::Refused { .. }));
    assert!(findings.modalities.is_empty());
}

/// Scores by classifiers that learned from labels of which half were swapped inside pairs of classes,
/// and so take the two for one.
#[test]
fn whether_labels_are_swapped_with_a_neighbor_cannot_be_told() {
    let mut world = world(3000, 6, [2.5, 3.5]);
    world.scores = (world.scores.iter())
        .map(|scores| {
            let (n, values) = (scores.len() * scores.dim(), scores.values());
            Matrix::new((0..n).map(|at| values[at] + values[at ^ 1]).collect(), 6)
        })
        .collect();
    let labels = noisy(&world.truth, 0.5, "a", |label, _| label ^ 1);
    let findings = audited(&world, &[labels.clone(), labels]);
    let LabelOutcome::CannotBeTold { reason, help } = &findings.outcome else {
        panic!("{:?}", findings.outcome);
    };
    assert!(reason.contains("swapped") && help.contains("by hand"));
    let (found, truth) = (&findings.modalities[0], &findings.truth[0]);
    let NoiseRate {
        estimate,
        low,
        high,
    } = found.noise_rate;
    assert!(estimate < 0.02 && low == 0.0 && high >= truth.realized && high < 0.65);
    assert!((found.anchor_rate - 0.5).abs() < 0.1);
    let unknown = |verdict: &LabelVerdict| findings.judgment(verdict) == LabelJudgment::Unknown;
    assert!(found.verdicts.iter().all(unknown));
}

/// Classes that are easy to tell apart do not help: which of two names belongs to which is not in the data.
#[test]
fn which_of_two_classes_is_which_cannot_be_told_where_half_of_their_labels_are_swapped() {
    let world = world(600, 3, [4.0, 5.0]);
    let swap = |label: u32, _| if label < 2 { label ^ 1 } else { label };
    let labels = noisy(&world.truth, 0.5, "a", swap);
    let findings = audited(&world, &[labels.clone(), labels]);
    let LabelOutcome::CannotBeTold { reason, .. } = &findings.outcome else {
        panic!("{:?}", findings.outcome);
    };
    assert!(reason.contains("which of the two is which"), "{reason}");
}

#[test]
fn few_items_and_scores_that_are_not_numbers_are_errors() {
    let few = world(50, 6, [1.0, 1.0]);
    let labels = [few.truth.clone(), few.truth.clone()];
    let error = |world: &World, labels: &[Vec<u32>]| {
        let evidence = LabelEvidence {
            names: &world.names,
            scores: &world.scores,
            labels,
        };
        let options = LabelAuditOptions::default();
        audit_labels(evidence, &options, Seed(1))
            .unwrap_err()
            .to_string()
    };
    assert!(error(&few, &labels).contains("50 items"));
    let alone = world(200, 3, [1.0, 1.0]);
    let mut labels = alone.truth.clone();
    labels.iter_mut().for_each(|label| *label %= 2);
    labels[17] = 2;
    let message = error(&alone, &[labels.clone(), labels]);
    assert!(
        message.contains("item 17 is the only one of class 2"),
        "{message}"
    );
    assert!(message.contains("merge its class"), "{message}");
    let mut bad = world(200, 3, [1.0, 1.0]);
    let mut values = bad.scores[1].values().to_vec();
    values[7] = f32::NAN;
    bad.scores[1] = Matrix::new(values, 3);
    let labels = [bad.truth.clone(), bad.truth.clone()];
    assert!(error(&bad, &labels).contains("item 2 is not finite"));
}
