//! A second opinion on the rate: counts of confident disagreements.
//!
//! # Source
//! Northcutt, Jiang and Chuang, JAIR 2021 (confident learning).
//!
//! # Deviations
//! 1. The class probabilities are those of the given label under the fitted model, which is what a
//!    classifier trained on the labels as given estimates.

use super::data::Data;
use super::model::Fit;

/// Share of wrong labels of a witness: items are counted under the class whose probability passes
/// that class's own mean, each label's row is scaled to the number of its items, and what lies off
/// the diagonal is wrong.
pub(super) fn wrong_rate(data: &Data<'_>, fit: &Fit, witness: usize) -> f64 {
    let (k, labels) = (data.k, &data.labels[witness]);
    let given = probabilities(data, fit, witness);
    let (mut sums, mut sizes) = (vec![0.0; k], vec![0.0f64; k]);
    for (&label, p) in labels.iter().zip(given.chunks_exact(k)) {
        sums[label as usize] += p[label as usize];
        sizes[label as usize] += 1.0;
    }
    let threshold = |class: usize| sums[class] / sizes[class].max(1.0);
    let (mut counted, mut off) = (vec![0.0f64; k], vec![0.0; k]);
    for (&label, p) in labels.iter().zip(given.chunks_exact(k)) {
        let confident = (0..k).filter(|&class| p[class] >= threshold(class));
        let Some(class) = confident.max_by(|&a, &b| p[a].total_cmp(&p[b])) else {
            continue;
        };
        counted[label as usize] += 1.0;
        off[label as usize] += f64::from(u8::from(class != label as usize));
    }
    let wrong: f64 = (0..k)
        .map(|label| sizes[label] * off[label] / counted[label].max(1.0))
        .sum();
    wrong / data.n as f64
}

/// Probability of each given label for every item, `[n, k]`.
fn probabilities(data: &Data<'_>, fit: &Fit, witness: usize) -> Vec<f64> {
    let k = data.k;
    let mut out = vec![0.0; data.n * k];
    let mut prior = vec![0.0; k];
    for (item, out) in out.chunks_exact_mut(k).enumerate() {
        fit.pool.probabilities(data, item, &mut prior);
        for (&p, row) in prior.iter().zip(fit.confusions[witness].chunks_exact(k)) {
            out.iter_mut().zip(row).for_each(|(out, t)| *out += p * t);
        }
    }
    out
}
