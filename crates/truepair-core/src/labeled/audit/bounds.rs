//! Bounds on the share of wrong labels, and whether they allow a conclusion.

use super::anchors::{self, Anchors};
use super::data::Data;
use super::findings::LabelOutcome;
use super::model::{Fit, Shape};
use crate::audit::{NoiseRate, clopper_pearson};

/// How far the fit and the surest items may differ where wrong labels are found: a probability off by
/// no more than this is called calibrated.
const TOLERANCE: f64 = 0.05;

/// How far they may differ where none are found.
const OPEN_RATE: f64 = 0.02;

/// How many labels of one other class a class may have, relative to its right ones. Beyond this only
/// the classifiers' belief, learned from these very labels, says which of the two is which.
const TRADED: f64 = 0.5;

const HELP: &str = "give features that tell the classes apart, label the modalities independently, or \
     check a sample of the items by hand";

/// The rate of one witness, and its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rate: NoiseRate,
    pub(super) anchors: Anchors,
    /// How far the fitted rate may differ from that of the anchors by chance.
    joint_error: f64,
    /// Two classes, the first of which has so many labels of the second that they may be the other way round.
    traded: Option<[usize; 2]>,
}

impl Bounds {
    /// Bounds from the fitted rate and its bootstrap interval, `fitted`.
    pub(super) fn of(
        data: &Data<'_>,
        fit: &Fit,
        beliefs: &[f64],
        witness: usize,
        fitted: NoiseRate,
    ) -> Self {
        let anchors = anchors::count(data, fit, witness);
        let n = data.n as f64;
        let floor = if fit.beats_no_noise {
            let [low, _] = clopper_pearson(rejected(data, fit, beliefs, witness), n);
            low.min(fitted.low)
        } else {
            0.0
        };
        // No interval for n labels is narrower than the one for n labels none of which is wrong.
        let [_, narrowest] = clopper_pearson(fitted.estimate * n, n);
        let below = fitted.estimate - fitted.low;
        let above = fitted.high - fitted.estimate;
        let joint_error = if anchors.rate > fitted.estimate {
            above.hypot(anchors.rate - anchors.low)
        } else {
            below.hypot(anchors.high - anchors.rate)
        };
        Self {
            rate: NoiseRate {
                estimate: fitted.estimate,
                low: floor,
                high: fitted.high.max(anchors.high).max(narrowest),
            },
            anchors,
            joint_error,
            traded: traded(fit, witness, data.k),
        }
    }

    fn is_open(&self, tolerance: f64) -> bool {
        let gap = (self.anchors.rate - self.rate.estimate).abs();
        self.traded.is_some() || (gap > self.joint_error && gap > tolerance)
    }

    fn reason(&self, of: &str) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let NoiseRate {
            estimate,
            low,
            high,
        } = self.rate;
        let [surest, estimate, low, high] = [self.anchors.rate, estimate, low, high].map(percent);
        let what = if let Some([class, other]) = self.traded {
            format!(
                "so many of the labels{of} put items of class {class} into class {other} (counted from \
                 0) that which of the two is which cannot be told"
            )
        } else if self.anchors.rate > self.rate.estimate {
            format!(
                "classes that look alike explain all but {estimate} of the labels{of}, but {surest} of \
                 the surest items of the classes are labeled otherwise, as where labels are swapped \
                 between classes"
            )
        } else {
            format!(
                "the fitted model calls {estimate} of the labels{of} wrong, but only {surest} of the \
                 surest items of the classes are labeled otherwise"
            )
        };
        format!("{what}; between {low} and {high} of the labels may be wrong")
    }
}

/// The first two classes whose labels are confused by more than [`TRADED`]. If labels are wrong evenly
/// over the classes, there are no two such classes.
fn traded(fit: &Fit, witness: usize, k: usize) -> Option<[usize; 2]> {
    if fit.shape != Shape::ByClass {
        return None;
    }
    let rows = fit.confusions[witness].chunks_exact(k).enumerate();
    rows.flat_map(|(class, row)| (0..k).map(move |other| (class, other, row)))
        .find(|(class, other, row)| class != other && row[*other] > TRADED * row[*class])
        .map(|(class, other, _)| [class, other])
}

/// Expected number of wrong labels among those that the fit calls wrong and the predictions, which
/// know nothing of the label, put in another class.
fn rejected(data: &Data<'_>, fit: &Fit, beliefs: &[f64], witness: usize) -> f64 {
    let labels = &data.labels[witness];
    let predicted = fit.beliefs_without(data, witness);
    let each = labels.iter().enumerate().map(|(item, &label)| {
        let row = item * data.k..(item + 1) * data.k;
        let wrong = 1.0 - beliefs[row.start + label as usize];
        if wrong > 0.5 && super::largest(&predicted[row]).0 != label {
            wrong
        } else {
            0.0
        }
    });
    each.sum()
}

/// The conclusion from the bounds of all witnesses; `names` are those of the witnesses.
pub(super) fn outcome(bounds: &[Bounds], names: &[String], fit: &Fit) -> LabelOutcome {
    let (tolerance, otherwise) = if fit.beats_no_noise {
        (TOLERANCE, LabelOutcome::WrongLabels)
    } else {
        (OPEN_RATE, LabelOutcome::NoEvidence)
    };
    let open = (bounds.iter().zip(names)).find(|(bounds, _)| bounds.is_open(tolerance));
    let Some((bounds, name)) = open else {
        return otherwise;
    };
    let of = if names.len() == 1 {
        String::new()
    } else {
        format!(" of {name}")
    };
    LabelOutcome::CannotBeTold {
        reason: bounds.reason(&of),
        help: HELP.to_owned(),
    }
}
