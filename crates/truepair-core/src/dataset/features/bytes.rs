//! The content of a file, mapped or in memory.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Place, Result};
use crate::source_file;

/// The content of a file, mapped or in memory; clones share it.
#[derive(Debug, Clone)]
pub struct Bytes(Content);

#[derive(Debug, Clone)]
enum Content {
    Mapped(Arc<Mmap>),
    Owned(Arc<[u8]>),
}

impl Bytes {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened, or is empty.
    pub fn map(path: &Path) -> Result<Bytes> {
        let file = source_file::open(path).map_err(|source| Error::io(path, "open", source))?;
        let length = file
            .metadata()
            .map_err(|source| Error::io(path, "read", source))?
            .len();
        if length == 0 {
            return Err(Error::data(
                path,
                Place::Whole,
                "the file is empty",
                "it was cut short: copy or write it again",
            ));
        }
        // SAFETY: the mapping is read-only. If another program shortens the file meanwhile, the system
        // ends this process with a bus error, as for every mapped file; no reference ever outlives the
        // mapping.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| Error::io(path, "map", source))?;
        Ok(Bytes(Content::Mapped(Arc::new(map))))
    }

    /// Releases the pages of a mapped file that a pass over all rows has brought into memory; a
    /// later read brings them back.
    pub(super) fn release(&self) {
        #[cfg(unix)]
        if let Content::Mapped(map) = &self.0 {
            // SAFETY: the map is shared, read-only and backed by its file, so the next access
            // reads the same bytes again. Failing to free memory does not make the pass fail.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::Mapped(map) => map,
            Content::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Bytes that a reader has unpacked.
impl From<Vec<u8>> for Bytes {
    fn from(content: Vec<u8>) -> Self {
        Self(Content::Owned(content.into()))
    }
}
