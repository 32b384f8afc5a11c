//! Layer normalization.

use rayon::prelude::*;

use super::{LANES, Row, each_row, rows_per_task, sum, width};
use crate::vector::wide;
use crate::{Array, Gradients, Operation, Output};

const EPSILON: f32 = 1e-5;

/// `γ (x − μ) / √(σ² + 1e-5) + β` along the last axis, with its mean `μ` and biased variance `σ²`.
///
/// # Shapes
/// - inputs: `x` `[.., d]`, weight `γ` and bias `β` `[d]`; output: as `x`
/// # Source
/// Ba et al., 2016; default of PyTorch's `LayerNorm`.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormRows;

impl Operation for LayerNormRows {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        let mut out = vec![0.0; inputs[0].values.len()];
        let affine = Affine::new(inputs);
        each_row(&affine, [inputs[0].values], &mut out, width(&inputs[0]));
        (Output::new(out, inputs[0].shape), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        let (x, d) = (inputs[0].values, width(&inputs[0]));
        if let Some(out) = gradients.get(0) {
            each_row(&Affine::new(inputs), [x, gradient], out, d);
        }
        let per_task = rows_per_task(d) * d;
        let blocks = x.par_chunks(per_task).zip(gradient.par_chunks(per_task));
        let parts: Vec<Vec<f32>> = blocks
            .map(|(x, g)| {
                wide(
                    #[inline(always)]
                    || by_parameters(x, g, d),
                )
            })
            .collect();
        for (input, first) in [(1, 0), (2, d)] {
            if let Some(out) = gradients.get(input) {
                for part in &parts {
                    let part = &part[first..first + d];
                    out.iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
                }
            }
        }
    }
}

/// `γ` and `β`, `[d]`.
struct Affine<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
}

impl<'a> Affine<'a> {
    fn new(inputs: &[Array<'a>]) -> Self {
        let d = width(&inputs[0]);
        assert_eq!((inputs[1].dims(), inputs[2].dims()), ([d], [d]));
        Self {
            weight: inputs[1].values,
            bias: inputs[2].values,
        }
    }
}

impl Row<1> for Affine<'_> {
    #[inline(always)]
    fn write(&self, [x]: [&[f32]; 1], out: &mut [f32]) {
        let (mean, scale) = moments(x);
        let affine = self.weight.iter().zip(self.bias);
        for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(affine) {
            *out = (x - mean) * scale * weight + bias;
        }
    }
}

impl Row<2> for Affine<'_> {
    #[inline(always)]
    fn write(&self, [x, g]: [&[f32]; 2], out: &mut [f32]) {
        let n = x.len() as f32;
        let (mean, scale) = moments(x);
        let weighted = g.iter().zip(self.weight);
        (out.iter_mut().zip(weighted)).for_each(|(out, (g, weight))| *out = g * weight);
        let shift = sum(out) / n;
        let along = centered_dot((out, 0.0), (x, mean)) * scale * scale / n;
        for (out, x) in out.iter_mut().zip(x) {
            *out = scale * (*out - shift - (x - mean) * along);
        }
    }
}

/// `Σ g x̂`, then `Σ g`, over rows: `[2d]`.
#[inline(always)]
fn by_parameters(x: &[f32], g: &[f32], d: usize) -> Vec<f32> {
    let mut sums = vec![0.0; 2 * d];
    let (by_weight, by_bias) = sums.split_at_mut(d);
    for (x, g) in x.chunks_exact(d).zip(g.chunks_exact(d)) {
        let (mean, scale) = moments(x);
        let sums = by_weight.iter_mut().zip(&mut *by_bias);
        for ((by_weight, by_bias), (x, g)) in sums.zip(x.iter().zip(g)) {
            *by_weight += g * (x - mean) * scale;
            *by_bias += g;
        }
    }
    sums
}

/// Mean and inverse deviation.
#[inline(always)]
fn moments(x: &[f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    let variance = centered_dot((x, mean), (x, mean)) / n;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

/// `Σ (aᵢ − μ) (bᵢ − ν)`: large means do not cancel.
#[inline(always)]
fn centered_dot((a, mu): (&[f32], f32), (b, nu): (&[f32], f32)) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = rest.map(|(a, b)| (a - mu) * (b - nu)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += (a[lane] - mu) * (b[lane] - nu);
        }
    }
    lanes.iter().sum::<f32>() + rest
}
