//! SCAN's scores of every image against every caption as one operation.
//!
//! The context of a query is a weighted sum of vectors, and only its cosine with the query is
//! wanted. With `raw = C Qᵀ` and the Gram matrix `G = C Cᵀ` of an item's contexts,
//!
//! ```text
//! q · Σ_c w_c c = Σ_c w_c raw_cq          |Σ_c w_c c|² = wᵀ G w
//! ```
//!
//! so no context is ever built. The cosine does not change when the weights are scaled, so the
//! softmax over contexts needs no division either: its numerators are used as they are.

mod bands;
mod item;
#[cfg(test)]
mod tests;
mod twin;

use std::ops::Range;

use burn::tensor::Tensor;

use super::packed::Packed;
use super::sides::{Constants, Sides, add_pull};
use super::{Array, Attention, Gradients, Operation, Pool, apply, is_fused};
use bands::{Band, Targets, bands, memory};
use truepair_core::product::Precision;
pub(crate) use twin::{attention_weights, pooled};

/// Raw inner products held at a time, 128 MiB: a batch of 256 images of 36 regions against 256
/// captions of 14 words. More of them are worked in bands of contexts, and going backward again.
const BAND: usize = 1 << 25;

/// Queries worked at a time: the three arrays that one item of 36 contexts needs fill half of a
/// cache of 2 MiB.
const BLOCK: usize = 2048;

/// What [`scan`] computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) attention: Attention,
    pub(crate) pool: Pool,
    pub(crate) precision: Precision,
}

/// `pool over q of cos(q, Σ_c w_cq c)` with the weights of [`Attention`], for every item of contexts
/// and every item of queries. The cosine divides by at least 1e-8. An item without any vector
/// scores 0 and has no gradient.
///
/// # Shapes
/// - `contexts`: `[n, m, d]` with a mask `[n, m]`, `queries`: `[k, l, d]` with a mask `[k, l]`;
///   returns `[n, k]`
pub(crate) fn scan(
    contexts: (Tensor<3>, Tensor<2>),
    queries: (Tensor<3>, Tensor<2>),
    settings: Settings,
) -> Tensor<2> {
    if !is_fused(&contexts.0.device()) {
        return twin::scan(contexts, queries, settings);
    }
    let operation = Scan {
        settings,
        band: BAND,
    };
    apply(
        operation,
        [
            contexts.0.into(),
            contexts.1.into(),
            queries.0.into(),
            queries.1.into(),
        ],
    )
}

#[derive(Debug)]
struct Scan {
    settings: Settings,
    band: usize,
}

/// What the backward pass takes over from the forward pass.
struct Saved {
    constants: Constants,
    /// Raw inner products of all pairs when one band holds them.
    raw: Option<Vec<f32>>,
}

impl Operation for Scan {
    type Saved = Saved;

    fn forward(&self, inputs: &[Array<'_>], tracked: bool) -> (Vec<f32>, Vec<usize>, Saved) {
        let sides = Sides::new(inputs, BLOCK);
        let constants = Constants::new(&sides);
        let shape = vec![sides.contexts.len(), sides.queries.len()];
        let mut scores = vec![0.0; shape[0] * shape[1]];
        let bands = bands(&sides, self.band);
        let mut raw = memory(&sides, &bands);
        for items in &bands {
            let band = self.at(&sides, &constants, items);
            band.scores(&mut raw[..band.numbers()], &mut scores);
        }
        let raw = (tracked && bands.len() == 1).then_some(raw);
        (scores, shape, Saved { constants, raw })
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let sides = Sides::new(inputs, BLOCK);
        let mut by_contexts = Packed::new(&sides.contexts, gradients.take(0));
        let mut by_queries = Packed::new(&sides.queries, gradients.take(2));
        let mut pull = vec![0.0; sides.queries.total()];
        let bands = bands(&sides, self.band);
        let mut by_raw = memory(&sides, &bands);
        let mut recomputed = match saved.raw {
            Some(_) => Vec::new(),
            None => memory(&sides, &bands),
        };
        for items in &bands {
            let band = self.at(&sides, &saved.constants, items);
            let by_raw = &mut by_raw[..band.numbers()];
            let raw = match &saved.raw {
                Some(raw) => raw,
                None => {
                    band.raw(&mut recomputed[..by_raw.len()]);
                    &recomputed
                }
            };
            let targets = Targets {
                raw: by_raw,
                contexts: by_contexts.values(),
                queries: by_queries.values(),
                pull: &mut pull,
            };
            band.backward(raw, gradient, targets);
        }
        if let Some(out) = by_queries.values() {
            add_pull(&pull, &sides.queries, out);
        }
        gradients.put(0, by_contexts.into_padded());
        gradients.put(2, by_queries.into_padded());
    }
}

impl Scan {
    fn at<'a>(
        &'a self,
        sides: &'a Sides<'a>,
        constants: &'a Constants,
        items: &Range<usize>,
    ) -> Band<'a> {
        Band {
            sides,
            constants,
            settings: &self.settings,
            items: items.clone(),
        }
    }
}
