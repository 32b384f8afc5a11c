//! IMRAM's scores of every image against every caption as one operation.
//!
//! From the second step on, every pair has its own queries, but a layer over pairs costs less than it
//! seems to. With `W [q; c] = W₁ q + W₂ c` and `c = Σ_c a_c v_c`,
//!
//! ```text
//! W₂ c = Σ_c a_c (W₂ v_c)      W₂ v_c once per item of contexts, W₁ q once per query in step 1
//! ```
//!
//! so only `W₁ q` of later steps is a product of the full size for every pair. Relevances need no
//! context at all, see [`Scan`](super::Scan). A tile is one item of contexts against a block of
//! queries; the backward pass runs its steps again, so that nothing is stored for every pair.

mod backward;
mod gates;
mod step;
mod work;

use rayon::prelude::*;

use super::packed::Packed;
use super::sides::{Constants, Sides, add_pull, chunks, split};
use super::{Array, Attention, Gradients, Operation, Output};
use crate::product::Precision;
use gates::{Gates, Projected};
use work::Work;

/// Queries processed at a time: products are tall enough, and what a tile needs stays close to a core.
const BLOCK: usize = 256;

/// `Σ_k mean over queries of cos(q⁰, c^k)` over K steps, for every item of contexts and every item
/// of queries, where
///
/// ```text
/// c^k = Σ_c w_c c with the weights of q^(k-1)       o = tanh(output [q; c])       g = σ(gate [q; c])
/// q^k = g q^(k-1) + (1 − g) o, scaled to length 1 if that is set
/// ```
/// The last update is left out. The cosine divides by at least 1e-8. An item without any vector
/// scores 0 and has no gradient.
///
/// # Shapes
/// - inputs: contexts `[n, m, d]`, their mask `[n, m]`, queries `[k, l, d]`, their mask `[k, l]`, then
///   weight `[d, 2 d]` and bias `[d]` of the output layer and of the gate
/// - output: `[n, k]`
#[derive(Debug, Clone, Copy)]
pub struct Imram(pub ImramSettings);

/// What [`Imram`] computes.
#[derive(Debug, Clone, Copy)]
pub struct ImramSettings {
    /// Attention of the queries over the contexts.
    pub attention: Attention,
    /// Steps K of recurrent attention, at least 1.
    pub steps: usize,
    /// Whether queries are scaled to length 1 after every update.
    pub normalize: bool,
    /// Precision of the products.
    pub precision: Precision,
}

/// What the backward pass takes over from the forward pass: everything that does not belong to a single pair.
#[derive(Debug)]
pub struct ImramSaved {
    constants: Constants,
    gates: Gates,
    projected: Projected,
}

/// What tiles read.
#[derive(Debug)]
struct Pass<'a> {
    sides: &'a Sides<'a>,
    constants: &'a Constants,
    gates: &'a Gates,
    projected: &'a Projected,
    settings: &'a ImramSettings,
}

impl Imram {
    fn pass<'a>(&'a self, sides: &'a Sides<'a>, saved: &'a ImramSaved) -> Pass<'a> {
        Pass {
            sides,
            constants: &saved.constants,
            gates: &saved.gates,
            projected: &saved.projected,
            settings: &self.0,
        }
    }
}

impl Operation for Imram {
    type Saved = ImramSaved;

    fn forward(&self, inputs: &[Array<'_>]) -> (Output, ImramSaved) {
        let sides = Sides::new(inputs, BLOCK);
        let gates = Gates::new(&inputs[4..8]);
        let saved = ImramSaved {
            constants: Constants::new(&sides),
            projected: Projected::new(&sides, &gates, &self.0),
            gates,
        };
        let pass = self.pass(&sides, &saved);
        let (n, k) = (sides.contexts.len(), sides.queries.len());
        let mut scores = vec![0.0; n * k];
        let chunks = chunks(&(0..n));
        let parts = split(&mut scores, &chunks, |items| items.len() * k);
        chunks.into_par_iter().zip(parts).for_each(|(items, out)| {
            let mut work = Work::new(&pass, &items);
            let first = items.start;
            for item in items {
                work.scores(item, &mut out[(item - first) * k..][..k]);
            }
        });
        (Output::new(scores, [n, k]), saved)
    }

    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &ImramSaved,
        gradient: &[f32],
        gradients: &mut Gradients,
    ) {
        let sides = Sides::new(inputs, BLOCK);
        let pass = self.pass(&sides, saved);
        let mut by_contexts = vec![0.0; sides.contexts.values().len()];
        let mut by_projected = vec![0.0; saved.projected.contexts.len()];
        let mut sums = pass.through_pairs(gradient, &mut by_contexts, &mut by_projected);
        let layers = (saved.projected).backward(&pass, &by_projected, &mut by_contexts, &mut sums);
        add_pull(&sums.pull, &sides.queries, &mut sums.queries);
        let items = [
            (&sides.contexts, by_contexts),
            (&sides.queries, sums.queries),
        ];
        for (index, (ragged, values)) in [0, 2].into_iter().zip(items) {
            let mut packed = Packed::new(ragged, gradients.take(index));
            if let Some(out) = packed.values() {
                out.copy_from_slice(&values);
            }
            gradients.put(index, packed.into_padded());
        }
        for (index, values) in (4..).zip(layers) {
            if let Some(out) = gradients.get(index) {
                out.copy_from_slice(&values);
            }
        }
    }
}
