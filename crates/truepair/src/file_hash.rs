//! SHA-256 of files, as results name what they were made of.

use std::path::Path;

use anyhow::{Context, Result};
use truepair_core::digest::Digest;
use truepair_core::source_file;

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let unreadable = || format!("{}: cannot read", path.display());
    let mut file = source_file::open(path).with_context(unreadable)?;
    let mut digest = Digest::new();
    digest.add_all(&mut file).with_context(unreadable)?;
    Ok(digest.hex())
}
