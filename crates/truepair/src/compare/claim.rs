//! The output folder of a comparison, which one process at a time writes.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::folder;

/// Marks a folder as a comparison's, and holds it.
const LOCK: &str = ".lock";

/// Makes the output folder, or takes one that an earlier comparison made, and holds it against
/// other calls until the file is dropped or the program ends.
///
/// # Errors
/// If the folder cannot be made, holds something else, or another process has it.
pub(crate) fn claim(out: &Path, command: &str) -> Result<File> {
    let place = out.display();
    if out.exists() {
        let mut entries = std::fs::read_dir(out)
            .with_context(|| format!("{place}: is not a folder (choose another --out)"))?;
        if !out.join(LOCK).exists() && entries.next().is_some() {
            bail!(
                "{place}: is not empty and was not made by `truepair {command}` (choose another --out)"
            )
        }
    } else {
        folder::create(out, "output folder")?;
    }
    let lock = File::create(out.join(LOCK)).with_context(|| format!("{place}: cannot write"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => bail!(
            "{place}: another `truepair {command}` is at work there (wait for it, or choose another \
             --out)"
        ),
        // Where files cannot be locked, nobody else can be noticed.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(lock),
    }
}
