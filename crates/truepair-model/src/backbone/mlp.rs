//! A perceptron on precomputed embeddings: the head that adapts frozen encoders.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, unit_length};
use crate::kernel::gelu;
use crate::layer::{Init, Linear, Mode};
use crate::numbers::floats;

/// Settings of [`Mlp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Width of the joint space.
    pub dim: usize,
    /// Share of hidden values dropped while training, [0, 1).
    pub dropout: f64,
    /// How features are scaled first.
    pub input: InputScale,
}

/// How features are scaled before the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputScale {
    /// As they are.
    Raw,
    /// To length 1, then shifted and scaled so that the training data has mean 0 in every column
    /// and unit variance over all. The shift is measured once and kept with the weights.
    Standard,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: 512,
            dim: 256,
            dropout: 0.2,
            input: InputScale::Standard,
        }
    }
}

/// Mean over regions, then `W₂ · dropout(gelu(W₁ x + b₁)) + b₂`.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[d]`: mean of the training data at length 1; measured, never trained.
    shift: Param<Tensor<1>>,
    /// `[1]`: inverse deviation of the training data; measured, never trained.
    scale: Param<Tensor<1>>,
    first: Linear,
    second: Linear,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    input: InputScale,
}

impl MlpConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Mlp> {
        let InputShape::Features { width, .. } = shape else {
            return Err(Error::argument(
                "backbone `mlp` reads feature vectors, the data has token ids",
                "use `gru` for texts, or give caption embeddings",
            ));
        };
        if self.hidden == 0 || self.dim == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `mlp` cannot have hidden = {}, dim = {}, dropout = {}",
                    self.hidden, self.dim, self.dropout
                ),
                "widths are at least 1 and dropout is in [0, 1)",
            ));
        }
        Ok(Mlp {
            shift: init.constant([width], 0.0),
            scale: init.constant([1], 1.0),
            first: Linear::new(init, width, self.hidden),
            second: Linear::new(init, self.hidden, self.dim),
            dropout: self.dropout,
            input: self.input,
        })
    }
}

impl Mlp {
    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let mut x = features(input);
        if self.input == InputScale::Standard {
            x = (unit_length(x) - self.shift.val().unsqueeze()) * self.scale.val().unsqueeze();
        }
        let hidden = mode.dropout(gelu(self.first.forward(x)), self.dropout);
        Encoding::new(self.second.forward(hidden).unsqueeze_dim(1), None)
    }

    pub(super) fn measure(mut self, sample: &Input) -> Self {
        if self.input == InputScale::Standard {
            let x = unit_length(features(sample));
            let ([_, d], device) = (x.dims(), x.device());
            let mean = x.clone().mean_dim(0);
            let deviation = (x - mean.clone()).square().mean().sqrt().clamp_min(1e-6);
            let scale = TensorData::new(floats(deviation.recip()), [1]);
            let shift = TensorData::new(floats(mean), [d]);
            let fixed = |data| Tensor::from_data(data, &device).set_require_grad(false);
            self.shift = self.shift.map(|_| fixed(shift));
            self.scale = self.scale.map(|_| fixed(scale));
        }
        self
    }
}

/// Mean over regions, `[n, d]`.
fn features(input: &Input) -> Tensor<2> {
    let Input::Features { values, mask } = input else {
        panic!("`mlp` was built for features")
    };
    let whole = Encoding::new(values.clone(), mask.clone());
    whole.pooled()
}
