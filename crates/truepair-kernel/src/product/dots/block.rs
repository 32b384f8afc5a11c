//! Blocks of scores whose sums stay in registers.

use super::lanes::{Lanes, N_LANES};

/// Bytes of rows that all queries pass over while they lie in a near cache.
const TILE_BYTES: usize = 96 << 10;
/// Rows of one block of several queries; see [`Lanes::QUERIES`].
const ROWS: usize = 6;
/// Rows of one block of one query where rows are near: enough sums to hide the time of an addition.
const ROWS_NEAR: usize = 8;
/// The same where rows come from memory: in order, as the processor foresees. That is twice as fast as eight
/// rows side by side, and the additions of one row hide behind those of the next.
const ROWS_FAR: usize = 1;

/// Queries `[n_queries, width]` against rows `[n_rows, width]`.
pub(super) struct Job<'a> {
    pub(super) queries: &'a [f32],
    pub(super) width: usize,
    pub(super) n_queries: usize,
    pub(super) n_rows: usize,
}

/// What is added up, and what becomes of the sum.
pub(super) trait Form {
    unsafe fn step<L: Lanes>(query: L::V, row: L::V, sum: L::V) -> L::V;
    fn finish(sum: f32) -> f32;
}

/// `q · x`
pub(super) struct Inner;

impl Form for Inner {
    #[inline(always)]
    unsafe fn step<L: Lanes>(query: L::V, row: L::V, sum: L::V) -> L::V {
        // SAFETY: passed on.
        unsafe { L::multiply_add(query, row, sum) }
    }

    #[inline(always)]
    fn finish(sum: f32) -> f32 {
        // 0 for −0, so that equal scores are the same number.
        sum + 0.0
    }
}

/// `−‖q − x‖²`
pub(super) struct Closest;

impl Form for Closest {
    #[inline(always)]
    unsafe fn step<L: Lanes>(query: L::V, row: L::V, sum: L::V) -> L::V {
        // SAFETY: passed on.
        unsafe {
            let difference = L::subtract(query, row);
            L::multiply_add(difference, difference, sum)
        }
    }

    #[inline(always)]
    fn finish(sum: f32) -> f32 {
        // Not −0 for equal vectors.
        0.0 - sum
    }
}

/// A number as it is stored.
pub(super) trait Number: Copy {
    unsafe fn load<L: Lanes>(at: *const Self) -> L::V;
    unsafe fn load_part<L: Lanes>(at: *const Self, n: usize) -> L::V;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(at: *const f32) -> L::V {
        // SAFETY: passed on.
        unsafe { L::load(at) }
    }

    #[inline(always)]
    unsafe fn load_part<L: Lanes>(at: *const f32, n: usize) -> L::V {
        // SAFETY: passed on.
        unsafe { L::load_part(at, n) }
    }
}

impl Number for u16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(at: *const u16) -> L::V {
        // SAFETY: passed on.
        unsafe { L::load_half(at) }
    }

    #[inline(always)]
    unsafe fn load_part<L: Lanes>(at: *const u16, n: usize) -> L::V {
        // SAFETY: passed on.
        unsafe { L::load_half_part(at, n) }
    }
}

/// Scores of rows that are `f32` already.
///
/// # Safety
/// The processor must have the instructions of `L`; lengths must fit the job.
#[inline(always)]
pub(super) unsafe fn all<L: Lanes, F: Form>(job: &Job<'_>, rows: &[f32], out: &mut [f32]) {
    let tile = tile_rows(job.width);
    let mut first = 0;
    while first < job.n_rows {
        let n = tile.min(job.n_rows - first);
        // SAFETY: passed on; the tile lies inside the rows.
        unsafe {
            tile_scores::<L, F, f32>(job, rows.as_ptr().add(first * job.width), first, n, out)
        };
        first += n;
    }
}

/// Scores of half-precision rows, widened tile by tile.
///
/// # Safety
/// As [`all`].
#[inline(always)]
pub(super) unsafe fn widened<L: Lanes, F: Form>(job: &Job<'_>, rows: &[u16], out: &mut [f32]) {
    let tile = tile_rows(job.width).min(job.n_rows);
    let mut wide = vec![0f32; tile * job.width];
    let mut first = 0;
    while first < job.n_rows {
        let n = tile.min(job.n_rows - first);
        let part = &rows[first * job.width..(first + n) * job.width];
        // SAFETY: passed on; `wide` has room for a tile.
        unsafe {
            widen::<L>(part, &mut wide);
            tile_scores::<L, F, f32>(job, wide.as_ptr(), first, n, out);
        }
        first += n;
    }
}

/// Scores of any rows, read once for each query.
///
/// # Safety
/// As [`all`].
#[inline(always)]
pub(super) unsafe fn few<L: Lanes, F: Form, N: Number>(job: &Job<'_>, rows: &[N], out: &mut [f32]) {
    for query in 0..job.n_queries {
        // SAFETY: passed on.
        unsafe {
            query_scores::<L, F, N, ROWS_FAR>(job, query, rows.as_ptr(), 0, job.n_rows, out);
        }
    }
}

/// Rows of a tile: whole blocks.
fn tile_rows(width: usize) -> usize {
    (TILE_BYTES / (4 * width) / ROWS).max(1) * ROWS
}

#[inline(always)]
unsafe fn widen<L: Lanes>(from: &[u16], to: &mut [f32]) {
    let whole = from.len() / N_LANES * N_LANES;
    for at in (0..whole).step_by(N_LANES) {
        // SAFETY: `to` is at least as long as `from`, which has sixteen numbers from here.
        unsafe { L::store(L::load_half(from.as_ptr().add(at)), to.as_mut_ptr().add(at)) };
    }
    for (to, from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to = super::wide_half(*from);
    }
}

/// `out[.., first..first + n]` for all queries and the `n` rows at `rows`.
#[inline(always)]
unsafe fn tile_scores<L: Lanes, F: Form, N: Number>(
    job: &Job<'_>,
    rows: *const N,
    first: usize,
    n: usize,
    out: &mut [f32],
) {
    let grouped = if L::QUERIES == 4 {
        job.n_queries / 4 * 4
    } else {
        0
    };
    for query in (0..grouped).step_by(4) {
        let queries = job.queries[query * job.width..].as_ptr();
        let mut row = 0;
        while row + ROWS <= n {
            // SAFETY: four queries and six rows are there.
            let block =
                unsafe { sums::<L, F, N, 4, ROWS>(queries, rows.add(row * job.width), job.width) };
            for (at, of_query) in block.iter().enumerate() {
                let start = (query + at) * job.n_rows + first + row;
                out[start..start + ROWS].copy_from_slice(of_query);
            }
            row += ROWS;
        }
        for row in row..n {
            // SAFETY: four queries and one row are there.
            let block =
                unsafe { sums::<L, F, N, 4, 1>(queries, rows.add(row * job.width), job.width) };
            for (at, of_query) in block.iter().enumerate() {
                out[(query + at) * job.n_rows + first + row] = of_query[0];
            }
        }
    }
    for query in grouped..job.n_queries {
        // SAFETY: passed on.
        unsafe { query_scores::<L, F, N, ROWS_NEAR>(job, query, rows, first, n, out) };
    }
}

/// `out[query, first..first + n]` for the `n` rows at `rows`.
#[inline(always)]
unsafe fn query_scores<L: Lanes, F: Form, N: Number, const R: usize>(
    job: &Job<'_>,
    query: usize,
    rows: *const N,
    first: usize,
    n: usize,
    out: &mut [f32],
) {
    let width = job.width;
    let numbers = job.queries[query * width..].as_ptr();
    let start = query * job.n_rows + first;
    let out = &mut out[start..start + n];
    let mut blocks = out.chunks_exact_mut(R);
    let mut row = 0;
    for block in &mut blocks {
        // SAFETY: one query and `R` rows are there.
        let [found] = unsafe { sums::<L, F, N, 1, R>(numbers, rows.add(row * width), width) };
        block.copy_from_slice(&found);
        row += R;
    }
    for score in blocks.into_remainder() {
        // SAFETY: one query and one row are there.
        let [[found]] = unsafe { sums::<L, F, N, 1, 1>(numbers, rows.add(row * width), width) };
        *score = found;
        row += 1;
    }
}

/// The scores of `Q` queries against `R` rows, each one chain of additions in every lane.
#[inline(always)]
unsafe fn sums<L: Lanes, F: Form, N: Number, const Q: usize, const R: usize>(
    queries: *const f32,
    rows: *const N,
    width: usize,
) -> [[f32; R]; Q] {
    // SAFETY: `Q` queries and `R` rows of `width` numbers are there, says the caller.
    unsafe {
        let mut sums = [[L::zero(); R]; Q];
        let mut x = [L::zero(); R];
        let whole = width / N_LANES * N_LANES;
        let mut at = 0;
        while at < whole {
            for (r, x) in x.iter_mut().enumerate() {
                *x = N::load::<L>(rows.add(r * width + at));
            }
            for (q, sums) in sums.iter_mut().enumerate() {
                let query = L::load(queries.add(q * width + at));
                for (sum, x) in sums.iter_mut().zip(&x) {
                    *sum = F::step::<L>(query, *x, *sum);
                }
            }
            at += N_LANES;
        }
        let rest = width - whole;
        if rest > 0 {
            for (r, x) in x.iter_mut().enumerate() {
                *x = N::load_part::<L>(rows.add(r * width + at), rest);
            }
            for (q, sums) in sums.iter_mut().enumerate() {
                let query = L::load_part(queries.add(q * width + at), rest);
                for (sum, x) in sums.iter_mut().zip(&x) {
                    *sum = F::step::<L>(query, *x, *sum);
                }
            }
        }
        let mut out = [[0.0; R]; Q];
        for (out, sums) in out.iter_mut().zip(sums) {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = F::finish(L::sum(sum));
            }
        }
        out
    }
}
