//! The steps of a tile backward.

use std::ops::Range;

use rayon::prelude::*;

use super::Pass;
use super::step::Step;
use super::work::{MEAN, Work, transpose};
use crate::product::{View, Write};
use crate::sides::{Place, chunks, split};
use crate::vector::{add, wide};

/// Gradients that the items of a chunk add up.
#[derive(Debug)]
pub(super) struct Sums {
    /// By the original queries, `[queries, d]`.
    pub(super) queries: Vec<f32>,
    /// By their projections, `[queries, 2d]`.
    pub(super) projected: Vec<f32>,
    /// By `W₁` through later steps, `[2d, d]`.
    pub(super) query_weight: Vec<f32>,
    /// By the biases through later steps, `[2d]`.
    pub(super) bias: Vec<f32>,
    /// Of every query, the factor of its own direction in its gradient.
    pub(super) pull: Vec<f32>,
}

impl Sums {
    pub(super) fn new(pass: &Pass<'_>) -> Self {
        Self {
            queries: vec![0.0; pass.sides.queries.values().len()],
            projected: vec![0.0; pass.projected.queries.len()],
            query_weight: vec![0.0; pass.gates.query.len()],
            bias: vec![0.0; pass.gates.bias.len()],
            pull: vec![0.0; pass.sides.queries.total()],
        }
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        add(&mut self.queries, &other.queries);
        add(&mut self.projected, &other.projected);
        add(&mut self.query_weight, &other.query_weight);
        add(&mut self.bias, &other.bias);
        add(&mut self.pull, &other.pull);
        self
    }
}

/// Gradients by contexts, `[m, d]`, and by their projections, `[m, 2d]`.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) contexts: &'a mut [f32],
    pub(super) projected: &'a mut [f32],
}

impl Pass<'_> {
    /// Gradients of all pairs by the contexts, by their projections (both added to) and by all that
    /// the items share, from the gradient by the scores `[n, k]`.
    pub(super) fn through_pairs(
        &self,
        upstream: &[f32],
        by_contexts: &mut [f32],
        by_projected: &mut [f32],
    ) -> Sums {
        let sides = self.sides;
        let chunks = chunks(&(0..sides.contexts.len()));
        let widths = [
            sides.width(),
            by_projected.len() / sides.contexts.total().max(1),
        ];
        let contexts = split(by_contexts, &chunks, |items| sides.rows(items) * widths[0]);
        let projected = split(by_projected, &chunks, |items| sides.rows(items) * widths[1]);
        let jobs = chunks.into_par_iter().zip(contexts).zip(projected);
        let sums: Vec<Sums> = jobs
            .map(|((items, contexts), projected)| {
                let rows = Rows {
                    contexts,
                    projected,
                };
                self.through_chunk(items, upstream, rows, widths)
            })
            .collect();
        let all = sums.into_iter().reduce(Sums::plus);
        all.unwrap_or_else(|| Sums::new(self))
    }

    fn through_chunk(
        &self,
        items: Range<usize>,
        upstream: &[f32],
        rows: Rows<'_>,
        widths: [usize; 2],
    ) -> Sums {
        let n_queries = self.sides.queries.len();
        let (mut work, mut sums) = (Work::new(self, &items), Sums::new(self));
        for item in items.clone() {
            let row = self.sides.rows(&(items.start..item));
            let own = Rows {
                contexts: &mut rows.contexts[row * widths[0]..],
                projected: &mut rows.projected[row * widths[1]..],
            };
            work.backward(
                item,
                &upstream[item * n_queries..][..n_queries],
                own,
                &mut sums,
            );
        }
        sums
    }
}

impl Work<'_> {
    /// Adds the gradients that go through `item` from the gradient by its scores.
    pub(super) fn backward(
        &mut self,
        item: usize,
        upstream: &[f32],
        mut rows: Rows<'_>,
        sums: &mut Sums,
    ) {
        self.by_gram.fill(0.0);
        self.begin_backward(item);
        for block in self.blocks(item) {
            let place = self.place(item, block);
            self.run(place);
            self.by_first.fill(0.0);
            for step in (0..self.steps.len()).rev() {
                self.through_scores(step, place, &upstream[block.clone()], sums);
                if step + 1 < self.steps.len() {
                    self.through_update(step, place, &mut rows, sums);
                } else {
                    self.by_queries.fill(0.0);
                }
                self.through_attention(step, place, &mut rows, sums);
            }
        }
        (self.pass.sides).through_gram(item, &self.by_gram, rows.contexts);
    }

    /// Lays out the contexts of `item` and their projections.
    fn begin_backward(&mut self, item: usize) {
        self.begin(item);
        if self.steps.len() > 1 {
            let width = 2 * self.pass.sides.width();
            let own = self.pass.sides.contexts.range(item);
            let own = &self.pass.projected.contexts[own.start * width..own.end * width];
            transpose(own, width, &mut self.projected);
        }
    }

    /// From the step's scores to the gradient by `λ a` in `by_raw`, to the inner products of step 1
    /// and to the Gram matrix.
    fn through_scores(&mut self, step: usize, place: Place<'_>, upstream: &[f32], sums: &mut Sums) {
        let (tile, queries) = (place.tile, place.queries());
        let lengths = &self.pass.constants.lengths()[queries.clone()];
        let (before, rest) = self.steps.split_at_mut(step);
        let Step {
            raw,
            numerators: e,
            lifted,
            columns,
            ..
        } = &mut rest[0];
        let first = before.first().map_or(&*raw, |step| &step.raw);
        let (by_raw, by_first) = (&mut self.by_raw, &mut self.by_first);
        wide(
            #[inline(always)]
            || {
                columns.slopes(tile, MEAN, upstream, lengths, &mut sums.pull[queries]);
                columns.by_logits(tile, first, e, lifted, by_raw);
                columns.add_direct(tile, e, by_first);
            },
        );
        let (scaled, e) = (place.view(lifted), place.view(e).t());
        let (out, m) = (&mut self.by_gram, tile.contexts);
        scaled.times(e).add(out, m);
    }

    /// From the gradient by the next queries, in `by_queries`, to everything that the update reads;
    /// the part by the weights goes on to `λ a` in `by_raw`.
    fn through_update(
        &mut self,
        step: usize,
        place: Place<'_>,
        rows: &mut Rows<'_>,
        sums: &mut Sums,
    ) {
        let (pass, tile) = (self.pass, place.tile);
        let (d, n) = (pass.sides.width(), tile.columns());
        let (before, rest) = self.steps.split_at_mut(step);
        let (now, queries) = (&mut rest[0], pass.queries(before, place));
        let by_queries = &mut self.by_queries[..n * d];
        let normalize = pass.settings.normalize;
        wide(
            #[inline(always)]
            || now.retreat(queries, by_queries, d, normalize),
        );
        let by_gates = View::rows(&now.gates[..n * 2 * d], 2 * d);
        let weights = place.view(&now.weights);
        pass.product(weights, by_gates, rows.projected, 2 * d, Write::Add);
        let numbers = tile.contexts * 2 * d;
        let (projected, out) = (&self.projected[..numbers], &mut self.by_weights);
        pass.inner_products(place, projected, by_gates, &mut self.turned, out);
        let (along, by_raw) = (&mut self.row, &mut self.by_raw);
        wide(
            #[inline(always)]
            || now.through_weights(tile, out, along, by_raw),
        );
        if step == 0 {
            let (out, gates) = (&mut sums.projected[place.rows(2 * d)], &now.gates);
            return wide(
                #[inline(always)]
                || add(out, gates),
            );
        }
        let weight = View::rows(&pass.gates.query, d);
        pass.product(by_gates, weight, by_queries, d, Write::Add);
        let queries = View::rows(queries, d);
        pass.product(by_gates.t(), queries, &mut sums.query_weight, d, Write::Add);
        let rows = now.gates[..n * 2 * d].chunks_exact(2 * d);
        wide(
            #[inline(always)]
            || rows.for_each(|row| add(&mut sums.bias, row)),
        );
    }

    /// From `λ a` in `by_raw` to the step's queries, in `by_queries`, and to the contexts.
    fn through_attention(
        &mut self,
        step: usize,
        place: Place<'_>,
        rows: &mut Rows<'_>,
        sums: &mut Sums,
    ) {
        let (pass, tile) = (self.pass, place.tile);
        let (d, n) = (pass.sides.width(), tile.columns());
        let (before, rest) = self.steps.split_at_mut(step);
        let (now, queries) = (&rest[0], pass.queries(before, place));
        let (attention, room) = (pass.settings.attention, &mut self.room);
        let (by_raw, by_first) = (&mut self.by_raw, &self.by_first);
        wide(
            #[inline(always)]
            || {
                attention.numerators_backward(tile, &now.raw, &now.norms, by_raw, room);
                if step == 0 {
                    add(by_raw, by_first);
                }
            },
        );
        let (by_raw, queries) = (place.view(by_raw), View::rows(queries, d));
        pass.product(by_raw, queries, rows.contexts, d, Write::Add);
        let by_queries = &mut self.by_queries[..n * d];
        pass.product(by_raw.t(), pass.contexts(place), by_queries, d, Write::Add);
        if step == 0 {
            let out = &mut sums.queries[place.rows(d)];
            wide(
                #[inline(always)]
                || add(out, by_queries),
            );
        }
    }
}
