//! Products on the matrix tiles of the processor (Intel AMX, Linux).
//!
//! A factor is rounded and packed into tiles just before it is used, in blocks that stay in the
//! second-level cache of a core. One factor is resident: a block of it is packed once and shared by
//! all threads. The other one is streamed past it in slices, which each thread packs for itself.
//! Every sum adds its products in an order that depends on the inner size alone, so neither the
//! number of threads nor the place in the output changes a result.

mod factor;
mod output;
mod pack;
mod split;
mod tile;

use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Product, Side, Threads, View, Write};
use factor::Factor;
use output::Output;
pub(super) use split::{SplitRows, product as split_product};
pub(super) use tile::Amx;
use tile::{LANES, SIDE, STEP, Session, Strips, Tile};

/// Inner indices that are summed in the tiles in one go.
const INNER: usize = 512;
/// Tiles of the resident block: 1 MiB.
const RESIDENT_TILES: usize = 1024;
/// The left factor is resident only up to so many rows. Streaming the right one visits all rows of
/// the output for each slice, and their pages must stay in the translation buffers.
const RESIDENT_ROWS: usize = 512;
/// Multiplications below which waking other threads costs more than they save.
const PARALLEL_WORK: usize = 1 << 21;

thread_local! {
    static RESIDENT: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
    static SLICE: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
}

/// `out = left · right`, or `out += left · right`, as [`Product::put`] has checked it; the inner size
/// must not be 0.
pub(super) fn put(amx: Amx, product: Product<'_>, write: Write, out: &mut [f32], stride: usize) {
    let Product { left, right, .. } = product;
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let output = Output::new(out, m, n, stride);
    let left = Factor::new(Side::Left, left);
    let right = Factor::new(Side::Right, right.t());
    let left_stays = m < n && m <= RESIDENT_ROWS;
    let (resident, streamed) = if left_stays {
        (left, right)
    } else {
        (right, left)
    };
    let threads = if m * n * k < PARALLEL_WORK {
        Threads::One
    } else {
        product.threads
    };
    for inner in blocks(k, INNER, STEP) {
        let steps = inner.len().div_ceil(STEP);
        let write = if inner.start > 0 { Write::Add } else { write };
        let streamed = streamed.part(0..streamed.lanes(), inner.clone());
        let limit = RESIDENT_TILES / (2 * steps) * SIDE;
        for lanes in blocks(resident.lanes(), limit, SIDE) {
            let block = resident.part(lanes.clone(), inner.clone());
            with_tiles(&RESIDENT, block.tiles(), |tiles| {
                block.pack_on(amx, threads, tiles);
                Pass {
                    amx,
                    tiles,
                    lanes,
                    steps,
                    output,
                    write,
                }
                .run(threads, streamed);
            });
        }
    }
}

/// A resident block of one factor, for its lanes, while slices of the other factor pass.
struct Pass<'a> {
    amx: Amx,
    tiles: &'a [Tile],
    lanes: Range<usize>,
    steps: usize,
    output: Output<'a>,
    write: Write,
}

impl Pass<'_> {
    fn run(&self, threads: Threads, streamed: Factor<'_>) {
        let slices = streamed.slices();
        match threads {
            Threads::One => (0..slices).for_each(|slice| self.run_slice(streamed, slice)),
            Threads::All => {
                let slices = (0..slices).into_par_iter();
                slices.for_each(|slice| self.run_slice(streamed, slice));
            }
        }
    }

    fn run_slice(&self, streamed: Factor<'_>, slice: usize) {
        let (lanes, slice) = streamed.slice(slice);
        with_tiles(&SLICE, slice.tiles(), |tiles| {
            slice.pack(self.amx, tiles);
            match slice.side() {
                Side::Right => self.multiply(self.tiles, tiles, self.lanes.clone(), lanes),
                Side::Left => self.multiply(tiles, self.tiles, lanes, self.lanes.clone()),
            }
        });
    }

    fn multiply(&self, left: &[Tile], right: &[Tile], rows: Range<usize>, columns: Range<usize>) {
        let session = Session::start(self.amx);
        let strip_pair = |tiles: &[Tile], offset: usize| {
            let first = offset / LANES * self.steps;
            // A last strip without a partner is multiplied twice; the copy is not stored.
            let second = if first + self.steps < tiles.len() {
                first + self.steps
            } else {
                first
            };
            [first, second].map(|start| tiles[start..start + self.steps].as_ptr())
        };
        for row in rows.clone().step_by(SIDE) {
            let left = strip_pair(left, row - rows.start);
            for column in columns.clone().step_by(SIDE) {
                let right = strip_pair(right, column - columns.start);
                let rows = row..rows.end.min(row + SIDE);
                let columns = column..columns.end.min(column + SIDE);
                let strips = Strips {
                    left,
                    right,
                    steps: self.steps,
                };
                // SAFETY: the strips have the length that they were sliced to, and `update` passes
                // 32 × 32 sums.
                let multiply = |sums| unsafe { session.multiply(strips, sums, self.write) };
                // SAFETY: resident block and slice have each part of the output to themselves.
                unsafe { self.output.update(rows, columns, self.write, multiply) };
            }
        }
    }
}

/// `0..size` cut into as few ranges of up to `limit` as possible, as equal as multiples of `unit`
/// allow. `limit` is such a multiple.
fn blocks(size: usize, limit: usize, unit: usize) -> impl Iterator<Item = Range<usize>> {
    let length = size.div_ceil(size.div_ceil(limit)).next_multiple_of(unit);
    (0..size)
        .step_by(length)
        .map(move |start| start..size.min(start + length))
}

/// Runs `work` with `count` tiles of a buffer of this thread. Work that this thread takes over
/// while it waits for others finds the buffer empty and makes its own.
fn with_tiles(
    buffer: &'static LocalKey<Cell<Vec<Tile>>>,
    count: usize,
    work: impl FnOnce(&mut [Tile]),
) {
    let mut tiles = buffer.take();
    if tiles.len() < count {
        tiles.resize(count, Tile::ZERO);
    }
    work(&mut tiles[..count]);
    buffer.set(tiles);
}
