//! One item of contexts against all items of queries.

use std::ops::Range;

use super::ScanSettings;
use crate::attention::{Numerators, Room};
use crate::columns::Columns;
use crate::product::View;
use crate::segment::padded;
use crate::sides::{Constants, Place, Sides};
use crate::vector::wide;

/// What is the same for all items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) sides: &'a Sides<'a>,
    pub(super) constants: &'a Constants,
    pub(super) settings: &'a ScanSettings,
}

/// Rows of raw inner products start this far apart.
pub(super) fn stride(sides: &Sides<'_>) -> usize {
    padded(sides.queries.total())
}

/// Memory for one item and one block of queries at a time. Rows are contexts, columns are queries.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pass: Pass<'a>,
    /// Numerators `e` of the attention weights, `[m, stride]`.
    numerators: Vec<f32>,
    /// `G e`, `[m, stride]`; going backward also `2 κ e`.
    lifted: Vec<f32>,
    /// What normalized raw values, `[m, items]`.
    norms: Vec<f32>,
    columns: Columns,
    room: Room,
    stride: usize,
    /// `Σ_q 2 κ_q e eᵀ`, `[m, m]`.
    by_gram: Vec<f32>,
    /// Of every query over all items, the factor of its own direction in its gradient.
    pull: Vec<f32>,
}

impl<'a> Work<'a> {
    /// Memory for the largest of `items`.
    pub(super) fn new(pass: Pass<'a>, items: &Range<usize>) -> Self {
        let sides = pass.sides;
        let (m, stride) = (sides.most_contexts(items), padded(sides.widest_block()));
        let n_items = sides.longest_block();
        Self {
            pass,
            numerators: vec![0.0; m * stride],
            lifted: vec![0.0; m * stride],
            norms: vec![0.0; m * n_items],
            columns: Columns::new(stride, n_items),
            room: Room::new(stride, n_items),
            stride,
            by_gram: vec![0.0; m * m],
            pull: vec![0.0; sides.queries.total()],
        }
    }

    /// The sums over all items that went through the backward pass.
    pub(super) fn into_pull(self) -> Vec<f32> {
        self.pull
    }

    /// Scores of `item` against every item of queries, from its raw inner products.
    pub(super) fn scores(&mut self, item: usize, raw: &[f32], out: &mut [f32]) {
        let pool = self.pass.settings.pool;
        for block in self.pass.sides.blocks() {
            let place = self.place(item, block);
            let out = &mut out[block.clone()];
            if place.tile.contexts == 0 {
                out.fill(0.0);
                continue;
            }
            self.attend(place, &raw[place.first..]);
            let columns = &mut self.columns;
            wide(
                #[inline(always)]
                || columns.scores(place.tile, pool, out),
            );
        }
    }

    /// Overwrites the gradient by the raw inner products and adds to the one by the contexts.
    pub(super) fn backward(
        &mut self,
        item: usize,
        raw: &[f32],
        upstream: &[f32],
        by_raw: &mut [f32],
        by_contexts: Option<&mut [f32]>,
    ) {
        if self.pass.sides.contexts.range(item).is_empty() {
            return;
        }
        self.by_gram.fill(0.0);
        for block in self.pass.sides.blocks() {
            let place = self.place(item, block);
            let (raw, by_raw) = (&raw[place.first..], &mut by_raw[place.first..]);
            self.attend(place, raw);
            wide(
                #[inline(always)]
                || self.block_backward(place, raw, &upstream[block.clone()], by_raw),
            );
            if by_contexts.is_some() {
                self.add_gram_gradient(place);
            }
        }
        if let Some(out) = by_contexts {
            self.pass.sides.through_gram(item, &self.by_gram, out);
        }
    }

    /// Fills numerators, `G e`, norms and columns up to the cosines.
    fn attend(&mut self, place: Place<'_>, raw: &[f32]) {
        let tile = place.tile;
        let attention = self.pass.settings.attention;
        let (columns, e) = (&mut self.columns, &mut self.numerators);
        let (norms, room) = (&mut self.norms, &mut self.room);
        wide(
            #[inline(always)]
            || {
                let target = Numerators {
                    norms,
                    out: e,
                    sums: &mut columns.sums,
                };
                attention.numerators(tile, raw, target, room);
                columns.dots(tile, e, raw);
            },
        );
        let gram = View::rows(self.pass.constants.gram(place.item), tile.contexts);
        let out = &mut self.lifted;
        let view = place.view(e);
        gram.times(view).write(out, tile.stride);
        let lengths = &self.pass.constants.lengths()[place.queries()];
        wide(
            #[inline(always)]
            || columns.cosines(tile, e, out, lengths),
        );
    }

    /// From scores to raw inner products; `lifted` turns from `G e` into `2 κ e`.
    #[inline(always)]
    fn block_backward(
        &mut self,
        place: Place<'_>,
        raw: &[f32],
        upstream: &[f32],
        by_raw: &mut [f32],
    ) {
        let tile = place.tile;
        let (settings, columns) = (self.pass.settings, &mut self.columns);
        let lengths = &self.pass.constants.lengths()[place.queries()];
        let pull = &mut self.pull[place.queries()];
        columns.slopes(tile, settings.pool, upstream, lengths, pull);
        columns.by_logits(tile, raw, &self.numerators, &mut self.lifted, by_raw);
        let (attention, room) = (settings.attention, &mut self.room);
        attention.numerators_backward(tile, raw, &self.norms, by_raw, room);
        columns.add_direct(tile, &self.numerators, by_raw);
    }

    /// `by_gram += 2 κ e · eᵀ`
    fn add_gram_gradient(&mut self, place: Place<'_>) {
        let scaled = place.view(&self.lifted);
        let e = place.view(&self.numerators).t();
        let (out, m) = (&mut self.by_gram, place.tile.contexts);
        scaled.times(e).add(out, m);
    }

    fn place(&self, item: usize, block: &Range<usize>) -> Place<'a> {
        let sides = self.pass.sides;
        sides.place(item, block, stride(sides), self.stride)
    }
}
