//! The label audit: for every label a calibrated probability that it is wrong.
//!
//! Classifiers that never saw an item score it against every class (cross-fitting). What a wrong
//! label looks like is not guessed from losses: the labels are drawn from the true class by a
//! confusion of the classes, the true class from the scores, and both are fitted to the labels as
//! they are by maximum likelihood ([`model`]). An item's labels in several modalities are several
//! witnesses of one true class if they were given independently, and one witness if they are the same list.
//!
//! The audit refuses to give verdicts when the scores do not predict held-out labels better than
//! chance. The fit alone cannot tell labels swapped with one other class from two classes that look
//! alike, so the rate is an interval of bounds ([`bounds`]): from what the fit and the predictions both
//! reject to what the surest items of every class allow ([`anchors`]). Where the fit and the surest
//! items differ by more than their joint error, or a class has more than half as many labels of one
//! other class as of its own, it cannot be told which labels are wrong. As a further check, confident
//! disagreements are counted as in confident learning.

mod anchors;
mod bounds;
mod confident;
mod data;
mod findings;
mod model;
mod pool;

pub use findings::{
    LabelFindings, LabelJudgment, LabelOutcome, LabelVerdict, ModalityFindings, NoiseShape,
};

use serde::{Deserialize, Serialize};

use self::bounds::Bounds;
use self::data::Data;
use self::model::{Fit, Shape};
use crate::audit::{Bootstrap, NoiseRate};
use crate::error::{Error, Result};
use crate::rng::{Seed, below};
use crate::scores::Matrix;

/// Fewest items that are audited: with fewer, a confusion of classes says next to nothing.
const MIN_ITEMS: usize = 100;

/// EM steps of a bootstrap draw, which starts from the fit of the data itself.
const BOOTSTRAP_STEPS: usize = 8;

const TRADED_UNSEEN: &str = "The interval holds the share of wrong labels if most labels of every class \
     are right and the labels of a class's surest items are no better than the rest. Two classes that \
     traded all their labels cannot be seen.";

/// The settings of a label audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelAuditOptions {
    /// Bootstrap draws for the interval of a noise rate, at least 10.
    pub n_bootstrap: usize,
}

impl Default for LabelAuditOptions {
    fn default() -> Self {
        Self { n_bootstrap: 40 }
    }
}

impl LabelAuditOptions {
    /// Whether `n` items can be audited so, to know it before anything is trained.
    ///
    /// # Errors
    /// If there are too few items or draws.
    pub fn check(&self, n: usize) -> Result<()> {
        if n >= MIN_ITEMS && self.n_bootstrap >= 10 {
            return Ok(());
        }
        Err(Error::argument(
            format!("{n} items and {} bootstrap draws", self.n_bootstrap),
            format!("a label audit needs at least {MIN_ITEMS} items and 10 draws"),
        ))
    }
}

/// What the audit is based on.
#[derive(Debug, Clone, Copy)]
pub struct LabelEvidence<'a> {
    /// Names of the modalities, `m`.
    pub names: &'a [String],
    /// Per modality the scores of every item for every class, `[n, k]`, larger = more likely, by
    /// classifiers that were not trained on the item. Any scale will do.
    pub scores: &'a [Matrix],
    /// Per modality the labels as given, `[n]`, below `k`.
    pub labels: &'a [Vec<u32>],
}

/// Judges every label.
///
/// # Errors
/// If there are too few items, a class has one item only, or a score is not finite.
///
/// # Panics
/// If lengths disagree or a label is not below the number of classes.
pub fn audit_labels(
    evidence: LabelEvidence<'_>,
    options: &LabelAuditOptions,
    seed: Seed,
) -> Result<LabelFindings> {
    check(evidence, options)?;
    let shared = (evidence.labels.iter()).all(|labels| *labels == evidence.labels[0]);
    let n_witnesses = if shared { 1 } else { evidence.labels.len() };
    let data = Data::new(evidence.scores, &evidence.labels[..n_witnesses]);
    let fit = Fit::best(&data);
    let (agreement, chance) = competence(&data, &fit);
    let mut findings = LabelFindings {
        outcome: LabelOutcome::WrongLabels,
        shared,
        agreement,
        chance,
        weights: fit.pool.weights.clone(),
        modalities: Vec::new(),
        truth: Vec::new(),
        notes: notes(n_witnesses, fit.shape),
    };
    if agreement < chance {
        let [agreement, chance] = [agreement, chance].map(|share| 100.0 * share);
        let reason = format!(
            "the classifiers agree with {agreement:.1} % of the held-out labels, and {chance:.1} % \
             would be chance"
        );
        findings.outcome = LabelOutcome::Refused { reason };
        return Ok(findings);
    }
    let bootstrap = Bootstrap {
        n_draws: options.n_bootstrap,
        seed,
    };
    let beliefs = fit.beliefs(&data);
    let bounds: Vec<Bounds> = (intervals(&data, &fit, bootstrap).into_iter().enumerate())
        .map(|(witness, rate)| Bounds::of(&data, &fit, &beliefs, witness, rate))
        .collect();
    findings.outcome = bounds::outcome(&bounds, &evidence.names[..n_witnesses], &fit);
    findings.notes.push(TRADED_UNSEEN.to_owned());
    let modalities = evidence.names.iter().zip(evidence.labels).enumerate();
    let of_modality = modalities.map(|(at, (name, labels))| {
        let witness = if shared { 0 } else { at };
        ModalityFindings {
            name: name.clone(),
            noise_rate: bounds[witness].rate,
            shape: match fit.shape {
                Shape::Symmetric => NoiseShape::Symmetric,
                Shape::ByClass => NoiseShape::ByClass,
            },
            confusion: fit.confusions[witness].clone(),
            confident_rate: confident::wrong_rate(&data, &fit, witness),
            anchor_rate: bounds[witness].anchors.rate,
            verdicts: verdicts(labels, &beliefs, data.k),
        }
    });
    findings.modalities = of_modality.collect();
    Ok(findings)
}

fn check(evidence: LabelEvidence<'_>, options: &LabelAuditOptions) -> Result<()> {
    let (m, n, k) = (
        evidence.names.len(),
        evidence.labels[0].len(),
        evidence.scores[0].dim(),
    );
    assert!(
        evidence.scores.len() == m && evidence.labels.len() == m,
        "scores and labels of every modality"
    );
    for (scores, labels) in evidence.scores.iter().zip(evidence.labels) {
        assert!(
            scores.len() == n && scores.dim() == k && labels.len() == n,
            "scores [n, k] and labels [n] in every modality"
        );
        let below = |label: &u32| (*label as usize) < k;
        assert!(labels.iter().all(below), "labels are below k");
        if let Some(at) = scores.values().iter().position(|score| !score.is_finite()) {
            return Err(Error::argument(
                format!("the score of item {} is not finite", at / k),
                "lower the learning rate of the classifiers",
            ));
        }
    }
    for (name, labels) in evidence.names.iter().zip(evidence.labels) {
        if let Some((class, item)) = lone_item(labels, k) {
            return Err(Error::argument(
                format!("{name}: item {item} is the only one of class {class}, counted from 0"),
                "leave it out, merge its class with another, or add items of it",
            ));
        }
    }
    options.check(n)
}

/// The first class of `k` that only one item has, with that item: no classifier can have learned it
/// from others. Classes without items do not matter.
pub fn lone_item(labels: &[u32], k: usize) -> Option<(u32, usize)> {
    let mut items = vec![(0, 0); k];
    for (item, &label) in labels.iter().enumerate() {
        let (count, last) = &mut items[label as usize];
        *count += 1;
        *last = item;
    }
    let class = items.iter().position(|(count, _)| *count == 1)?;
    Some((class as u32, items[class].1))
}

/// Share of labels that the pooled scores predict, and the largest share that ignorance would.
fn competence(data: &Data<'_>, fit: &Fit) -> (f64, f64) {
    let predicted: Vec<u32> = (0..data.n)
        .map(|item| {
            let mut p = vec![0.0; data.k];
            fit.pool.probabilities(data, item, &mut p);
            largest(&p).0
        })
        .collect();
    let share = |labels: &[u32]| -> Vec<f64> {
        let mut share = vec![0.0; data.k];
        for &label in labels {
            share[label as usize] += 1.0 / data.n as f64;
        }
        share
    };
    let predictions = share(&predicted);
    let (mut agreement, mut chance) = (0.0, 0.0);
    for labels in data.labels {
        let hits = labels.iter().zip(&predicted).filter(|(a, b)| a == b);
        agreement += hits.count() as f64 / data.n as f64 / data.labels.len() as f64;
        let expected: f64 = (share(labels).iter().zip(&predictions))
            .map(|(a, b)| a * b)
            .sum();
        chance += expected / data.labels.len() as f64;
    }
    // Three standard deviations of a count that is due to chance.
    let n = (data.n * data.labels.len()) as f64;
    (
        agreement,
        chance + 3.0 * (chance * (1.0 - chance) / n).sqrt(),
    )
}

fn intervals(data: &Data<'_>, fit: &Fit, bootstrap: Bootstrap) -> Vec<NoiseRate> {
    let draws: Vec<Vec<f64>> = bootstrap.draw("label-bootstrap", |stream| {
        let mut weights = vec![0.0; data.n];
        for _ in 0..data.n {
            weights[below(stream, data.n as u64) as usize] += 1.0;
        }
        let mut fit = fit.clone();
        for _ in 0..BOOTSTRAP_STEPS {
            fit.step(data, &weights);
        }
        fit.rates
    });
    (fit.rates.iter().enumerate())
        .map(|(witness, &estimate)| {
            let rates = || draws.iter().map(|rates| rates[witness]);
            let mean = rates().sum::<f64>() / draws.len() as f64;
            let variance = rates().map(|rate| (rate - mean).powi(2)).sum::<f64>();
            let reach = 1.96 * (variance / (draws.len() - 1) as f64).sqrt();
            NoiseRate {
                estimate,
                low: (estimate - reach).max(0.0),
                high: (estimate + reach).min(1.0),
            }
        })
        .collect()
}

fn verdicts(labels: &[u32], beliefs: &[f64], k: usize) -> Vec<LabelVerdict> {
    let judge = |(item, (&given, belief)): (usize, (&u32, &[f64]))| {
        let (suggested, support) = largest(belief);
        LabelVerdict {
            item: item as u32,
            given,
            posterior: (1.0 - belief[given as usize]).clamp(0.0, 1.0),
            suggested,
            support,
        }
    };
    let each = labels.iter().zip(beliefs.chunks_exact(k));
    each.enumerate().map(judge).collect()
}

fn largest(values: &[f64]) -> (u32, f64) {
    let mut best = (0, f64::MIN);
    for (at, &value) in values.iter().enumerate() {
        if value > best.1 {
            best = (at as u32, value);
        }
    }
    best
}

fn notes(n_witnesses: usize, shape: Shape) -> Vec<String> {
    let labels = if n_witnesses == 1 {
        "All modalities of an item have the same label, so it counts as one witness."
    } else {
        "Modalities have labels of their own, which are taken to be given independently: where one was \
         copied from another, both look better than they are."
    };
    let mut notes = vec![labels.to_owned()];
    if shape == Shape::ByClass {
        notes.push(
            "Classes are confused unevenly; a class that the classifiers cannot tell from another \
             looks the same as labels that are confused."
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests;
