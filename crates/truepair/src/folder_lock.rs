//! A folder that one process at a time writes into.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use same_file::Handle;

/// Name of the lock of a folder, inside it.
pub(crate) const LOCK: &str = ".truepair-lock";

/// The lock of a folder, given back when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    path: PathBuf,
    file: File,
}

impl FolderLock {
    /// Locks a folder that is there.
    ///
    /// # Errors
    /// If another process has it, or it cannot be written.
    pub(crate) fn inside(folder: &Path) -> Result<Self> {
        Self::take(folder.join(LOCK), folder)
    }

    /// Takes the lock at `path` of the folder `place`.
    ///
    /// # Errors
    /// As [`inside`](Self::inside).
    pub(crate) fn take(mut path: PathBuf, place: &Path) -> Result<Self> {
        loop {
            let mut options = File::options();
            let options = options.create(true).truncate(false).write(true);
            let file = options.open(&path).with_context(|| {
                format!(
                    "{}: cannot write there (choose another --out)",
                    place.display()
                )
            })?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => bail!(
                    "{}: another truepair is at work there (wait for it, or choose another --out)",
                    place.display()
                ),
                // Where files cannot be locked, nobody else can be noticed.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            let lock = Self { path, file };
            if lock.is_in_place() {
                return Ok(lock);
            }
            // Whoever had it took its file away between opening and locking.
            path = lock.path.clone();
        }
    }

    /// The file of the lock.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn is_in_place(&self) -> bool {
        let held = self.file.try_clone().and_then(Handle::from_file);
        match (held, Handle::from_path(&self.path)) {
            (Ok(held), Ok(there)) => held == there,
            _ => false,
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Taken away while it is still held, so that nobody locks a file that is about to go.
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let home = tempfile::tempdir().unwrap();
        let lock = FolderLock::inside(home.path()).unwrap();
        let error = FolderLock::inside(home.path()).unwrap_err().to_string();
        assert!(
            error.contains("another truepair is at work there"),
            "{error}"
        );
        drop(lock);
        assert!(!home.path().join(LOCK).exists());
        drop(FolderLock::inside(home.path()).unwrap());
    }

    #[test]
    fn the_lock_of_a_folder_that_came_instead_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("run");
        fs::create_dir(&folder).unwrap();
        let former = FolderLock::inside(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        let _later = FolderLock::inside(&folder).unwrap();
        drop(former);
        assert!(FolderLock::inside(&folder).is_err());
    }

    #[test]
    fn many_at_once_give_it_to_each_other() {
        let home = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = FolderLock::inside(home.path()) {
                            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
