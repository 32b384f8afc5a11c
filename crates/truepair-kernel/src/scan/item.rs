//! One item of contexts against all items of queries.

use std::ops::Range;

use super::bands::{Band, stride};
use crate::attention::Room;
use crate::columns::Columns;
use crate::product::{Precision, Threads, View, Write, multiply};
use crate::segment::padded;
use crate::sides::Place;
use crate::vector::wide;

/// Memory for one item and one block of queries at a time. Rows are contexts, columns are queries.
#[derive(Debug)]
pub(super) struct Work<'a> {
    band: &'a Band<'a>,
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
    pub(super) fn new(band: &'a Band<'a>, items: &Range<usize>) -> Self {
        let sides = band.sides;
        let (m, stride) = (sides.most_contexts(items), padded(sides.widest_block()));
        let n_items = sides.longest_block();
        Self {
            band,
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

    /// The sums over all items that were worked backward.
    pub(super) fn into_pull(self) -> Vec<f32> {
        self.pull
    }

    /// Scores of `item` against every item of queries, from its raw inner products.
    pub(super) fn scores(&mut self, item: usize, raw: &[f32], out: &mut [f32]) {
        let pool = self.band.settings.pool;
        for block in self.band.sides.blocks() {
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
        if self.band.sides.contexts.range(item).is_empty() {
            return;
        }
        self.by_gram.fill(0.0);
        for block in self.band.sides.blocks() {
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
            self.band.sides.through_gram(item, &self.by_gram, out);
        }
    }

    /// Fills numerators, `G e`, norms and columns up to the cosines.
    fn attend(&mut self, place: Place<'_>, raw: &[f32]) {
        let tile = place.tile;
        let attention = self.band.settings.attention;
        let (columns, e) = (&mut self.columns, &mut self.numerators);
        let (norms, room) = (&mut self.norms, &mut self.room);
        wide(
            #[inline(always)]
            || {
                attention.numerators(tile, raw, norms, e, &mut columns.sums, room);
                columns.dots(tile, e, raw);
            },
        );
        let gram = View::rows(self.band.constants.gram(place.item), tile.contexts);
        let (one, replace, out) = (Threads::One, Write::Replace, &mut self.lifted);
        let view = place.view(e);
        multiply(Precision::F32, one, gram, view, out, tile.stride, replace);
        let lengths = &self.band.constants.lengths()[place.queries()];
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
        let (settings, columns) = (self.band.settings, &mut self.columns);
        let lengths = &self.band.constants.lengths()[place.queries()];
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
        multiply(Precision::F32, Threads::One, scaled, e, out, m, Write::Add);
    }

    fn place(&self, item: usize, block: &Range<usize>) -> Place<'a> {
        let sides = self.band.sides;
        sides.place(item, block, stride(sides), self.stride)
    }
}
