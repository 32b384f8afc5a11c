//! [`scan`](super::scan()) in plain tensor operations.

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, softmax};

use super::ScanSettings;
use crate::kernel::{Attention, Pool, Pooling, RawNorm};

const GUARD: f64 = 1e-8;
/// Subtracted where a mask excludes; finite, because gradients of infinite differences are not numbers.
const EXCLUDED: f64 = 1e9;

/// See [`scan`](super::scan()).
pub(super) fn scan(
    contexts: (Tensor<3>, Tensor<2>),
    queries: (Tensor<3>, Tensor<2>),
    settings: ScanSettings,
) -> Tensor<2> {
    let ([n, m, d], [k, l, _]) = (contexts.0.dims(), queries.0.dims());
    let context_mask = contexts.1.reshape([n, 1, m, 1]);
    let query_mask = queries.1.reshape([1, k, 1, l]);
    let c = contexts.0 * context_mask.clone().reshape([n, m, 1]);
    let q = queries.0 * query_mask.clone().reshape([k, l, 1]);
    let raw = (c.clone().reshape([n * m, d]))
        .matmul(q.clone().reshape([k * l, d]).transpose())
        .reshape([n, m, k, l])
        .swap_dims(1, 2);
    let weights = attention_weights(raw.clone(), &context_mask, &query_mask, settings.attention);
    let gram = c.clone().matmul(c.swap_dims(1, 2)).unsqueeze_dim::<4>(1);
    let along = (weights.clone() * raw).sum_dim(2);
    let square = (weights.clone() * gram.matmul(weights)).sum_dim(2);
    let length = q.square().sum_dim(2).clamp_min(1e-30).sqrt();
    let product = square.clamp_min(1e-30).sqrt() * length.reshape([1, k, 1, l]);
    let relevances = (along / product.clamp_min(GUARD)).reshape([n, k, l]);
    let scores = pooled(relevances, query_mask.reshape([1, k, l]), settings.pool);
    scores * context_mask.reshape([n, m]).max_dim(1)
}

/// Weights `[n, k, m, l]` of inner products laid out alike, with masks `[n, 1, m, 1]` of contexts
/// and `[1, k, 1, l]` of queries; 0 where there is no context.
pub(crate) fn attention_weights(
    raw: Tensor<4>,
    context_mask: &Tensor<4>,
    query_mask: &Tensor<4>,
    attention: Attention,
) -> Tensor<4> {
    let logits = normalized(raw, query_mask, attention.norm) * f64::from(attention.smooth);
    softmax(logits + excluded(context_mask), 2) * context_mask.clone()
}

fn excluded(mask: &Tensor<4>) -> Tensor<4> {
    (mask.clone() - 1.0) * EXCLUDED
}

/// `a`, normalized over the queries (axis 3).
fn normalized(raw: Tensor<4>, mask: &Tensor<4>, norm: RawNorm) -> Tensor<4> {
    let x = leaky_relu(raw, f64::from(norm.slope()));
    match norm {
        RawNorm::Clipped | RawNorm::Plain => x,
        RawNorm::ClippedL2 | RawNorm::L2 => {
            let length = x.clone().square().sum_dim(3).clamp_min(1e-30).sqrt();
            x / (length + GUARD)
        }
        RawNorm::ClippedL1 | RawNorm::L1 => x.clone() / (x.abs().sum_dim(3) + GUARD),
        RawNorm::Softmax => softmax(x + excluded(mask), 3),
    }
}

/// Scores `[n, k]` from relevances `[n, k, l]` and a mask `[1, k, l]`; 0 of no query.
pub(crate) fn pooled(relevances: Tensor<3>, mask: Tensor<3>, pool: Pool) -> Tensor<2> {
    let [n, k, _] = relevances.dims();
    let number = mask.clone().sum_dim(2);
    let some = number.clone().clamp_max(1.0);
    let masked = relevances.clone() * mask.clone();
    let scores = match pool.pooling {
        Pooling::LogSumExp => {
            let lambda = f64::from(pool.lambda);
            let total = ((relevances * lambda).exp() * mask).sum_dim(2);
            (total + (some.clone() - 1.0).neg()).log() / lambda
        }
        Pooling::Mean => masked.sum_dim(2) / number.clamp_min(1.0),
        Pooling::Sum => masked.sum_dim(2),
        Pooling::Max => (relevances + (mask - 1.0) * EXCLUDED).max_dim(2),
    };
    (scores * some).reshape([n, k])
}
