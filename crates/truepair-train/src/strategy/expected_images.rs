//! Which image a caption most likely belongs to, where it cannot be told whether the given one is wrong.

use super::{Candidate, Candidates, PairCandidates};

/// Rounds of expectation and maximization, at most.
const N_ROUNDS: usize = 1_000;

/// They end where the share moves by no more than this.
const TOLERANCE: f64 = 1e-7;

/// What is expected of the images of captions.
///
/// Let `pⱼ` be image j's share of the softmax over all `n` images for a caption, and `g` the image that
/// the data gives it. If the caption belongs to j with probability `pⱼ`, and the data gives its image
/// with probability `1 − ρ` and any other one alike with `ρ / (n − 1)`, then it belongs
///
/// ```text
/// to g with probability       (1 − ρ) p_g / Z
/// to j ≠ g with probability   ρ / (n − 1) · pⱼ / Z
///                             Z = (1 − ρ) p_g + ρ / (n − 1) · (1 − p_g)
/// ```
/// and the likeliest `ρ` is the mean over captions of `1 − P(g)`. Mismatches are not drawn alike from all
/// images where they are near misses, and the softmax has the search's temperature, not that of the data;
/// so `ρ` is no estimate of the noise rate, and the probabilities are beliefs to train by, not calibrated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExpectedImages {
    /// ρ.
    pub(super) moved: f64,
    n_images: usize,
}

impl ExpectedImages {
    pub(super) fn fit(candidates: &Candidates) -> Self {
        let mut expected = Self {
            moved: 0.5,
            n_images: candidates.n_images,
        };
        let n = candidates.of_pairs.len().max(1) as f64;
        for _ in 0..N_ROUNDS {
            let given = candidates.of_pairs.iter();
            let others: f64 = given.map(|found| 1.0 - expected.given(found)).sum();
            let before = std::mem::replace(&mut expected.moved, others / n);
            if (expected.moved - before).abs() <= TOLERANCE {
                break;
            }
        }
        expected
    }

    /// Probability that the caption belongs to its given image, [0, 1].
    pub(super) fn given(&self, found: &PairCandidates) -> f64 {
        let given = f64::from(found.given);
        self.share((1.0 - self.moved) * given, given)
    }

    /// Probability that the caption belongs to this image, which is not the given one, [0, 1].
    pub(super) fn other(&self, found: &PairCandidates, candidate: Candidate) -> f64 {
        self.share(
            self.each_other() * f64::from(candidate.share),
            f64::from(found.given),
        )
    }

    /// The part that `one` image is of what is expected of all, where the given one has the softmax
    /// share `given`.
    fn share(&self, one: f64, given: f64) -> f64 {
        let all = (1.0 - self.moved) * given + self.each_other() * (1.0 - given);
        if all > 0.0 { one / all } else { 0.0 }
    }

    /// Probability beforehand of each image that is not the given one.
    fn each_other(&self) -> f64 {
        self.moved / self.n_images.saturating_sub(1).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(given: f32, best: &[(u32, f32)]) -> PairCandidates {
        PairCandidates {
            pair: 0,
            given_image: 0,
            given,
            best: best
                .iter()
                .map(|&(image, share)| Candidate { image, share })
                .collect(),
        }
    }

    fn of(pairs: Vec<PairCandidates>) -> Candidates {
        Candidates {
            n_images: 11,
            of_pairs: pairs,
        }
    }

    #[test]
    fn captions_that_fit_another_image_count_as_moved() {
        let fitting = (0..7).map(|_| found(0.9, &[(0, 0.9)]));
        let lost = (0..3).map(|_| found(0.001, &[(5, 0.95)]));
        let candidates = of(fitting.chain(lost).collect());
        let expected = ExpectedImages::fit(&candidates);
        assert!((expected.moved - 0.3).abs() < 0.02, "{expected:?}");
        let lost = &candidates.of_pairs[9];
        assert!(expected.given(&candidates.of_pairs[0]) > 0.99);
        assert!(expected.given(lost) < 0.05);
        assert!(expected.other(lost, lost.best[0]) > 0.9);
    }

    #[test]
    fn all_images_of_a_caption_share_one_probability() {
        let rest = (1.0 - 0.2 - 0.5) / 9.0;
        let images: Vec<(u32, f32)> = std::iter::once((3, 0.5))
            .chain((4..13).map(|image| (image, rest)))
            .collect();
        let candidates = of(vec![found(0.2, &images), found(0.7, &images)]);
        let expected = ExpectedImages::fit(&candidates);
        let one = &candidates.of_pairs[0];
        let others: f64 = (one.best.iter())
            .map(|&candidate| expected.other(one, candidate))
            .sum();
        assert!((expected.given(one) + others - 1.0).abs() < 1e-6);
    }

    #[test]
    fn where_every_caption_fits_its_own_image_nothing_has_moved() {
        let expected = ExpectedImages::fit(&of(vec![found(0.5, &[(0, 0.5)]); 4]));
        assert!(expected.moved < 1e-6, "{expected:?}");
        // One image alone has no other, and a share that underflowed is no division by 0.
        let alone = Candidates {
            n_images: 1,
            of_pairs: vec![found(1.0, &[(0, 1.0)])],
        };
        assert_eq!(ExpectedImages::fit(&alone).moved, 0.0);
        let lost = ExpectedImages::fit(&of(vec![found(0.0, &[(0, 1.0)]); 4]));
        assert_eq!(lost.given(&found(0.0, &[(0, 1.0)])), 0.0);
        assert!(
            (lost.other(
                &found(0.0, &[]),
                Candidate {
                    image: 0,
                    share: 1.0
                }
            ) - 1.0)
                .abs()
                < 1e-9
        );
    }
}
