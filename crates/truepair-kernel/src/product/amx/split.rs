//! Products of rows with the precision of `f32`, on tiles of 16-bit numbers.
//!
//! A value is split into three numbers of 8 significant bits, `x = high + middle + low`, and of the
//! nine products of two such sums six are added up. Those left out are below 2⁻²⁶ |x y| together.
//!
//! Tiles know neither subnormal numbers nor rounding short of infinity. So a row whose largest
//! magnitude is far from 1 is packed divided by a power of two, and its sums are multiplied by it.
//! Whether that applies depends on the row alone: a sum has the same bits wherever its two rows are, in
//! whatever product.

use std::ops::Range;

use rayon::prelude::*;

use super::output::Output;
use super::pack::{PARTS, pack_split};
use super::tile::{Amx, LANES, SIDE, STEP, Session, Strips, Tile};
use super::{PARALLEL_WORK, Side, Write, blocks};

/// Steps that are summed in the tiles in one go: 1,024 inner indices.
const STEPS: usize = 32;
/// Tiles of the right factor that stay in the second-level cache of a core while rows of the left
/// one pass: 512 KiB.
const RESIDENT_TILES: usize = 512;
/// Rows of the left factor that pass in one task.
const ROWS: usize = 512;
/// Rows whose largest magnitude has a power of two in this range are packed as they are. Sums of
/// their products neither overflow nor lose small terms that count.
const USUAL_EXPONENTS: Range<i32> = -40..41;

/// Rows of one factor, split and packed.
#[derive(Debug)]
pub(in crate::product) struct SplitRows {
    side: Side,
    n: usize,
    width: usize,
    /// Tiles of each part that hold `width` values.
    steps: usize,
    /// Of 16 rows each: `steps` times the tiles of the high, middle and low parts.
    strips: Vec<Vec<Tile>>,
    /// Power of two that each row is to be multiplied by.
    exponents: Vec<i32>,
    all_usual: bool,
}

impl SplitRows {
    /// Packs `n` rows of `width` values, on all threads of the pool.
    pub(in crate::product) fn pack<'a>(
        _: Amx,
        side: Side,
        n: usize,
        width: usize,
        row: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Self {
        let steps = width.div_ceil(STEP);
        let packed: Vec<(Vec<Tile>, [i32; LANES])> = (0..n.div_ceil(LANES))
            .into_par_iter()
            .with_min_len(4)
            .map(|strip| {
                let mut rows: [&[f32]; LANES] = [&[]; LANES];
                for (lane, at) in (strip * LANES..n).take(LANES).enumerate() {
                    rows[lane] = row(at);
                }
                pack_strip(rows, steps, side)
            })
            .collect();
        let (strips, exponents): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
        let mut exponents = exponents.concat();
        exponents.truncate(n);
        Self {
            side,
            n,
            width,
            steps,
            strips,
            all_usual: exponents.iter().all(|&exponent| exponent == 0),
            exponents,
        }
    }

    /// Bytes of the tiles.
    pub(in crate::product) fn bytes(&self) -> usize {
        self.strips.len() * PARTS * self.steps * size_of::<Tile>()
    }

    /// First tiles, at `step`, of the two strips from row `first` on. A last strip without a partner
    /// is named twice.
    fn strip_pair(&self, first: usize, step: usize) -> [*const Tile; 2] {
        let strip = first / LANES;
        let second = (strip + 1).min(self.strips.len() - 1);
        [strip, second].map(|strip| self.strips[strip][PARTS * step..].as_ptr())
    }
}

fn pack_strip(rows: [&[f32]; LANES], steps: usize, side: Side) -> (Vec<Tile>, [i32; LANES]) {
    let exponents = rows.map(unusual_exponent);
    let mut scaled: [Vec<f32>; LANES] = Default::default();
    for ((scaled, row), &exponent) in scaled.iter_mut().zip(rows).zip(&exponents) {
        if exponent != 0 {
            let factor = power_of_two(-exponent);
            *scaled = row
                .iter()
                .map(|&x| (f64::from(x) * factor) as f32)
                .collect();
        }
    }
    let rows: [&[f32]; LANES] = std::array::from_fn(|lane| match exponents[lane] {
        0 => rows[lane],
        _ => &scaled[lane],
    });
    let mut tiles = Vec::with_capacity(PARTS * steps);
    // SAFETY: only a proof that there are tiles leads here, which covers the vector instructions.
    unsafe { pack_split(&rows, steps, side, &mut tiles) };
    (tiles, exponents)
}

/// The power of two of a row's largest magnitude if that is not [usual](USUAL_EXPONENTS); 0 for
/// zeros, and for rows with infinity or NaN, which no factor mends.
fn unusual_exponent(row: &[f32]) -> i32 {
    const INFINITY: u32 = f32::INFINITY.to_bits();
    let magnitude = |x: &f32| x.to_bits() & !(1 << 31);
    let largest = row.iter().map(magnitude).max().unwrap_or(0);
    if largest == 0 || largest >= INFINITY {
        return 0;
    }
    let exponent = match largest >> 23 {
        0 => largest.ilog2() as i32 - 149,
        biased => biased as i32 - 127,
    };
    if USUAL_EXPONENTS.contains(&exponent) {
        0
    } else {
        exponent
    }
}

/// `2ⁿ` for the exponents of two `f32` added.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((1023 + n) as u64) << 52)
}

/// `out[m, n] = left[m] · right[n]ᵀ`, on all threads of the pool where that pays.
///
/// # Panics
/// If the factors are not a left one and a right one of equal width, or `out` has another length.
pub(in crate::product) fn product(amx: Amx, left: &SplitRows, right: &SplitRows, out: &mut [f32]) {
    assert_eq!((left.side, right.side), (Side::Left, Side::Right));
    assert_eq!(left.width, right.width, "rows of another width");
    let (m, n) = (left.n, right.n);
    assert_eq!(out.len(), m * n, "product of another size");
    if m == 0 || n == 0 {
        return;
    }
    let columns_at_once =
        (RESIDENT_TILES / (PARTS * left.steps.min(STEPS)) * LANES).next_multiple_of(SIDE);
    let mut tasks = Vec::new();
    for columns in blocks(n, columns_at_once, SIDE) {
        tasks.extend(blocks(m, ROWS, SIDE).map(|rows| (rows, columns.clone())));
    }
    let pass = Pass {
        amx,
        left,
        right,
        output: Output::new(out, m, n, n),
    };
    if m * n * left.steps * STEP < PARALLEL_WORK {
        tasks
            .into_iter()
            .for_each(|(rows, columns)| pass.run(rows, columns));
    } else {
        (tasks.into_par_iter().with_max_len(1)).for_each(|(rows, columns)| pass.run(rows, columns));
    }
    if !(left.all_usual && right.all_usual) {
        rescale(&left.exponents, &right.exponents, out);
    }
}

struct Pass<'a> {
    amx: Amx,
    left: &'a SplitRows,
    right: &'a SplitRows,
    output: Output<'a>,
}

impl Pass<'_> {
    fn run(&self, rows: Range<usize>, columns: Range<usize>) {
        let session = Session::start(self.amx);
        for steps in blocks(self.left.steps, STEPS, 1) {
            for row in rows.clone().step_by(SIDE) {
                let left = self.left.strip_pair(row, steps.start);
                for column in columns.clone().step_by(SIDE) {
                    let right = self.right.strip_pair(column, steps.start);
                    let part_rows = row..rows.end.min(row + SIDE);
                    let part_columns = column..columns.end.min(column + SIDE);
                    let strips = Strips {
                        left,
                        right,
                        steps: steps.len(),
                    };
                    let write = match steps.start {
                        0 => Write::Replace,
                        _ => Write::Add,
                    };
                    // SAFETY: strips have three tiles for each of all steps, and `update` passes
                    // 32 × 32 sums.
                    let multiply = |sums| unsafe { session.multiply_split(strips, sums, write) };
                    // SAFETY: each task has its part of the output to itself.
                    unsafe { self.output.update(part_rows, part_columns, write, multiply) };
                }
            }
        }
    }
}

/// Multiplies the sums of rows that were packed divided by powers of two, rounding once.
fn rescale(rows: &[i32], columns: &[i32], out: &mut [f32]) {
    (out.par_chunks_exact_mut(columns.len()).zip(rows)).for_each(|(out, row)| {
        for (sum, column) in out.iter_mut().zip(columns) {
            *sum = (f64::from(*sum) * power_of_two(row + column)) as f32;
        }
    });
}

#[cfg(test)]
mod tests;
