//! A file or folder that is whole or absent: made under a hidden name beside its place, and removed there where
//! the work is given up.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use truepair_core::error::{Error, Result};

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

    /// Where it is made.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Moves it to its place; its files are on the disk already.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub(super) fn place(mut self) -> Result<()> {
        fs::rename(&self.partial, &self.target)
            .map_err(|cause| Error::io(&self.target, "write", cause))?;
        self.is_placed = true;
        let folder = self
            .target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        // Some file systems cannot sync a folder; the content is safe already.
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
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
