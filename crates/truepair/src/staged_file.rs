//! Files that appear whole or not at all.
//!
//! The content goes to a temporary file in the target's own folder, is flushed to the disk, and
//! takes its name by a rename. Until [`StagedFile::publish`] the old file, if any, is untouched, and
//! dropping a [`StagedFile`] removes the temporary file. A pipe or a device is not replaced.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;
use truepair_core::source_file::{folder_of, replaceable};

/// A file that is written and flushed but does not have its name yet.
#[derive(Debug)]
pub(crate) struct StagedFile {
    temporary: NamedTempFile,
    /// As it was named.
    path: PathBuf,
    /// What is replaced: the file behind links.
    place: PathBuf,
}

impl StagedFile {
    /// Lets `fill` write the content that `path` shall have, or the file behind it where it is a link;
    /// its folder is made where it is missing.
    ///
    /// # Errors
    /// If something is there that is no regular file, the folder cannot be made or written, `fill`
    /// fails, or the disk is full. The message names `path`; nothing is left in its folder.
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
        let place = replaceable(path)?;
        std::fs::create_dir_all(folder_of(&place))?;
        let mut temporary = new_temporary_file(folder_of(&place))?;
        let mut buffered = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
        fill(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        temporary.as_file().sync_all()?;
        Ok(Self {
            temporary,
            path: path.to_path_buf(),
            place,
        })
    }

    /// Gives the file its name, replacing an older file of that name.
    ///
    /// # Errors
    /// If the rename fails, or something has that name meanwhile that is no regular file.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        let Self {
            temporary,
            path,
            place,
        } = self;
        let unwritten = || format!("{}: cannot write", path.display());
        replaceable(&place).with_context(unwritten)?;
        // The library's error owns the temporary file; only its cause travels on, so that the file
        // goes now and not when the error is dropped.
        temporary
            .persist(&place)
            .map_err(|refused| refused.error)
            .with_context(unwritten)?;
        Ok(path)
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
        let error = StagedFile::write(&path, |_| panic!("nothing is written")).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("taken: cannot write") && message.contains("but a folder"),
            "{message}"
        );
        std::fs::remove_dir(&path).unwrap();
        let staged = StagedFile::write(&path, |file| Ok(file.write_all(b"new")?)).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = staged.publish().unwrap_err();
        assert!(format!("{error:#}").contains("taken"), "{error:#}");
        assert_eq!(names_in(dir.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link.csv");
        std::os::unix::fs::symlink("kept/real.csv", &link).unwrap();
        for text in ["one", "two"] {
            let staged = StagedFile::write(&link, |file| Ok(file.write_all(text.as_bytes())?));
            assert_eq!(staged.unwrap().publish().unwrap(), link);
            assert!(link.is_symlink());
            let real = dir.path().join("kept/real.csv");
            assert_eq!(std::fs::read_to_string(real).unwrap(), text);
        }
        assert_eq!(names_in(&dir.path().join("kept")), ["real.csv"]);
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
