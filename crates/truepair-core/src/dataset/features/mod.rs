//! Feature rows, in memory or mapped from files larger than memory.
//!
//! Rows are handed out as `f32` whatever the file holds. A mapped file costs no memory until its
//! rows are read, and a selection of rows shares the mapping of the whole.

mod augmentation;
mod bytes;
mod part;
mod picture_rows;
mod pictured;
mod precision;
mod scale;
mod stored;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use self::part::{Numbers, Part};
use crate::error::{Error, Place, Result};
use crate::npy::{Header, Number};
use crate::scores::Matrix;
use crate::watch::Watch;

pub use augmentation::Augmentation;
pub use bytes::Bytes;
pub use picture_rows::{BrokenPicture, PictureReader};
pub use precision::check_single_precision;
pub use scale::Scale;

/// Rows between two reports of progress.
const BLOCK: usize = 16_384;

/// Feature vectors `[n, d]` or `[n, regions, d]`.
///
/// Cloning is cheap: clones share their numbers.
///
/// ```
/// use truepair_core::dataset::Features;
///
/// let features = Features::from_rows(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2);
/// let turned = features.select(&[2, 0]);
/// assert_eq!(turned.gather(&[0, 1])?, [5.0, 6.0, 1.0, 2.0]);
/// assert!(features.copy_row(3, &mut [0.0; 2]).is_err());
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Features {
    parts: Arc<[Part]>,
    /// The stored row of each row; `None` = all stored rows in their order.
    selection: Option<Arc<[u32]>>,
    regions: usize,
    dim: usize,
}

impl Features {
    /// Opens a `.npy` file `[n, d]` or `[n, regions, d]` of `f2`, `f4` or `f8`, either byte order,
    /// either axis order; nothing is read but the header.
    ///
    /// # Errors
    /// If the file cannot be mapped, is cut short, or does not hold floating-point rows.
    pub fn open_npy(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = Bytes::map(path)?;
        let header = Header::parse(path, &bytes)?;
        Self::from_encoded(path, bytes, &header)
    }

    /// Rows of `dim` numbers in memory.
    ///
    /// # Panics
    /// If `dim` is 0 or does not divide the number of values.
    pub fn from_rows(values: Vec<f32>, dim: usize) -> Self {
        Self::from_regions(values, 1, dim)
    }

    /// Rows `[regions, dim]` in memory.
    ///
    /// # Panics
    /// If `regions * dim` is 0 or does not divide the number of values.
    pub fn from_regions(values: Vec<f32>, regions: usize, dim: usize) -> Self {
        let row_len = regions * dim;
        assert!(
            row_len > 0 && values.len().is_multiple_of(row_len),
            "{} values do not make rows of {row_len}",
            values.len()
        );
        let n = values.len() / row_len;
        let numbers = Numbers::Memory(values.into());
        let part = Part {
            path: "features in memory".into(),
            first: 0,
            n,
            numbers,
            scale: None,
        };
        Self {
            parts: [part].into(),
            selection: None,
            regions,
            dim,
        }
    }

    /// The file of the first stored row, for messages.
    pub fn path(&self) -> &Path {
        &self.parts[0].path
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.selection
            .as_ref()
            .map_or_else(|| self.n_stored(), |rows| rows.len())
    }

    /// The row of the files that row `index` is, counted over all of them.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn stored_row(&self, index: usize) -> usize {
        self.stored(index)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Regions per row; 1 for `[n, d]`.
    pub fn regions(&self) -> usize {
        self.regions
    }

    /// Numbers per region.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Numbers per row: `regions * dim`.
    pub fn row_len(&self) -> usize {
        self.regions * self.dim
    }

    /// Type of the stored numbers: `f16`, `bf16`, `f32`, `f64`, or `i8` and `u8` with a scale;
    /// `pictures` when they are decoded.
    pub fn dtype(&self) -> String {
        match &self.parts[0].numbers {
            Numbers::Memory(_) => Number::F32.to_string(),
            Numbers::Encoded { number, .. } => number.to_string(),
            Numbers::Pictures(_) => "pictures".into(),
        }
    }

    /// Copies row `index` as `f32` into `out` `[regions * d]`.
    ///
    /// # Errors
    /// If there is no such row, or it is a picture that cannot be decoded.
    ///
    /// # Panics
    /// If `out` is not as long as a row.
    pub fn copy_row(&self, index: usize, out: &mut [f32]) -> Result<()> {
        assert_eq!(out.len(), self.row_len(), "space for one row");
        if index >= self.len() {
            return Err(Error::argument(
                format!("row {index} of features with {} rows", self.len()),
                "check that the index and the features belong together",
            ));
        }
        let stored = self.stored(index);
        let part = self.part(stored);
        match &part.numbers {
            Numbers::Pictures(rows) => rows.decode(stored - part.first, None, out),
            _ => {
                part.copy_row(stored - part.first, self.regions, self.dim, out);
                Ok(())
            }
        }
    }

    /// The rows `indices` as `f32` `[indices.len(), regions * d]`.
    ///
    /// # Errors
    /// If one of them does not exist.
    pub fn gather(&self, indices: &[u32]) -> Result<Vec<f32>> {
        let mut out = vec![0.0; indices.len() * self.row_len()];
        out.par_chunks_mut(self.row_len())
            .zip(indices)
            .with_min_len(16)
            .try_for_each(|(out, &index)| self.copy_row(index as usize, out))?;
        Ok(out)
    }

    /// All rows in memory `[n, regions * d]`, the regions of a row one after another.
    ///
    /// # Errors
    /// Those of [`Features::copy_row`].
    pub fn to_matrix(&self) -> Result<Matrix> {
        let mut out = vec![0.0; self.len() * self.row_len()];
        out.par_chunks_mut(self.row_len())
            .enumerate()
            .with_min_len(16)
            .try_for_each(|(index, out)| self.copy_row(index, out))?;
        self.release();
        Ok(Matrix::new(out, self.row_len()))
    }

    /// The mean over the regions of every row, in memory `[n, d]`.
    ///
    /// # Errors
    /// Those of [`Features::copy_row`].
    pub fn pooled(&self) -> Result<Matrix> {
        let mut out = vec![0.0; self.len() * self.dim];
        let share = 1.0 / self.regions as f32;
        out.par_chunks_mut(self.dim)
            .enumerate()
            .with_min_len(16)
            .try_for_each_init(
                || vec![0.0; self.row_len()],
                |row, (index, out)| {
                    self.copy_row(index, row)?;
                    for region in row.chunks_exact(self.dim) {
                        out.iter_mut()
                            .zip(region)
                            .for_each(|(sum, x)| *sum += share * x);
                    }
                    Ok::<(), Error>(())
                },
            )?;
        self.release();
        Ok(Matrix::new(out, self.dim))
    }

    /// The rows `indices` as separate features that share the numbers.
    ///
    /// # Panics
    /// If one of them does not exist.
    pub fn select(&self, indices: &[u32]) -> Self {
        let stored = indices.iter().map(|&index| {
            assert!(
                (index as usize) < self.len(),
                "row {index} of {}",
                self.len()
            );
            self.stored(index as usize) as u32
        });
        Self {
            selection: Some(stored.collect()),
            ..self.clone()
        }
    }

    /// Refuses a NaN, an infinite number, and numbers whose squares are none of single precision, naming the
    /// file and the row.
    ///
    /// # Errors
    /// If there is one, or all numbers are too small.
    pub fn check_finite(&self, watch: &mut dyn Watch) -> Result<()> {
        let found = self.first_unusable(watch);
        self.release();
        let (index, largest) = found?;
        let Some(index) = index else {
            return match largest > 0.0 && largest < SMALLEST {
                true => Err(Error::data(
                    &self.part(self.stored(0)).path,
                    Place::Whole,
                    format!(
                        "no feature is larger than {largest:e}, too small for single precision"
                    ),
                    "divide all features by their largest length",
                )),
                false => Ok(()),
            };
        };
        let stored = self.stored(index);
        let part = self.part(stored);
        let mut row = vec![0.0; self.row_len()];
        self.copy_row(index, &mut row)?;
        let at = Place::Row((stored - part.first) as u64);
        Err(match row.iter().find(|x| !x.is_finite()) {
            Some(_) => Error::data(
                &part.path,
                at,
                "a feature is NaN or infinite, or too large for single precision, expected finite numbers",
                "extract this row again or remove its pairs",
            ),
            None => {
                let largest = row.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
                Error::data(
                    &part.path,
                    at,
                    format!(
                        "a feature of size {largest:e} is too large for single precision, where lengths are computed"
                    ),
                    "divide all features by their largest length",
                )
            }
        })
    }

    fn release(&self) {
        for part in self.parts.iter() {
            if let Numbers::Encoded { bytes, .. } = &part.numbers {
                bytes.release();
            }
        }
    }

    /// The first row with a number that is not finite or too large, and the largest size before it.
    fn first_unusable(&self, watch: &mut dyn Watch) -> Result<(Option<usize>, f32)> {
        let mut largest = 0.0f32;
        for first in (0..self.len()).step_by(BLOCK) {
            let last = (first + BLOCK).min(self.len());
            let bad = (first..last)
                .into_par_iter()
                .with_min_len(64)
                .map_init(
                    || vec![0.0; self.row_len()],
                    |row, index| {
                        self.copy_row(index, row)?;
                        Ok::<_, Error>(((!all_usable(row)).then_some(index), largest_of(row)))
                    },
                )
                .try_reduce(
                    || (None, 0.0f32),
                    |a, b| Ok((a.0.into_iter().chain(b.0).min(), a.1.max(b.1))),
                )?;
            largest = largest.max(bad.1);
            watch.advance("check features", last as u64, self.len() as u64);
            if bad.0.is_some() {
                return Ok((bad.0, largest));
            }
        }
        Ok((None, largest))
    }

    /// Number of rows of the files, of which these may be a selection.
    pub fn n_stored(&self) -> usize {
        self.parts.last().map_or(0, |last| last.first + last.n)
    }

    fn stored(&self, index: usize) -> usize {
        self.selection
            .as_ref()
            .map_or(index, |rows| rows[index] as usize)
    }

    fn part(&self, stored: usize) -> &Part {
        &self.parts[self
            .parts
            .partition_point(|part| part.first + part.n <= stored)]
    }
}

/// The largest size of a feature: lengths are sums of squares in single precision.
const LARGEST: f32 = 1e15;
/// The least that the largest size of all features may be.
const SMALLEST: f32 = 1e-15;

fn all_usable(row: &[f32]) -> bool {
    // Without an early exit the loop runs on wide registers, which matters for files of tens of
    // gigabytes. A NaN is not smaller than anything.
    row.iter()
        .fold(true, |usable, x| usable & (x.abs() <= LARGEST))
}

fn largest_of(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}
