//! Several embeddings of an item from features: the image side of PVSE.

use burn::module::Module;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{InputScale, InputShape};
use crate::encoding::{Encoding, Input, unit_length};
use crate::layer::{Init, Linear, Mode, PieNet, Trunk};

/// Settings of [`Pie`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PieConfig {
    /// Width of the joint space.
    pub dim: usize,
    /// Embeddings an item.
    pub embeddings: usize,
    /// Width of a dense layer before the head; 0 for none, as published.
    pub hidden: usize,
    /// Share of values dropped while training after the dense layer and of the residuals, [0, 1).
    pub dropout: f64,
    /// How features are scaled first; published: `raw`.
    pub input: InputScale,
}

impl Default for PieConfig {
    fn default() -> Self {
        Self {
            dim: 256,
            embeddings: 2,
            hidden: 512,
            dropout: 0.2,
            input: InputScale::Standard,
        }
    }
}

/// `vₖ = l2(PIE(W mean xᵣ + b, x)ₖ)`: `k` embeddings from the mean of an item's vectors and what
/// `k` heads attend to.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, k, dim]` with residuals, every vector of length 1
/// # Source
/// Song and Soleymani, CVPR 2019 (PVSE). Code read at yalesong/pvse@874aa16, `EncoderImage`. Golden
/// `u08_pienet_multi`.
/// # Deviations
/// 1. A dense layer with standardized features can precede the head, because a linear head adapts
///    frozen embeddings badly; `hidden = 0` and `input = "raw"` are the published head.
/// 2. l2 divides by `‖v‖ + 1e-8`.
#[derive(Module, Debug)]
pub struct Pie {
    trunk: Trunk,
    fc: Linear,
    pie: PieNet,
}

impl PieConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Pie> {
        let InputShape::Features { width, .. } = shape else {
            return Err(Error::argument(
                "backbone `pie` reads feature vectors, the data has token ids",
                "use `gru_pie` for texts, or give caption embeddings",
            ));
        };
        if self.dim == 0 || self.embeddings == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `pie` cannot have dim = {}, embeddings = {}, dropout = {}",
                    self.dim, self.embeddings, self.dropout
                ),
                "widths and the number of embeddings are at least 1 and dropout is in [0, 1)",
            ));
        }
        let f = if self.hidden > 0 { self.hidden } else { width };
        Ok(Pie {
            trunk: Trunk::new(init, width, self.hidden, self.input, self.dropout),
            fc: Linear::new(init, f, self.dim),
            pie: PieNet::new(init, f, self.dim, self.embeddings, self.dropout),
        })
    }
}

impl Pie {
    pub(super) fn measure(self, sample: &Input) -> Self {
        Self {
            trunk: self.trunk.measure(sample),
            ..self
        }
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let parts = self.trunk.forward(input, mode);
        let global = self.fc.forward(parts.pooled());
        let mask = parts.mask.as_ref();
        let (embeddings, residuals) = self.pie.forward(global, &parts.values, mask, mode);
        Encoding {
            residuals: Some(residuals),
            ..Encoding::new(unit_length(embeddings), None)
        }
    }
}
