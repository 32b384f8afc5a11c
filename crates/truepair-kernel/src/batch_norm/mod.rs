//! Channels normalized to mean 0 and variance 1 by the moments of the batch itself.

mod slots;

pub use slots::{Moments, SlotMoments, SlotNorm};

use rayon::prelude::*;

use super::vector::{add, wide};
use super::{Array, Gradients, Operation, Output};

/// Rows that one task works on. Fixed, so that sums do not depend on the number of threads.
const TASK: usize = 256;

/// Mean and biased variance of every column, as constants.
///
/// # Shapes
/// - input: `[n, d]`; output: `[2, d]`
#[derive(Debug, Clone, Copy)]
pub struct ColumnMoments;

impl Operation for ColumnMoments {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let [n, d] = inputs[0].dims();
        let x = inputs[0].values;
        let share = 1.0 / n.max(1) as f32;
        let mean_of = |sums: Vec<f32>| -> Vec<f32> { sums.iter().map(|sum| sum * share).collect() };
        let mean = mean_of(column_sums(x, d, d, add));
        let variance = column_sums(
            x,
            d,
            d,
            #[inline(always)]
            |sums: &mut [f32], row: &[f32]| {
                for ((sum, x), mean) in sums.iter_mut().zip(row).zip(&mean) {
                    *sum += (x - mean) * (x - mean);
                }
            },
        );
        let values = [mean.clone(), mean_of(variance)].concat();
        (Output::new(values, [2, d]), ())
    }

    fn backward(&self, _: &[Array<'_>], (): &(), _: &[f32], _: &mut Gradients) {
        unreachable!("moments are taken of constants")
    }
}

/// `width` sums over all rows `[n, d]`, of what `row` adds for each.
fn column_sums(
    x: &[f32],
    d: usize,
    width: usize,
    row: impl Fn(&mut [f32], &[f32]) + Sync,
) -> Vec<f32> {
    let tasks: Vec<Vec<f32>> = (x.par_chunks(TASK * d))
        .map(|rows| {
            let mut sums = vec![0.0; width];
            wide(
                #[inline(always)]
                || rows.chunks_exact(d).for_each(|x| row(&mut sums, x)),
            );
            sums
        })
        .collect();
    total(tasks, width)
}

/// The sums of all tasks, in their order.
fn total(tasks: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut out = vec![0.0; width];
    tasks.iter().for_each(|sums| add(&mut out, sums));
    out
}

/// `γ (x − μ) / √(σ² + ε) + β` with the mean `μ` and the biased variance `σ²` of each column of `x`,
/// through which the gradient flows.
///
/// # Shapes
/// - inputs: `x` `[n, d]`, weight `γ` and bias `β` `[d]`, moments `[2, d]`: what [`ColumnMoments`]
///   gives for the same `x`
/// - output: `[n, d]`
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    /// ε
    pub epsilon: f32,
}

/// What both passes read of a column.
struct Columns<'a> {
    mean: &'a [f32],
    /// `1 / √(σ² + ε)`
    inverse: Vec<f32>,
    d: usize,
}

impl BatchNorm {
    fn columns<'a>(&self, inputs: &[Array<'a>]) -> Columns<'a> {
        let [_, d] = inputs[0].dims();
        assert_eq!((inputs[1].dims(), inputs[2].dims()), ([d], [d]));
        assert_eq!(inputs[3].dims(), [2, d]);
        let (mean, variance) = inputs[3].values.split_at(d);
        let inverse = |x: &f32| 1.0 / (x + self.epsilon).sqrt();
        Columns {
            mean,
            inverse: variance.iter().map(inverse).collect(),
            d,
        }
    }
}

impl Operation for BatchNorm {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let columns = self.columns(inputs);
        let d = columns.d;
        let scales = inputs[1].values.iter().zip(&columns.inverse);
        let scales: Vec<f32> = scales.map(|(weight, inverse)| weight * inverse).collect();
        let offsets = (inputs[2].values.iter().zip(columns.mean).zip(&scales))
            .map(|((bias, mean), scale)| bias - mean * scale)
            .collect::<Vec<f32>>();
        let mut out = inputs[0].values.to_vec();
        out.par_chunks_mut(TASK * d).for_each(|rows| {
            wide(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact_mut(d) {
                        for ((x, scale), offset) in row.iter_mut().zip(&scales).zip(&offsets) {
                            *x = *x * scale + offset;
                        }
                    }
                },
            );
        });
        (Output::new(out, inputs[0].shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let columns = self.columns(inputs);
        let d = columns.d;
        let (sums, products) = columns.slopes(inputs[0].values, gradient);
        for (input, slopes) in [(1, &products), (2, &sums)] {
            if let Some(out) = gradients.get(input) {
                add(out, slopes);
            }
        }
        let Some(out) = gradients.get(0) else {
            return;
        };
        // γ / σ (g − mean(g) − x̂ mean(g x̂)) = scale g + slope x + offset
        let share = 1.0 / (out.len() / d).max(1) as f32;
        let scales = inputs[1].values.iter().zip(&columns.inverse);
        let scales: Vec<f32> = scales.map(|(weight, inverse)| weight * inverse).collect();
        let tilts: Vec<f32> = (0..d)
            .map(|k| -scales[k] * columns.inverse[k] * products[k] * share)
            .collect();
        let offsets: Vec<f32> = (0..d)
            .map(|k| -scales[k] * sums[k] * share - tilts[k] * columns.mean[k])
            .collect();
        let task = TASK * d;
        (out.par_chunks_mut(task))
            .zip(inputs[0].values.par_chunks(task))
            .zip(gradient.par_chunks(task))
            .for_each(|((out, x), g)| {
                wide(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact(d).zip(g.chunks_exact(d));
                        for (out, (x, g)) in out.chunks_exact_mut(d).zip(rows) {
                            slope_row(out, x, g, [&scales, &tilts, &offsets]);
                        }
                    },
                );
            });
    }
}

/// `out = scale g + tilt x + offset`
#[inline(always)]
fn slope_row(out: &mut [f32], x: &[f32], g: &[f32], [scales, tilts, offsets]: [&[f32]; 3]) {
    let columns = scales.iter().zip(tilts).zip(offsets);
    for (((out, x), g), ((scale, tilt), offset)) in out.iter_mut().zip(x).zip(g).zip(columns) {
        *out = scale * g + tilt * x + offset;
    }
}

impl Columns<'_> {
    /// `Σ g` and `Σ g x̂` of every column.
    fn slopes(&self, x: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let d = self.d;
        let tasks: Vec<Vec<f32>> = (x.par_chunks(TASK * d))
            .zip(gradient.par_chunks(TASK * d))
            .map(|(x, g)| {
                let mut sums = vec![0.0; 2 * d];
                wide(
                    #[inline(always)]
                    || {
                        let (plain, products) = sums.split_at_mut(d);
                        for (x, g) in x.chunks_exact(d).zip(g.chunks_exact(d)) {
                            add(plain, g);
                            add_products(products, g, x, self.mean);
                        }
                    },
                );
                sums
            })
            .collect();
        let mut sums = total(tasks, 2 * d);
        let products = sums.split_off(d);
        let products = products.iter().zip(&self.inverse);
        (sums, products.map(|(sum, inverse)| sum * inverse).collect())
    }
}

/// `sums += g (x − mean)`
#[inline(always)]
fn add_products(sums: &mut [f32], g: &[f32], x: &[f32], mean: &[f32]) {
    for (((sum, g), x), mean) in sums.iter_mut().zip(g).zip(x).zip(mean) {
        *sum += g * (x - mean);
    }
}
