//! A file or folder that is whole or absent: made under a hidden name beside its place, and removed there where
//! the work is given up.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use truepair_core::error::{Error, Result};
use truepair_core::source_file;

/// Something under construction.
#[derive(Debug)]
pub(super) struct Staged {
    partial: PathBuf,
    target: PathBuf,
    is_placed: bool,
}

impl Staged {
    /// Makes nothing yet, but removes what an earlier attempt left.
    ///
    /// # Errors
    /// If that cannot be removed.
    pub(super) fn new(target: &Path) -> Result<Self> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".partial");
        let staged = Self {
            partial: target.with_file_name(name),
            target: target.to_path_buf(),
            is_placed: false,
        };
        staged
            .remove()
            .map_err(|cause| Error::io(&staged.partial, "remove", cause))?;
        Ok(staged)
    }

    /// One of a file: where there is one already it is replaced, and where `target` is a link, the file behind it.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and if something is there that is not a regular file.
    pub(super) fn of_file(target: &Path) -> Result<Self> {
        let place = source_file::replaceable(target);
        Self::new(&place.map_err(|cause| Error::io(target, "write", cause))?)
    }

    /// Where it is made.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Moves it to its place; its files are on the disk already.
    ///
    /// # Errors
    /// If it cannot be moved, or is a file and something came to its place meanwhile that is none.
    pub(super) fn place(mut self) -> Result<()> {
        let free = match self.partial.is_dir() {
            true => Ok(()),
            false => source_file::replaceable(&self.target).map(drop),
        };
        free.and_then(|()| fs::rename(&self.partial, &self.target))
            .map_err(|cause| Error::io(&self.target, "write", cause))?;
        self.is_placed = true;
        // Some file systems cannot sync a folder; the content is safe already.
        if let Ok(folder) = File::open(source_file::folder_of(&self.target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn remove(&self) -> std::io::Result<()> {
        if self.partial.is_dir() {
            fs::remove_dir_all(&self.partial)
        } else if self.partial.exists() {
            fs::remove_file(&self.partial)
        } else {
            Ok(())
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_placed {
            // The next attempt removes it.
            let _ = self.remove();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_and_what_is_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        let staged = Staged::of_file(&at("link")).unwrap();
        fs::write(staged.partial(), "new").unwrap();
        staged.place().unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read(at("real")).unwrap(), b"new");

        let late = Staged::of_file(&at("late")).unwrap();
        fs::write(late.partial(), "new").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("late")).unwrap();
        for refused in [late.place(), Staged::of_file(&at("late")).map(drop)] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.contains("late: cannot write") && error.contains("but a socket"),
                "{error}"
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
