//! Convolutions of planes as one operation: windows gathered into columns, image by image.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use truepair_kernel::product::Precision;
use truepair_kernel::{Convolution, Window};

use super::{apply, is_fused};

/// `out[f] = Σ_c weight[f, c] ⋆ x[c]`, without a bias.
///
/// # Shapes
/// - `x`: `[n, c, h, w]`, `weight`: `[f, c, side, side]`; returns `[n, f, h', w']` with
///   `h' = (h + 2 padding − side) / stride + 1`
/// # Panics
/// If the padded planes are smaller than a window.
pub(crate) fn convolution(
    x: Tensor<4>,
    weight: Tensor<4>,
    window: Window,
    precision: Precision,
) -> Tensor<4> {
    if is_fused(&x.device()) {
        apply(Convolution { window, precision }, [x.into(), weight.into()])
    } else {
        twin(x, weight, window)
    }
}

fn twin(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    let Window {
        stride, padding, ..
    } = window;
    conv2d(
        x,
        weight,
        None,
        ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        for (side, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0), (7, 2, 3)] {
            let window = Window {
                side,
                stride,
                padding,
            };
            check_against_twin(
                &[
                    // More images than one task takes.
                    Input::normal(&[10, 3, 9, 6]),
                    Input::normal(&[4, 3, side, side]),
                ],
                |x| convolution(x[0].rank(), x[1].rank(), window, Precision::F32),
                |x| twin(x[0].rank(), x[1].rank(), window),
            );
        }
    }
}
