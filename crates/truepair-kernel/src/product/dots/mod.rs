//! A few queries against many stored rows: exact search.
//!
//! Every score is one sum over sixteen lanes in a fixed order, so it depends on its query and its row alone:
//! not on how many queries or rows are asked for at once, nor on whether rows are `f32` or half-precision
//! numbers of the same value. A product of two matrices promises no such thing.

mod block;
mod integer;
mod lanes;
#[cfg(test)]
mod tests;

use block::{Closest, Inner, Job};
use lanes::{Lanes, Plain, wide_half};

pub use integer::IntegerQueries;

/// What the score of a query and a row is; larger is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closeness {
    /// `q · x`
    InnerProduct,
    /// `−‖q − x‖²`, from differences: it does not cancel.
    SquaredDistance,
}

/// Rows as they are stored `[n, width]`.
#[derive(Debug, Clone, Copy)]
pub enum StoredRows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Bits of IEEE half-precision numbers.
    F16(&'a [u16]),
}

impl<'a> StoredRows<'a> {
    fn n_numbers(&self) -> usize {
        match self {
            StoredRows::F32(rows) => rows.len(),
            StoredRows::F16(rows) => rows.len(),
        }
    }

    /// Rows `first..end` of rows of `width` numbers.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn part(&self, width: usize, first: usize, end: usize) -> StoredRows<'a> {
        let range = first * width..end * width;
        match self {
            StoredRows::F32(rows) => StoredRows::F32(&rows[range]),
            StoredRows::F16(rows) => StoredRows::F16(&rows[range]),
        }
    }

    /// All numbers, as `f32`.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            StoredRows::F32(rows) => rows.to_vec(),
            StoredRows::F16(rows) => rows.iter().map(|bits| wide_half(*bits)).collect(),
        }
    }
}

/// `out[q, r]`: the score of every query `[q, width]` against every row `[r, width]`, on the calling thread.
///
/// A score has the same bits whatever the other queries and rows are.
///
/// ```
/// use truepair_kernel::product::dots::{Closeness, StoredRows, score_rows};
///
/// let (queries, rows) = ([1.0, 0.0], [3.0, 4.0, 1.0, 0.0]);
/// let mut out = [0.0; 2];
/// score_rows(Closeness::InnerProduct, &queries, 2, StoredRows::F32(&rows), &mut out);
/// assert_eq!(out, [3.0, 1.0]);
/// score_rows(Closeness::SquaredDistance, &queries, 2, StoredRows::F32(&rows), &mut out);
/// assert_eq!(out, [-20.0, 0.0]);
/// ```
///
/// # Panics
/// If `width` is 0 or a length does not fit the others.
pub fn score_rows(
    closeness: Closeness,
    queries: &[f32],
    width: usize,
    rows: StoredRows<'_>,
    out: &mut [f32],
) {
    assert!(width > 0 && queries.len().is_multiple_of(width));
    assert!(rows.n_numbers().is_multiple_of(width));
    let (n_queries, n_rows) = (queries.len() / width, rows.n_numbers() / width);
    assert_eq!(out.len(), n_queries * n_rows, "scores of another size");
    let job = Job {
        queries,
        width,
        n_queries,
        n_rows,
    };
    match closeness {
        Closeness::InnerProduct => on_this_processor::<Inner>(&job, rows, out),
        Closeness::SquaredDistance => on_this_processor::<Closest>(&job, rows, out),
    }
}

fn on_this_processor<F: block::Form>(job: &Job<'_>, rows: StoredRows<'_>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use lanes::{Avx2, Avx512};

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma,f16c")]
        fn on_avx512<F: block::Form>(job: &Job<'_>, rows: StoredRows<'_>, out: &mut [f32]) {
            // SAFETY: this function runs only where the processor has these instructions.
            unsafe { run::<Avx512, F>(job, rows, out) }
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        fn on_avx2<F: block::Form>(job: &Job<'_>, rows: StoredRows<'_>, out: &mut [f32]) {
            // SAFETY: this function runs only where the processor has these instructions.
            unsafe { run::<Avx2, F>(job, rows, out) }
        }

        let narrow = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        let broad = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        if narrow && broad {
            // SAFETY: the instructions were found.
            return unsafe { on_avx512::<F>(job, rows, out) };
        }
        if narrow {
            // SAFETY: the instructions were found.
            return unsafe { on_avx2::<F>(job, rows, out) };
        }
    }
    // SAFETY: plain arithmetic needs nothing.
    unsafe { run::<Plain, F>(job, rows, out) }
}

/// Chooses how rows reach the registers. Half-precision rows that several queries read are widened
/// once, a few at a time.
///
/// # Safety
/// The processor must have the instructions of `L`.
#[inline(always)]
unsafe fn run<L: Lanes, F: block::Form>(job: &Job<'_>, rows: StoredRows<'_>, out: &mut [f32]) {
    // SAFETY: passed on; `score_rows` has checked the lengths.
    unsafe {
        match rows {
            StoredRows::F32(rows) if job.n_queries < 4 => block::few::<L, F, _>(job, rows, out),
            StoredRows::F32(rows) => block::all::<L, F>(job, rows, out),
            StoredRows::F16(rows) if job.n_queries < 4 => block::few::<L, F, _>(job, rows, out),
            StoredRows::F16(rows) => block::widened::<L, F>(job, rows, out),
        }
    }
}
