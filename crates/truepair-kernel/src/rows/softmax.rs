//! Softmax.

use super::{Row, reduce, rowwise, rowwise_back, sum};
use crate::vector::{dot, exp};
use crate::{Array, Gradients, Operation, Output};

/// `e^xᵢ / Σⱼ e^xⱼ` along the last axis.
///
/// ```
/// use truepair_kernel::{Array, Operation, SoftmaxRows};
///
/// let x = Array { values: &[0.0, 3f32.ln()], shape: &[1, 2] };
/// let y = SoftmaxRows.output(&[x]);
/// assert!((y.values[0] - 0.25).abs() < 1e-6 && (y.values[1] - 0.75).abs() < 1e-6);
/// ```
///
/// # Shapes
/// - input and output: `[.., d]`
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxRows;

impl Operation for SoftmaxRows {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ()) {
        (rowwise(self, &inputs[0]), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        rowwise_back(self, &inputs[0], gradient, gradients);
    }
}

impl Row<1> for SoftmaxRows {
    #[inline(always)]
    fn write(&self, [x]: [&[f32]; 1], out: &mut [f32]) {
        let largest = reduce(x, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
        (out.iter_mut().zip(x)).for_each(|(out, x)| *out = exp(x - largest));
        let scale = 1.0 / sum(out);
        out.iter_mut().for_each(|out| *out *= scale);
    }
}

impl Row<2> for SoftmaxRows {
    #[inline(always)]
    fn write(&self, [x, g]: [&[f32]; 2], out: &mut [f32]) {
        self.write([x], out);
        let mean = dot(g, out);
        out.iter_mut().zip(g).for_each(|(out, g)| *out *= g - mean);
    }
}
