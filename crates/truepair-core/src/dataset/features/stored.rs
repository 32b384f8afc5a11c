//! Features out of files: the header's shape, and shards one after another.

use std::path::Path;

use super::part::{Numbers, Part};
use super::{Bytes, Features};
use crate::error::{Error, Place, Result};
use crate::npy::Header;

/// Numbers of one row.
const LONGEST_ROW: usize = 1 << 28;

impl Features {
    /// Features whose numbers stand in `bytes` as `header` says; `path` is for messages.
    ///
    /// # Errors
    /// If the numbers are no floating-point rows `[n, d]` or `[n, regions, d]`.
    pub fn from_encoded(path: &Path, bytes: Bytes, header: &Header) -> Result<Self> {
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
        Self::stored_as(path, bytes, header)
    }

    /// Features of whatever numbers `header` says.
    pub(super) fn stored_as(path: &Path, bytes: Bytes, header: &Header) -> Result<Self> {
        let refuse =
            |problem: String, remedy: &str| Err(Error::data(path, Place::Whole, problem, remedy));
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
        let row_len = regions.checked_mul(dim).filter(|len| *len <= LONGEST_ROW);
        if row_len.unwrap_or(0) == 0 || u32::try_from(n).is_err() {
            return refuse(
                format!(
                    "shape {:?}: rows must have numbers, at most 2^28, and at most 2^32 rows fit",
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
            scale: None,
        };
        Ok(Self {
            parts: [part].into(),
            selection: None,
            regions,
            dim,
        })
    }

    /// Opens `.npy` files whose rows follow one another; see [`open_npy`](Self::open_npy).
    ///
    /// # Errors
    /// If there is no file, one cannot be opened, or its rows are of another size.
    pub fn open_shards(files: &[impl AsRef<Path>]) -> Result<Self> {
        let shards = files.iter().map(Self::open_npy);
        Self::concat(&shards.collect::<Result<Vec<_>>>()?)
    }

    /// Joins features whose rows follow one another; selections of rows are not kept.
    ///
    /// # Errors
    /// If there are none, or rows are of another size.
    pub fn concat(shards: &[Features]) -> Result<Self> {
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
}
