//! Matrix products of `f32` buffers with both factors rounded to bf16: 8 significant bits, to the
//! nearest number, in the middle to the even one.
//!
//! Sums are `f32`. Numbers below 1.2e-38 in magnitude count as 0; infinities and NaN are carried
//! through. On processors with matrix tiles (Intel AMX, on Linux) the product is made by
//! [`amx`](super::amx), elsewhere by rounding into buffers and multiplying in `f32`; the two differ
//! by the order of the sums only. Neither depends on the number of threads.
//!
//! With tiles this is 2 to 5 times as fast as `f32`, if all sizes are at least 32. It is slower
//! where rounding is most of the work: fewer than about 8 rows or columns of the output, fewer than
//! about 20 inner indices, or fewer than 10⁴ multiplications. Without tiles it is always slower.
//! The choice is the caller's.

use std::cell::Cell;
use std::thread::LocalKey;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::amx;
use super::{Product, View, Write};
use crate::vector::wide;

thread_local! {
    static LEFT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static RIGHT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// `out = left · right`, or `out += left · right`, with rounded factors; sizes as
/// [`Product::put`] has checked them, neither rows nor columns of `out` 0.
pub(super) fn put(product: Product<'_>, write: Write, out: &mut [f32], stride: usize) {
    let Product { left, right, .. } = product;
    if left.columns == 0 {
        if write == Write::Replace {
            for row in out.chunks_mut(stride).take(left.rows) {
                row[..right.columns].fill(0.0);
            }
        }
        return;
    }
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if let Some(proof) = amx::Amx::get() {
        return amx::put(proof, product, write, out, stride);
    }
    put_without_tiles(product, write, out, stride);
}

fn put_without_tiles(product: Product<'_>, write: Write, out: &mut [f32], stride: usize) {
    with_rounded(product.left, &LEFT, |left| {
        with_rounded(product.right, &RIGHT, |right| {
            (left.times(right).on(product.threads)).put_f32(write, out, stride);
        });
    });
}

/// Runs `work` with the rounded matrix, in a buffer of this thread. Work that this thread takes
/// over while it waits for others finds the buffer empty and makes its own.
fn with_rounded(
    matrix: View<'_>,
    buffer: &'static LocalKey<Cell<Vec<f32>>>,
    work: impl FnOnce(View<'_>),
) {
    let transposed = matrix.column_stride != 1;
    let dense = if transposed { matrix.t() } else { matrix };
    let mut rounded = buffer.take();
    rounded.resize(dense.rows * dense.columns, 0.0);
    wide(
        #[inline(always)]
        || {
            for (row, rounded) in rounded.chunks_exact_mut(dense.columns).enumerate() {
                let values = &dense.values[row * dense.row_stride..][..dense.columns];
                for (rounded, value) in rounded.iter_mut().zip(values) {
                    *rounded = round(*value);
                }
            }
        },
    );
    let view = View::rows(&rounded, dense.columns);
    work(if transposed { view.t() } else { view });
    buffer.set(rounded);
}

/// The nearest number of 8 significant bits, the even one of two; 0 for subnormal numbers.
#[inline(always)]
fn round(value: f32) -> f32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    let rounded = f32::from_bits(if value.is_nan() { bits } else { nearest });
    if value.abs() < f32::MIN_POSITIVE {
        0.0
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::super::Threads;
    use super::*;

    type Put = fn(Product<'_>, Write, &mut [f32], usize);

    /// This file's product, on tiles where there are some, and the one without them.
    const PRODUCTS: [Put; 2] = [put, put_without_tiles];

    /// Values of magnitudes from 2⁻⁷ to 1, in rows with a gap of 3 after each, or in columns.
    struct Matrix {
        values: Vec<f32>,
        line: usize,
        transposed: bool,
    }

    impl Matrix {
        fn new(rows: usize, columns: usize, transposed: bool) -> Self {
            let (lines, line) = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            let mut state = (rows * 31 + columns) as u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let magnitude = f32::from_bits((120 + (state >> 4) % 7) << 23 | state >> 9);
                if state >> 7 & 1 == 0 {
                    magnitude
                } else {
                    -magnitude
                }
            };
            let values = (0..lines * (line + 3)).map(|_| next()).collect();
            Self {
                values,
                line,
                transposed,
            }
        }

        fn view(&self) -> View<'_> {
            let stride = self.line + 3;
            let lines = View::strided(&self.values, self.values.len() / stride, self.line, stride);
            if self.transposed { lines.t() } else { lines }
        }
    }

    fn value(view: View<'_>, row: usize, column: usize) -> f64 {
        f64::from(round(
            view.values[row * view.row_stride + column * view.column_stride],
        ))
    }

    /// Sums of products, and of their magnitudes, of every row of so many.
    fn reference(left: View<'_>, right: View<'_>, every: usize) -> Vec<Vec<(f64, f64)>> {
        let column = |j| {
            (0..right.rows)
                .map(|l| value(right, l, j))
                .collect::<Vec<_>>()
        };
        let columns: Vec<_> = (0..right.columns).map(column).collect();
        let sums = |i: usize| {
            let row: Vec<_> = (0..left.columns).map(|l| value(left, i, l)).collect();
            let sum = |column: &Vec<f64>| {
                let products = row.iter().zip(column).map(|(a, b)| a * b);
                products.fold((0.0, 0.0), |(sum, size), ab| (sum + ab, size + ab.abs()))
            };
            columns.iter().map(sum).collect()
        };
        (0..left.rows).step_by(every).map(sums).collect()
    }

    fn check(left: View<'_>, right: View<'_>, every: usize) {
        let (m, n) = (left.rows, right.columns);
        let reference = reference(left, right, every);
        for put in PRODUCTS {
            for (write, start) in [(Write::Replace, f32::NAN), (Write::Add, 0.75)] {
                let mut out = vec![start; m * (n + 5)];
                put(left.times(right), write, &mut out, n + 5);
                let rows = out.chunks_exact(n + 5);
                assert!(
                    rows.clone()
                        .flat_map(|row| &row[n..])
                        .all(|x| x.to_bits() == start.to_bits())
                );
                for (row, expected) in rows.step_by(every).zip(&reference) {
                    for (sum, (exact, magnitude)) in row.iter().zip(expected) {
                        let exact = exact + if write == Write::Add { 0.75 } else { 0.0 };
                        let error = (f64::from(*sum) - exact).abs();
                        assert!(
                            error <= 1e-6 * (magnitude + 1.0),
                            "{m} {n} {}",
                            left.columns
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn products_equal_the_definition_in_all_shapes_and_memory_orders() {
        const SIZES: [usize; 9] = [1, 2, 15, 16, 17, 33, 64, 100, 257];
        // Larger in two sizes at once are the products of many blocks below.
        let is_small = |sizes: [usize; 3]| sizes.iter().filter(|size| **size > 33).count() < 2;
        for m in SIZES {
            for k in SIZES {
                let left = [false, true].map(|transposed| Matrix::new(m, k, transposed));
                for n in SIZES.into_iter().filter(|&n| is_small([m, k, n])) {
                    let right = [false, true].map(|transposed| Matrix::new(k, n, transposed));
                    for left in &left {
                        right
                            .iter()
                            .for_each(|right| check(left.view(), right.view(), 1));
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_many_blocks_equal_the_definition() {
        // Blocks are 16 rows at least.
        let check = |left: Matrix, right: Matrix| check(left.view(), right.view(), 13);
        for (m, k, n) in [
            (520, 1040, 35),
            (35, 1040, 520),
            (530, 70, 1100),
            (3, 5000, 2),
        ] {
            check(Matrix::new(m, k, false), Matrix::new(k, n, true));
        }
        check(Matrix::new(70, 40, true), Matrix::new(40, 8_200, false));
        check(Matrix::new(520, 3, true), Matrix::new(3, 16_500, false));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        for (m, k, n) in [(130, 1300, 130), (150, 530, 300)] {
            let (left, right) = (Matrix::new(m, k, true), Matrix::new(k, n, false));
            for put in PRODUCTS {
                let run = |threads, pool: usize| {
                    let mut out = vec![0.5; m * n];
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(pool).build();
                    pool.unwrap().install(|| {
                        put(
                            left.view().times(right.view()).on(threads),
                            Write::Add,
                            &mut out,
                            n,
                        );
                    });
                    out
                };
                let one = run(Threads::One, 1);
                assert!((1..6).all(|threads| run(Threads::All, threads) == one));
            }
        }
    }

    #[test]
    fn products_inside_parallel_work_do_not_share_buffers() {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        let (left, right) = (Matrix::new(130, 150, false), Matrix::new(150, 140, false));
        let run = |threads| {
            let mut out = vec![0.0; 130 * 140];
            put(
                left.view().times(right.view()).on(threads),
                Write::Replace,
                &mut out,
                140,
            );
            out
        };
        let expected = run(Threads::One);
        let equal = |_| run(Threads::One) == expected && run(Threads::All) == expected;
        assert!((0..32).into_par_iter().all(equal));
    }

    #[test]
    fn an_empty_inner_size_gives_zeros() {
        let view = View::strided(&[], 2, 0, 0);
        let mut out = [1.0; 7];
        put(view.times(view.t()), Write::Add, &mut out, 4);
        assert_eq!(out, [1.0; 7]);
        put(view.times(view.t()), Write::Replace, &mut out, 4);
        assert_eq!(out, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn infinities_and_nan_reach_their_row_and_column_only() {
        let (mut left, right) = (vec![1.0f32; 40 * 50], vec![2.0f32; 50 * 45]);
        left[3 * 50 + 49] = f32::NAN;
        left[5 * 50 + 7] = f32::INFINITY;
        left[39 * 50 + 1] = f32::NEG_INFINITY;
        for put in PRODUCTS {
            let mut out = vec![0.0; 40 * 45];
            let (left, right) = (View::rows(&left, 50), View::rows(&right, 45));
            put(left.times(right), Write::Replace, &mut out, 45);
            for (i, row) in out.chunks_exact(45).enumerate() {
                assert!(row.iter().all(|&sum| match i {
                    3 => sum.is_nan(),
                    5 => sum == f32::INFINITY,
                    39 => sum == f32::NEG_INFINITY,
                    _ => sum == 100.0,
                }));
            }
            // The transposed product: the same in columns.
            let mut out = vec![0.0; 45 * 40];
            put(right.t().times(left.t()), Write::Replace, &mut out, 40);
            let column = |j: usize| out.iter().skip(j).step_by(40);
            assert!(
                column(3).all(|sum| sum.is_nan()) && column(5).all(|&sum| sum == f32::INFINITY)
            );
            assert!(column(38).all(|&sum| sum == 100.0));
        }
    }

    /// Every product rounds as `round` does: a column times 1.
    #[test]
    fn factors_are_rounded_to_the_nearest_even_number() {
        let edge = |bits: u32| f32::from_bits(bits);
        let cases = [
            (1.0, 1.0),
            (edge(0x3f80_7fff), 1.0),
            (edge(0x3f80_8000), 1.0),
            (edge(0x3f80_8001), edge(0x3f81_0000)),
            (edge(0x3f81_8000), edge(0x3f82_0000)),
            (edge(0xbf81_8000), edge(0xbf82_0000)),
            (edge(0x3fff_8000), 2.0),
            (f32::MAX, f32::INFINITY),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            (1e-39, 0.0),
        ];
        let (values, expected): (Vec<f32>, Vec<f32>) = cases.into_iter().unzip();
        assert_eq!(
            values.iter().map(|&x| round(x)).collect::<Vec<_>>(),
            expected
        );
        for put in PRODUCTS {
            let mut out = vec![0.0; values.len()];
            let (column, one) = (View::rows(&values, 1), View::rows(&[1.0], 1));
            put(column.times(one), Write::Replace, &mut out, 1);
            assert_eq!(out, expected);
            put(
                one.times(column.t()),
                Write::Replace,
                &mut out,
                values.len(),
            );
            assert_eq!(out, expected);
        }
    }
}
