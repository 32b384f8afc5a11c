//! Items of different lengths without their padding.

use std::borrow::Cow;

use super::Array;
use super::vector::add;

/// The vectors of every item that its mask keeps, one item after another.
#[derive(Debug)]
pub(crate) struct Ragged<'a> {
    values: Cow<'a, [f32]>,
    width: usize,
    /// Item `i` has the vectors `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    /// Of every kept vector, its row in the padded array; empty when nothing was padded.
    rows: Vec<usize>,
}

impl<'a> Ragged<'a> {
    /// From `[n, m, d]` and a mask `[n, m]` (a vector counts where it is not 0).
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub(crate) fn new(values: Array<'a>, mask: Array<'_>) -> Self {
        let [n, m, width] = values.dims();
        assert_eq!(mask.shape, [n, m], "a mask has one number per vector");
        if mask.values.iter().all(|keep| *keep != 0.0) {
            return Self {
                values: Cow::Borrowed(values.values),
                width,
                offsets: (0..=n).map(|item| item * m).collect(),
                rows: Vec::new(),
            };
        }
        let (mut packed, mut offsets, mut rows) = (Vec::new(), vec![0], Vec::new());
        for item in 0..n {
            for row in item * m..(item + 1) * m {
                if mask.values[row] != 0.0 {
                    packed.extend_from_slice(&values.values[row * width..(row + 1) * width]);
                    rows.push(row);
                }
            }
            offsets.push(rows.len());
        }
        Self {
            values: Cow::Owned(packed),
            width,
            offsets,
            rows,
        }
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Numbers in a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// All vectors `[total, d]`.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of vectors of all items.
    pub(crate) fn total(&self) -> usize {
        self.offsets[self.len()]
    }

    /// The places of item `index` among all vectors.
    pub(crate) fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.offsets[index]..self.offsets[index + 1]
    }

    /// First place of every item among all vectors, and their number.
    pub(crate) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Whether the mask keeps every vector; packed and padded rows are then the same.
    pub(crate) fn is_dense(&self) -> bool {
        self.rows.is_empty() && matches!(self.values, Cow::Borrowed(_))
    }

    /// The vectors of items `first..last`, `[vectors, d]`.
    pub(crate) fn items(&self, items: std::ops::Range<usize>) -> &[f32] {
        &self.values[self.offsets[items.start] * self.width..self.offsets[items.end] * self.width]
    }

    /// Adds packed rows `[total, d]` to the rows of the padded array that they came from.
    pub(crate) fn scatter(&self, packed: &[f32], padded: &mut [f32]) {
        if self.rows.is_empty() {
            return add(padded, packed);
        }
        for (row, values) in self.rows.iter().zip(packed.chunks_exact(self.width)) {
            add(
                &mut padded[row * self.width..(row + 1) * self.width],
                values,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_and_scattering_are_inverse_where_the_mask_keeps() {
        let padded: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let mask = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
        let values = Array {
            values: &padded,
            shape: &[3, 2, 2],
        };
        let ragged = Ragged::new(
            values,
            Array {
                values: &mask,
                shape: &[3, 2],
            },
        );
        assert_eq!((ragged.len(), ragged.total(), ragged.width()), (3, 3, 2));
        assert_eq!(ragged.values(), [0.0, 1.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(ragged.range(1), 1..1);
        assert_eq!(ragged.items(1..3), [8.0, 9.0, 10.0, 11.0]);
        let mut back = vec![0.0; 12];
        ragged.scatter(ragged.values(), &mut back);
        assert_eq!(back, [0., 1., 0., 0., 0., 0., 0., 0., 8., 9., 10., 11.]);
    }
}
