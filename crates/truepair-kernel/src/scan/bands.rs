//! Bands of contexts: the pairs whose raw inner products are in memory at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::item::{Pass, Work, stride};
use crate::product::{Threads, View};
use crate::sides::{Sides, chunks, ranges, split};

/// Contiguous ranges of context items with at most `limit` raw inner products each, or one item.
pub(super) fn bands(sides: &Sides<'_>, limit: usize) -> Vec<Range<usize>> {
    let rows = limit / stride(sides);
    ranges(sides.contexts.len(), |items| sides.rows(items) <= rows)
}

/// Memory for the raw inner products of the largest of `bands`. Fresh pages are zero already, so
/// nothing is written yet.
pub(super) fn memory(sides: &Sides<'_>, bands: &[Range<usize>]) -> Vec<f32> {
    let rows = bands.iter().map(|items| sides.rows(items)).max();
    vec![0.0; rows.unwrap_or(0) * stride(sides)]
}

/// A range of context items against all query items.
#[derive(Debug)]
pub(super) struct Band<'a> {
    pub(super) pass: Pass<'a>,
    pub(super) items: Range<usize>,
}

/// Where a band's gradients go.
pub(super) struct Targets<'a> {
    /// Gradient by the band's raw inner products; overwritten.
    pub(super) raw: &'a mut [f32],
    /// Gradient by all contexts, `[total, d]`, added to.
    pub(super) contexts: Option<&'a mut [f32]>,
    /// Gradient by all queries, `[total, d]`, added to.
    pub(super) queries: Option<&'a mut [f32]>,
    /// Of every query, the factor of its own direction in its gradient; added to.
    pub(super) pull: &'a mut [f32],
}

impl Band<'_> {
    /// Raw inner products in the band.
    pub(super) fn numbers(&self) -> usize {
        self.numbers_of(&self.items)
    }

    /// Raw inner products into `raw` and scores `[n, k]` into the band's rows of `scores`.
    pub(super) fn scores(&self, raw: &mut [f32], scores: &mut [f32]) {
        let n_queries = self.pass.sides.queries.len();
        let band = &mut scores[self.items.start * n_queries..self.items.end * n_queries];
        self.raw(raw);
        let raw = &*raw;
        let chunks = chunks(&self.items);
        let scores = split(band, &chunks, |items| items.len() * n_queries);
        chunks
            .into_par_iter()
            .zip(scores)
            .for_each(|(items, scores)| {
                let mut work = Work::new(self.pass, &items);
                let first = items.start;
                for item in items {
                    let own = &raw[self.numbers_of(&(self.items.start..item))..];
                    let out = &mut scores[(item - first) * n_queries..][..n_queries];
                    work.scores(item, own, out);
                }
            });
    }

    /// Raw inner products of the band.
    pub(super) fn raw(&self, raw: &mut [f32]) {
        let width = self.pass.sides.width();
        let contexts = View::rows(self.pass.sides.contexts.items(self.items.clone()), width);
        let queries = View::rows(self.pass.sides.queries.values(), width).t();
        let (precision, stride) = (self.pass.settings.precision, stride(self.pass.sides));
        contexts
            .times(queries)
            .with(precision)
            .on(Threads::All)
            .write(raw, stride);
    }

    /// Gradients from the gradient by all scores.
    pub(super) fn backward(&self, raw: &[f32], upstream: &[f32], targets: Targets<'_>) {
        let (sides, width) = (self.pass.sides, self.pass.sides.width());
        let mut by_contexts =
            (targets.contexts).map(|all| &mut all[sides.rows(&(0..self.items.start)) * width..]);
        let chunks = chunks(&self.items);
        let by_raw = split(targets.raw, &chunks, |items| self.numbers_of(items));
        let parts: Vec<Option<&mut [f32]>> = match by_contexts.as_deref_mut() {
            Some(band) => {
                let parts = split(band, &chunks, |items| sides.rows(items) * width);
                parts.into_iter().map(Some).collect()
            }
            None => chunks.iter().map(|_| None).collect(),
        };
        let jobs = chunks.into_par_iter().zip(by_raw).zip(parts);
        let pulls: Vec<Vec<f32>> = jobs
            .map(|((items, by_raw), by_contexts)| {
                let raw = &raw[self.numbers_of(&(self.items.start..items.start))..];
                self.chunk_backward(items, raw, upstream, by_raw, by_contexts)
            })
            .collect();
        for pull in pulls {
            (targets.pull.iter_mut().zip(pull)).for_each(|(sum, x)| *sum += x);
        }
        let by_raw = self.view(targets.raw);
        let product = |left: View<'_>, right: &[f32], out: &mut [f32]| {
            let precision = self.pass.settings.precision;
            let right = View::rows(right, width);
            left.times(right)
                .with(precision)
                .on(Threads::All)
                .add(out, width);
        };
        if let Some(out) = by_contexts {
            product(by_raw, sides.queries.values(), out);
        }
        if let Some(out) = targets.queries {
            product(by_raw.t(), sides.contexts.items(self.items.clone()), out);
        }
    }

    fn chunk_backward(
        &self,
        items: Range<usize>,
        raw: &[f32],
        upstream: &[f32],
        by_raw: &mut [f32],
        mut by_contexts: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let (n_queries, width) = (self.pass.sides.queries.len(), self.pass.sides.width());
        let mut work = Work::new(self.pass, &items);
        for item in items.clone() {
            let before = items.start..item;
            let at = self.numbers_of(&before);
            let out = (by_contexts.as_deref_mut())
                .map(|out| &mut out[self.pass.sides.rows(&before) * width..]);
            let own = &upstream[item * n_queries..][..n_queries];
            work.backward(item, &raw[at..], own, &mut by_raw[at..], out);
        }
        work.into_pull()
    }

    /// The band's numbers without the padding of rows.
    fn view<'v>(&self, values: &'v [f32]) -> View<'v> {
        let (rows, columns) = (
            self.pass.sides.rows(&self.items),
            self.pass.sides.queries.total(),
        );
        View::strided(values, rows, columns, stride(self.pass.sides))
    }

    fn numbers_of(&self, items: &Range<usize>) -> usize {
        self.pass.sides.rows(items) * stride(self.pass.sides)
    }
}
