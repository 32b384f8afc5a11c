//! Rows of items of unequal length, one item after another, as tensors.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_kernel::row_ranges;

/// How the rows of a batch are spread over places of equal number and packed again.
#[derive(Debug, Clone)]
pub(crate) struct Items {
    lengths: Vec<usize>,
    places: usize,
}

impl Items {
    /// Items of these numbers of rows, at most `places` each.
    ///
    /// # Panics
    /// If an item has more.
    pub(crate) fn new(lengths: Vec<usize>, places: usize) -> Self {
        assert!(lengths.iter().all(|&length| length <= places));
        Self { lengths, places }
    }

    /// Rows of every item.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Whether no place is empty: packed and spread rows are then the same.
    pub(crate) fn is_full(&self) -> bool {
        self.lengths.iter().all(|&length| length == self.places)
    }

    /// `[rows, d]` to `[n, places, d]`: an item's rows come first, then zeros. Rows beyond those of
    /// the items are left out.
    pub(crate) fn spread(&self, rows: Tensor<2>) -> Tensor<3> {
        let ([_, d], device) = (rows.dims(), rows.device());
        let (n, m) = (self.lengths.len(), self.places);
        if self.is_full() {
            return rows.reshape([n, m, d]);
        }
        let empty = Tensor::zeros([1, d], &device);
        // Row 0 is the empty one.
        let origins = row_ranges(&self.lengths).into_iter().flat_map(|range| {
            (0..m).map(move |place| match place < range.len() {
                true => 1 + (range.start + place) as i64,
                false => 0,
            })
        });
        let origins = TensorData::new(origins.collect::<Vec<_>>(), [n * m]);
        let origins = Tensor::<1, Int>::from_data(origins, &device);
        let spread = Tensor::cat(vec![empty, rows], 0).select(0, origins);
        spread.reshape([n, m, d])
    }

    /// The inverse of [`spread`](Self::spread); one row, the first, when no item has any.
    pub(crate) fn pack(&self, spread: Tensor<3>) -> Tensor<2> {
        let ([n, m, d], device) = (spread.dims(), spread.device());
        let rows = spread.reshape([n * m, d]);
        if self.is_full() {
            return rows;
        }
        let taken = (self.lengths.iter().enumerate())
            .flat_map(|(item, &length)| (0..length).map(move |place| (item * m + place) as i64));
        let mut taken: Vec<i64> = taken.collect();
        if taken.is_empty() {
            taken.push(0);
        }
        let size = taken.len();
        rows.select(
            0,
            Tensor::<1, Int>::from_data(TensorData::new(taken, [size]), &device),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::floats;
    use burn::tensor::Device;

    fn rows(values: &[f32]) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn packing_undoes_spreading() {
        let items = Items::new(vec![2, 0, 1], 2);
        let spread = items.spread(rows(&[1.0, 2.0, 3.0]));
        assert_eq!(floats(spread.clone()), [1.0, 2.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!(floats(items.pack(spread)), [1.0, 2.0, 3.0]);
        let none = Items::new(vec![0, 0], 1);
        assert_eq!(none.pack(none.spread(rows(&[7.0]))).dims(), [1, 1]);
    }
}
