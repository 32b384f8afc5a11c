//! Rounding a factor to 16 bits and cutting it into tiles.
//!
//! A tile of the left factor has a row for each of 16 rows of the factor, with 32 inner indices. A
//! tile of the right one has a row for each of 16 pairs of inner indices, with both values of 16
//! columns of the factor side by side.

use std::arch::x86_64::{
    __m512, __m512i, __mmask16, _mm512_castsi512_ps, _mm512_castsi512_si256, _mm512_cvtepu16_epi32,
    _mm512_cvtne2ps_pbh, _mm512_extracti64x4_epi64, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_set_epi16, _mm512_setzero_si512, _mm512_shuffle_i32x4,
    _mm512_slli_epi32, _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::tile::{LANES, STEP, Tile};
use super::{Side, View};

/// Numbers of 16 bits that a value is split into.
pub(super) const PARTS: usize = 3;

/// Strips packed together where the lanes are contiguous, so that what is read of each inner index
/// is some cache lines: 256 bytes.
const GROUP: usize = 4;

/// Packs `[lanes, inner]` where a lane has its inner indices side by side.
///
/// # Safety
/// The view lies in its buffer, and its column stride is 1.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack_contiguous_inner(factor: View<'_>, side: Side, tiles: &mut [Tile]) {
    let View {
        rows,
        columns,
        row_stride,
        values,
        ..
    } = factor;
    for (strip, tiles) in tiles.chunks_exact_mut(columns.div_ceil(STEP)).enumerate() {
        let lanes = rows - strip * LANES;
        for (step, tile) in tiles.iter_mut().enumerate() {
            let first = strip * LANES * row_stride + step * STEP;
            let inner = columns - step * STEP;
            let (low, high) = (first_of_16(inner), first_of_16(inner.saturating_sub(16)));
            let mut vectors = [_mm512_setzero_si512(); LANES];
            for (lane, vector) in vectors.iter_mut().enumerate() {
                if lane < lanes {
                    let source = values.as_ptr().wrapping_add(first + lane * row_stride);
                    // SAFETY: the masks leave out what is beyond the view.
                    *vector = unsafe {
                        round(
                            _mm512_maskz_loadu_ps(low, source),
                            _mm512_maskz_loadu_ps(high, source.wrapping_add(16)),
                        )
                    };
                }
            }
            tile.0 = match side {
                Side::Left => vectors,
                Side::Right => transpose(vectors),
            };
        }
    }
}

/// Packs `[lanes, inner]` where an inner index has its lanes side by side.
///
/// # Safety
/// The view lies in its buffer, and its row stride is 1.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack_contiguous_lanes(factor: View<'_>, side: Side, tiles: &mut [Tile]) {
    let View {
        rows,
        columns,
        column_stride,
        values,
        ..
    } = factor;
    let steps = columns.div_ceil(STEP);
    for (group, tiles) in tiles.chunks_mut(GROUP * steps).enumerate() {
        let first = group * GROUP * LANES;
        let masks: [_; GROUP] =
            std::array::from_fn(|strip| first_of_16(rows.saturating_sub(first + strip * LANES)));
        for step in 0..steps {
            for pair in 0..STEP / 2 {
                let inner = step * STEP + 2 * pair;
                let source = values.as_ptr().wrapping_add(first + inner * column_stride);
                let present = |inner| if inner < columns { __mmask16::MAX } else { 0 };
                let (even, odd) = (present(inner), present(inner + 1));
                for (strip, tiles) in tiles.chunks_exact_mut(steps).enumerate() {
                    let source = source.wrapping_add(strip * LANES);
                    // SAFETY: the masks leave out what is beyond the view.
                    tiles[step].0[pair] = unsafe {
                        interleave(round(
                            _mm512_maskz_loadu_ps(masks[strip] & even, source),
                            _mm512_maskz_loadu_ps(
                                masks[strip] & odd,
                                source.wrapping_add(column_stride),
                            ),
                        ))
                    };
                }
            }
            if side == Side::Left {
                for tiles in tiles.chunks_exact_mut(steps) {
                    tiles[step].0 = transpose(tiles[step].0);
                }
            }
        }
    }
}

/// Packs a strip of rows in parts: the values rounded, what that leaves rounded, and so on; for each
/// step the tile of every part. Rows end where they end; beyond, and in lanes without a row, there
/// are zeros.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_split(rows: &[&[f32]; LANES], steps: usize, side: Side, tiles: &mut Vec<Tile>) {
    for step in 0..steps {
        let mut parts = [[_mm512_setzero_si512(); LANES]; PARTS];
        for (lane, row) in rows.iter().enumerate() {
            let inner = row.len().saturating_sub(step * STEP);
            let source = row.as_ptr().wrapping_add(step * STEP);
            let (low, high) = (first_of_16(inner), first_of_16(inner.saturating_sub(16)));
            // SAFETY: the masks leave out what is beyond the row.
            let (mut low, mut high) = unsafe {
                (
                    _mm512_maskz_loadu_ps(low, source),
                    _mm512_maskz_loadu_ps(high, source.wrapping_add(16)),
                )
            };
            for part in &mut parts {
                part[lane] = round(low, high);
                let [rounded_low, rounded_high] = widen(part[lane]);
                low = _mm512_sub_ps(low, rounded_low);
                high = _mm512_sub_ps(high, rounded_high);
            }
        }
        tiles.extend(parts.map(|part| match side {
            Side::Left => Tile(part),
            Side::Right => Tile(transpose(part)),
        }));
    }
}

/// The lowest `count` bits of a mask, all 16 if there are fewer.
#[inline(always)]
fn first_of_16(count: usize) -> __mmask16 {
    if count >= 16 {
        __mmask16::MAX
    } else {
        (1 << count) - 1
    }
}

/// The values of `low`, then those of `high`, rounded to the nearest 16-bit number, in the middle
/// to the even one.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn round(low: __m512, high: __m512) -> __m512i {
    let rounded = _mm512_cvtne2ps_pbh(high, low);
    // SAFETY: both types are 512 bits without a meaning of their own.
    unsafe { std::mem::transmute(rounded) }
}

/// The 16 lower and the 16 upper 16-bit numbers; the inverse of [`round`] where that is exact.
#[inline]
#[target_feature(enable = "avx512f")]
fn widen(numbers: __m512i) -> [__m512; 2] {
    let halves = [
        _mm512_castsi512_si256(numbers),
        _mm512_extracti64x4_epi64::<1>(numbers),
    ];
    halves.map(|half| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half))))
}

/// Number `i` of the lower half beside number `i` of the upper half, for each `i`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave(halves: __m512i) -> __m512i {
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0,
    );
    _mm512_permutexvar_epi16(order, halves)
}

/// The transposed matrix of 16 × 16 pairs of numbers.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let (mut twos, mut fours, mut columns) = (rows, rows, rows);
    for i in (0..16).step_by(2) {
        twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Vector i + j gets, of rows i to i + 3, columns j, j + 4, j + 8 and j + 12.
    for i in (0..16).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(twos[i], twos[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(twos[i], twos[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(twos[i + 1], twos[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(twos[i + 1], twos[i + 3]);
    }
    // For each j that leaves a 4 × 4 matrix of quarter vectors.
    for j in 0..4 {
        let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
        let (upper_even, upper_odd) = even_and_odd_quarters(a, b);
        let (lower_even, lower_odd) = even_and_odd_quarters(c, d);
        (columns[j], columns[8 + j]) = even_and_odd_quarters(upper_even, lower_even);
        (columns[4 + j], columns[12 + j]) = even_and_odd_quarters(upper_odd, lower_odd);
    }
    columns
}

/// Quarters 0 and 2 of `a` and of `b`; quarters 1 and 3 of `a` and of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn even_and_odd_quarters(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    (
        _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b),
    )
}
