//! A dense layer with bias as one operation: no transposed copy, no broadcast bias.

use burn::tensor::Tensor;
use truepair_kernel::Linear;
use truepair_kernel::product::Precision;

use super::{apply, is_fused};

/// `x Wᵀ + b`.
///
/// # Shapes
/// - `x`: `[n, in]`, `weight`: `[out, in]`, `bias`: `[out]`; returns `[n, out]`
pub(crate) fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    precision: Precision,
) -> Tensor<2> {
    if is_fused(&x.device()) {
        apply(Linear(precision), [x.into(), weight.into(), bias.into()])
    } else {
        twin(x, weight, bias)
    }
}

fn twin(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight.transpose()) + bias.unsqueeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        // The second is the work of several tasks.
        for n in [5, 259] {
            check_against_twin(
                &[
                    Input::normal(&[n, 7]),
                    Input::normal(&[4, 7]),
                    Input::normal(&[4]),
                ],
                |x| linear(x[0].rank(), x[1].rank(), x[2].rank(), Precision::F32),
                |x| twin(x[0].rank(), x[1].rank(), x[2].rank()),
            );
        }
    }
}
