//! Files whose length and digest the index remembers.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use truepair_core::dataset::Bytes;
use truepair_core::digest::Digest;
use truepair_core::error::Place;
use truepair_core::{Error, Result, durable, source_file};

/// What to do about a file that is not as it was written.
pub(crate) const RESTORE: &str =
    "copy it again from where the index came from, or build the index again";

/// A file of an index and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredFile {
    /// Name inside its folder.
    pub(crate) name: String,
    /// Length.
    pub(crate) bytes: u64,
    /// Digest of the content.
    pub(crate) sha256: String,
}

/// A file on its way to the disk.
pub(crate) struct Sink<'a> {
    out: &'a mut dyn Write,
    digest: Digest,
    bytes: u64,
}

impl Sink<'_> {
    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.add(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl StoredFile {
    /// Writes the file `name` into `folder`, synced, with what `fill` gives.
    ///
    /// # Errors
    /// Those of the disk and of `fill`.
    pub(crate) fn write(
        folder: &Path,
        name: String,
        fill: impl FnOnce(&mut Sink<'_>) -> io::Result<()>,
    ) -> Result<Self> {
        let mut written = None;
        durable::write_with(folder.join(&name), |out| {
            let mut sink = Sink {
                out,
                digest: Digest::new(),
                bytes: 0,
            };
            fill(&mut sink)?;
            written = Some((sink.bytes, sink.digest.hex()));
            Ok(())
        })?;
        let (bytes, sha256) = written.expect("a file that was written has a length");
        Ok(Self {
            name,
            bytes,
            sha256,
        })
    }

    /// Maps the file in `folder`, if it is as long as it was.
    ///
    /// # Errors
    /// If it is missing or has another length.
    pub(crate) fn map(&self, folder: &Path) -> Result<Bytes> {
        let path = folder.join(&self.name);
        let found = std::fs::metadata(&path).map_err(|cause| Error::io(&path, "open", cause))?;
        if found.len() != self.bytes {
            let (found, expected) = (found.len(), self.bytes);
            return Err(Error::data(
                path,
                Place::Whole,
                format!("{found} bytes, and the index says {expected}"),
                RESTORE,
            ));
        }
        if self.bytes == 0 {
            return Ok(Bytes::from(Vec::new()));
        }
        Bytes::map(&path)
    }

    /// Reads the whole file and compares its digest.
    ///
    /// # Errors
    /// If it cannot be read or its content is another one.
    pub(crate) fn verify(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        let mut digest = Digest::new();
        let read = source_file::open(&path).and_then(|mut file| digest.add_all(&mut file));
        read.map_err(|cause| Error::io(&path, "read", cause))?;
        if digest.hex() == self.sha256 {
            return Ok(());
        }
        Err(Error::data(
            path,
            Place::Whole,
            "its content was changed or damaged",
            RESTORE,
        ))
    }
}

/// The numbers that a mapped file holds; `path` is for messages.
///
/// # Errors
/// If there are not `expected` of them.
pub(crate) fn check_numbers<T: bytemuck::AnyBitPattern>(
    bytes: &Bytes,
    expected: usize,
    path: &Path,
) -> Result<()> {
    let needed = expected.checked_mul(size_of::<T>());
    if needed == Some(bytes.len()) {
        return Ok(());
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!(
            "{} bytes do not make {expected} numbers of {}",
            bytes.len(),
            size_of::<T>()
        ),
        RESTORE,
    ))
}

/// The numbers of a file that [`check_numbers`] has passed.
pub(crate) fn numbers<T: bytemuck::AnyBitPattern>(bytes: &Bytes) -> &[T] {
    if bytes.is_empty() {
        return &[];
    }
    bytemuck::cast_slice(bytes)
}
