//! One linear projection of every region: the image side of VSE++, SCAN, SGRAF and NCR.

use burn::module::Module;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, unit_length};
use crate::layer::{Init, Linear, Mode};

/// Settings of [`RegionLinear`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionLinearConfig {
    /// Width of the joint space.
    pub dim: usize,
}

impl Default for RegionLinearConfig {
    fn default() -> Self {
        Self { dim: 1024 }
    }
}

/// `vᵣ = l2(W xᵣ + b)` for every region; a pooling similarity takes their mean.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: `[n, r, dim]`, every vector of length 1
/// # Source
/// Lee et al., ECCV 2018; code read at Paranioar/SGRAF and XLearning-SCU/2021-NeurIPS-NCR@60256ba,
/// `EncoderImagePrecomp` (golden `u01_sgraf_image_encoder`).
#[derive(Module, Debug)]
pub struct RegionLinear {
    fc: Linear,
}

impl RegionLinearConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<RegionLinear> {
        match shape {
            InputShape::Features { width, .. } if self.dim > 0 => Ok(RegionLinear {
                fc: Linear::xavier(init, width, self.dim),
            }),
            InputShape::Features { .. } => Err(Error::argument(
                "backbone `region_linear` cannot have dim = 0",
                "the width of the joint space is at least 1; the papers use 1024",
            )),
            InputShape::Tokens(_) => Err(Error::argument(
                "backbone `region_linear` reads feature vectors, the data has token ids",
                "use `gru` for texts",
            )),
        }
    }
}

impl RegionLinear {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, _mode: &mut Mode<'_>) -> Encoding {
        let Input::Features { values, mask } = input else {
            panic!("`region_linear` was built for features")
        };
        let regions = unit_length(self.fc.forward_items(values.clone()));
        let values = match mask {
            Some(mask) => regions * mask.clone().unsqueeze_dim(2),
            None => regions,
        };
        Encoding::new(values, mask.clone())
    }
}
