//! A file that is fetched in pieces: which of them are on the disk survives the end of the program.
//!
//! Beside the part lies a list of the numbers of its whole pieces, four bytes each, which grows after a piece
//! is safe on the disk. What a stopped program had of the other pieces is fetched again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::StoreError;

/// Bytes of a piece.
pub(crate) const PIECE: u64 = 8 << 20;

/// A file that is not whole yet, and nobody else's while it is open.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    size: u64,
    journal: Mutex<File>,
}

/// Where the list of whole pieces lies.
pub(crate) fn journal_of(part: &Path) -> PathBuf {
    part.with_extension("pieces")
}

impl Part {
    /// Opens or makes the part at `path`; `None` while another program works at it. Returns the pieces
    /// that are missing too.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub(crate) fn open(path: &Path, size: u64) -> Result<Option<(Self, Vec<u64>)>, StoreError> {
        Self::try_open(path, size).map_err(StoreError::cache(path, "write"))
    }

    fn try_open(path: &Path, size: u64) -> std::io::Result<Option<(Self, Vec<u64>)>> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path)
        };
        let file = open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Without locks two programs do the same work twice.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let mut journal = open(&journal_of(path))?;
        let mut bytes = Vec::new();
        journal.read_to_end(&mut bytes)?;
        let n_pieces = size.div_ceil(PIECE);
        let is_same = file.metadata()?.len() == size;
        let mut whole = vec![false; usize::try_from(n_pieces).map_err(std::io::Error::other)?];
        let (numbers, rest) = bytes.as_chunks::<4>();
        if is_same {
            for number in numbers {
                let number = u32::from_le_bytes(*number) as usize;
                if let Some(known) = whole.get_mut(number) {
                    *known = true;
                }
            }
        } else {
            file.set_len(size)?;
        }
        // What a killed program wrote of its last number goes.
        let known = if is_same { bytes.len() - rest.len() } else { 0 };
        journal.set_len(known as u64)?;
        journal.seek(SeekFrom::End(0))?;
        let missing = (0..n_pieces).zip(&whole).filter(|(_, whole)| !**whole);
        let missing = missing.map(|(number, _)| number).collect();
        let part = Self {
            path: path.to_path_buf(),
            file,
            size,
            journal: Mutex::new(journal),
        };
        Ok(Some((part, missing)))
    }

    /// The bytes of a piece.
    pub(crate) fn range(&self, piece: u64) -> Range<u64> {
        piece * PIECE..((piece + 1) * PIECE).min(self.size)
    }

    /// Writes bytes to their place.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        write_at(&self.file, at, bytes).map_err(StoreError::cache(&self.path, "write"))
    }

    /// Notes that a piece is whole, once it is safe on the disk.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub(crate) fn keep(&self, piece: u64) -> Result<(), StoreError> {
        let kept = self.file.sync_data().and_then(|()| {
            let number = u32::try_from(piece).map_err(std::io::Error::other)?;
            // A poisoned lock only means that a thread died while holding it.
            let journal = self.journal.lock();
            let mut journal = journal.unwrap_or_else(std::sync::PoisonError::into_inner);
            journal.write_all(&number.to_le_bytes())
        });
        kept.map_err(StoreError::cache(&self.path, "write"))
    }

    /// Gives the file its length, where it was not known before.
    ///
    /// # Errors
    /// If the disk fails.
    pub(crate) fn set_size(&mut self, size: u64) -> Result<(), StoreError> {
        self.size = size;
        let cut = self.file.set_len(size);
        cut.map_err(StoreError::cache(&self.path, "write"))
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// If the disk fails.
    pub(crate) fn finish(self, path: &Path) -> Result<(), StoreError> {
        let named = self.file.sync_all();
        let named = named.and_then(|()| std::fs::rename(&self.path, path));
        named.map_err(StoreError::cache(path, "write"))?;
        // The file is whole; a list that cannot be removed only takes space.
        let _ = std::fs::remove_file(journal_of(&self.path));
        Ok(())
    }
}

#[cfg(unix)]
fn write_at(file: &File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut at: u64, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        (at, bytes) = (at + n as u64, &bytes[n..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pieces_are_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part");
        let size = 2 * PIECE + 5;
        let (part, missing) = Part::open(&path, size).unwrap().unwrap();
        assert_eq!((missing, part.range(2)), (vec![0, 1, 2], 2 * PIECE..size));
        assert!(Part::open(&path, size).unwrap().is_none(), "two work at it");
        part.write(2 * PIECE, b"hello").unwrap();
        part.keep(2).unwrap();
        part.write(0, b"half a piece").unwrap();
        drop(part);
        // A number that was cut off is no number.
        let mut journal = OpenOptions::new()
            .append(true)
            .open(journal_of(&path))
            .unwrap();
        journal.write_all(&[1, 0]).unwrap();
        let (part, missing) = Part::open(&path, size).unwrap().unwrap();
        assert_eq!(missing, [0, 1]);
        part.keep(0).unwrap();
        drop(part);
        let (part, missing) = Part::open(&path, size).unwrap().unwrap();
        assert_eq!(missing, [1]);
        let whole = folder.path().join("x");
        part.finish(&whole).unwrap();
        assert_eq!(
            std::fs::read(&whole).unwrap()[2 * PIECE as usize..],
            *b"hello"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_part_of_another_size_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part");
        let (part, _) = Part::open(&path, 9).unwrap().unwrap();
        part.keep(0).unwrap();
        drop(part);
        let (_, missing) = Part::open(&path, 10).unwrap().unwrap();
        assert_eq!(missing, [0]);
    }
}
