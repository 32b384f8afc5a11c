//! All inner products of two sets of vectors as one operation.

use burn::tensor::Tensor;
use truepair_kernel::InnerProducts;
use truepair_kernel::product::Precision;

use super::{apply, is_fused};

/// `a bᵀ`.
///
/// # Shapes
/// - `a`: `[n, d]`, `b`: `[m, d]`; returns `[n, m]`
pub fn inner_products(a: Tensor<2>, b: Tensor<2>, precision: Precision) -> Tensor<2> {
    if is_fused(&a.device()) {
        apply(InnerProducts(precision), [a.into(), b.into()])
    } else {
        twin(a, b)
    }
}

fn twin(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    a.matmul(b.transpose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        check_against_twin(
            &[Input::normal(&[5, 7]), Input::normal(&[4, 7])],
            |x| inner_products(x[0].rank(), x[1].rank(), Precision::F32),
            |x| twin(x[0].rank(), x[1].rank()),
        );
    }
}
