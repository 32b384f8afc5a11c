//! Folders that commands make or take over.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Makes a folder; `what` it is follows "the" in the message.
///
/// # Errors
/// If its parent does not exist or cannot be written.
pub(crate) fn create(folder: &Path, what: &str) -> Result<()> {
    std::fs::create_dir(folder).with_context(|| {
        format!(
            "{}: cannot create the {what} (its parent must be an existing, writable folder)",
            folder.display()
        )
    })
}

/// # Errors
/// If something lies in the folder already.
pub(crate) fn check_free(folder: &Path) -> Result<()> {
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: is not empty (choose another --out)", folder.display())
    }
    Ok(())
}
