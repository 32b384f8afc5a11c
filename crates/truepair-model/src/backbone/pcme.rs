//! A Gaussian an item from features: the image side of PCME.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::{InputScale, InputShape};
use crate::encoding::{Encoding, Gaussian, Input, unit_length};
use crate::layer::{Init, Linear, LocalAttention, Mode, PieNet, Trunk};

/// Settings of [`Pcme`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PcmeConfig {
    /// Width of the joint space.
    pub dim: usize,
    /// Width of a dense layer before the heads; 0 for none, as published.
    pub hidden: usize,
    /// Share of values dropped while training after the dense layer and of the mean's residual,
    /// [0, 1).
    pub dropout: f64,
    /// How features are scaled first; published: `raw`.
    pub input: InputScale,
    /// Where log σ starts and what it is clipped to.
    pub deviation: Deviation,
}

/// Where a head's log σ starts and what it is clipped to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deviation {
    /// Bias of the attention's branch at the start; published: 0, which makes draws of unit
    /// variance around means of length 1.
    pub start: f64,
    /// Smallest log σ.
    pub low: f64,
    /// Largest log σ.
    pub high: f64,
}

impl Default for PcmeConfig {
    fn default() -> Self {
        Self {
            dim: 256,
            hidden: 512,
            dropout: 0.2,
            input: InputScale::Standard,
            deviation: Deviation::default(),
        }
    }
}

impl Default for Deviation {
    fn default() -> Self {
        Self {
            start: -4.0,
            low: -10.0,
            high: 2.0,
        }
    }
}

impl Deviation {
    /// # Errors
    /// If the range is empty or does not hold the start.
    pub(super) fn check(&self, backbone: &str) -> Result<()> {
        if self.low < self.high && (self.low..=self.high).contains(&self.start) {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "backbone `{backbone}` cannot have deviation = {{ start = {}, low = {}, high = {} }}",
                self.start, self.low, self.high
            ),
            "low is below high, and start lies between them",
        ))
    }

    /// A layer whose outputs start around `start`.
    pub(super) fn layer(&self, init: &mut Init, d_in: usize, d_out: usize) -> Linear {
        let mut layer = Linear::xavier(init, d_in, d_out);
        layer.bias = init.filled([d_out], self.start);
        layer
    }

    /// The Gaussians of log deviations `[n, d]`, clipped. A value that is not a number stays one.
    pub(super) fn clipped(&self, log_deviation: Tensor<2>) -> Gaussian {
        Gaussian {
            limit: self.high,
            ..Gaussian::new(log_deviation.clamp(self.low, self.high))
        }
    }
}

/// Mean and deviation of an item's Gaussian:
///
/// ```text
/// μ = l2(PIE(W mean xᵣ + b, x))      log σ = W₂ mean xᵣ + b₂ + W₃ LocalAttention(x) + b₃
/// ```
/// The mean's branch is bounded by a sigmoid, layer normalization and its length; the deviation's
/// branch has none of them, because they would bound how uncertain an item can be.
///
/// # Shapes
/// - input: features `[n, r, d]`; output: means `[n, 1, dim]` of length 1 with log σ `[n, dim]`
/// # Source
/// Chun et al., CVPR 2021 (PCME). Code read at naver-ai/pcme@4947684, `EncoderImage`,
/// `UncertaintyModuleImage`. Golden `u09_pcme_image`.
/// # Deviations
/// 1. A dense layer with standardized features can precede the heads; `hidden = 0` and `input =
///    "raw"` are the published ones.
/// 2. log σ is clipped to [`Deviation`]'s range, outside of which it has no gradient, and starts
///    from `start`; `start = 0` is published.
/// 3. l2 divides by `‖μ‖ + 1e-8`.
#[derive(Module, Debug)]
pub struct Pcme {
    trunk: Trunk,
    fc: Linear,
    pie: PieNet,
    uncertain: UncertainImage,
    #[module(skip)]
    deviation: Deviation,
}

/// The deviation's branch, over `[n, r, f]` and its mean `[n, f]`.
#[derive(Module, Debug)]
pub(super) struct UncertainImage {
    attention: LocalAttention,
    fc: Linear,
    fc2: Linear,
}

impl UncertainImage {
    pub(super) fn new(deviation: &Deviation, init: &mut Init, f: usize, d: usize) -> Self {
        Self {
            attention: LocalAttention::new(init, f, 1),
            fc: deviation.layer(init, f, d),
            fc2: Linear::new(init, f, d),
        }
    }

    /// log σ before it is clipped, `[n, d]`.
    pub(super) fn forward(
        &self,
        parts: &Tensor<3>,
        mask: Option<&Tensor<2>>,
        pooled: Tensor<2>,
    ) -> Tensor<2> {
        let seen = self.attention.forward(parts, mask).squeeze_dim(1);
        self.fc.forward(seen) + self.fc2.forward(pooled)
    }
}

impl PcmeConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<Pcme> {
        let InputShape::Features { width, .. } = shape else {
            return Err(Error::argument(
                "backbone `pcme` reads feature vectors, the data has token ids",
                "use `gru_pcme` for texts, or give caption embeddings",
            ));
        };
        if self.dim == 0 || !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::argument(
                format!(
                    "backbone `pcme` cannot have dim = {}, dropout = {}",
                    self.dim, self.dropout
                ),
                "the width is at least 1 and dropout is in [0, 1)",
            ));
        }
        self.deviation.check("pcme")?;
        let f = if self.hidden > 0 { self.hidden } else { width };
        Ok(Pcme {
            trunk: Trunk::new(init, width, self.hidden, self.input, self.dropout),
            fc: Linear::new(init, f, self.dim),
            pie: PieNet::new(init, f, self.dim, 1, self.dropout),
            uncertain: UncertainImage::new(&self.deviation, init, f, self.dim),
            deviation: self.deviation,
        })
    }
}

impl Pcme {
    pub(super) fn measure(self, sample: &Input) -> Self {
        Self {
            trunk: self.trunk.measure(sample),
            ..self
        }
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let parts = self.trunk.forward(input, mode);
        let (pooled, mask) = (parts.pooled(), parts.mask.as_ref());
        let global = self.fc.forward(pooled.clone());
        let (mean, _) = self.pie.forward(global, &parts.values, mask, mode);
        let log_deviation = self.uncertain.forward(&parts.values, mask, pooled);
        Encoding {
            gaussian: Some(self.deviation.clipped(log_deviation)),
            ..Encoding::new(unit_length(mean), None)
        }
    }
}
