//! A factor of a product, and its parts.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::pack::{pack_contiguous_inner, pack_contiguous_lanes};
use super::tile::{Amx, LANES, STEP, Tile};
use super::{Side, Threads, View};

/// Lanes that one thread packs at a time.
const SLICE_LANES: usize = 64;

/// The left factor, or the right one transposed: `[lanes, inner]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor<'a> {
    side: Side,
    view: View<'a>,
}

impl<'a> Factor<'a> {
    pub(super) fn new(side: Side, view: View<'a>) -> Self {
        Self { side, view }
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn lanes(&self) -> usize {
        self.view.rows
    }

    /// Number of tiles: strips of 16 lanes, each of `⌈inner / 32⌉`.
    pub(super) fn tiles(&self) -> usize {
        self.view.rows.div_ceil(LANES) * self.steps()
    }

    fn steps(&self) -> usize {
        self.view.columns.div_ceil(STEP)
    }

    pub(super) fn part(&self, lanes: Range<usize>, inner: Range<usize>) -> Self {
        let start = lanes.start * self.view.row_stride + inner.start * self.view.column_stride;
        let view = View {
            values: &self.view.values[start..],
            rows: lanes.len(),
            columns: inner.len(),
            ..self.view
        };
        Self {
            side: self.side,
            view,
        }
    }

    pub(super) fn slices(&self) -> usize {
        self.lanes().div_ceil(SLICE_LANES)
    }

    /// Slice `index` of [`slices`](Self::slices), and its lanes.
    pub(super) fn slice(&self, index: usize) -> (Range<usize>, Self) {
        let start = index * SLICE_LANES;
        let lanes = start..self.lanes().min(start + SLICE_LANES);
        (lanes.clone(), self.part(lanes, 0..self.view.columns))
    }

    /// [`pack`](Self::pack) by one thread or all.
    pub(super) fn pack_on(&self, amx: Amx, threads: Threads, tiles: &mut [Tile]) {
        match threads {
            Threads::One => self.pack(amx, tiles),
            Threads::All => tiles
                .par_chunks_mut(SLICE_LANES / LANES * self.steps())
                .enumerate()
                .for_each(|(index, tiles)| self.slice(index).1.pack(amx, tiles)),
        }
    }

    /// Writes all [`tiles`](Self::tiles), filled up with zeros.
    ///
    /// # Panics
    /// If there is room for more or fewer, or if neither lanes nor inner indices are contiguous.
    pub(super) fn pack(&self, _: Amx, tiles: &mut [Tile]) {
        let View {
            values,
            rows,
            columns,
            row_stride,
            column_stride,
        } = self.view;
        assert_eq!(tiles.len(), self.tiles());
        assert!((rows - 1) * row_stride + (columns - 1) * column_stride < values.len());
        // SAFETY: the proof covers the vector instructions, and the lines that the functions read
        // lie in the buffer: the last value of the last line does, as asserted.
        unsafe {
            if column_stride == 1 {
                pack_contiguous_inner(self.view, self.side, tiles);
            } else {
                assert_eq!(row_stride, 1, "a matrix with a gap between all values");
                pack_contiguous_lanes(self.view, self.side, tiles);
            }
        }
    }
}
