//! Matrix products of `f32` buffers: the one place that multiplies.
//!
//! [`multiply`] is for buffers of any layout, with factors as they are or rounded to 16 bits.
//! [`RowFactor`] is for scores, every row of one factor against every row of the other: on
//! processors with matrix tiles it has the precision of `f32` at about half its time.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod bf16;
mod rows;

pub use rows::{RowCache, RowFactor, multiply_transposed};

/// Number format of the factors of every matrix product; sums are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Precision {
    /// Factors as they are.
    #[default]
    F32,
    /// Factors rounded to 8 significant bits, on processors with matrix tiles (AMX); elsewhere the
    /// same rounding with ordinary arithmetic.
    Bf16,
}

/// Who multiplies: the calling thread, or all threads of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread; for products inside a parallel loop.
    One,
    /// All threads of the pool.
    All,
}

/// Which factor of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its rows are the rows of the product.
    Left,
    /// Its columns are the columns of the product. Where it is given transposed: its rows are.
    Right,
}

/// Whether a product replaces what the output holds or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `C = A B`
    Replace,
    /// `C += A B`
    Add,
}

/// A matrix in a buffer.
///
/// ```
/// use truepair_kernel::product::View;
///
/// let view = View::rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
/// assert_eq!((view.n_rows(), view.n_columns()), (2, 3));
/// assert_eq!(view.t().n_rows(), 3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Dense rows `[values.len() / columns, columns]`.
    ///
    /// # Panics
    /// If `columns` does not divide the number of values.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns));
        Self::strided(values, values.len() / columns, columns, columns)
    }

    /// `rows` rows of `columns` values, each starting `row_stride` after the one before.
    ///
    /// # Panics
    /// If the buffer is too short.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * row_stride + columns <= values.len());
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.columns
    }

    /// The transposed matrix; nothing moves.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = left · right`, or `out += left · right`. `out` has dense columns; its rows start
/// `out_stride` apart.
///
/// # Panics
/// If the inner sizes differ or `out` is too short.
pub fn multiply(
    precision: Precision,
    threads: Threads,
    left: View<'_>,
    right: View<'_>,
    out: &mut [f32],
    out_stride: usize,
    write: Write,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner sizes of a product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= out_stride && (m - 1) * out_stride + n <= out.len());
    match precision {
        Precision::F32 => f32_product(threads, left, right, out, out_stride, write),
        Precision::Bf16 => bf16::product(threads, left, right, out, out_stride, write),
    }
}

fn f32_product(
    threads: Threads,
    left: View<'_>,
    right: View<'_>,
    out: &mut [f32],
    out_stride: usize,
    write: Write,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: `View` checks that every index that its sizes and strides reach lies in its buffer,
    // and `multiply` checks the same of `out`; `out` is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            write == Write::Add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, seed: u32) -> Vec<f32> {
        (0..rows * columns)
            .map(|i| ((i as u32).wrapping_mul(2_654_435_761) ^ seed) as f32 / 4e9 - 0.5)
            .collect()
    }

    #[test]
    fn strides_transposes_and_addition_equal_the_definition() {
        let (m, n, k) = (5, 7, 9);
        let (a, b) = (matrix(k, m, 1), matrix(n, k + 3, 2));
        for write in [Write::Replace, Write::Add] {
            let mut out = vec![2.0; m * (n + 2)];
            let left = View::rows(&a, m).t();
            let right = View::strided(&b, n, k, k + 3).t();
            multiply(
                Precision::F32,
                Threads::One,
                left,
                right,
                &mut out,
                n + 2,
                write,
            );
            for i in 0..m {
                for j in 0..n {
                    let sum: f32 = (0..k).map(|l| a[l * m + i] * b[j * (k + 3) + l]).sum();
                    let expected = sum + if write == Write::Add { 2.0 } else { 0.0 };
                    assert!((out[i * (n + 2) + j] - expected).abs() < 1e-5);
                }
                assert_eq!(out[i * (n + 2) + n], 2.0);
            }
        }
    }
}
