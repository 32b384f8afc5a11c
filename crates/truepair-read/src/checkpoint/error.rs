//! What can go wrong while a checkpoint is read; every message names the file, the place in it and
//! what was expected there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The causes of failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation, or an archive entry cannot be unpacked.
    #[error("{}{place}: cannot read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: Place,
        /// The cause as the operating system or the unpacker reports it.
        source: io::Error,
    },
    /// The file was readable but its content is not what it should be.
    #[error("{}{place}: found {found}; expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: Place,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A tensor reaches beyond the end of its numbers.
    #[error(
        "{}: tensor `{tensor}` needs {needed} bytes of {storage}; found {available} (the file was \
         cut short or damaged: copy it again)",
        path.display()
    )]
    ShortStorage {
        /// The file.
        path: PathBuf,
        /// The flattened name of the tensor.
        tensor: String,
        /// The archive entry, or the key and byte offset of the storage.
        storage: String,
        /// Bytes from the start of the storage to the last element of the tensor.
        needed: u64,
        /// Bytes that the storage has.
        available: u64,
    },
}

/// A position inside a checkpoint file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The entry of the archive; `None` where the file is no archive or no entry is meant.
    pub entry: Option<Box<str>>,
    /// Byte offset from the start of the entry, or of the file where there is no entry; for a
    /// pickle, that of the opcode.
    pub offset: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, ": {entry}")?;
        }
        match self.offset {
            Some(offset) => write!(f, ": byte {offset}"),
            None => Ok(()),
        }
    }
}

/// Something found where something else was expected; the reader of the bytes adds the place.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) found: String,
    pub(super) expected: String,
}

impl Mismatch {
    pub(super) fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// The file, or the entry of the archive, that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    path: &'a Path,
    entry: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// The file itself.
    pub(super) fn file(path: &'a Path) -> Self {
        Self { path, entry: None }
    }

    /// The entry `name` of the archive.
    pub(super) fn entry(path: &'a Path, name: &'a str) -> Self {
        Self {
            path,
            entry: Some(name),
        }
    }

    /// Content that is not what it should be, at a byte offset.
    pub(super) fn content(
        &self,
        offset: Option<u64>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Error {
        Error::Content {
            path: self.path.to_path_buf(),
            place: self.place(offset),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// A [`Mismatch`] at a byte offset.
    pub(super) fn mismatch(&self, offset: Option<u64>, mismatch: Mismatch) -> Error {
        self.content(offset, mismatch.found, mismatch.expected)
    }

    /// Bytes that could not be had.
    pub(super) fn unreadable(&self, offset: Option<u64>, source: io::Error) -> Error {
        Error::Io {
            path: self.path.to_path_buf(),
            place: self.place(offset),
            source,
        }
    }

    /// A tensor that reaches beyond its storage.
    pub(super) fn short_storage(
        &self,
        tensor: &str,
        storage: String,
        needed: u64,
        available: u64,
    ) -> Error {
        Error::ShortStorage {
            path: self.path.to_path_buf(),
            tensor: tensor.to_owned(),
            storage,
            needed,
            available,
        }
    }

    fn place(&self, offset: Option<u64>) -> Place {
        Place {
            entry: self.entry.map(Into::into),
            offset,
        }
    }
}
