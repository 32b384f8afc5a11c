//! SHA-256 of files, as results name what they were made of.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use truepair_core::digest::Digest;

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let unreadable = || format!("{}: cannot read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut digest = Digest::new();
    digest.add_all(&mut file).with_context(unreadable)?;
    Ok(digest.hex())
}
