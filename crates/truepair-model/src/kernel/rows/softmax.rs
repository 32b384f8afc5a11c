//! Softmax.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax as twin;
use truepair_kernel::SoftmaxRows;

use crate::kernel::{apply, is_fused};

/// `e^xᵢ / Σⱼ e^xⱼ` along the last axis.
pub(crate) fn softmax_rows<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match is_fused(&x.device()) {
        true => apply(SoftmaxRows, [x.into()]),
        false => twin(x, D - 1),
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
