//! The zip archive that `torch.save` writes since PyTorch 1.6: the pickle in `NAME/data.pkl`, one
//! entry `NAME/data/KEY` per storage, and in newer files the byte order in `NAME/byteorder`.
//!
//! TorchScript archives have the same layout; their tensors belong to objects of generated classes
//! and are skipped.

use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::Checkpoint;
use super::element::reverse_each;
use super::error::{Error, Origin, Result};
use super::pickle::{self, Input, Pickle, StorageRef};
use super::storage::{self, Storages, unpacked_limit};
use crate::inflate;

/// Reads the archive in `reader`; `path` is for messages.
pub(super) fn read(reader: impl Read + Seek, file_length: u64, path: &Path) -> Result<Checkpoint> {
    let origin = Origin::file(path);
    let zip = inflate::archive(reader).map_err(|cause| damaged(&origin, &cause))?;
    let mut archive = Archive::open(zip, file_length, path)?;
    let entry = archive.entry_name("data.pkl");
    let pickle = archive.pickle(&entry)?;
    let origin = Origin::entry(path, &entry);
    storage::checkpoint(&pickle, &mut archive, file_length, &origin)
}

struct Archive<'p, R> {
    zip: ZipArchive<R>,
    /// What the names of all entries begin with: a folder with its slash, or nothing.
    root: String,
    big_endian: bool,
    file_length: u64,
    path: &'p Path,
}

impl<'p, R: Read + Seek> Archive<'p, R> {
    fn open(zip: ZipArchive<R>, file_length: u64, path: &'p Path) -> Result<Self> {
        let root = root(&zip).ok_or_else(|| {
            let found = "a zip archive without it";
            Origin::file(path).content(None, found, "an entry NAME/data.pkl, as torch.save writes")
        })?;
        let mut archive = Self {
            zip,
            root,
            big_endian: false,
            file_length,
            path,
        };
        archive.big_endian = archive.is_big_endian()?;
        Ok(archive)
    }

    fn entry_name(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    fn is_big_endian(&mut self) -> Result<bool> {
        let entry = self.entry_name("byteorder");
        match self.unpack(&entry, MAX_BYTE_ORDER)?.as_deref() {
            // Without it, PyTorch takes the file to be little-endian, too.
            None | Some(b"little") => Ok(false),
            Some(b"big") => Ok(true),
            Some(other) => {
                let found = format!("`{}`", String::from_utf8_lossy(other));
                let origin = Origin::entry(self.path, &entry);
                Err(origin.content(None, found, "`little` or `big`"))
            }
        }
    }

    /// The whole entry is unpacked first, so that its checksum is compared before it is trusted.
    fn pickle(&mut self, entry: &str) -> Result<Pickle> {
        let origin = Origin::entry(self.path, entry);
        let limit = usize::try_from(unpacked_limit(self.file_length)).unwrap_or(usize::MAX);
        let bytes = self.unpack(entry, limit)?.unwrap_or_default();
        pickle::load(&mut Input::new(&mut bytes.as_slice(), origin))
    }

    /// The first `n_bytes` bytes of an entry, all of it if it is shorter; `None` if there is none.
    fn unpack(&mut self, entry: &str, n_bytes: usize) -> Result<Option<Vec<u8>>> {
        let origin = Origin::entry(self.path, entry);
        let packed = match self.zip.by_name(entry) {
            Ok(packed) => packed,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(cause) => return Err(damaged(&origin, &cause)),
        };
        let likely = packed.size().min(self.file_length).min(n_bytes as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(likely).unwrap_or(0) + 1);
        // One byte more, because the checksum is compared only at the end of the entry.
        let mut limited = inflate::member(packed).take((n_bytes as u64).saturating_add(1));
        let read = limited.read_to_end(&mut bytes);
        read.map_err(|cause| origin.unreadable(Some(bytes.len() as u64), cause))?;
        bytes.truncate(n_bytes);
        Ok(Some(bytes))
    }
}

impl<R: Read + Seek> Storages for Archive<'_, R> {
    fn bytes(&mut self, storage: &StorageRef, n_bytes: usize) -> Result<Vec<u8>> {
        let entry = self.describe(storage);
        let mut bytes = self.unpack(&entry, n_bytes)?.unwrap_or_default();
        if self.big_endian {
            reverse_each(&mut bytes, storage.element.width());
        }
        Ok(bytes)
    }

    fn describe(&self, storage: &StorageRef) -> String {
        self.entry_name(&format!("data/{}", storage.key))
    }
}

/// Longest content of the entry `byteorder`, in bytes.
const MAX_BYTE_ORDER: usize = 16;

/// What comes before `data.pkl` in the name of the entry that is least deep.
fn root<R: Read + Seek>(zip: &ZipArchive<R>) -> Option<String> {
    let names = zip.file_names().flatten();
    let roots = names.filter_map(|name| {
        let root = name.strip_suffix("data.pkl")?;
        (root.is_empty() || root.ends_with('/')).then(|| root.to_owned())
    });
    roots.min_by_key(|root| (root.matches('/').count(), root.clone()))
}

fn damaged(origin: &Origin<'_>, cause: &ZipError) -> Error {
    let found = format!("a damaged archive: {cause}");
    origin.content(
        None,
        found,
        "a whole zip archive (it was cut short: copy it again)",
    )
}
