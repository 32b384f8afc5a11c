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

use std::ops::Range;

use super::packed::Packed;
use super::sides::{Constants, Sides, add_pull};
use super::{Array, Attention, Gradients, Operation, Output, Pool};
use crate::product::Precision;
use bands::{Band, Targets, bands, memory};
use item::Pass;

/// Raw inner products held at a time, 128 MiB: a batch of 256 images of 36 regions against 256 captions
/// of 14 words. More than that is processed in bands of contexts, and once more in the backward pass.
const BAND: usize = 1 << 25;

/// Queries processed at a time: the three arrays that one item of 36 contexts needs fill half of a
/// cache of 2 MiB.
const BLOCK: usize = 2048;

/// `pool over q of cos(q, Σ_c w_cq c)` with the weights of [`Attention`], for every item of contexts
/// and every item of queries. The cosine divides by at least 1e-8. An item without any vector
/// scores 0 and has no gradient.
///
/// # Shapes
/// - inputs: contexts `[n, m, d]`, their mask `[n, m]`, queries `[k, l, d]`, their mask `[k, l]`
/// - output: `[n, k]`
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    settings: ScanSettings,
    band: usize,
}

/// What [`Scan`] computes.
#[derive(Debug, Clone, Copy)]
pub struct ScanSettings {
    /// Attention of the queries over the contexts.
    pub attention: Attention,
    /// How the queries' cosines become the score.
    pub pool: Pool,
    /// Precision of the products.
    pub precision: Precision,
}

/// What the backward pass takes over from the forward pass.
#[derive(Debug)]
pub struct ScanSaved {
    constants: Constants,
    /// Raw inner products of all pairs when one band holds them.
    raw: Option<Vec<f32>>,
}

impl Operation for Scan {
    type Saved = ScanSaved;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ScanSaved) {
        let sides = Sides::new(inputs, BLOCK);
        let constants = Constants::new(&sides);
        let (scores, raw) = self.scores(&sides, &constants);
        (scores, ScanSaved { constants, raw })
    }

    fn output(&self, inputs: &[Array<'_>]) -> Output {
        let sides = Sides::new(inputs, BLOCK);
        self.scores(&sides, &Constants::new(&sides)).0
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &ScanSaved,
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
    /// With memory for raw inner products that fits a batch of common size.
    pub fn new(settings: ScanSettings) -> Self {
        Self {
            settings,
            band: BAND,
        }
    }

    /// The same with at most `numbers` raw inner products at a time, or as many as one item of
    /// contexts has.
    pub fn with_band(self, numbers: usize) -> Self {
        Self {
            band: numbers,
            ..self
        }
    }

    /// The scores, and the raw inner products of all pairs when one band holds them.
    fn scores(&self, sides: &Sides<'_>, constants: &Constants) -> (Output, Option<Vec<f32>>) {
        let shape = [sides.contexts.len(), sides.queries.len()];
        let mut scores = vec![0.0; shape[0] * shape[1]];
        let bands = bands(sides, self.band);
        let mut raw = memory(sides, &bands);
        for items in &bands {
            let band = self.at(sides, constants, items);
            band.scores(&mut raw[..band.numbers()], &mut scores);
        }
        (
            Output::new(scores, shape),
            (bands.len() == 1).then_some(raw),
        )
    }

    fn at<'a>(
        &'a self,
        sides: &'a Sides<'a>,
        constants: &'a Constants,
        items: &Range<usize>,
    ) -> Band<'a> {
        let pass = Pass {
            sides,
            constants,
            settings: &self.settings,
        };
        Band {
            pass,
            items: items.clone(),
        }
    }
}
