//! Every item of contexts against every item of queries: what both sides hold, and which pairs are
//! processed together.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::Tile;
use super::vector::{dot, wide};
use super::{Array, Ragged};
use crate::product::View;

/// How many chunks a range of items is processed in; a fixed number, so that no result depends on the
/// number of threads.
const CHUNKS: usize = 8;

/// Both sides without their padding.
#[derive(Debug)]
pub(crate) struct Sides<'a> {
    pub(crate) contexts: Ragged<'a>,
    pub(crate) queries: Ragged<'a>,
    blocks: Vec<Range<usize>>,
}

impl<'a> Sides<'a> {
    /// From contexts `[n, m, d]`, their mask `[n, m]`, queries `[k, l, d]` and their mask `[k, l]`;
    /// blocks of up to `block` queries.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn new(inputs: &[Array<'a>], block: usize) -> Self {
        let contexts = Ragged::new(inputs[0], inputs[1]);
        let queries = Ragged::new(inputs[2], inputs[3]);
        assert_eq!(contexts.width(), queries.width(), "both sides are as wide");
        let blocks = ranges(queries.len(), |items| span(&queries, items) <= block);
        Self {
            contexts,
            queries,
            blocks,
        }
    }

    /// Numbers in a vector.
    pub(crate) fn width(&self) -> usize {
        self.queries.width()
    }

    /// Number of contexts of the items `items`.
    pub(crate) fn rows(&self, items: &Range<usize>) -> usize {
        span(&self.contexts, items)
    }

    /// The most contexts of one of `items`.
    pub(crate) fn most_contexts(&self, items: &Range<usize>) -> usize {
        let numbers = items.clone().map(|item| self.contexts.range(item).len());
        numbers.max().unwrap_or(0)
    }

    /// Ranges of query items that are processed at a time, so that the numbers of one item of contexts
    /// stay in a core's own cache.
    pub(crate) fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// The most queries of a block.
    pub(crate) fn widest_block(&self) -> usize {
        let widths = self.blocks.iter().map(|items| span(&self.queries, items));
        widths.max().unwrap_or(0)
    }

    /// The most items of a block.
    pub(crate) fn longest_block(&self) -> usize {
        self.blocks.iter().map(Range::len).max().unwrap_or(0)
    }

    /// The contexts of `item` and the queries of `block`, whose rows of raw inner products start
    /// `raw_stride` apart and others `stride`.
    pub(crate) fn place(
        &self,
        item: usize,
        block: &Range<usize>,
        raw_stride: usize,
        stride: usize,
    ) -> Place<'_> {
        let offsets = &self.queries.offsets()[block.start..=block.end];
        let tile = Tile {
            contexts: self.contexts.range(item).len(),
            offsets,
            raw_stride,
            stride,
        };
        Place {
            item,
            tile,
            first: offsets[0],
        }
    }

    /// Adds to the gradient by the contexts `C` of `item` what comes through `G = C Cᵀ`, from
    /// `by_gram = 2 ∂/∂G`, which is symmetric: `∂/∂C = 2 ∂/∂G · C`.
    pub(crate) fn through_gram(&self, item: usize, by_gram: &[f32], out: &mut [f32]) {
        let (m, width) = (self.contexts.range(item).len(), self.width());
        // An image without a region, of which every number is 0.
        if m == 0 {
            return;
        }
        let by_gram = View::rows(&by_gram[..m * m], m);
        let rows = View::rows(self.contexts.items(item..item + 1), width);
        by_gram.times(rows).add(out, width);
    }
}

/// One item of contexts and one block of items of queries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) item: usize,
    pub(crate) tile: Tile<'a>,
    /// First query of the block among all.
    pub(crate) first: usize,
}

impl Place<'_> {
    /// The block's queries among all.
    pub(crate) fn queries(&self) -> Range<usize> {
        self.first..self.first + self.tile.columns()
    }

    /// Where the block's rows of width `width` are among those of all queries.
    pub(crate) fn rows(&self, width: usize) -> Range<usize> {
        self.queries().start * width..self.queries().end * width
    }

    /// Rows of contexts with one number per query.
    pub(crate) fn view<'v>(&self, values: &'v [f32]) -> View<'v> {
        let tile = self.tile;
        View::strided(values, tile.contexts, tile.columns(), tile.stride)
    }
}

/// What depends on one side only.
#[derive(Debug)]
pub(crate) struct Constants {
    lengths: Vec<f32>,
    grams: Vec<Vec<f32>>,
}

impl Constants {
    pub(crate) fn new(sides: &Sides<'_>) -> Self {
        let queries = sides.queries.values().chunks_exact(sides.width());
        let lengths = wide(
            #[inline(always)]
            || queries.map(|query| dot(query, query).sqrt()).collect(),
        );
        let grams = (0..sides.contexts.len())
            .into_par_iter()
            .map(|item| gram(sides.contexts.items(item..item + 1), sides.width()))
            .collect();
        Self { lengths, grams }
    }

    /// Length of every query.
    pub(crate) fn lengths(&self) -> &[f32] {
        &self.lengths
    }

    /// Inner products `[m, m]` of the contexts of `item`.
    pub(crate) fn gram(&self, item: usize) -> &[f32] {
        &self.grams[item]
    }
}

/// The precision is always that of `f32`: the squared length of a context is a difference of these
/// numbers.
fn gram(vectors: &[f32], width: usize) -> Vec<f32> {
    let rows = View::rows(vectors, width);
    let m = vectors.len() / width;
    let mut out = vec![0.0; m * m];
    rows.times(rows.t()).write(&mut out, m);
    out
}

/// Cuts `items` into contiguous chunks for the threads.
pub(crate) fn chunks(items: &Range<usize>) -> Vec<Range<usize>> {
    let bound = |chunk| items.start + chunk * items.len() / CHUNKS;
    (0..CHUNKS)
        .map(|chunk| bound(chunk)..bound(chunk + 1))
        .filter(|chunk| !chunk.is_empty())
        .collect()
}

/// Cuts `0..n` into contiguous ranges that are as long as `fits` allows, or 1.
pub(crate) fn ranges(n: usize, fits: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for item in 0..n {
        match ranges.last_mut() {
            Some(range) if fits(&(range.start..item + 1)) => range.end = item + 1,
            _ => ranges.push(item..item + 1),
        }
    }
    ranges
}

/// Cuts `values` into one part per chunk.
pub(crate) fn split<'a>(
    mut values: &'a mut [f32],
    chunks: &[Range<usize>],
    size: impl Fn(&Range<usize>) -> usize,
) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let (part, rest) = values.split_at_mut(size(chunk));
        parts.push(part);
        values = rest;
    }
    parts
}

/// Adds each query's own direction, `pull` times, to its gradient.
pub(crate) fn add_pull(pull: &[f32], queries: &Ragged<'_>, gradient: &mut [f32]) {
    let width = queries.width();
    let rows = gradient.chunks_exact_mut(width);
    let rows = rows.zip(queries.values().chunks_exact(width));
    for ((out, query), pull) in rows.zip(pull) {
        (out.iter_mut().zip(query)).for_each(|(sum, x)| *sum += pull * x);
    }
}

fn span(side: &Ragged<'_>, items: &Range<usize>) -> usize {
    side.offsets()[items.end] - side.offsets()[items.start]
}
