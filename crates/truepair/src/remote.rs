//! Data that lies elsewhere: addresses where paths are expected become local paths before a reader sees
//! them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::{PathBufValueParser, TypedValueParser};
use truepair_core::dataset::Dataset;
use truepair_core::watch::Watch;
use truepair_read::dataset::{Pictures, ReadOptions};

use crate::{cache, render};

/// Whether a path is an address: it begins with a word and `://`.
pub(crate) fn is_address(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|text| text.split_once("://"));
    scheme.is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// The path of a folder or file to write; addresses are refused.
pub(crate) fn output() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if is_address(&path) {
            return Err("results are written to this machine only: name a local path, and upload it afterwards");
        }
        Ok(path)
    })
}

/// The path that readers are given.
///
/// # Errors
/// If the path is an address and what lies there cannot be fetched.
pub(crate) fn local(path: &Path, watch: &mut dyn Watch) -> Result<PathBuf> {
    let Some(address) = path.to_str().filter(|_| is_address(path)) else {
        return Ok(path.to_path_buf());
    };
    let (path, bytes) = cache::fetch(address, watch)?;
    if bytes > 0 {
        let size = bytes as f64 / 1e6;
        render::note(&format!("note: fetched {size:.1} MB from {address}"));
    }
    Ok(path)
}

/// Data and options as readers are given them.
///
/// # Errors
/// If one of the addresses among them cannot be fetched.
pub(crate) fn fetched(
    path: &Path,
    options: &ReadOptions,
    watch: &mut dyn Watch,
) -> Result<(PathBuf, ReadOptions)> {
    let mut options = options.clone();
    let path = local(path, watch)?;
    for file in options.features.iter_mut().chain(&mut options.pairs) {
        *file = local(file, watch)?;
    }
    if let Pictures::In(folder) = &mut options.pictures {
        *folder = local(folder, watch)?;
    }
    Ok((path, options))
}

/// Whether some of the data lies elsewhere.
pub(crate) fn is_elsewhere(path: &Path, options: &ReadOptions) -> bool {
    let pictures = match &options.pictures {
        Pictures::In(folder) => Some(folder.as_path()),
        _ => None,
    };
    let files = options.features.iter().chain(&options.pairs);
    let mut paths = files.map(PathBuf::as_path).chain(pictures).chain([path]);
    paths.any(is_address)
}

/// A path that holds from any folder, or the address as it is.
///
/// # Errors
/// If the current folder is not known.
pub(crate) fn full(path: &Path) -> Result<PathBuf> {
    if is_address(path) {
        return Ok(path.to_path_buf());
    }
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// What the data is called: its address where it lies elsewhere, else its name.
pub(crate) fn name_of(dataset: &Dataset) -> String {
    let files = dataset.files.iter();
    let mut files = files.chain(dataset.image_files.iter().flatten());
    let address = files.next().and_then(|file| cache::address_of(file));
    address.unwrap_or_else(|| dataset.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["s3://b/x", "https://h/{0..3}.tar", "ftp://h"] {
            assert!(is_address(Path::new(address)));
            assert_eq!(full(Path::new(address)).unwrap(), Path::new(address));
        }
        for path in ["data/", "./a://b", "C:/data", "://x"] {
            assert!(!is_address(Path::new(path)));
        }
    }
}
