//! Negative triplets: a pair that is held false must not look like a match.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::{PairLoss, diagonal, hardest_others, negative_log, off_diagonal, positive};

/// What a false pair is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativeForm {
    /// Positive and negative exchange their roles; the hardest negative is pulled up.
    Swap,
    /// `swap`, but no gradient flows into the hardest negative.
    SwapStopped,
    /// The mean negative of the batch, through which no gradient flows.
    Reference,
    /// No hinge: `−log(1 − p)` under the softmax over the batch.
    Log,
}

/// Whose comparison pushes a false pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativeDirection {
    /// Both sums of the equations.
    Both,
    /// The image's among the captions: the first sum alone.
    ImageToCaption,
    /// The caption's among the images: the second sum alone.
    CaptionToImage,
}

/// The loss of pairs held false, with hardest negatives `h`, `h'` in both directions.
///
/// ```text
/// swap       [γ + Sᵢᵢ − S_{i,h}]₊ + [γ + Sᵢᵢ − S_{h',i}]₊           swap-stopped  likewise, sg(S_{i,h})
/// reference  [γ + Sᵢᵢ − sg(μᵢ)]₊ + [γ + Sᵢᵢ − sg(μ'ᵢ)]₊             μᵢ = mean_{j≠i} Sᵢⱼ, μ'ᵢ = mean_{j≠i} Sⱼᵢ
/// log        −log(1 − pᵢᵢ) − log(1 − uᵢᵢ)                           p, u: softmaxes of S / τ by row and column
/// ```
///
/// `reference` is the default because it says only what is known: a false pair is no more similar
/// than a random one. It has no gradient once that holds. `swap` declares the hardest negative a
/// match, which is often wrong. `direction` keeps one of the two sums: the first holds a pair against
/// other captions of its image, the second against other images of its caption.
///
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`; 0 in a batch of one pair
/// # Source
/// A graduation report on noisy correspondence names a negative triplet after Kim et al. (NLNL, ICCV
/// 2019) in one line and gives no equation. All forms are reconstructions; `log` is NLNL's with the
/// batch as classes and the given pair as complementary label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegativeTriplet {
    /// What a false pair is compared with.
    pub form: NegativeForm,
    /// Which of the two sums push.
    pub direction: NegativeDirection,
    /// γ of the hinges, in units of the similarity, at least 0.
    pub margin: f64,
    /// τ of the `log` form: divides the scores.
    pub temperature: f64,
}

impl Default for NegativeTriplet {
    fn default() -> Self {
        Self {
            form: NegativeForm::Reference,
            direction: NegativeDirection::Both,
            margin: 0.05,
            temperature: 0.07,
        }
    }
}

impl NegativeTriplet {
    /// Checks the settings' ranges; `name` is that of the table they stand in.
    ///
    /// # Errors
    /// If the margin is negative or the temperature not positive.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        positive(&format!("{name}.temperature"), self.temperature)?;
        if self.margin >= 0.0 && self.margin.is_finite() {
            return Ok(());
        }
        Err(Error::argument(
            format!("{name}.margin = {} is not a number from 0", self.margin),
            "0 asks that a false pair is no more similar than its reference",
        ))
    }

    /// One loss per pair of scores `[b, b]`, as if every pair were false.
    pub fn pair_loss(&self, scores: &Tensor<2>) -> PairLoss {
        let own = diagonal(scores);
        if own.dims()[0] < 2 {
            return PairLoss(own * 0.0);
        }
        let hinges = |references: [Tensor<1>; 2]| {
            references.map(|reference| relu(own.clone() - reference + self.margin))
        };
        let [row, column] = match self.form {
            NegativeForm::Swap => hinges(hardest_others(scores)),
            NegativeForm::SwapStopped => hinges(hardest_others(scores).map(Tensor::detach)),
            NegativeForm::Reference => hinges(mean_others(scores).map(Tensor::detach)),
            NegativeForm::Log => {
                let logits = scores.clone() / self.temperature;
                [logits.clone(), logits.transpose()].map(|logits| diagonal(&negative_log(logits)))
            }
        };
        PairLoss(match self.direction {
            NegativeDirection::Both => row + column,
            NegativeDirection::ImageToCaption => row,
            NegativeDirection::CaptionToImage => column,
        })
    }
}

/// The mean of the wrong captions' scores per image and of the wrong images' per caption, `[b]` each.
fn mean_others(scores: &Tensor<2>) -> [Tensor<1>; 2] {
    let b = scores.dims()[0];
    let others = scores.clone() * off_diagonal(scores) / (b - 1) as f64;
    [
        others.clone().sum_dim(1).reshape([b]),
        others.sum_dim(0).reshape([b]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::check::{check_gradient, check_permutation, run, scores};

    const FORMS: [NegativeForm; 4] = [
        NegativeForm::Swap,
        NegativeForm::SwapStopped,
        NegativeForm::Reference,
        NegativeForm::Log,
    ];

    fn with(form: NegativeForm) -> NegativeTriplet {
        NegativeTriplet {
            form,
            margin: 0.3,
            temperature: 0.4,
            ..NegativeTriplet::default()
        }
    }

    fn expected(form: NegativeForm, s: &[f32], b: usize, i: usize) -> f64 {
        both(form, s, b, i).iter().sum()
    }

    /// The image's sum and the caption's.
    fn both(form: NegativeForm, s: &[f32], b: usize, i: usize) -> [f64; 2] {
        let at = |i: usize, j: usize| f64::from(s[i * b + j]);
        let directions: [Vec<f64>; 2] = [
            (0..b).filter(|&j| j != i).map(|j| at(i, j)).collect(),
            (0..b).filter(|&j| j != i).map(|j| at(j, i)).collect(),
        ];
        let one = |others: &Vec<f64>| match form {
            NegativeForm::Swap | NegativeForm::SwapStopped => {
                let hardest = others.iter().fold(f64::MIN, |m, x| m.max(*x));
                (0.3 + at(i, i) - hardest).max(0.0)
            }
            NegativeForm::Reference => {
                let mean = others.iter().sum::<f64>() / others.len() as f64;
                (0.3 + at(i, i) - mean).max(0.0)
            }
            NegativeForm::Log => {
                let own = (at(i, i) / 0.4).exp();
                let rest: f64 = others.iter().map(|x| (x / 0.4).exp()).sum();
                -(rest / (own + rest)).ln()
            }
        };
        directions.each_ref().map(one)
    }

    #[test]
    fn a_direction_is_one_of_the_two_sums() {
        let s = scores(5);
        for form in FORMS {
            for (at, direction) in [
                NegativeDirection::ImageToCaption,
                NegativeDirection::CaptionToImage,
            ]
            .into_iter()
            .enumerate()
            {
                let one = NegativeTriplet {
                    direction,
                    ..with(form)
                };
                let (losses, _) = run(&s, |x| one.pair_loss(x));
                for (i, loss) in losses.iter().enumerate() {
                    let expected = both(form, &s, 5, i)[at];
                    assert!((f64::from(*loss) - expected).abs() < 1e-5, "{one:?}");
                }
            }
        }
    }

    #[test]
    fn every_form_equals_the_equation() {
        let s = scores(5);
        for form in FORMS {
            let (losses, _) = run(&s, |x| with(form).pair_loss(x));
            for (i, loss) in losses.iter().enumerate() {
                let expected = expected(form, &s, 5, i);
                assert!((f64::from(*loss) - expected).abs() < 1e-5, "{form:?}");
            }
            check_permutation(&s, |x| with(form).pair_loss(x));
        }
    }

    #[test]
    fn gradients_are_those_of_the_equation_and_stop_at_references() {
        let s = scores(5);
        for form in [NegativeForm::Swap, NegativeForm::Log] {
            check_gradient(&s, |x| with(form).pair_loss(x));
        }
        let (_, swap) = run(&s, |x| with(NegativeForm::Swap).pair_loss(x));
        let (_, stopped) = run(&s, |x| with(NegativeForm::SwapStopped).pair_loss(x));
        let (_, reference) = run(&s, |x| with(NegativeForm::Reference).pair_loss(x));
        assert!(swap.iter().any(|&g| g < 0.0));
        for at in 0..s.len() {
            if at % 6 == 0 {
                assert_eq!(stopped[at], swap[at]);
                let step = |step: f32| {
                    let mut s = s.clone();
                    s[at] += step;
                    expected(NegativeForm::Reference, &s, 5, at / 6)
                };
                let numeric = (step(1e-3) - step(-1e-3)) / 2e-3;
                assert!((numeric - f64::from(reference[at])).abs() < 1e-2);
            } else {
                assert_eq!((stopped[at], reference[at]), (0.0, 0.0));
            }
        }
    }

    #[test]
    fn a_lone_pair_and_a_certain_false_pair_are_finite() {
        for form in FORMS {
            let objective = NegativeTriplet {
                temperature: 0.03,
                ..with(form)
            };
            let (losses, gradient) = run(&[0.4], |x| objective.pair_loss(x));
            assert_eq!((losses[0], gradient[0]), (0.0, 0.0), "{form:?}");
            let certain = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            let (losses, gradient) = run(&certain, |x| objective.pair_loss(x));
            assert!(losses.iter().all(|x| x.is_finite()), "{form:?}");
            assert!(gradient.iter().all(|x| x.is_finite()), "{form:?}");
            assert!(gradient[0] > 0.0, "{form:?} pushes: {gradient:?}");
        }
    }
}
