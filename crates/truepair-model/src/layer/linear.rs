//! A dense layer with the weight layout `[out, in]` that published checkpoints use.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use crate::kernel::{self, Precision};

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    precision: Precision,
}

impl Linear {
    /// Weights and bias uniform in `±1/√in`: PyTorch's default.
    pub fn new(init: &mut Init, d_in: usize, d_out: usize) -> Self {
        let bound = 1.0 / (d_in as f64).sqrt();
        Self {
            weight: init.uniform([d_out, d_in], bound),
            bias: init.uniform([d_out], bound),
            precision: init.precision(),
        }
    }

    /// Weights uniform in `±√(6/(in + out))`, bias 0: the initialization of SCAN, SGRAF and NCR.
    pub fn xavier(init: &mut Init, d_in: usize, d_out: usize) -> Self {
        let bound = (6.0 / (d_in + d_out) as f64).sqrt();
        Self {
            weight: init.uniform([d_out, d_in], bound),
            bias: init.zeros([d_out]),
            precision: init.precision(),
        }
    }

    /// Weights 1 on the diagonal and 0 elsewhere, bias 0.
    pub fn identity(init: &mut Init, d: usize) -> Self {
        Self {
            weight: init.identity(d),
            bias: init.zeros([d]),
            precision: init.precision(),
        }
    }

    /// Weights and bias 0.
    pub fn zeros(init: &mut Init, d_in: usize, d_out: usize) -> Self {
        Self {
            weight: init.zeros([d_out, d_in]),
            bias: init.zeros([d_out]),
            precision: init.precision(),
        }
    }

    /// The number format of the factors of products.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// `[n, in]` to `[n, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernel::linear(x, self.weight.val(), self.bias.val(), self.precision)
    }

    /// `[n, m, in]` to `[n, m, out]`.
    pub fn forward_items(&self, x: Tensor<3>) -> Tensor<3> {
        let [n, m, d_in] = x.dims();
        let y = self.forward(x.reshape([n * m, d_in]));
        let d_out = y.dims()[1];
        y.reshape([n, m, d_out])
    }
}
