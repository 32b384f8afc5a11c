//! Queries of 12-bit integers against rows of 8-bit integers: exact sums.

use crate::vector::wide;

/// Bytes of rows that every query passes over while they lie in a near cache.
const TILE_BYTES: usize = 16 << 10;
/// Largest number of a query, without its sign.
const LARGEST: u16 = 2047;

/// Queries `[n, width]` of integers within ±2047, ready to be multiplied with rows of 8-bit integers.
///
/// ```
/// use truepair_kernel::product::dots::IntegerQueries;
///
/// let queries = IntegerQueries::new(vec![1000, -3], 2);
/// let mut out = [0; 2];
/// queries.products(&[1, 2, -128, 0], &mut out);
/// assert_eq!(out, [994, -128_000]);
/// ```
#[derive(Debug, Clone)]
pub struct IntegerQueries {
    width: usize,
    numbers: Vec<i16>,
    /// The numbers plus 2048, `64 h + l`, as `h` and `l`, for processors that multiply bytes.
    #[cfg(target_arch = "x86_64")]
    halves: Option<[Vec<u8>; 2]>,
}

impl IntegerQueries {
    /// Takes queries `[n, width]`.
    ///
    /// # Panics
    /// If `width` is 0 or does not divide the length, a number lies outside ±2047, or a sum could leave 32 bits:
    /// `width` is at most 8192.
    pub fn new(numbers: Vec<i16>, width: usize) -> Self {
        assert!(width > 0 && numbers.len().is_multiple_of(width));
        assert!(width <= 8192, "sums of {width} products leave 32 bits");
        let within = numbers.iter().all(|x| x.unsigned_abs() <= LARGEST);
        assert!(within, "a number outside ±{LARGEST}");
        Self {
            width,
            #[cfg(target_arch = "x86_64")]
            halves: (avx512::bytes_are_multiplied() && numbers.len() >= 4 * width)
                .then(|| avx512::halves(&numbers)),
            numbers,
        }
    }

    /// Queries.
    fn len(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// `out[q, r] = query q · rows[r, width]`, exactly, on the calling thread.
    ///
    /// # Panics
    /// If a length does not fit the others.
    pub fn products(&self, rows: &[i8], out: &mut [i32]) {
        let width = self.width;
        assert!(rows.len().is_multiple_of(width));
        let n_rows = rows.len() / width;
        assert_eq!(out.len(), self.len() * n_rows, "products of another size");
        let tile = (TILE_BYTES / width).max(8);
        for first in (0..n_rows).step_by(tile) {
            let end = (first + tile).min(n_rows);
            let rows = &rows[first * width..end * width];
            self.tile(rows, &mut out[first..], n_rows);
        }
    }

    /// `out[q · stride + r]` for all queries and the rows of a tile.
    fn tile(&self, rows: &[i8], out: &mut [i32], stride: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(halves) = &self.halves {
                // SAFETY: the instructions were found when the halves were made, and the lengths were checked.
                unsafe { avx512::tile_of_bytes(halves, rows, self.width, out, stride) };
                return;
            }
            if avx512::is_there() {
                // SAFETY: the instructions were found, and the lengths were checked.
                unsafe { avx512::tile(&self.numbers, rows, self.width, out, stride) };
                return;
            }
        }
        plain_tile(&self.numbers, rows, self.width, out, stride);
    }
}

/// `out[q · stride + r]` for all queries and the rows of a tile.
pub(super) fn plain_tile(
    queries: &[i16],
    rows: &[i8],
    width: usize,
    out: &mut [i32],
    stride: usize,
) {
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
pub(super) mod avx512 {
    //! SAFETY of all blocks here: the caller found the instructions, and pointers lead to whole vectors.
    use std::arch::x86_64::*;

    /// Products of one instruction of 16 bits, and of one of 8.
    const STEP: usize = 32;
    const BYTES: usize = 64;
    /// Queries and rows whose sums stay in registers.
    const TWO: usize = 2;
    const FOUR: usize = 4;
    /// What is added to a query's numbers, so that none is below zero.
    const RAISED: i32 = 2048;
    /// Bits of the lower half.
    const LOW: u32 = 6;

    pub(in super::super) fn is_there() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
    }

    pub(super) fn bytes_are_multiplied() -> bool {
        is_there() && is_x86_feature_detected!("avx512vnni")
    }

    /// `h` and `l` of every number.
    pub(super) fn halves(numbers: &[i16]) -> [Vec<u8>; 2] {
        let raised = |x: &i16| (i32::from(*x) + RAISED) as u16;
        [
            numbers.iter().map(|x| (raised(x) >> LOW) as u8).collect(),
            (numbers.iter())
                .map(|x| (raised(x) & ((1 << LOW) - 1)) as u8)
                .collect(),
        ]
    }

    /// `out[q · stride + r]` for all queries and rows: `Σ q x = 64 Σ h x + Σ l x − 2048 Σ x`. Parts of the sum may leave
    /// 32 bits and come back; the whole does not.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2")]
    pub(super) unsafe fn tile_of_bytes(
        [high, low]: &[Vec<u8>; 2],
        rows: &[i8],
        width: usize,
        out: &mut [i32],
        stride: usize,
    ) {
        let (n_queries, n_rows) = (high.len() / width, rows.len() / width);
        let raised: Vec<i32> = (rows.chunks_exact(width))
            // SAFETY: a row is there.
            .map(|row| RAISED.wrapping_mul(unsafe { sum_of(row.as_ptr(), width) }))
            .collect();
        for query in (0..n_queries).step_by(TWO) {
            let two = query + TWO <= n_queries;
            let at = query * width;
            let (h, l) = (high[at..].as_ptr(), low[at..].as_ptr());
            let mut row = 0;
            while row < n_rows {
                let x = rows[row * width..].as_ptr();
                let start = query * stride + row;
                let raised = &raised[row..];
                // SAFETY: so many queries and rows are there.
                row += unsafe {
                    match (two, n_rows - row) {
                        (true, FOUR..) => {
                            let sums = byte_sums::<TWO, FOUR>(h, l, x, width);
                            put_less(&sums, raised, start, stride, out)
                        }
                        (false, FOUR..) => {
                            let sums = byte_sums::<1, FOUR>(h, l, x, width);
                            put_less(&sums, raised, start, stride, out)
                        }
                        (true, _) => {
                            let sums = byte_sums::<TWO, 1>(h, l, x, width);
                            put_less(&sums, raised, start, stride, out)
                        }
                        (false, _) => {
                            let sums = byte_sums::<1, 1>(h, l, x, width);
                            put_less(&sums, raised, start, stride, out)
                        }
                    }
                };
            }
        }
    }

    /// Puts a block in its place, each row's share of what was added to the queries taken away.
    #[inline(always)]
    fn put_less<const Q: usize, const R: usize>(
        block: &[[i32; R]; Q],
        raised: &[i32],
        start: usize,
        stride: usize,
        out: &mut [i32],
    ) -> usize {
        for (q, sums) in block.iter().enumerate() {
            let out = &mut out[start + q * stride..][..R];
            for ((out, sum), raised) in out.iter_mut().zip(sums).zip(raised) {
                *out = sum.wrapping_sub(*raised);
            }
        }
        R
    }

    /// `64 Σ h x + Σ l x` of so many queries and rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2")]
    unsafe fn byte_sums<const Q: usize, const R: usize>(
        high: *const u8,
        low: *const u8,
        rows: *const i8,
        width: usize,
    ) -> [[i32; R]; Q] {
        let mut sums = [[[_mm512_setzero_si512(); 2]; R]; Q];
        let mut x = [_mm512_setzero_si512(); R];
        let mut at = 0;
        while at < width {
            let left = (width - at).min(BYTES);
            let mask = u64::MAX >> (BYTES - left);
            for (r, x) in x.iter_mut().enumerate() {
                // SAFETY: `left` numbers are there, and the others are not read.
                *x = unsafe { _mm512_maskz_loadu_epi8(mask, rows.add(r * width + at)) };
            }
            for (q, sums) in sums.iter_mut().enumerate() {
                let place = q * width + at;
                // SAFETY: as above.
                let [h, l] = unsafe {
                    [
                        _mm512_maskz_loadu_epi8(mask, high.add(place).cast()),
                        _mm512_maskz_loadu_epi8(mask, low.add(place).cast()),
                    ]
                };
                for ([highs, lows], x) in sums.iter_mut().zip(&x) {
                    *highs = _mm512_dpbusd_epi32(*highs, h, *x);
                    *lows = _mm512_dpbusd_epi32(*lows, l, *x);
                }
            }
            at += BYTES;
        }
        let mut out = [[0; R]; Q];
        for (out, sums) in out.iter_mut().zip(sums) {
            let whole =
                sums.map(|[highs, lows]| _mm512_add_epi32(_mm512_slli_epi32::<LOW>(highs), lows));
            match whole.as_slice() {
                [a, b, c, d] => out.copy_from_slice(&four_sums([*a, *b, *c, *d])[..R]),
                _ => {
                    for (out, sum) in out.iter_mut().zip(whole) {
                        *out = _mm512_reduce_add_epi32(sum);
                    }
                }
            }
        }
        out
    }

    /// The sums over each of four vectors, with a third of the steps of one after the other.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
    fn four_sums([a, b, c, d]: [__m512i; 4]) -> [i32; 4] {
        let of_two =
            |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (ab, cd) = (of_two(a, b), of_two(c, d));
        let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let half = _mm256_add_epi32(
            _mm512_castsi512_si256(all),
            _mm512_extracti64x4_epi64::<1>(all),
        );
        let quarter = _mm_add_epi32(
            _mm256_castsi256_si128(half),
            _mm256_extracti128_si256::<1>(half),
        );
        let mut out = [0; 4];
        // SAFETY: four numbers have room for four.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), quarter) };
        out
    }

    /// `Σ x` of one row.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2")]
    unsafe fn sum_of(row: *const i8, width: usize) -> i32 {
        let ones = _mm512_set1_epi8(1);
        let mut sum = _mm512_setzero_si512();
        let mut at = 0;
        while at < width {
            let left = (width - at).min(BYTES);
            // SAFETY: `left` numbers are there, and the others are not read.
            let x = unsafe { _mm512_maskz_loadu_epi8(u64::MAX >> (BYTES - left), row.add(at)) };
            sum = _mm512_dpbusd_epi32(sum, ones, x);
            at += BYTES;
        }
        _mm512_reduce_add_epi32(sum)
    }

    /// `out[q · stride + r]` for all queries and rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
    pub(in super::super) unsafe fn tile(
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
