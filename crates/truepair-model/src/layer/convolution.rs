//! A convolution of planes with square windows, padded so that a stride of 1 keeps their size.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use crate::kernel::{self, Precision, Window};

/// `y = W ⋆ x` without a bias.
#[derive(Module, Debug)]
pub struct Convolution {
    /// `[filters, channels, side, side]`.
    pub weight: Param<Tensor<4>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    precision: Precision,
}

impl Convolution {
    /// Weights normal with variance `2 / (filters side²)`: He et al., ICCV 2015, counted backward, as
    /// torchvision draws them.
    pub fn new(
        init: &mut Init,
        [channels, filters]: [usize; 2],
        side: usize,
        stride: usize,
    ) -> Self {
        let deviation = (2.0 / (filters * side * side) as f64).sqrt();
        Self {
            weight: init.normal([filters, channels, side, side], deviation),
            stride,
            precision: init.precision(),
        }
    }

    /// `[n, channels, h, w]` to `[n, filters, ⌈h / stride⌉, ⌈w / stride⌉]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let side = weight.dims()[2];
        let window = Window {
            side,
            stride: self.stride,
            padding: side / 2,
        };
        kernel::convolution(x, weight, window, self.precision)
    }
}
