//! The two layers of the update, and what of them does not depend on a pair.

use super::backward::Sums;
use super::work::transpose;
use super::{ImramSettings, Pass, Sides};
use crate::Array;
use crate::product::{Threads, View};

/// Both layers, stacked: rows `0..d` are the output's, rows `d..2d` the gate's.
#[derive(Debug)]
pub(super) struct Gates {
    /// Over the query, `W₁ [2d, d]`.
    pub(super) query: Vec<f32>,
    /// `W₁ᵀ [d, 2d]`, which later steps multiply by for every pair.
    pub(super) query_transposed: Vec<f32>,
    /// Over the context, `W₂ [2d, d]`.
    pub(super) context: Vec<f32>,
    /// `[2d]`
    pub(super) bias: Vec<f32>,
}

impl Gates {
    /// From the output's weight `[d, 2d]` and bias `[d]` and the gate's.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(super) fn new(layers: &[Array<'_>]) -> Self {
        let d = layers[1].values.len();
        let (mut query, mut context) = (Vec::new(), Vec::new());
        for weight in [layers[0], layers[2]] {
            assert_eq!(weight.shape, [d, 2 * d], "a layer over query and context");
            for row in weight.values.chunks_exact(2 * d) {
                query.extend_from_slice(&row[..d]);
                context.extend_from_slice(&row[d..]);
            }
        }
        let mut query_transposed = vec![0.0; query.len()];
        transpose(&query, d, &mut query_transposed);
        Self {
            query,
            query_transposed,
            context,
            bias: [layers[1].values, layers[3].values].concat(),
        }
    }
}

/// Both layers over all queries of step 1 and over all contexts; empty when there is no update.
#[derive(Debug)]
pub(super) struct Projected {
    /// `W₁ q` and the biases, `[queries, 2d]`
    pub(super) queries: Vec<f32>,
    /// `W₂ c`, `[contexts, 2d]`
    pub(super) contexts: Vec<f32>,
}

impl Projected {
    pub(super) fn new(sides: &Sides<'_>, gates: &Gates, settings: &ImramSettings) -> Self {
        if settings.steps == 1 {
            return Self {
                queries: Vec::new(),
                contexts: Vec::new(),
            };
        }
        let d = sides.width();
        let through = |vectors: &[f32], weight: &[f32], mut out: Vec<f32>| {
            let (vectors, weight) = (View::rows(vectors, d), View::rows(weight, d).t());
            let (precision, all) = (settings.precision, Threads::All);
            vectors
                .times(weight)
                .with(precision)
                .on(all)
                .add(&mut out, 2 * d);
            out
        };
        let biases = gates.bias.repeat(sides.queries.total());
        let zeros = vec![0.0; sides.contexts.values().len() * 2];
        Self {
            queries: through(sides.queries.values(), &gates.query, biases),
            contexts: through(sides.contexts.values(), &gates.context, zeros),
        }
    }

    /// Adds the gradients that go through these projections, and returns those of the layers in the
    /// order of the operation's inputs.
    pub(super) fn backward(
        &self,
        pass: &Pass<'_>,
        by_contexts_projected: &[f32],
        by_contexts: &mut [f32],
        sums: &mut Sums,
    ) -> [Vec<f32>; 4] {
        let (d, sides) = (pass.sides.width(), pass.sides);
        let mut by_context_weight = vec![0.0; pass.gates.context.len()];
        if pass.settings.steps > 1 {
            let product = |left: View<'_>, right: View<'_>, out: &mut [f32]| {
                let (precision, all) = (pass.settings.precision, Threads::All);
                left.times(right).with(precision).on(all).add(out, d);
            };
            let by_projected = View::rows(by_contexts_projected, 2 * d);
            let contexts = View::rows(sides.contexts.values(), d);
            product(
                by_projected,
                View::rows(&pass.gates.context, d),
                by_contexts,
            );
            product(by_projected.t(), contexts, &mut by_context_weight);
            for row in sums.projected.chunks_exact(2 * d) {
                (sums.bias.iter_mut().zip(row)).for_each(|(sum, x)| *sum += x);
            }
            let by_projected = View::rows(&sums.projected, 2 * d);
            let queries = View::rows(sides.queries.values(), d);
            product(
                by_projected,
                View::rows(&pass.gates.query, d),
                &mut sums.queries,
            );
            product(by_projected.t(), queries, &mut sums.query_weight);
        }
        let weight = |half: usize| -> Vec<f32> {
            let rows = half * d * d..(half + 1) * d * d;
            let query = sums.query_weight[rows.clone()].chunks_exact(d);
            let both = query.zip(by_context_weight[rows].chunks_exact(d));
            both.flat_map(|(query, context)| [query, context].concat())
                .collect()
        };
        let bias = |half: usize| sums.bias[half * d..(half + 1) * d].to_vec();
        [weight(0), bias(0), weight(1), bias(1)]
    }
}
