//! Vectors scaled to length 1.

use burn::tensor::Tensor;
use truepair_kernel::UnitRows;

use crate::kernel::{apply, is_fused};

/// Added to a length before dividing by it.
const EPSILON: f32 = 1e-8;
/// Least squared length of which a root is taken: the root's slope at 0 is not a number.
const LEAST_SQUARE: f32 = 1e-30;

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
