//! Local attention beside a global vector: the part that PVSE's and PCME's encoders share.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::{Init, Linear, Mode};
use crate::kernel::{Precision, inner_products, layer_norm_rows, softmax_rows};

/// Score of a vector that is not there.
const ABSENT: f64 = 1e30;

/// Attention of `k` heads over an item's vectors, without biases:
///
/// ```text
/// aₖᵣ = softmaxᵣ(W₂ tanh(W₁ xᵣ))ₖ      outₖ = Σᵣ aₖᵣ xᵣ
/// ```
///
/// # Shapes
/// - `[n, r, f]` to `[n, k, f]`; an item without vectors gives 0
/// # Source
/// Lin et al., ICLR 2017; as `MultiHeadSelfAttention` in yalesong/pvse@874aa16, where `W₁` has
/// `f / 2` rows. Golden `u08_pienet_multi`, `u08_pienet_single`.
#[derive(Module, Debug)]
pub struct LocalAttention {
    /// `W₁`, `[f / 2, f]`.
    pub first: Param<Tensor<2>>,
    /// `W₂`, `[k, f / 2]`.
    pub second: Param<Tensor<2>>,
    #[module(skip)]
    precision: Precision,
}

impl LocalAttention {
    /// Weights uniform in `±√(6/(in + out))`.
    pub fn new(init: &mut Init, f: usize, heads: usize) -> Self {
        let hidden = (f / 2).max(1);
        let bound = |d_in: usize, d_out: usize| (6.0 / (d_in + d_out) as f64).sqrt();
        Self {
            first: init.uniform([hidden, f], bound(f, hidden)),
            second: init.uniform([heads, hidden], bound(hidden, heads)),
            precision: init.precision(),
        }
    }

    /// What every head sees of `[n, r, f]`, of which the mask `[n, r]` says which vectors are there.
    pub fn forward(&self, x: &Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let [n, r, f] = x.dims();
        if r == 1 && mask.is_none() {
            // Every head sees the one vector that there is, whatever it attends to.
            return x.clone().repeat_dim(1, self.second.dims()[0]);
        }
        let rows = x.clone().reshape([n * r, f]);
        let hidden = tanh(inner_products(rows, self.first.val(), self.precision));
        let scores = inner_products(hidden, self.second.val(), self.precision);
        let k = scores.dims()[1];
        let scores = scores.reshape([n, r, k]).swap_dims(1, 2);
        let shares = match mask {
            None => softmax_rows(scores),
            Some(mask) => {
                let present: Tensor<3> = mask.clone().unsqueeze_dim(1);
                softmax_rows(scores + (present.clone() - 1.0) * ABSENT) * present
            }
        };
        shares.matmul(x.clone())
    }
}

/// `k` embeddings of an item from its global vector and what `k` heads see of its parts:
///
/// ```text
/// ρₖ = dropout(σ(W LocalAttention(x)ₖ + b))      outₖ = LayerNorm(g + ρₖ)
/// ```
///
/// # Shapes
/// - parts `x`: `[n, r, f]`, global `g`: `[n, d]`; returns embeddings and residuals `ρ`, `[n, k, d]`
/// # Source
/// Song and Soleymani, CVPR 2019 (PVSE), `PIENet` in yalesong/pvse@874aa16; PCME uses the same with
/// `k` = 1. Golden `u08_pienet_multi`, `u08_pienet_single`.
#[derive(Module, Debug)]
pub struct PieNet {
    /// What the heads see.
    pub attention: LocalAttention,
    /// `W`, `b`.
    pub fc: Linear,
    /// Scale of the normalization, `[d]`.
    pub norm_weight: Param<Tensor<1>>,
    /// Shift of the normalization, `[d]`.
    pub norm_bias: Param<Tensor<1>>,
    #[module(skip)]
    dropout: f64,
}

impl PieNet {
    /// For parts of width `f` and embeddings of width `d`; `dropout` is in [0, 1).
    pub fn new(init: &mut Init, f: usize, d: usize, heads: usize, dropout: f64) -> Self {
        Self {
            attention: LocalAttention::new(init, f, heads),
            fc: Linear::xavier(init, f, d),
            norm_weight: init.filled([d], 1.0),
            norm_bias: init.zeros([d]),
            dropout,
        }
    }

    /// Embeddings and residuals.
    pub fn forward(
        &self,
        global: Tensor<2>,
        x: &Tensor<3>,
        mask: Option<&Tensor<2>>,
        mode: &mut Mode<'_>,
    ) -> (Tensor<3>, Tensor<3>) {
        let seen = self.fc.forward_items(self.attention.forward(x, mask));
        let residuals = mode.dropout(sigmoid(seen), self.dropout);
        let sum = global.unsqueeze_dim::<3>(1) + residuals.clone();
        let embeddings = layer_norm_rows(sum, self.norm_weight.val(), self.norm_bias.val());
        (embeddings, residuals)
    }
}
