//! Similarity graph reasoning.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use serde::{Deserialize, Serialize};
use truepair_core::{Error, Result};

use super::nodes::{NodeEncoder, NodeSettings, Nodes};
use crate::encoding::Encoding;
use crate::kernel::{GraphStep, Precision, graph};
use crate::layer::{Init, Linear, Mode};
use crate::similarity::{Head, Space};

/// Settings of [`Sgr`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgrConfig {
    /// Width of a similarity node.
    pub sim_dim: usize,
    /// Reasoning steps, at least 1; each has its own weights.
    pub steps: usize,
    /// Inverse temperature of the words' attention over regions.
    pub smooth: f64,
    /// Share of values dropped in the global vectors while training, [0, 1).
    pub dropout: f64,
}

impl Default for SgrConfig {
    fn default() -> Self {
        Self {
            sim_dim: 256,
            steps: 3,
            smooth: 9.0,
            dropout: 0.4,
        }
    }
}

/// Graph reasoning over a pair's similarity nodes `X`, the first of which is the global one:
///
/// ```text
/// E = softmax over columns of (X W_qᵀ + b_q)(X W_kᵀ + b_k)ᵀ      X ← relu(E X W_gᵀ + b_g)
/// S(I, T) = σ(w · X₀ + b) after the last step, in (0, 1)
/// ```
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Diao et al., AAAI 2021; Paranioar/SGRAF@50d0c6f and XLearning-SCU/2021-NeurIPS-NCR@60256ba,
/// `EncoderSimilarity` with `module_name = SGR` (golden `u01_sgr_head`, `u01_sgr_full`).
/// # Deviations
/// 1. Missing regions and slots: see [`VisualGlobal`](super::VisualGlobal).
/// 2. A caption without words is scored by its global node alone.
#[derive(Module, Debug)]
pub struct Sgr {
    nodes: NodeEncoder,
    steps: Vec<Reasoning>,
    score: Linear,
    #[module(skip)]
    precision: Precision,
}

/// The weights of one reasoning step, all `[s, s]`.
#[derive(Module, Debug)]
pub struct Reasoning {
    query: Linear,
    key: Linear,
    reason: Linear,
}

impl SgrConfig {
    pub(in crate::similarity) fn build(&self, space: Space, init: &mut Init) -> Result<Sgr> {
        if self.steps == 0 {
            return Err(Error::argument(
                "similarity `sgr` cannot have steps = 0",
                "steps is at least 1; the paper has 3",
            ));
        }
        let settings = NodeSettings {
            sim_dim: self.sim_dim,
            smooth: self.smooth,
            dropout: self.dropout,
        };
        let nodes = settings.build("sgr", space, init)?;
        let square = |init: &mut Init| Linear::xavier(init, self.sim_dim, self.sim_dim);
        let steps = (0..self.steps).map(|_| Reasoning {
            query: square(init),
            key: square(init),
            reason: square(init),
        });
        Ok(Sgr {
            nodes,
            steps: steps.collect(),
            score: Linear::xavier(init, self.sim_dim, 1),
            precision: init.precision(),
        })
    }
}

impl Head for Sgr {
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        (self.nodes).scores(images, captions, mode, |nodes, _| self.head(nodes))
    }

    fn pair_bytes(&self, _images: &Encoding, captions: &Encoding) -> usize {
        self.nodes.pair_bytes(captions)
    }
}

impl Sgr {
    fn head(&self, nodes: Nodes) -> Tensor<2> {
        let steps = self.steps.iter().map(Reasoning::weights).collect();
        let reasoned = graph(nodes.values, &nodes.counts, steps, self.precision);
        let [n, c, _] = reasoned.dims();
        sigmoid(self.score.forward_items(reasoned)).reshape([n, c])
    }
}

impl Reasoning {
    fn weights(&self) -> GraphStep {
        let of = |layer: &Linear| (layer.weight.val(), layer.bias.val());
        GraphStep {
            query: of(&self.query),
            key: of(&self.key),
            reason: of(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{self, Parameters, Values};
    use burn::tensor::{Device, TensorData};
    use truepair_core::rng::Seed;

    #[test]
    fn one_step_equals_numbers_worked_by_hand() {
        let config = SgrConfig {
            sim_dim: 2,
            steps: 1,
            ..SgrConfig::default()
        };
        let device = Device::flex();
        let mut init = Init::new(Seed(1).stream("init", &[]), device.clone(), Precision::F32);
        let space = Space { dim: 2, regions: 3 };
        let sgr = config.build(space, &mut init).unwrap();
        let mut weights: Parameters = parameters::export(&sgr);
        let mut set = |name: &str, values: &[f32]| {
            let parameter: &mut Values = weights.get_mut(name).unwrap();
            assert_eq!(parameter.values.len(), values.len(), "{name}");
            parameter.values = values.to_vec();
        };
        set("steps.0.query.weight", &[1., 0., 0., 1.]);
        set("steps.0.key.weight", &[0., 1., 1., 0.]);
        set("steps.0.reason.weight", &[1., -1., 0.5, 0.5]);
        set("steps.0.reason.bias", &[0.1, -0.1]);
        set("score.weight", &[2., 1.]);
        set("score.bias", &[-1.]);
        let sgr = parameters::import(sgr, weights).unwrap();
        let nodes = TensorData::new(vec![0.6f32, 0.8, 1., 0., 0., 1.], [1, 3, 2]);
        let scores = sgr.head(Nodes {
            values: Tensor::from_data(nodes, &device),
            counts: vec![3],
        });
        let score = scores.into_data().try_into_vec::<f32>().unwrap()[0];
        assert!((score - 0.411_618_8).abs() < 1e-6, "{score}");
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let space = Space { dim: 2, regions: 3 };
        let mut message = |config: SgrConfig| {
            let refused = config.build(space, &mut init).unwrap_err();
            refused.to_string()
        };
        let none = SgrConfig {
            steps: 0,
            ..SgrConfig::default()
        };
        assert!(message(none).contains("steps = 0"));
        let cold = SgrConfig {
            smooth: 0.0,
            ..SgrConfig::default()
        };
        assert!(message(cold).contains("smooth = 0"));
    }
}
