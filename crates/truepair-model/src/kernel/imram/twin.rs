//! [`imram`](super::imram()) in plain tensor operations.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::{ImramSettings, Layer};
use crate::kernel::scan::{attention_weights, pooled};
use crate::kernel::{Pool, Pooling};

/// See [`imram`](super::imram()).
pub(super) fn imram(
    contexts: (Tensor<3>, Tensor<2>),
    queries: (Tensor<3>, Tensor<2>),
    output: Layer,
    gate: Layer,
    settings: ImramSettings,
) -> Tensor<2> {
    let ([n, m, d], [k, l, _]) = (contexts.0.dims(), queries.0.dims());
    let context_mask = contexts.1.reshape([n, 1, m, 1]);
    let query_mask = queries.1.reshape([1, k, 1, l]);
    let c = contexts.0.reshape([n, 1, m, d]) * context_mask.clone();
    let c = c.expand([n, k, m, d]);
    let kept = query_mask.clone().reshape([1, k, l, 1]);
    let first = (queries.0.reshape([1, k, l, d]) * kept.clone()).expand([n, k, l, d]);
    let mut q = first.clone();
    let mut scores: Tensor<2> = Tensor::zeros([n, k], &c.device());
    for step in 1..=settings.steps {
        let raw = c.clone().matmul(q.clone().swap_dims(2, 3));
        let weights = attention_weights(raw, &context_mask, &query_mask, settings.attention);
        let attended = weights.swap_dims(2, 3).matmul(c.clone());
        let relevances = cosine(first.clone(), attended.clone()).reshape([n, k, l]);
        let mask = query_mask.clone().reshape([1, k, l]);
        scores = scores + pooled(relevances, mask, MEAN);
        if step < settings.steps {
            let both = Tensor::cat(vec![q.clone(), attended], 3).reshape([n * k * l, 2 * d]);
            let layer = |(weight, bias): Layer| {
                let sum = both.clone().matmul(weight.transpose()) + bias.unsqueeze();
                sum.reshape([n, k, l, d])
            };
            let (o, g) = (tanh(layer(output.clone())), sigmoid(layer(gate.clone())));
            q = (o.clone() + g * (q - o)) * kept.clone();
            if settings.normalize {
                q = q.clone() / (length(q) + 1e-8);
            }
        }
    }
    scores * context_mask.reshape([n, m]).max_dim(1)
}

const MEAN: Pool = Pool {
    pooling: Pooling::Mean,
    lambda: 1.0,
};

fn length(x: Tensor<4>) -> Tensor<4> {
    x.square().sum_dim(3).clamp_min(1e-30).sqrt()
}

fn cosine(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let product = (length(a.clone()) * length(b.clone())).clamp_min(1e-8);
    (a * b).sum_dim(3) / product
}
