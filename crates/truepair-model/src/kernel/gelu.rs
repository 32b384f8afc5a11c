//! The Gaussian error linear unit in one pass.

use burn::tensor::{Tensor, activation};
use truepair_kernel::Gelu;

use super::{apply, is_fused};

/// `x Φ(x)` with the normal distribution function `Φ`, any shape.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_fused(&x.device()) {
        apply(Gelu, [x.into()])
    } else {
        activation::gelu(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        for shape in [[7, 5], [3, 1000]] {
            check_against_twin(
                &[Input::scaled(&shape, 2.0)],
                |x| gelu(x[0].rank::<2>()),
                |x| activation::gelu(x[0].rank::<2>()),
            );
        }
    }
}
