//! Files that appear whole or not at all.
//!
//! The content goes to a temporary file in the target's own folder, is flushed to the disk, and
//! takes its name by a rename. Until [`StagedFile::publish`] the old file, if any, is untouched, and
//! dropping a [`StagedFile`] removes the temporary file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// A file that is written and flushed but does not have its name yet.
#[derive(Debug)]
pub(crate) struct StagedFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl StagedFile {
    /// Lets `fill` write the content that `path` shall have; its folder is made where it is missing.
    ///
    /// # Errors
    /// If the folder cannot be made or written, `fill` fails, or the disk is full. The message names
    /// `path`; nothing is left in its folder.
    pub(crate) fn write(
        path: &Path,
        fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
    ) -> Result<Self> {
        Self::try_write(path, fill).with_context(|| format!("{}: cannot write", path.display()))
    }

    fn try_write(
        path: &Path,
        fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder_of(path))?;
        let mut temporary = new_temporary_file(folder_of(path))?;
        let mut buffered = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
        fill(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        temporary.as_file().sync_all()?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
        })
    }

    /// Gives the file its name, replacing an older file of that name.
    ///
    /// # Errors
    /// If the rename fails, for instance because a folder has that name.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        let Self { temporary, path } = self;
        // The library's error owns the temporary file; only its cause travels on, so that the file
        // goes now and not when the error is dropped.
        temporary
            .persist(&path)
            .map_err(|refused| refused.error)
            .with_context(|| format!("{}: cannot write", path.display()))?;
        Ok(path)
    }
}

/// The folder that a file lies in. A bare file name has the empty path as its parent, which means
/// the current folder.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn new_temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".truepair-").suffix(".partial");
    // Temporary files are private by default; a report is meant to be shared, so it gets what the
    // user's umask leaves.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_failure_in_the_middle_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();
        let error = StagedFile::write(&path, |file| {
            file.write_all(&vec![b'x'; 1 << 20])?;
            anyhow::bail!("No space left on device")
        })
        .unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("out.csv") && message.contains("No space left"),
            "{message}"
        );
        assert_eq!(names_in(dir.path()), ["out.csv"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn the_name_appears_only_when_published() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        let staged = StagedFile::write(&path, |file| Ok(file.write_all(b"new")?)).unwrap();
        assert!(!path.exists());
        assert_eq!(staged.publish().unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names_in(dir.path()), ["out.csv"]);
    }

    #[test]
    fn a_folder_in_the_way_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        let staged = StagedFile::write(&path, |file| Ok(file.write_all(b"new")?)).unwrap();
        let error = staged.publish().unwrap_err();
        assert!(format!("{error:#}").contains("taken"), "{error:#}");
        assert_eq!(names_in(dir.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let staged = StagedFile::write(&dir.path().join("out"), |_| Ok(())).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&staged.publish().unwrap()), mode(&plain));
    }
}
