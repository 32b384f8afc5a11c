//! A perceptron on precomputed embeddings: the head that adapts frozen encoders.

use burn::module::Module;
use burn::tensor::activation::gelu;
use serde::{Deserialize, Serialize};
use truepair_core::Error;

use super::InputShape;
use crate::encoding::{Encoding, Input, unit_length};
use crate::error::Result;
use crate::init::Init;
use crate::linear::Linear;
use crate::mode::Mode;

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
    /// To length √d, so that a value has unit variance whatever the extractor's scale.
    Unit,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: 512,
            dim: 256,
            dropout: 0.2,
            input: InputScale::Unit,
        }
    }
}

/// Mean over regions, then `W₂ · dropout(gelu(W₁ x + b₁)) + b₂`.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, 1, dim]`
#[derive(Module, Debug)]
pub struct Mlp {
    first: Linear,
    second: Linear,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    input: InputScale,
}

impl MlpConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Mlp> {
        let InputShape::Features(width) = shape else {
            return Err(Error::argument(
                "backbone `mlp` reads feature vectors, the data has token ids",
                "use `gru` for texts, or give caption embeddings",
            )
            .into());
        };
        if self.hidden == 0 || self.dim == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `mlp` cannot have hidden = {}, dim = {}, dropout = {}",
                    self.hidden, self.dim, self.dropout
                ),
                "widths are at least 1 and dropout is in [0, 1)",
            )
            .into());
        }
        Ok(Mlp {
            first: Linear::new(init, width, self.hidden),
            second: Linear::new(init, self.hidden, self.dim),
            dropout: self.dropout,
            input: self.input,
        })
    }
}

impl Mlp {
    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Features(features) = input else {
            panic!("`mlp` was built for features")
        };
        let whole = Encoding {
            values: features.clone(),
            mask: None,
        };
        let mut x = whole.pooled();
        if self.input == InputScale::Unit {
            let width = x.dims()[1] as f64;
            x = unit_length(x) * width.sqrt();
        }
        let hidden = mode.dropout(gelu(self.first.forward(x)), self.dropout);
        Encoding {
            values: self.second.forward(hidden).unsqueeze_dim(1),
            mask: None,
        }
    }
}
