//! Feature rows, in memory or mapped from files larger than memory.
//!
//! Rows are handed out as `f32` whatever the file holds. A mapped file costs no memory until its
//! rows are read, and a selection of rows shares the mapping of the whole.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16, slice::HalfFloatSliceExt};
use memmap2::Mmap;
use rayon::prelude::*;

use super::npy::{Header, Number};
use crate::error::{Error, Place, Result};
use crate::scores::Matrix;
use crate::watch::Watch;

/// Rows between two reports of progress.
const BLOCK: usize = 16_384;

/// Feature vectors `[n, d]` or `[n, regions, d]`.
///
/// Cloning is cheap: clones share their numbers.
#[derive(Debug, Clone)]
pub struct Features {
    parts: Arc<[Part]>,
    /// Stored row of each row; `None` = all stored rows in their order.
    selection: Option<Arc<[u32]>>,
    regions: usize,
    dim: usize,
}

/// Consecutive rows that lie in one file or in memory.
#[derive(Debug, Clone)]
struct Part {
    /// The file, for messages.
    path: PathBuf,
    /// Index of the first row among all parts.
    first: usize,
    n: usize,
    numbers: Numbers,
}

#[derive(Debug, Clone)]
enum Numbers {
    Memory(Arc<[f32]>),
    Encoded {
        bytes: Bytes,
        start: usize,
        number: Number,
        big_endian: bool,
        fortran: bool,
    },
}

/// The content of a file.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    Mapped(Arc<Mmap>),
    Owned(Arc<[u8]>),
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
            "{} values are no rows of {row_len}",
            values.len()
        );
        let n = values.len() / row_len;
        let numbers = Numbers::Memory(values.into());
        let part = Part {
            path: "features in memory".into(),
            first: 0,
            n,
            numbers,
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

    /// Type of the stored numbers: `f16`, `bf16`, `f32` or `f64`.
    pub fn dtype(&self) -> String {
        match &self.parts[0].numbers {
            Numbers::Memory(_) => Number::F32.to_string(),
            Numbers::Encoded { number, .. } => number.to_string(),
        }
    }

    /// Copies row `index` as `f32` into `out` `[regions * d]`.
    ///
    /// # Errors
    /// If there is no such row.
    ///
    /// # Panics
    /// If `out` has another length than a row.
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
        part.copy_row(stored - part.first, self.regions, self.dim, out);
        Ok(())
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

    /// The rows `indices` as features of their own, sharing the numbers.
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

    /// Refuses a NaN or an infinite number, naming the file and the row.
    ///
    /// # Errors
    /// If there is one.
    pub fn check_finite(&self, watch: &mut dyn Watch) -> Result<()> {
        let found = self.first_non_finite(watch);
        self.release();
        match found? {
            None => Ok(()),
            Some(index) => {
                let stored = self.stored(index);
                let part = self.part(stored);
                Err(Error::data(
                    &part.path,
                    Place::Row((stored - part.first) as u64),
                    "a feature is NaN or infinite, expected finite numbers",
                    "extract this row again or remove its pairs",
                ))
            }
        }
    }

    /// The first row with a NaN or an infinite number.
    /// Lets go of the pages of mapped files that a pass over all rows has brought into memory; a
    /// later read brings them back.
    fn release(&self) {
        #[cfg(unix)]
        for part in self.parts.iter() {
            if let Numbers::Encoded {
                bytes: Bytes::Mapped(map),
                ..
            } = &part.numbers
            {
                // SAFETY: the map is shared, read-only and backed by its file, so the next access
                // reads the same bytes again. Failing to free memory is no failure of the pass.
                let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            }
        }
    }

    fn first_non_finite(&self, watch: &mut dyn Watch) -> Result<Option<usize>> {
        for first in (0..self.len()).step_by(BLOCK) {
            let last = (first + BLOCK).min(self.len());
            let bad = (first..last)
                .into_par_iter()
                .with_min_len(64)
                .map_init(
                    || vec![0.0; self.row_len()],
                    |row, index| {
                        let finite = self.copy_row(index, row).map(|()| all_finite(row));
                        finite.map(|finite| (!finite).then_some(index))
                    },
                )
                .try_reduce(|| None, |a, b| Ok(a.into_iter().chain(b).min()))?;
            watch.advance("check features", last as u64, self.len() as u64);
            if bad.is_some() {
                return Ok(bad);
            }
        }
        Ok(None)
    }

    /// Features whose numbers stand in `bytes` as `header` says.
    pub(super) fn from_encoded(path: &Path, bytes: Bytes, header: &Header) -> Result<Self> {
        let refuse =
            |problem: String, remedy: &str| Err(Error::data(path, Place::Whole, problem, remedy));
        if !header.number.is_float() {
            return refuse(
                format!(
                    "features must be f2, f4 or f8 numbers, found {}",
                    header.number
                ),
                "convert them: np.save(path, a.astype('float32'))",
            );
        }
        let (n, regions, dim) = match header.shape[..] {
            [n, dim] => (n, 1, dim),
            [n, regions, dim] => (n, regions, dim),
            _ => {
                return refuse(
                    format!(
                        "shape {:?}, expected [n, d] or [n, regions, d]",
                        header.shape
                    ),
                    "reshape it so that the first axis counts the rows",
                );
            }
        };
        if regions * dim == 0 || u32::try_from(n).is_err() {
            return refuse(
                format!(
                    "shape {:?}: rows must have numbers, and at most 2^32 fit",
                    header.shape
                ),
                "extract the features again, or split the set",
            );
        }
        let &Header {
            number,
            big_endian,
            fortran,
            start,
            ..
        } = header;
        let numbers = Numbers::Encoded {
            bytes,
            start,
            number,
            big_endian,
            fortran,
        };
        let part = Part {
            path: path.to_path_buf(),
            first: 0,
            n,
            numbers,
        };
        Ok(Self {
            parts: [part].into(),
            selection: None,
            regions,
            dim,
        })
    }

    /// Joins whole files one after another.
    pub(super) fn concat(shards: &[Features]) -> Result<Self> {
        let Some(Features { regions, dim, .. }) = shards.first() else {
            return Err(Error::argument(
                "no feature shard",
                "name at least one file",
            ));
        };
        let mut parts: Vec<Part> = Vec::new();
        for shard in shards {
            if (shard.regions, shard.dim) != (*regions, *dim) {
                let found = [shard.regions, shard.dim];
                return Err(Error::data(
                    &shard.parts[0].path,
                    Place::Whole,
                    format!(
                        "rows of {found:?}, but the first shard has {:?}",
                        [regions, dim]
                    ),
                    "write every shard with the same model",
                ));
            }
            for part in shard.parts.iter() {
                let first = parts.last().map_or(0, |last| last.first + last.n);
                parts.push(Part {
                    first,
                    ..part.clone()
                });
            }
        }
        Ok(Self {
            parts: parts.into(),
            selection: None,
            regions: *regions,
            dim: *dim,
        })
    }

    fn n_stored(&self) -> usize {
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

impl Part {
    fn copy_row(&self, row: usize, regions: usize, dim: usize, out: &mut [f32]) {
        let row_len = regions * dim;
        match &self.numbers {
            Numbers::Memory(values) => {
                out.copy_from_slice(&values[row * row_len..(row + 1) * row_len]);
            }
            Numbers::Encoded {
                bytes,
                start,
                number,
                big_endian,
                fortran: false,
            } => {
                let width = row_len * number.width();
                let start = start + row * width;
                decode(&bytes[start..start + width], *number, *big_endian, out);
            }
            Numbers::Encoded {
                bytes,
                start,
                number,
                big_endian,
                fortran: true,
            } => {
                // The first axis varies fastest: neighbours in a row lie a whole column apart.
                for (at, out) in out.iter_mut().enumerate() {
                    let (region, column) = (at / dim, at % dim);
                    let element = row + self.n * (region + regions * column);
                    let start = start + element * number.width();
                    let cell = &bytes[start..start + number.width()];
                    decode(cell, *number, *big_endian, std::slice::from_mut(out));
                }
            }
        }
    }
}

impl Bytes {
    /// Maps the file at `path`.
    pub(super) fn map(path: &Path) -> Result<Bytes> {
        let file = std::fs::File::open(path).map_err(|source| Error::io(path, "open", source))?;
        let length = file
            .metadata()
            .map_err(|source| Error::io(path, "read", source))?
            .len();
        if length == 0 {
            return Err(Error::data(
                path,
                Place::Whole,
                "the file is empty",
                "it was cut short: copy or write it again",
            ));
        }
        // SAFETY: the mapping is read-only. Should another program shorten the file meanwhile, the
        // system ends this process with a bus error, as for every mapped file; no reference ever
        // outlives the mapping.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| Error::io(path, "map", source))?;
        Ok(Bytes::Mapped(Arc::new(map)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

fn all_finite(row: &[f32]) -> bool {
    // Without an early exit the loop runs on wide registers, which matters for files of tens of
    // gigabytes.
    row.iter().fold(true, |finite, x| finite & x.is_finite())
}

/// Converts numbers to `f32`; values too large for it become infinite, which the check for finite
/// features then names.
fn decode(bytes: &[u8], number: Number, big_endian: bool, out: &mut [f32]) {
    match (number, big_endian) {
        (Number::F16, false) if cfg!(target_endian = "little") => {
            // Whole rows convert several numbers per instruction when they are aligned.
            match bytemuck::try_cast_slice::<u8, f16>(bytes) {
                Ok(row) => row.convert_to_f32_slice(out),
                Err(_) => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            }
        }
        (Number::F16, false) => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        (Number::F16, true) => each(bytes, out, |b| f16::from_be_bytes(b).to_f32()),
        (Number::Bf16, false) => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        (Number::Bf16, true) => each(bytes, out, |b| bf16::from_be_bytes(b).to_f32()),
        (Number::F32, false) => each(bytes, out, f32::from_le_bytes),
        (Number::F32, true) => each(bytes, out, f32::from_be_bytes),
        (Number::F64, false) => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        (Number::F64, true) => each(bytes, out, |b| f64::from_be_bytes(b) as f32),
        (other, _) => unreachable!("features of {other} are refused when they are opened"),
    }
}

fn each<const W: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; W]) -> f32) {
    let (cells, _) = bytes.as_chunks::<W>();
    out.iter_mut()
        .zip(cells)
        .for_each(|(out, cell)| *out = convert(*cell));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::npy::header_bytes;

    /// Writes `[2, 2, 3]` numbers 0..12 in any layout.
    fn stored(descr: &str, fortran: bool, shape: &[usize], numbers: &[u8]) -> Features {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut bytes = header_bytes(descr, shape);
        if fortran {
            let text = String::from_utf8_lossy(&bytes[10..]).replace("False", "True ");
            bytes.truncate(10);
            bytes.extend(text.as_bytes());
        }
        bytes.extend(numbers);
        std::fs::write(&path, bytes).unwrap();
        Features::open_npy(&path).unwrap()
    }

    fn numbers<const W: usize>(values: &[f32], encode: impl Fn(f32) -> [u8; W]) -> Vec<u8> {
        values.iter().flat_map(|x| encode(*x)).collect()
    }

    #[test]
    fn every_type_and_byte_order_reads_the_same_rows() {
        let values: Vec<f32> = (0..12).map(|x| x as f32 - 5.5).collect();
        let half = f16::from_f32;
        let layouts = [
            ("<f2", numbers(&values, |x| half(x).to_le_bytes())),
            (">f2", numbers(&values, |x| half(x).to_be_bytes())),
            ("<f4", numbers(&values, f32::to_le_bytes)),
            (">f4", numbers(&values, f32::to_be_bytes)),
            ("<f8", numbers(&values, |x| f64::from(x).to_le_bytes())),
            (">f8", numbers(&values, |x| f64::from(x).to_be_bytes())),
        ];
        for (descr, bytes) in layouts {
            let features = stored(descr, false, &[2, 2, 3], &bytes);
            assert_eq!(
                (features.len(), features.regions(), features.dim()),
                (2, 2, 3)
            );
            assert_eq!(features.to_matrix().unwrap().values(), values, "{descr}");
            assert_eq!(
                features.gather(&[1, 1]).unwrap()[6..],
                values[6..],
                "{descr}"
            );
        }
    }

    #[test]
    fn fortran_order_reads_the_same_rows() {
        let value = |i: usize, r: usize, c: usize| (100 * i + 10 * r + c) as f32;
        let (n, regions, dim) = (2, 4, 3);
        let mut bytes = Vec::new();
        for c in 0..dim {
            for r in 0..regions {
                for i in 0..n {
                    bytes.extend(value(i, r, c).to_le_bytes());
                }
            }
        }
        let features = stored("<f4", true, &[n, regions, dim], &bytes);
        let mut row = vec![0.0; 12];
        for i in 0..n {
            features.copy_row(i, &mut row).unwrap();
            for (at, x) in row.iter().enumerate() {
                assert_eq!(*x, value(i, at / dim, at % dim));
            }
        }
    }

    #[test]
    fn pooling_is_the_mean_over_regions() {
        let features = Features::from_regions(vec![1.0, 2.0, 3.0, 6.0], 2, 2);
        assert_eq!(features.pooled().unwrap().values(), [2.0, 4.0]);
        assert_eq!(features.to_matrix().unwrap().dim(), 4);
    }

    #[test]
    fn selections_and_shards_keep_their_order() {
        let a = Features::from_rows(vec![0.0, 1.0], 1);
        let b = Features::from_rows(vec![2.0, 3.0, 4.0], 1);
        let all = Features::concat(&[a, b]).unwrap();
        assert_eq!(all.to_matrix().unwrap().values(), [0.0, 1.0, 2.0, 3.0, 4.0]);
        let some = all.select(&[4, 0, 2]).select(&[0, 2]);
        assert_eq!(some.gather(&[0, 1]).unwrap(), [4.0, 2.0]);
        assert!(some.copy_row(2, &mut [0.0]).is_err());
        assert!(Features::concat(&[all, Features::from_rows(vec![0.0; 2], 2)]).is_err());
    }

    #[test]
    fn the_first_bad_row_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 40_000];
            values[2 * 19_000 + 1] = bad;
            values[2 * 19_500] = bad;
            let features = Features::from_rows(values, 2);
            let error = features.check_finite(&mut ()).unwrap_err().to_string();
            assert!(
                error.starts_with("features in memory: row 19000:"),
                "{error}"
            );
            features.select(&[0, 1, 2]).check_finite(&mut ()).unwrap();
        }
    }

    #[test]
    fn half_precision_overflow_is_caught_as_infinite() {
        let features = stored("<f8", false, &[1, 1], &1e300_f64.to_le_bytes());
        assert!(features.check_finite(&mut ()).is_err());
    }
}
