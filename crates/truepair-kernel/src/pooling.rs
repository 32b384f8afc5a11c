//! From one relevance per query to one score per item.

use super::segment;
use super::vector::exp;

/// How the relevances of an item's queries become one score. An item without queries scores 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Pooling {
    /// `1/λ log Σ exp(λ r)`, not divided by the number of queries: longer items score higher.
    #[default]
    LogSumExp,
    /// The mean.
    Mean,
    /// The sum.
    Sum,
    /// The largest; its gradient goes to the first of equals.
    Max,
}

/// A [`Pooling`] with its sharpness.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// What the relevances become.
    pub pooling: Pooling,
    /// λ of [`Pooling::LogSumExp`], at most 40 so that no exponential leaves the range of `f32`.
    pub lambda: f32,
}

impl Pool {
    /// Scores of items with the queries `segments` (first column, number) from the first `n`
    /// `relevances`; `room` is a row. Inline it into [`wide`](super::vector::wide).
    #[inline(always)]
    pub(crate) fn scores<S: Iterator<Item = (usize, usize)>>(
        self,
        segments: impl Fn() -> S,
        n: usize,
        relevances: &[f32],
        room: &mut [f32],
        out: &mut [f32],
    ) {
        match self.pooling {
            Pooling::LogSumExp => {
                self.exponentials(&relevances[..n], room);
                segment::sums(room, segments(), out);
            }
            Pooling::Mean | Pooling::Sum => segment::sums(relevances, segments(), out),
            Pooling::Max => {}
        }
        for (score, (start, n)) in out.iter_mut().zip(segments()) {
            *score = match self.pooling {
                _ if n == 0 => 0.0,
                Pooling::LogSumExp => score.ln() / self.lambda,
                Pooling::Mean => *score / n as f32,
                Pooling::Sum => *score,
                Pooling::Max => largest(&relevances[start..start + n]),
            };
        }
    }

    /// Gradient by the relevances into the row `out` from the gradient by the scores; `room` is as
    /// long as there are items. Inline it into [`wide`](super::vector::wide).
    #[inline(always)]
    pub(crate) fn backward<S: Iterator<Item = (usize, usize)>>(
        self,
        segments: impl Fn() -> S,
        relevances: &[f32],
        upstream: &[f32],
        room: &mut [f32],
        out: &mut [f32],
    ) {
        if self.pooling == Pooling::LogSumExp {
            self.exponentials(relevances, out);
            segment::sums(out, segments(), room);
        }
        for ((sum, gradient), (start, n)) in room.iter().zip(upstream).zip(segments()) {
            let out = &mut out[start..start + n];
            match self.pooling {
                Pooling::LogSumExp => {
                    let share = gradient / sum;
                    out.iter_mut().for_each(|x| *x *= share);
                }
                Pooling::Mean => out.fill(gradient / n as f32),
                Pooling::Sum => out.fill(*gradient),
                Pooling::Max => {
                    let own = &relevances[start..start + n];
                    let first = own.iter().position(|x| *x == largest(own));
                    out.fill(0.0);
                    first.into_iter().for_each(|at| out[at] = *gradient);
                }
            }
        }
    }

    #[inline(always)]
    fn exponentials(self, relevances: &[f32], out: &mut [f32]) {
        for (out, r) in out.iter_mut().zip(relevances) {
            *out = exp(self.lambda * r);
        }
    }
}

#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x))
}
