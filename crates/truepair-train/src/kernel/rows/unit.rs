//! Vectors scaled to length 1.

use burn::tensor::Tensor;

use super::{Row, each_row, width};
use crate::kernel::vector::dot;
use crate::kernel::{Array, Gradients, Operation, apply, is_fused};

/// Added to a length before dividing by it.
pub(super) const EPSILON: f32 = 1e-8;
/// Least squared length of which a root is taken: the root's slope at 0 is not a number.
pub(super) const LEAST_SQUARE: f32 = 1e-30;

/// `x / (‖x‖ + 1e-8)` for every vector along the last axis; 0 for a zero vector.
pub(crate) fn unit_rows<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match is_fused(&x.device()) {
        true => apply(UnitRows, [x.into()]),
        false => twin(x),
    }
}

fn twin<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let square = x.clone().square().sum_dim(D - 1);
    let norm = square.clamp_min(LEAST_SQUARE).sqrt();
    x / (norm + EPSILON)
}

#[derive(Debug)]
struct UnitRows;

impl Operation for UnitRows {
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

impl Row<1> for UnitRows {
    #[inline(always)]
    fn write(&self, [x]: [&[f32]; 1], out: &mut [f32]) {
        let scale = 1.0 / (dot(x, x).max(LEAST_SQUARE).sqrt() + EPSILON);
        out.iter_mut().zip(x).for_each(|(out, x)| *out = x * scale);
    }
}

impl Row<2> for UnitRows {
    #[inline(always)]
    fn write(&self, [x, g]: [&[f32]; 2], out: &mut [f32]) {
        let square = dot(x, x);
        let norm = square.max(LEAST_SQUARE).sqrt();
        let scale = 1.0 / (norm + EPSILON);
        let along = match square > LEAST_SQUARE {
            true => dot(g, x) * scale * scale / norm,
            false => 0.0,
        };
        for ((out, g), x) in out.iter_mut().zip(g).zip(x) {
            *out = g * scale - x * along;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};
    use burn::tensor::Device;

    #[test]
    fn equals_its_twin() {
        for shape in [[3, 2, 50], [2, 1, 3], [70, 1, 1000]] {
            check_against_twin(
                &[Input::normal(&shape)],
                |x| unit_rows::<3>(x[0].rank()),
                |x| twin::<3>(x[0].rank()),
            );
        }
    }

    #[test]
    fn zero_stays_zero_with_the_twin_s_gradient() {
        let run = |operation: fn(Tensor<2>) -> Tensor<2>| {
            let x: Tensor<2> = Tensor::zeros([2, 3], &Device::flex().autodiff());
            let x = x.require_grad();
            let out = operation(x.clone());
            let tape = out.clone().sum().backward();
            (out.into_data(), x.grad(&tape).unwrap().into_data())
        };
        let (found, expected) = (run(unit_rows), run(twin));
        assert!(found.0.iter::<f32>().all(|x| x == 0.0));
        assert!(found.1.iter::<f32>().all(f32::is_finite));
        assert_eq!(found, expected);
    }
}
