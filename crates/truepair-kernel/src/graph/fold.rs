//! The weights of one step in the form that the products use, and the gradients back.

use super::affine::{Affine, AffineGradient, transposed};
use crate::product::{Precision, View};
use crate::vector::dot;

/// A step's weights as checkpoints hold them: `[s, s]` from columns to rows, biases `[s]`. The key
/// bias is missing, because it adds the same to a whole row of a softmax.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) query: &'a [f32],
    pub(super) query_bias: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) reason: &'a [f32],
    pub(super) reason_bias: &'a [f32],
}

/// Query and key weights only meet in `(X Wqᵀ + bq)(X Wkᵀ + bk)ᵀ`, of which a softmax over rows
/// ignores what is constant along a row. What counts is `(X M + 1 kᵀ) Xᵀ` with `M = Wqᵀ Wk` and
/// `k = Wkᵀ bq`, that is one product with a weight instead of two.
#[derive(Debug)]
pub(super) struct Folded {
    /// `X M + 1 kᵀ`
    pub(super) pairing: Affine,
    /// `X Wgᵀ + 1 bgᵀ`
    pub(super) reason: Affine,
    pub(super) precision: Precision,
}

/// Gradients by a step's folded weights.
#[derive(Debug)]
pub(super) struct FoldedGradient {
    pub(super) pairing: AffineGradient,
    pub(super) reason: AffineGradient,
}

/// Gradients by a step's weights; the one by the key bias is 0.
#[derive(Debug)]
pub(super) struct GivenGradient {
    pub(super) query: Vec<f32>,
    pub(super) query_bias: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) reason: Vec<f32>,
    pub(super) reason_bias: Vec<f32>,
}

impl Folded {
    pub(super) fn new(given: Given<'_>, precision: Precision) -> Self {
        let s = given.query_bias.len();
        let (mut pairing, mut offset) = (vec![0.0; s * s], vec![0.0; s]);
        let key = View::rows(given.key, s);
        let query = View::rows(given.query, s).t();
        product(precision, query, key, &mut pairing, s);
        let bias = View::rows(given.query_bias, s);
        product(Precision::F32, bias, key, &mut offset, s);
        let reason = transposed(given.reason, s);
        Self {
            pairing: Affine::new(pairing, offset, precision),
            reason: Affine::new(reason, given.reason_bias.to_vec(), precision),
            precision,
        }
    }

    /// Width of a node.
    pub(super) fn width(&self) -> usize {
        self.reason.width()
    }
}

impl FoldedGradient {
    pub(super) fn zeros(s: usize) -> Self {
        Self {
            pairing: AffineGradient::zeros(s),
            reason: AffineGradient::zeros(s),
        }
    }

    /// Adds what other pairs contributed.
    pub(super) fn merge(&mut self, other: &Self) {
        self.pairing.merge(&other.pairing);
        self.reason.merge(&other.reason);
    }

    /// The gradients by the given weights:
    ///
    /// ```text
    /// dWq = Wk dMᵀ     dbq = Wk dk     dWk = Wq dM + bq dkᵀ
    /// ```
    pub(super) fn unfold(&self, given: Given<'_>, precision: Precision) -> GivenGradient {
        let AffineGradient { weight, bias } = &self.pairing;
        let s = bias.len();
        let pairing = View::rows(weight, s);
        let (wq, wk) = (View::rows(given.query, s), View::rows(given.key, s));
        let mut query = vec![0.0; s * s];
        product(precision, wk, pairing.t(), &mut query, s);
        let scales = given.query_bias.iter().copied();
        let mut key: Vec<f32> = scales
            .flat_map(|scale| bias.iter().map(move |k| scale * k))
            .collect();
        product(precision, wq, pairing, &mut key, s);
        let rows = given.key.chunks_exact(s);
        GivenGradient {
            query,
            query_bias: rows.map(|row| dot(row, bias)).collect(),
            key,
            reason: transposed(&self.reason.weight, s),
            reason_bias: self.reason.bias.clone(),
        }
    }
}

fn product(precision: Precision, left: View<'_>, right: View<'_>, out: &mut [f32], s: usize) {
    left.times(right).with(precision).add(out, s);
}
