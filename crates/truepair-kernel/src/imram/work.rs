//! One item of contexts against one block of queries, K steps forward.

use std::ops::Range;

use super::Pass;
use super::step::Step;
use crate::attention::{Numerators, Room};
use crate::product::{View, Write};
use crate::segment::padded;
use crate::sides::Place;
use crate::vector::wide;
use crate::{Pool, Pooling};

/// Relevances of one step are averaged.
pub(super) const MEAN: Pool = Pool {
    pooling: Pooling::Mean,
    lambda: 1.0,
};

/// Memory for one tile at a time.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) room: Room,
    stride: usize,
    /// The item's contexts `[d, m]`.
    contexts: Vec<f32>,
    /// Going backward, their projections `[2d, m]`.
    pub(super) projected: Vec<f32>,
    /// Products of queries and contexts, `[b, m]`.
    pub(super) turned: Vec<f32>,
    /// Scores of one step, or room for one number per query.
    pub(super) row: Vec<f32>,
    /// Gradient by the raw inner products of a step, `[m, stride]`.
    pub(super) by_raw: Vec<f32>,
    /// Gradient by those of step 1, from all steps.
    pub(super) by_first: Vec<f32>,
    /// Gradient by the weights of a step.
    pub(super) by_weights: Vec<f32>,
    /// Gradient by the queries of a step, `[b, d]`.
    pub(super) by_queries: Vec<f32>,
    /// `Σ_q 2 κ_q e eᵀ`, `[m, m]`.
    pub(super) by_gram: Vec<f32>,
}

impl<'a> Pass<'a> {
    /// The queries of a step, `[b, d]`, given the steps before it.
    pub(super) fn queries<'v>(&self, before: &'v [Step], place: Place<'_>) -> &'v [f32]
    where
        'a: 'v,
    {
        let d = self.sides.width();
        match before.last() {
            None => &self.sides.queries.values()[place.rows(d)],
            Some(step) => &step.next[..place.tile.columns() * d],
        }
    }

    /// The contexts of the place, `[m, d]`.
    pub(super) fn contexts(&self, place: Place<'_>) -> View<'_> {
        let own = self.sides.contexts.items(place.item..place.item + 1);
        View::rows(own, self.sides.width())
    }

    /// Their projections, `[m, 2d]`.
    pub(super) fn projected_contexts(&self, place: Place<'_>) -> View<'_> {
        let width = 2 * self.sides.width();
        let own = self.sides.contexts.range(place.item);
        let values = &self.projected.contexts[own.start * width..own.end * width];
        View::rows(values, width)
    }

    /// Inner products of the place's queries `[b, k]` with its contexts, laid out as `[k, m]`, into
    /// rows of contexts; `turned` is room for `[b, m]`. Tall times narrow is what multiplies fast.
    pub(super) fn inner_products(
        &self,
        place: Place<'_>,
        contexts: &[f32],
        queries: View<'_>,
        turned: &mut [f32],
        out: &mut [f32],
    ) {
        let (m, n, stride) = (place.tile.contexts, place.tile.columns(), place.tile.stride);
        let contexts = View::rows(contexts, m);
        self.product(queries, contexts, turned, m, Write::Replace);
        for (context, out) in out.chunks_exact_mut(stride).take(m).enumerate() {
            let column = turned[context..].iter().step_by(m);
            (out[..n].iter_mut().zip(column)).for_each(|(out, x)| *out = *x);
        }
    }

    /// `out = left · right` or `out += left · right` on the calling thread.
    pub(super) fn product(
        &self,
        left: View<'_>,
        right: View<'_>,
        out: &mut [f32],
        stride: usize,
        write: Write,
    ) {
        let precision = self.settings.precision;
        left.times(right).with(precision).put(write, out, stride);
    }
}

impl<'a> Work<'a> {
    /// Memory for the largest of `items`.
    pub(super) fn new(pass: &'a Pass<'a>, items: &Range<usize>) -> Self {
        let sides = pass.sides;
        let (m, d) = (sides.most_contexts(items), sides.width());
        let (b, n_items) = (sides.widest_block(), sides.longest_block());
        let (stride, last) = (padded(b), pass.settings.steps - 1);
        let step = |step| Step::new(m, stride, n_items, if step < last { b } else { 0 }, d);
        let rows = || vec![0.0; m * stride];
        Self {
            pass,
            steps: (0..=last).map(step).collect(),
            room: Room::new(stride, n_items),
            stride,
            contexts: vec![0.0; m * d],
            projected: vec![0.0; m * 2 * d],
            turned: vec![0.0; b * m],
            row: vec![0.0; stride],
            by_raw: rows(),
            by_first: rows(),
            by_weights: rows(),
            by_queries: vec![0.0; b * d],
            by_gram: vec![0.0; m * m],
        }
    }

    /// Scores of `item` against every item of queries.
    pub(super) fn scores(&mut self, item: usize, out: &mut [f32]) {
        out.fill(0.0);
        self.begin(item);
        for block in self.blocks(item) {
            let place = self.place(item, block);
            self.run(place);
            let out = &mut out[block.clone()];
            for step in &mut self.steps {
                let row = &mut self.row[..block.len()];
                wide(
                    #[inline(always)]
                    || step.columns.scores(place.tile, MEAN, row),
                );
                out.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
            }
        }
    }

    /// Lays out the contexts of `item`.
    pub(super) fn begin(&mut self, item: usize) {
        let sides = self.pass.sides;
        let own = sides.contexts.items(item..item + 1);
        transpose(own, sides.width(), &mut self.contexts);
    }

    /// The blocks of queries; none for an item without contexts.
    pub(super) fn blocks(&self, item: usize) -> &'a [Range<usize>] {
        if self.pass.sides.contexts.range(item).is_empty() {
            &[]
        } else {
            self.pass.sides.blocks()
        }
    }

    pub(super) fn place(&self, item: usize, block: &Range<usize>) -> Place<'a> {
        self.pass.sides.place(item, block, self.stride, self.stride)
    }

    /// All steps of a tile.
    pub(super) fn run(&mut self, place: Place<'_>) {
        for step in 0..self.steps.len() {
            self.attend(step, place);
            if step + 1 < self.steps.len() {
                self.update(step, place);
            }
        }
    }

    /// Inner products, numerators and cosines of a step.
    fn attend(&mut self, step: usize, place: Place<'_>) {
        let (pass, tile) = (self.pass, place.tile);
        let (before, rest) = self.steps.split_at_mut(step);
        let now = &mut rest[0];
        let queries = View::rows(pass.queries(before, place), pass.sides.width());
        let numbers = tile.contexts * pass.sides.width();
        let (contexts, turned) = (&self.contexts[..numbers], &mut self.turned);
        pass.inner_products(place, contexts, queries, turned, &mut now.raw);
        let first = before.first().map_or(&now.raw, |step| &step.raw);
        let (attention, columns, e) = (
            pass.settings.attention,
            &mut now.columns,
            &mut now.numerators,
        );
        let room = &mut self.room;
        wide(
            #[inline(always)]
            || {
                let target = Numerators {
                    norms: &mut now.norms,
                    out: e,
                    sums: &mut columns.sums,
                };
                attention.numerators(tile, &now.raw, target, room);
                columns.dots(tile, e, first);
            },
        );
        let gram = View::rows(pass.constants.gram(place.item), tile.contexts);
        let out = &mut now.lifted;
        gram.times(place.view(e)).write(out, tile.stride);
        let lengths = &pass.constants.lengths()[place.queries()];
        wide(
            #[inline(always)]
            || columns.cosines(tile, e, out, lengths),
        );
    }

    /// The next step's queries.
    fn update(&mut self, step: usize, place: Place<'_>) {
        let (pass, tile) = (self.pass, place.tile);
        let d = pass.sides.width();
        let (before, rest) = self.steps.split_at_mut(step);
        let now = &mut rest[0];
        let queries = pass.queries(before, place);
        wide(
            #[inline(always)]
            || now.divide(tile),
        );
        let gates = &mut now.gates[..tile.columns() * 2 * d];
        let (projected, weights) = (pass.projected_contexts(place), place.view(&now.weights));
        pass.product(weights.t(), projected, gates, 2 * d, Write::Replace);
        let mut added = &pass.projected.queries[..];
        if step == 0 {
            added = &added[place.rows(2 * d)];
        } else {
            let weight = View::rows(&pass.gates.query_transposed, 2 * d);
            pass.product(View::rows(queries, d), weight, gates, 2 * d, Write::Add);
            added = &pass.gates.bias;
        }
        let normalize = pass.settings.normalize;
        wide(
            #[inline(always)]
            || now.advance(added, queries, d, normalize),
        );
    }
}

/// Rows of width `width` as columns.
pub(super) fn transpose(rows: &[f32], width: usize, out: &mut [f32]) {
    let n = rows.len() / width;
    for (at, row) in rows.chunks_exact(width).enumerate() {
        let column = out[at..].iter_mut().step_by(n);
        column.zip(row).for_each(|(out, x)| *out = *x);
    }
}
