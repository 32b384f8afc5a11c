//! Softmax.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax as twin;

use super::{Row, each_row, reduce, sum, width};
use crate::kernel::vector::{dot, exp};
use crate::kernel::{Array, Gradients, Operation, apply, is_fused};

/// `e^xᵢ / Σⱼ e^xⱼ` along the last axis.
pub(crate) fn softmax_rows<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match is_fused(&x.device()) {
        true => apply(SoftmaxRows, [x.into()]),
        false => twin(x, D - 1),
    }
}

#[derive(Debug)]
struct SoftmaxRows;

impl Operation for SoftmaxRows {
    type Saved = ();

    fn forward(&self, inputs: &[Array<'_>], _tracked: bool) -> (Vec<f32>, Vec<usize>, ()) {
        let mut out = vec![0.0; inputs[0].values.len()];
        each_row(self, [inputs[0].values], &mut out, width(&inputs[0]));
        (out, inputs[0].shape.to_vec(), ())
    }

    fn backward(&self, inputs: &[Array<'_>], (): &(), gradient: &[f32], gradients: &mut Gradients) {
        if let Some(out) = gradients.get(0) {
            each_row(self, [inputs[0].values, gradient], out, width(&inputs[0]));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        for shape in [[3, 50], [4, 7], [700, 100]] {
            check_against_twin(
                &[Input::scaled(&shape, 2.0)],
                |x| softmax_rows::<2>(x[0].rank()),
                |x| twin::<2>(x[0].rank(), 1),
            );
        }
    }
}
