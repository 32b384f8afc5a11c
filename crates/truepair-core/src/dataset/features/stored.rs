//! Features from files: the header's shape, and shards one after another.

use std::path::Path;

use super::part::{Numbers, Part};
use super::{Bytes, Features};
use crate::error::{Error, Place, Result};
use crate::npy::Header;

impl Features {
    /// Features whose numbers are in `bytes` as `header` says; `path` is for messages.
    ///
    /// # Errors
    /// If the numbers are not floating-point rows `[n, d]` or `[n, regions, d]`.
    pub fn from_encoded(path: &Path, bytes: Bytes, header: &Header) -> Result<Self> {
        if !header.number.is_float() {
            return Err(Error::data(
                path,
                Place::Whole,
                format!(
                    "features must be f2, f4 or f8 numbers, found {}",
                    header.number
                ),
                "convert them: np.save(path, a.astype('float32'))",
            ));
        }
        let [n, regions, dim] = rows(path, header)?;
        let part = Part {
            path: path.to_path_buf(),
            first: 0,
            n,
            numbers: Numbers::Encoded {
                bytes,
                header: header.clone(),
            },
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
    /// If there is no file, one cannot be opened, or its rows differ in size.
    pub fn open_shards(files: &[impl AsRef<Path>]) -> Result<Self> {
        let shards = files.iter().map(Self::open_npy);
        Self::concat(&shards.collect::<Result<Vec<_>>>()?)
    }

    /// Joins features whose rows follow one another; selections of rows are dropped.
    ///
    /// # Errors
    /// If there are none, or their rows differ in size.
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

/// Rows, regions of a row and numbers of a region.
fn rows(path: &Path, header: &Header) -> Result<[usize; 3]> {
    let shape = &header.shape;
    let refuse =
        |problem: String, remedy: &str| Err(Error::data(path, Place::Whole, problem, remedy));
    let [n, regions, dim] = match shape[..] {
        [n, dim] => [n, 1, dim],
        [n, regions, dim] => [n, regions, dim],
        _ => {
            return refuse(
                format!("shape {shape:?}, expected [n, d] or [n, regions, d]"),
                "reshape it so that the first axis counts the rows",
            );
        }
    };
    if regions * dim == 0 || u32::try_from(n).is_err() {
        return refuse(
            format!("shape {shape:?}: rows must have numbers, and at most 2^32 fit"),
            "extract the features again, or split the set",
        );
    }
    Ok([n, regions, dim])
}
