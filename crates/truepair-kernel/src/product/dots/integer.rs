//! Queries of 16-bit integers against rows of 8-bit integers: exact sums.

use crate::vector::wide;

/// Rows that every query passes over while they lie in a near cache.
const TILE_ROWS: usize = 64;

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
    wide(
        #[inline(always)]
        || {
            for first in (0..n_rows).step_by(TILE_ROWS) {
                let end = (first + TILE_ROWS).min(n_rows);
                for (query, out) in queries
                    .chunks_exact(width)
                    .zip(out.chunks_exact_mut(n_rows))
                {
                    let rows = rows[first * width..end * width].chunks_exact(width);
                    for (row, out) in rows.zip(&mut out[first..end]) {
                        *out = product(query, row);
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn product(query: &[i16], row: &[i8]) -> i32 {
    (query.iter().zip(row)).fold(0i32, |sum, (q, x)| sum + i32::from(*q) * i32::from(*x))
}
