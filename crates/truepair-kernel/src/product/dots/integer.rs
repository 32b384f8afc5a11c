//! Queries of 16-bit integers against rows of 8-bit integers: exact sums.

use crate::vector::wide;

/// Bytes of rows that every query passes over while they lie in a near cache.
const TILE_BYTES: usize = 32 << 10;

/// `out[q, r] = queries[q, width] · rows[r, width]`, exactly, on the calling thread.
///
/// ```
/// use truepair_kernel::product::dots::integer_products;
///
/// let mut out = [0; 2];
/// integer_products(&[1000, -3], &[1, 2, -128, 0], 2, &mut out);
/// assert_eq!(out, [994, -128_000]);
/// ```
///
/// # Panics
/// If `width` is 0, a length does not fit the others, or a sum could leave 32 bits: `width` times the
/// largest query number times 128 must stay below 2³¹.
pub fn integer_products(queries: &[i16], rows: &[i8], width: usize, out: &mut [i32]) {
    assert!(width > 0 && queries.len().is_multiple_of(width) && rows.len().is_multiple_of(width));
    let (n_queries, n_rows) = (queries.len() / width, rows.len() / width);
    assert_eq!(out.len(), n_queries * n_rows, "products of another size");
    let largest = queries.iter().map(|x| u64::from(x.unsigned_abs())).max();
    assert!(
        largest.unwrap_or(0) * 128 * (width as u64) < 1 << 31,
        "sums of {width} products leave 32 bits"
    );
    let tile = (TILE_BYTES / width).max(8);
    for first in (0..n_rows).step_by(tile) {
        let end = (first + tile).min(n_rows);
        let rows = &rows[first * width..end * width];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the instructions were found, and the lengths were checked.
            unsafe { avx512::tile(queries, rows, width, &mut out[first..], n_rows) };
            continue;
        }
        plain_tile(queries, rows, width, &mut out[first..], n_rows);
    }
}

/// `out[q · stride + r]` for all queries and the rows of a tile.
fn plain_tile(queries: &[i16], rows: &[i8], width: usize, out: &mut [i32], stride: usize) {
    wide(
        #[inline(always)]
        || {
            for (query, out) in queries.chunks_exact(width).zip(out.chunks_mut(stride)) {
                for (row, out) in rows.chunks_exact(width).zip(out) {
                    *out = product(query, row);
                }
            }
        },
    );
}

#[inline(always)]
fn product(query: &[i16], row: &[i8]) -> i32 {
    (query.iter().zip(row)).fold(0i32, |sum, (q, x)| sum + i32::from(*q) * i32::from(*x))
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    //! SAFETY of all blocks here: the caller found the instructions, and pointers lead to whole vectors.
    use std::arch::x86_64::*;

    /// Products of one instruction.
    const STEP: usize = 32;

    /// `out[q · stride + r]` for all queries and rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
    pub(super) unsafe fn tile(
        queries: &[i16],
        rows: &[i8],
        width: usize,
        out: &mut [i32],
        stride: usize,
    ) {
        let (n_queries, n_rows) = (queries.len() / width, rows.len() / width);
        let mut query = 0;
        while query < n_queries {
            let four = query + 4 <= n_queries;
            // Rows that several queries read are near after the first; see `block`.
            let near = n_queries >= 4;
            let at = queries[query * width..].as_ptr();
            let mut row = 0;
            while row < n_rows {
                let x = rows[row * width..].as_ptr();
                let start = query * stride + row;
                let left = n_rows - row;
                // SAFETY: so many queries and rows are there.
                row += unsafe {
                    match (four, left) {
                        (true, 4..) => put(&sums::<4, 4>(at, x, width), start, stride, out),
                        (true, _) => put(&sums::<4, 1>(at, x, width), start, stride, out),
                        (false, 8..) if near => {
                            put(&sums::<1, 8>(at, x, width), start, stride, out)
                        }
                        (false, _) => put(&sums::<1, 1>(at, x, width), start, stride, out),
                    }
                };
            }
            query += if four { 4 } else { 1 };
        }
    }

    /// Puts a block in its place; gives how many rows it has.
    #[inline(always)]
    fn put<const Q: usize, const R: usize>(
        block: &[[i32; R]; Q],
        start: usize,
        stride: usize,
        out: &mut [i32],
    ) -> usize {
        for (q, sums) in block.iter().enumerate() {
            out[start + q * stride..][..R].copy_from_slice(sums);
        }
        R
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
    unsafe fn sums<const Q: usize, const R: usize>(
        queries: *const i16,
        rows: *const i8,
        width: usize,
    ) -> [[i32; R]; Q] {
        let mut sums = [[_mm512_setzero_si512(); R]; Q];
        let mut x = [_mm512_setzero_si512(); R];
        let mut at = 0;
        while at < width {
            let left = (width - at).min(STEP);
            let mask = u32::MAX >> (STEP - left);
            for (r, x) in x.iter_mut().enumerate() {
                // SAFETY: `left` numbers are there, and the others are not read.
                let bytes = unsafe { _mm256_maskz_loadu_epi8(mask, rows.add(r * width + at)) };
                *x = _mm512_cvtepi8_epi16(bytes);
            }
            for (q, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let query = unsafe { _mm512_maskz_loadu_epi16(mask, queries.add(q * width + at)) };
                for (sum, x) in sums.iter_mut().zip(&x) {
                    *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(query, *x));
                }
            }
            at += STEP;
        }
        let mut out = [[0; R]; Q];
        for (out, sums) in out.iter_mut().zip(sums) {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = _mm512_reduce_add_epi32(sum);
            }
        }
        out
    }
}
