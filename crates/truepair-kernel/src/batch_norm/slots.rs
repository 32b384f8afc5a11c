//! Batch normalization with one channel a slot of the middle axis: planes of a convolution, regions.

use std::ops::Range;

use rayon::prelude::*;

use crate::vector::{collect, wide};
use crate::{Array, Gradients, Operation, Output};

/// Sums of a row that run side by side; the last planes of a residual network have 49 numbers.
const LANES: usize = 16;

/// Mean and biased variance of every slot over all items and their numbers, as constants.
///
/// # Shapes
/// - input: `[n, m, d]`; output: `[2, m]`
#[derive(Debug, Clone, Copy)]
pub struct SlotMoments;

impl Operation for SlotMoments {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let [n, m, d] = inputs[0].dims();
        let x = inputs[0].values;
        let share = 1.0 / (n * d).max(1) as f64;
        let mean = per_slot(inputs[0].dims(), |row, _| {
            share * sum(&x[row.clone()], &x[row], |x, _| x)
        });
        let variance = per_slot(inputs[0].dims(), |row, slot| {
            let mean = mean[slot];
            share * sum(&x[row.clone()], &x[row], |x, _| (x - mean) * (x - mean))
        });
        (Output::new([mean, variance].concat(), [2, m]), ())
    }

    fn backward(&self, _: &[Array<'_>], (): &(), _: &[f32], _: &mut Gradients) {
        unreachable!("moments are taken of constants")
    }
}

/// `y = γ (x − μ) / √(σ² + ε) + β` with the mean `μ` and the biased variance `σ²` of each slot, and,
/// if asked for, `max(y + kept, 0)`, as a residual block ends: of all this the backward pass keeps
/// nothing but the inputs.
///
/// # Shapes
/// - inputs: `x` `[n, m, d]`, weight `γ` and bias `β` `[m]`, moments `[2, m]`, and perhaps what is
///   `kept`, shaped as `x`
/// - output: `[n, m, d]`
#[derive(Debug, Clone, Copy)]
pub struct SlotNorm {
    /// ε
    pub epsilon: f32,
    /// Where the moments come from.
    pub moments: Moments,
    /// Whether negative results become 0.
    pub rectify: bool,
}

/// Where the moments come from, which the gradient depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    /// From `x` itself, by [`SlotMoments`]: the gradient flows through them.
    OfBatch,
    /// From elsewhere: constants.
    Given,
}

/// The place of what is kept among the inputs.
const KEPT: usize = 4;

impl SlotNorm {
    /// `1 / √(σ² + ε)` of every slot.
    fn inverses(&self, inputs: &[Array<'_>]) -> Vec<f32> {
        let [_, m, _] = inputs[0].dims();
        assert_eq!((inputs[1].dims(), inputs[2].dims()), ([m], [m]));
        assert_eq!(inputs[3].dims(), [2, m]);
        let variances = inputs[3].values[m..].iter();
        variances.map(|x| 1.0 / (x + self.epsilon).sqrt()).collect()
    }

    /// What is given back for every number, of the result before it is rectified.
    fn of_result(
        &self,
        inputs: &[Array<'_>],
        result: impl Fn(usize, f32) -> f32 + Sync,
    ) -> Vec<f32> {
        let inverses = self.inverses(inputs);
        let [x, weight, bias, mean] = [0, 1, 2, 3].map(|input| inputs[input].values);
        let (kept, share) = match inputs.get(KEPT) {
            None => (x, 0.0),
            Some(kept) => {
                assert_eq!(kept.shape, inputs[0].shape);
                (kept.values, 1.0)
            }
        };
        let line = |slot: usize| {
            let scale = weight[slot] * inverses[slot];
            [scale, share, bias[slot] - mean[slot] * scale]
        };
        lines(inputs[0].dims(), [x, kept], line, result)
    }
}

impl Operation for SlotNorm {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        // What is no number stays none.
        let out = match self.rectify {
            true => self.of_result(inputs, |_, y| if y < 0.0 { 0.0 } else { y }),
            false => self.of_result(inputs, |_, y| y),
        };
        (Output::new(out, inputs[0].shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), upstream: &[f32], gradients: &mut Gradients) {
        let passed = self
            .rectify
            .then(|| self.of_result(inputs, |at, y| if y <= 0.0 { 0.0 } else { upstream[at] }));
        let gradient = passed.as_deref().unwrap_or(upstream);
        let shape @ [n, _, d] = inputs[0].dims();
        let inverses = self.inverses(inputs);
        let [x, weight, _, mean] = [0, 1, 2, 3].map(|input| inputs[input].values);
        // Σ g and Σ g x̂
        let sums = per_slot(shape, |row, _| {
            sum(&gradient[row.clone()], &x[row], |g, _| g)
        });
        let products = per_slot(shape, |row, slot| {
            let mean = mean[slot];
            let product = sum(&gradient[row.clone()], &x[row], |g, x| g * (x - mean));
            product * f64::from(inverses[slot])
        });
        if gradients.wants(0) {
            // γ / σ (g − mean(g) − x̂ mean(g x̂)) = scale g + tilt x + offset
            let share = match self.moments {
                Moments::OfBatch => 1.0 / (n * d).max(1) as f32,
                Moments::Given => 0.0,
            };
            let line = |slot: usize| {
                let scale = weight[slot] * inverses[slot];
                let tilt = -scale * inverses[slot] * products[slot] * share;
                let offset = -scale * sums[slot] * share - tilt * mean[slot];
                [scale, tilt, offset]
            };
            gradients.put(0, Some(lines(shape, [gradient, x], line, |_, y| y)));
        }
        if inputs.len() > KEPT && gradients.wants(KEPT) {
            gradients.put(KEPT, Some(passed.unwrap_or_else(|| upstream.to_vec())));
        }
        for (input, slopes) in [(1, products), (2, sums)] {
            if gradients.wants(input) {
                gradients.put(input, Some(slopes));
            }
        }
    }
}

/// For every slot the total of what `row` gives for its place in each item, in the order of the items.
fn per_slot([n, m, d]: [usize; 3], row: impl Fn(Range<usize>, usize) -> f64 + Sync) -> Vec<f32> {
    let total = |slot: usize| {
        let rows = (0..n).map(|item| (item * m + slot) * d);
        rows.map(|first| row(first..first + d, slot)).sum::<f64>() as f32
    };
    (0..m).into_par_iter().map(total).collect()
}

/// `Σ term(aᵢ, bᵢ)`
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    wide(
        #[inline(always)]
        || {
            let mut sums = [0f32; LANES];
            let (a, a_rest) = a.as_chunks::<LANES>();
            let (b, b_rest) = b.as_chunks::<LANES>();
            for (a, b) in a.iter().zip(b) {
                for lane in 0..LANES {
                    sums[lane] += term(a[lane], b[lane]);
                }
            }
            for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
                *sum += term(*a, *b);
            }
            f64::from(sums.iter().sum::<f32>())
        },
    )
}

/// What `result` makes of every number `scale a + tilt b + offset` by its place, with the three of its slot;
/// `a` and `b` are shaped `[n, m, d]`.
fn lines(
    [n, m, d]: [usize; 3],
    [a, b]: [&[f32]; 2],
    line: impl Fn(usize) -> [f32; 3] + Sync,
    result: impl Fn(usize, f32) -> f32 + Sync,
) -> Vec<f32> {
    collect(
        n * m * d,
        #[inline(always)]
        |first, out| {
            let mut done = 0;
            while done < out.len() {
                let row = (first + done) / d;
                let len = ((row + 1) * d - first).min(out.len()) - done;
                let [scale, tilt, offset] = line(row % m);
                let start = first + done;
                let numbers = a[start..start + len].iter().zip(&b[start..start + len]);
                let numbers = out[done..done + len].iter_mut().zip(numbers);
                for (at, (out, (a, b))) in numbers.enumerate() {
                    *out = result(start + at, scale * a + tilt * b + offset);
                }
                done += len;
            }
        },
    )
}
