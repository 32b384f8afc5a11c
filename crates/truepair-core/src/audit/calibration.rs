//! How good probabilities are, once the truth is known.

use super::{ReliabilityBin, Truth};

/// Bins of the reliability diagram and of the expected calibration error.
const BINS: usize = 10;

impl Truth {
    /// Compares posteriors `[n]` in [0, 1] with the truth `[n]`. Shares of nothing are 0, and the AUC
    /// is one half when one of the kinds is missing.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn measure(posteriors: &[f64], mismatched: &[bool]) -> Truth {
        assert_eq!(
            posteriors.len(),
            mismatched.len(),
            "one truth per posterior"
        );
        let truth: Vec<f64> = mismatched
            .iter()
            .map(|&bad| f64::from(u8::from(bad)))
            .collect();
        let n = posteriors.len().max(1) as f64;
        let squares = posteriors
            .iter()
            .zip(&truth)
            .map(|(p, t)| (p - t).powi(2))
            .sum::<f64>();
        let (precision, recall) = precision_recall(posteriors, mismatched);
        let reliability = reliability(posteriors, &truth);
        Truth {
            realized: truth.iter().sum::<f64>() / n,
            auc: auc(posteriors, mismatched),
            ece: calibration_error(&reliability),
            brier: squares / n,
            precision,
            recall,
            reliability,
        }
    }
}

/// Probability that a positive scores above a negative, ties counting one half (Mann and Whitney,
/// 1947); one half when either kind is missing.
///
/// ```
/// use truepair_core::audit::auc;
///
/// assert_eq!(auc(&[0.1, 0.4, 0.4, 0.9], &[false, false, true, true]), 0.875);
/// ```
///
/// # Panics
/// If the slices differ in length.
pub fn auc(scores: &[f64], positive: &[bool]) -> f64 {
    assert_eq!(scores.len(), positive.len(), "one truth per score");
    let mut order: Vec<(f64, bool)> = scores
        .iter()
        .copied()
        .zip(positive.iter().copied())
        .collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut n_below, mut wins) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let n_positive = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let n_negative = tied.len() as f64 - n_positive;
        wins += n_positive * (n_below + n_negative / 2.0);
        n_below += n_negative;
    }
    let n_positive = scores.len() as f64 - n_below;
    if n_positive * n_below > 0.0 {
        wins / (n_positive * n_below)
    } else {
        0.5
    }
}

/// Precision and recall of calling a pair mismatched when its posterior is above 0.5.
pub(super) fn precision_recall(posteriors: &[f64], mismatched: &[bool]) -> (f64, f64) {
    let called = posteriors
        .iter()
        .filter(|&&posterior| posterior > 0.5)
        .count();
    let bad = mismatched.iter().filter(|&&bad| bad).count();
    let hit = posteriors
        .iter()
        .zip(mismatched)
        .filter(|(p, bad)| **p > 0.5 && **bad)
        .count();
    (
        hit as f64 / called.max(1) as f64,
        hit as f64 / bad.max(1) as f64,
    )
}

/// Ten equal-width bins; `truth` `[n]` may hold probabilities where the truth is not certain.
pub(super) fn reliability(posteriors: &[f64], truth: &[f64]) -> Vec<ReliabilityBin> {
    let mut sums = [(0u64, 0.0, 0.0); BINS];
    for (&posterior, &truth) in posteriors.iter().zip(truth) {
        let bin = ((posterior * BINS as f64) as usize).min(BINS - 1);
        let (count, posteriors, truths) = &mut sums[bin];
        *count += 1;
        *posteriors += posterior;
        *truths += truth;
    }
    sums.map(|(count, posteriors, truths)| ReliabilityBin {
        count,
        mean_posterior: posteriors / count.max(1) as f64,
        share_mismatched: truths / count.max(1) as f64,
    })
    .to_vec()
}

/// Mean distance of mean posterior and share mismatched over the bins, weighted by their counts
/// (Naeini, Cooper and Hauskrecht, 2015).
pub(super) fn calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let n: u64 = bins.iter().map(|bin| bin.count).sum();
    let gap =
        |bin: &ReliabilityBin| bin.count as f64 * (bin.mean_posterior - bin.share_mismatched).abs();
    bins.iter().map(gap).sum::<f64>() / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_ties_one_half() {
        let scores = [0.1, 0.4, 0.4, 0.9, 0.2];
        let positive = [false, true, false, true, true];
        let mut wins = 0.0;
        for i in 0..5 {
            for j in 0..5 {
                if positive[i] && !positive[j] {
                    wins += f64::from(u8::from(scores[i] > scores[j]));
                    wins += 0.5 * f64::from(u8::from(scores[i] == scores[j]));
                }
            }
        }
        assert_eq!(auc(&scores, &positive), wins / 6.0);
        assert_eq!(auc(&scores, &[true; 5]), 0.5);
    }

    #[test]
    fn figures_of_a_worked_example() {
        let truth = Truth::measure(&[0.05, 0.05, 0.95, 0.65], &[false, true, true, false]);
        assert_eq!(
            (truth.realized, truth.precision, truth.recall),
            (0.5, 0.5, 0.5)
        );
        // Bins: two pairs at 0.05 with half mismatched, one at 0.65 with none, one at 0.95 with all.
        assert!((truth.ece - (2.0 * 0.45 + 0.65 + 0.05) / 4.0).abs() < 1e-12);
        let brier = (0.0025 + 0.9025 + 0.0025 + 0.4225) / 4.0;
        assert!((truth.brier - brier).abs() < 1e-12);
        assert_eq!(truth.reliability[0].count, 2);
        assert_eq!(truth.reliability[9].share_mismatched, 1.0);
    }

    #[test]
    fn certainty_falls_into_the_last_bin() {
        assert_eq!(Truth::measure(&[1.0], &[true]).reliability[9].count, 1);
    }
}
