//! Files that are either whole or absent: written next to their place, synced, then renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::source_file;

/// Replaces `path` with `bytes`; after an error, a crash or a full disk the old content is still there.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("rate.txt");
/// truepair_core::durable::write(&path, b"0.2")?;
/// assert_eq!(std::fs::read(&path)?, b"0.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the folder cannot be written, the disk is full or the rename fails.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces `path` with what `fill` writes, for content too large to build in memory.
///
/// # Errors
/// Those of [`write()`] and of `fill`.
pub fn write_with(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut (dyn Write + Send)) -> std::io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let partial = partial_name(path);
    let written = write_synced(&partial, fill).and_then(|()| fs::rename(&partial, path));
    if let Err(source) = written {
        // The partial file may not exist; the first error is the one to report.
        let _ = fs::remove_file(&partial);
        return Err(Error::io(path, "write", source));
    }
    sync_folder(path);
    Ok(())
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

fn write_synced(
    path: &Path,
    fill: impl FnOnce(&mut (dyn Write + Send)) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    fill(&mut file)?;
    file.into_inner()?.sync_all()
}

/// Makes the rename itself survive a power failure. Some file systems cannot sync a folder; the
/// file's content is safe already, so that is not an error.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(source_file::folder_of(path)) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").join("a.bin");
        assert!(
            write(&missing, b"x")
                .unwrap_err()
                .to_string()
                .contains("a.bin")
        );
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
