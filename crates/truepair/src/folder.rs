//! Folders that commands make or take over.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::folder_lock;

/// A folder that was made, with the parents that were missing.
#[derive(Debug)]
pub(crate) struct MadeFolder {
    folder: PathBuf,
    /// Whether it was not there before.
    is_new: bool,
    /// The parents that were made as well, the nearest first.
    parents: Vec<PathBuf>,
}

impl MadeFolder {
    /// Removes the folder with everything in it, and the parents that were made for it and hold
    /// nothing else.
    pub(crate) fn remove(&self) {
        // Whoever calls this reports an error already, and what cannot be removed stays.
        if self.is_new {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
        self.remove_parents();
    }

    /// Removes the folder, and the parents that were made for it, as far as they are empty and were made.
    pub(crate) fn remove_empty(&self) {
        if self.is_new && std::fs::remove_dir(&self.folder).is_ok() {
            self.remove_parents();
        }
    }

    fn remove_parents(&self) {
        let mut parents = self.parents.iter();
        while parents
            .next()
            .is_some_and(|parent| std::fs::remove_dir(parent).is_ok())
        {}
    }
}

/// Makes a folder and its parents; `what` it is follows "the" in the message.
///
/// # Errors
/// If it cannot be made: a parent is a file, or cannot be written.
pub(crate) fn create(folder: &Path, what: &str) -> Result<MadeFolder> {
    let parents = folder.ancestors().skip(1);
    let missing = parents.take_while(|parent| !parent.as_os_str().is_empty() && !parent.exists());
    let made = MadeFolder {
        folder: folder.to_path_buf(),
        is_new: !folder.exists(),
        parents: missing.map(Path::to_path_buf).collect(),
    };
    if let Err(error) = std::fs::create_dir_all(folder) {
        made.remove();
        return Err(error).with_context(|| {
            format!(
                "{}: cannot create the {what} (a parent is a file or cannot be written; choose another \
                 --out)",
                folder.display()
            )
        });
    }
    Ok(made)
}

/// # Errors
/// If something lies in the folder already.
pub(crate) fn check_free(folder: &Path) -> Result<()> {
    if !is_free(folder) {
        bail!("{}: is not empty (choose another folder)", folder.display())
    }
    Ok(())
}

/// Whether nothing lies at that place but, perhaps, an empty folder with its lock.
pub(crate) fn is_free(folder: &Path) -> bool {
    let is_lock = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name() == folder_lock::LOCK)
    };
    !std::fs::read_dir(folder).is_ok_and(|mut entries| !entries.all(is_lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_and_go_again_unless_something_else_lies_there() {
        let home = tempfile::tempdir().unwrap();
        let (runs, run) = (home.path().join("runs"), home.path().join("runs/deep/one"));
        let made = create(&run, "run directory").unwrap();
        std::fs::write(run.join("file"), "x").unwrap();
        made.remove();
        assert!(!runs.exists() && home.path().exists());

        let made = create(&run, "run directory").unwrap();
        std::fs::write(runs.join("notes.txt"), "mine").unwrap();
        made.remove();
        assert!(runs.join("notes.txt").exists() && !runs.join("deep").exists());
    }

    #[test]
    fn a_parent_that_is_a_file_is_an_error_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let error = create(&file.join("a/b"), "output folder").unwrap_err();
        assert!(error.to_string().contains("a parent is a file"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
