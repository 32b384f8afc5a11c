//! Layer normalization.

use burn::tensor::Tensor;
use truepair_kernel::LayerNormRows;

use crate::kernel::{apply, is_fused};

const EPSILON: f32 = 1e-5;

/// `γ (x − μ) / √(σ² + 1e-5) + β` along the last axis, with its mean `μ` and biased variance `σ²`.
///
/// # Shapes
/// - `x`: `[.., d]`, `weight` `γ` and `bias` `β`: `[d]`
/// # Source
/// Ba et al., 2016; default of PyTorch's `LayerNorm`.
pub(crate) fn layer_norm_rows<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
) -> Tensor<D> {
    match is_fused(&x.device()) {
        true => apply(LayerNormRows, [x.into(), weight.into(), bias.into()]),
        false => twin(x, weight, bias),
    }
}

fn twin<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<D> {
    let centered = x.clone() - x.mean_dim(D - 1);
    let variance = centered.clone().square().mean_dim(D - 1);
    centered / (variance + EPSILON).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        for shape in [[3, 2, 50], [2, 2, 7], [350, 2, 100]] {
            let d = shape[2];
            check_against_twin(
                &[
                    Input::scaled(&shape, 3.0),
                    Input::normal(&[d]),
                    Input::normal(&[d]).salted(1),
                ],
                |x| layer_norm_rows::<3>(x[0].rank(), x[1].rank(), x[2].rank()),
                |x| twin::<3>(x[0].rank(), x[1].rank(), x[2].rank()),
            );
        }
    }
}
