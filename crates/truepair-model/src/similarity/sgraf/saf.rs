//! Similarity attention filtration.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::Result;

use super::nodes::{NodeEncoder, NodeSettings, Nodes};
use crate::encoding::Encoding;
use crate::kernel::saf_pool;
use crate::layer::{BatchNorm, Init, Linear, Mode};
use crate::similarity::{Head, Space};

/// Settings of [`Saf`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SafConfig {
    /// Width of a similarity node.
    pub sim_dim: usize,
    /// Inverse temperature of the words' attention over regions.
    pub smooth: f64,
    /// Share of values dropped in the global vectors while training, [0, 1).
    pub dropout: f64,
    /// Whose statistics normalize the attention while training.
    pub attention_norm: AttentionNorm,
}

/// Whose statistics normalize SAF's attention while training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionNorm {
    /// Each caption's own, over the batch's images and its nodes; the running values move once a
    /// caption, in order.
    #[default]
    PerCaption,
    /// Those of all nodes of all pairs; the running values move once a step. A different model from
    /// the published one.
    Batch,
}

impl Default for SafConfig {
    fn default() -> Self {
        Self {
            sim_dim: 256,
            smooth: 9.0,
            dropout: 0.4,
            attention_norm: AttentionNorm::PerCaption,
        }
    }
}

/// Attention over a pair's similarity nodes `X_j`, the first of which is the global one:
///
/// ```text
/// a_j = σ(BN(w_a · X_j + b_a))      S(I, T) = σ(w · l2(Σ_j a_j X_j / (Σ_j |a_j| + 1e-8)) + b)
/// ```
/// in (0, 1). `BN` has one channel. While training its statistics are those of one caption, over
/// all images of the batch and the caption's nodes, and its running values move once a caption.
///
/// # Shapes
/// - `images`: `[n_images, r, d]`, `captions`: `[n_captions, t, d]`; returns
///   `[n_images, n_captions]`
/// # Source
/// Diao et al., AAAI 2021; Paranioar/SGRAF@50d0c6f and XLearning-SCU/2021-NeurIPS-NCR@60256ba,
/// `EncoderSimilarity` with `module_name = SAF` (golden `u01_saf_head`, `u01_saf_full`).
/// # Deviations
/// 1. Missing regions and slots: see [`VisualGlobal`](super::VisualGlobal).
/// 2. A caption without words is scored by its global node alone.
#[derive(Module, Debug)]
pub struct Saf {
    nodes: NodeEncoder,
    attention: Linear,
    norm: BatchNorm,
    score: Linear,
    #[module(skip)]
    attention_norm: AttentionNorm,
}

impl SafConfig {
    pub(in crate::similarity) fn build(&self, space: Space, init: &mut Init) -> Result<Saf> {
        let settings = NodeSettings {
            sim_dim: self.sim_dim,
            smooth: self.smooth,
            dropout: self.dropout,
        };
        Ok(Saf {
            nodes: settings.build("saf", space, init)?,
            attention: Linear::xavier(init, self.sim_dim, 1),
            norm: BatchNorm::new(init, 1),
            score: Linear::xavier(init, self.sim_dim, 1),
            attention_norm: self.attention_norm,
        })
    }
}

impl Head for Saf {
    fn scores(&self, images: &Encoding, captions: &Encoding, mode: &mut Mode<'_>) -> Tensor<2> {
        (self.nodes).scores(images, captions, mode, |nodes, mode| self.head(nodes, mode))
    }

    fn pair_bytes(&self, _images: &Encoding, captions: &Encoding) -> usize {
        self.nodes.pair_bytes(captions)
    }
}

impl Saf {
    fn head(&self, nodes: Nodes, mode: &Mode<'_>) -> Tensor<2> {
        let attention = self.attend(&nodes, mode);
        let pooled = saf_pool(nodes.values, attention, &nodes.counts);
        let [n, c, _] = pooled.dims();
        sigmoid(self.score.forward_items(pooled)).reshape([n, c])
    }

    /// `[n, total]`, before they are divided by their sum.
    fn attend(&self, nodes: &Nodes, mode: &Mode<'_>) -> Tensor<2> {
        let [n, total, _] = nodes.values.dims();
        let logits = self.attention.forward_items(nodes.values.clone());
        let logits = logits.reshape([n, total]);
        sigmoid(match (mode, self.attention_norm) {
            (Mode::Train(_), AttentionNorm::PerCaption) => {
                self.norm_per_caption(logits, &nodes.counts)
            }
            _ => (self.norm.forward(logits.reshape([n * total, 1]), mode)).reshape([n, total]),
        })
    }

    /// Batch normalization of logits `[n, total]` in training, with each caption's own statistics.
    fn norm_per_caption(&self, logits: Tensor<2>, counts: &[usize]) -> Tensor<2> {
        let [n, total] = logits.dims();
        let owners = Owners::new(counts, total, &logits);
        let mean = owners.means(logits.clone().mean_dim(0));
        let centered = logits - owners.spread(mean.clone());
        let variance = owners.means(centered.clone().square().mean_dim(0));
        for (caption, count) in counts.iter().enumerate() {
            let of = |values: &Tensor<2>| values.clone().narrow(1, caption, 1).reshape([1]);
            self.norm.absorb(of(&mean), of(&variance), n * count);
        }
        self.norm.scale(centered, owners.spread(variance))
    }
}

/// Which caption owns which nodes, as matrices.
struct Owners {
    /// `1 / count` where a caption owns a node, `[total, c]`.
    share: Tensor<2>,
    /// 1 where a caption owns a node, `[c, total]`.
    own: Tensor<2>,
}

impl Owners {
    fn new(counts: &[usize], total: usize, like: &Tensor<2>) -> Self {
        let (c, device) = (counts.len(), like.device());
        let (mut share, mut own) = (vec![0f32; total * c], vec![0f32; total * c]);
        let mut node = 0;
        for (caption, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                share[node * c + caption] = 1.0 / count as f32;
                own[caption * total + node] = 1.0;
                node += 1;
            }
        }
        Self {
            share: Tensor::from_data(TensorData::new(share, [total, c]), &device),
            own: Tensor::from_data(TensorData::new(own, [c, total]), &device),
        }
    }

    /// Every caption's mean over its nodes, `[1, total]` to `[1, c]`.
    fn means(&self, nodes: Tensor<2>) -> Tensor<2> {
        nodes.matmul(self.share.clone())
    }

    /// Every caption's value at each of its nodes, `[1, c]` to `[1, total]`.
    fn spread(&self, captions: Tensor<2>) -> Tensor<2> {
        captions.matmul(self.own.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Precision;
    use crate::numbers::floats;
    use crate::parameters;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    const NODES: [f32; 12] = [0.6, 0.8, 1., 0., 0., 1., 0.8, 0.6, 0., 1., 1., 0.];

    fn worked(attention_norm: AttentionNorm) -> Saf {
        let config = SafConfig {
            sim_dim: 2,
            attention_norm,
            ..SafConfig::default()
        };
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let saf = config
            .build(Space { dim: 2, regions: 3 }, &mut init)
            .unwrap();
        let mut weights = parameters::export(&saf);
        for (name, values) in [
            ("attention.weight", vec![1., -1.]),
            ("score.weight", vec![2., 1.]),
            ("score.bias", vec![-1.]),
        ] {
            weights.get_mut(name).unwrap().values = values;
        }
        parameters::import(saf, weights).unwrap()
    }

    /// One image with captions of 3 and 3 nodes, or two images with one caption.
    fn nodes(n: usize, counts: Vec<usize>) -> Nodes {
        let data = TensorData::new(NODES.to_vec(), [n, 6 / n, 2]);
        Nodes {
            values: Tensor::from_data(data, &Device::flex()),
            counts,
        }
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{found:?} {expected:?}");
        }
    }

    /// Attention `[2, 3]` divided by its row sums.
    fn shares(attention: Tensor<2>) -> Vec<f32> {
        let sums = attention.clone().sum_dim(1);
        floats(attention / sums)
    }

    #[test]
    fn both_modes_equal_numbers_worked_by_hand() {
        let saf = worked(AttentionNorm::PerCaption);
        let found = shares(saf.attend(&nodes(2, vec![3]), &Mode::Evaluate));
        assert_close(&found, &[0.310_423_9, 0.504_119_8, 0.185_456_26]);
        let score = floats(saf.head(nodes(2, vec![3]), &Mode::Evaluate))[0];
        assert_close(&[score], &[0.773_026_4]);
        let mut rng = Seed(1).stream("dropout", &[]);
        let mode = Mode::Train(&mut rng);
        let found = shares(saf.attend(&nodes(2, vec![3]), &mode));
        let first = [0.305_392_5, 0.535_383_2, 0.159_224_25];
        let second = [0.359_113_2, 0.146_909_9, 0.493_976_9];
        assert_close(&found, &[first, second].concat());
        assert_close(&floats(saf.norm.running_mean.value()), &[0.0]);
        // The unbiased variance is 0.68 · 6 / 5.
        assert_close(&floats(saf.norm.running_var.value()), &[0.9 + 0.0816]);
    }

    #[test]
    fn running_values_move_once_a_caption_or_once_a_step() {
        let moved = |norm| {
            let saf = worked(norm);
            let mut rng = Seed(1).stream("dropout", &[]);
            saf.attend(&nodes(1, vec![2, 4]), &Mode::Train(&mut rng));
            floats(saf.norm.running_mean.value())[0]
        };
        // Logits −0.2, 1 | −1, 0.2, −1, 1: means 0.4 and −0.2, and 0 of all.
        assert_close(&[moved(AttentionNorm::PerCaption)], &[0.9 * 0.04 - 0.02]);
        assert_close(&[moved(AttentionNorm::Batch)], &[0.0]);
    }
}
