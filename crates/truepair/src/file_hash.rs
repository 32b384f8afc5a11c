//! SHA-256 of files, as results name what they were made of.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let unreadable = || format!("{}: cannot read", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let mut hash = Hash(Sha256::new());
    io::copy(&mut BufReader::new(file), &mut hash).with_context(unreadable)?;
    Ok(hex(&hash.0.finalize()))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A digest that bytes are copied into.
struct Hash(Sha256);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
