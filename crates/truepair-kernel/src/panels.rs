//! The constant right factor of many small products, laid out for them once.

use rayon::prelude::*;

use crate::product::{Precision, View, Write};

/// Columns of a panel: one register tile of the widest vectors, so that a product neither copies
/// nor strides over its right factor.
const PANEL: usize = 64;
/// Inner indices that a transposition moves at a time: one cache line of the source.
const LINE: usize = 16;

/// A matrix `[inner, columns]` cut into panels of columns, each of them dense.
///
/// Products with rounded factors convert their operands anyway and prefer few wide ones, so they
/// get a single panel.
#[derive(Debug)]
pub(crate) struct Panels {
    values: Vec<f32>,
    inner: usize,
    columns: usize,
    width: usize,
    precision: Precision,
}

impl Panels {
    /// From rows `[inner, columns]`.
    ///
    /// # Panics
    /// If `columns` does not divide the number of values.
    pub(crate) fn of_rows(precision: Precision, rows: &[f32], columns: usize) -> Self {
        let inner = rows.len() / columns;
        Self::build(
            precision,
            rows.len(),
            inner,
            columns,
            |first, width, out| {
                for (row, out) in rows.chunks_exact(columns).zip(out.chunks_exact_mut(width)) {
                    out.copy_from_slice(&row[first..first + width]);
                }
            },
        )
    }

    /// From columns `[columns, inner]`: the transposed matrix.
    ///
    /// # Panics
    /// If `inner` does not divide the number of values.
    pub(crate) fn of_columns(precision: Precision, columns: &[f32], inner: usize) -> Self {
        let n_columns = columns.len() / inner;
        Self::build(
            precision,
            columns.len(),
            inner,
            n_columns,
            |first, width, out| {
                for (block, out) in out.chunks_mut(LINE * width).enumerate() {
                    let sources = columns[first * inner..].chunks_exact(inner).take(width);
                    for (column, source) in sources.enumerate() {
                        let source = &source[block * LINE..];
                        for (row, value) in out.chunks_exact_mut(width).zip(source) {
                            row[column] = *value;
                        }
                    }
                }
            },
        )
    }

    fn build(
        precision: Precision,
        n_values: usize,
        inner: usize,
        columns: usize,
        fill: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) -> Self {
        assert_eq!(inner * columns, n_values, "a whole number of rows");
        let width = match precision {
            Precision::F32 => PANEL.min(columns),
            Precision::Bf16 => columns,
        };
        let mut values = vec![0.0; n_values];
        (values.par_chunks_mut(inner * width).enumerate()).for_each(|(panel, out)| {
            fill(panel * width, out.len() / inner, out);
        });
        Self {
            values,
            inner,
            columns,
            width,
            precision,
        }
    }

    /// `out = left · self`, or `out += left · self`, on the calling thread; rows of `out` start
    /// `out_stride` apart.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` is too short.
    pub(crate) fn multiply(
        &self,
        left: View<'_>,
        out: &mut [f32],
        out_stride: usize,
        write: Write,
    ) {
        let panels = self.values.chunks(self.inner * self.width);
        for (panel, first) in panels.zip((0..self.columns).step_by(self.width)) {
            let width = panel.len() / self.inner;
            left.times(View::rows(panel, width))
                .with(self.precision)
                .put(write, &mut out[first..], out_stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_equal_the_definition() {
        let (m, inner, columns) = (3, 37, 150);
        let value = |at: usize| ((at * 7919) % 101) as f32 / 101.0 - 0.5;
        let left: Vec<f32> = (0..m * inner).map(value).collect();
        let right: Vec<f32> = (0..inner * columns).map(|at| value(at + 13)).collect();
        let transposed: Vec<f32> = (0..columns * inner)
            .map(|at| right[at % inner * columns + at / inner])
            .collect();
        for precision in [Precision::F32, Precision::Bf16] {
            for panels in [
                Panels::of_rows(precision, &right, columns),
                Panels::of_columns(precision, &transposed, inner),
            ] {
                let stride = columns + 2;
                let mut out = vec![1.0; m * stride];
                panels.multiply(View::rows(&left, inner), &mut out, stride, Write::Add);
                for (i, row) in out.chunks_exact(stride).enumerate() {
                    for (j, found) in row[..columns].iter().enumerate() {
                        let products =
                            (0..inner).map(|k| left[i * inner + k] * right[k * columns + j]);
                        assert!((found - 1.0 - products.sum::<f32>()).abs() < 0.05);
                    }
                    assert_eq!(row[columns], 1.0);
                }
            }
        }
    }
}
