//! The format of `torch.save` before PyTorch 1.6: five pickles one after the other, then for every
//! storage the number of its elements in 8 bytes and the elements, all little-endian.
//!
//! The pickles are a magic number, the version of the format, sizes of the writing machine's types
//! (which PyTorch itself ignores), the object, and the keys of the storages in the order of the
//! file.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::Path;

use super::Checkpoint;
use super::error::{Mismatch, Origin, Result};
use super::pickle::{self, Input, Object, Pickle, StorageRef, Value};
use super::storage::{self, Storages};

/// 0x1950a86a20f9469cfc6c, little-endian as in the pickle.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

/// Reads a checkpoint from the start of `reader`; `path` is for messages.
pub(super) fn read(
    mut reader: impl BufRead + Seek,
    file_length: u64,
    path: &Path,
) -> Result<Checkpoint> {
    let origin = Origin::file(path);
    let opening = Opening::read(&mut reader, origin)?;
    let mut storages = Index {
        places: BTreeMap::new(),
        reader,
        file_length,
        cut: None,
        origin,
    };
    storages.fill(&opening)?;
    // This comes first, because its errors name tensors.
    let checkpoint = storage::checkpoint(&opening.object, &mut storages, file_length, &origin)?;
    match storages.cut {
        None => Ok(checkpoint),
        Some(cut) => Err(origin.mismatch(Some(file_length), cut)),
    }
}

/// What comes before the storages.
struct Opening {
    object: Pickle,
    /// Keys of the storages, in the order of the file.
    keys: Vec<Box<str>>,
    /// Offset of the first storage from the start of the file, in bytes.
    end: u64,
}

impl Opening {
    fn read(reader: &mut dyn BufRead, origin: Origin<'_>) -> Result<Self> {
        let mut input = Input::new(reader, origin);
        let magic = pickle::load(&mut input)?;
        if !matches!(magic.heap.object(magic.root), Some(Object::Long(long)) if **long == MAGIC) {
            let found = "a pickle of something else";
            return Err(origin.content(Some(0), found, "the magic number of torch.save"));
        }
        let at = input.offset();
        let version = pickle::load(&mut input)?;
        if !matches!(version.root, Value::Int(VERSION)) {
            let found = "another version of the format";
            return Err(origin.content(Some(at), found, format!("version {VERSION}")));
        }
        let _type_sizes = pickle::load(&mut input)?;
        let object = pickle::load(&mut input)?;
        let at = input.offset();
        let keys = pickle::load(&mut input)?;
        let keys = keys_of(&keys).map_err(|mismatch| origin.mismatch(Some(at), mismatch))?;
        Ok(Self {
            object,
            keys,
            end: input.offset(),
        })
    }
}

fn keys_of(pickle: &Pickle) -> Result<Vec<Box<str>>, Mismatch> {
    let heap = &pickle.heap;
    let Some(keys) = heap.sequence(pickle.root) else {
        return Err(Mismatch::new("something else", "the keys of the storages"));
    };
    keys.iter().map(|key| heap.key(*key)).collect()
}

/// Where each storage is.
struct Index<'p, R> {
    places: BTreeMap<Box<str>, Stored>,
    reader: R,
    file_length: u64,
    /// Where the file was cut short, if it was.
    cut: Option<Mismatch>,
    origin: Origin<'p>,
}

/// The place of one storage in the file.
struct Stored {
    /// Offset of its first number from the start of the file, in bytes.
    start: u64,
    /// Bytes that are there, fewer than promised if the file was cut short.
    length: u64,
}

impl<R: BufRead + Seek> Index<'_, R> {
    /// Finds the storages. In a file that was cut short, the last ones have no place.
    fn fill(&mut self, opening: &Opening) -> Result<()> {
        let widths = widths(&opening.object);
        let mut at = opening.end;
        for key in &opening.keys {
            let Some(width) = widths.get(&**key) else {
                let found = format!("the key `{}` of an unknown storage", key.escape_debug());
                return Err((self.origin).content(Some(at), found, "keys that the object names"));
            };
            let Some(n_elements) = self.count(at)? else {
                self.cut = Some(ended(key));
                return Ok(());
            };
            let Some(length) = n_elements.checked_mul(*width as u64) else {
                let found = format!("a storage of {n_elements} elements");
                return Err((self.origin).content(Some(at), found, "less than 2^64 bytes"));
            };
            let start = at + 8;
            let available = length.min(self.file_length.saturating_sub(start));
            if available < length {
                self.cut = Some(ended(key));
            }
            let stored = Stored {
                start,
                length: available,
            };
            self.places.insert(key.clone(), stored);
            at = start + available;
        }
        Ok(())
    }

    /// The number of elements at offset `at`; `None` at the end of the file.
    fn count(&mut self, at: u64) -> Result<Option<u64>> {
        let mut bytes = [0; 8];
        let read = self.reader.seek(SeekFrom::Start(at));
        match read.and_then(|_| self.reader.read_exact(&mut bytes)) {
            Ok(()) => Ok(Some(u64::from_le_bytes(bytes))),
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(cause) => Err(self.origin.unreadable(Some(at), cause)),
        }
    }
}

fn ended(key: &str) -> Mismatch {
    let expected = format!("storage `{key}` (the file was cut short: copy it again)");
    Mismatch::new("the end of the file", expected)
}

/// Bytes of one element of each storage that the object refers to.
fn widths(pickle: &Pickle) -> BTreeMap<&str, usize> {
    let mut widths = BTreeMap::new();
    for object in pickle.heap.objects() {
        if let Object::Storage(storage) = object {
            // The first reference decides, as it does in PyTorch.
            let width = widths.entry(&*storage.key);
            width.or_insert_with(|| storage.element.width());
        }
    }
    widths
}

impl<R: BufRead + Seek> Storages for Index<'_, R> {
    fn bytes(&mut self, storage: &StorageRef, n_bytes: usize) -> Result<Vec<u8>> {
        let Some(stored) = self.places.get(&storage.key) else {
            return Ok(Vec::new());
        };
        let unreadable = |cause| self.origin.unreadable(Some(stored.start), cause);
        let length = stored.length.min(n_bytes as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let start = SeekFrom::Start(stored.start);
        self.reader.seek(start).map_err(unreadable)?;
        let mut limited = self.reader.by_ref().take(length);
        limited.read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    fn describe(&self, storage: &StorageRef) -> String {
        match self.places.get(&storage.key) {
            Some(stored) => format!("storage `{}` at byte {}", storage.key, stored.start),
            None => format!("storage `{}`, which is not in the file", storage.key),
        }
    }
}
