//! A head that begins where the closed form ends: its first layer is the linear map of canonical
//! correlation, and a perceptron beside an identity learns what a linear map cannot say.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::linear::{self, Pooling};
use truepair_core::{Error, Result};

use super::InputShape;
use super::projection::{Projection, ProjectionConfig};
use crate::encoding::{Encoding, Input};
use crate::kernel::gelu;
use crate::layer::{Init, Linear, Mode};

/// Settings of [`Residual`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualConfig {
    /// Width of the joint space, and most directions of the closed form.
    pub dim: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Share of hidden values dropped while training, [0, 1).
    pub dropout: f64,
    /// How regions become one vector.
    pub pooling: Pooling,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        Self {
            dim: 192,
            hidden: 512,
            dropout: 0.5,
            pooling: Pooling::Mean,
        }
    }
}

/// ```text
/// z = e(x) / rms ‖e‖,   y = A z + a + W₂ dropout(gelu(W₁ z + b₁)) + b₂
/// ```
/// with `e` of [`LinearMatcher`](linear::LinearMatcher), fixed; `A` begins as the identity, `a`, `W₂`
/// and `b₂` as 0, so that the head begins as the closed form. Lengths of the training pairs' `e` have
/// a root mean square of 1 after the division.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`
///
/// # Source
/// This project; figures in `docs/results.md`.
#[derive(Module, Debug)]
pub struct Residual {
    projection: Projection,
    straight: Linear,
    first: Linear,
    second: Linear,
    #[module(skip)]
    dropout: f64,
}

impl ResidualConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Residual> {
        if self.hidden == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `residual` cannot have hidden = {}, dropout = {}",
                    self.hidden, self.dropout
                ),
                "the width is at least 1 and dropout is in [0, 1)",
            ));
        }
        let projection = ProjectionConfig {
            dim: self.dim,
            pooling: self.pooling,
        };
        Ok(Residual {
            projection: projection.build(shape, init)?,
            straight: Linear::identity(init, self.dim),
            first: Linear::new(init, self.dim, self.hidden),
            second: Linear::zeros(init, self.hidden, self.dim),
            dropout: self.dropout,
        })
    }
}

impl Residual {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    /// The head with its first layer fitted.
    pub(super) fn fitted(mut self, side: &linear::Projection) -> Self {
        let scale = 1.0 / side.length.max(f32::MIN_POSITIVE);
        self.projection = self.projection.scaled(side, scale);
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let z = self.projection.project(input);
        let hidden = mode.dropout(gelu(self.first.forward(z.clone())), self.dropout);
        let values: Tensor<2> = self.straight.forward(z) + self.second.forward(hidden);
        Encoding::new(values.unsqueeze_dim(1), None)
    }
}
