//! From tensors that refer to storages to tensors with numbers: the part that both formats of
//! PyTorch share.

use std::collections::BTreeMap;

use super::dense::gather;
use super::element::Element;
use super::error::{Mismatch, Origin, Result};
use super::flatten::flatten;
use super::pickle::{Pickle, StorageRef, TensorRef};
use super::{Checkpoint, Tensor};

/// Where the numbers of storages are.
pub(super) trait Storages {
    /// The first `n_bytes` bytes of a storage, little-endian, or fewer if it has fewer.
    fn bytes(&mut self, storage: &StorageRef, n_bytes: usize) -> Result<Vec<u8>>;

    /// The place of a storage in the file, for messages.
    fn describe(&self, storage: &StorageRef) -> String;
}

/// The checkpoint of the object that was pickled; `file_length` in bytes bounds its memory.
pub(super) fn checkpoint(
    pickle: &Pickle,
    storages: &mut impl Storages,
    file_length: u64,
    origin: &Origin<'_>,
) -> Result<Checkpoint> {
    let contents = flatten(pickle).map_err(|mismatch| origin.mismatch(None, mismatch))?;
    let mut tensors = BTreeMap::new();
    let mut budget = Budget::of_file(file_length);
    for users in by_storage(&contents.tensors).into_values() {
        for (name, tensor) in &users {
            let allowed = budget.spend(name, tensor);
            allowed.map_err(|mismatch| origin.mismatch(None, mismatch))?;
        }
        read_users(&users, storages, origin, &mut tensors)?;
    }
    Ok(Checkpoint {
        tensors,
        settings: contents.settings,
        skipped: contents.skipped,
    })
}

type Named<'h> = (&'h str, &'h TensorRef);

/// The tensors of each storage, so that every storage is read once and only one is in memory.
fn by_storage<'h>(
    tensors: &'h BTreeMap<String, &'h TensorRef>,
) -> BTreeMap<(&'h str, Element), Vec<Named<'h>>> {
    let mut users: BTreeMap<_, Vec<Named<'h>>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let key = (&*tensor.storage.key, tensor.storage.element);
        users.entry(key).or_default().push((name, tensor));
    }
    users
}

/// Reads the storage that all of `users` are views of, and adds them to `tensors`.
fn read_users(
    users: &[Named<'_>],
    storages: &mut impl Storages,
    origin: &Origin<'_>,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let longest = users
        .iter()
        .filter(|(_, tensor)| !tensor.view.shape.contains(&0))
        .max_by_key(|(_, tensor)| tensor.storage.whole);
    if let Some((_, tensor)) = longest {
        let storage = &tensor.storage;
        bytes = storages.bytes(
            storage,
            storage.whole.saturating_mul(storage.element.width()),
        )?;
    }
    for (name, tensor) in users {
        let element = tensor.storage.element;
        let part = part(tensor, &bytes).map_err(|needed| {
            let place = storages.describe(&tensor.storage);
            let available = part_end(&tensor.storage).min(bytes.len());
            origin.short_storage(name, place, needed, available as u64)
        })?;
        // Tensors of skipped kinds never become a `TensorRef`.
        if let Some(values) = gather(&tensor.view, element, part) {
            let shape = tensor.view.shape.clone();
            tensors.insert((*name).to_owned(), Tensor { shape, values });
        }
    }
    Ok(())
}

/// The bytes of the part of a storage that `tensor` is a view of, or the bytes of the whole storage
/// that the tensor needs if they are not all there.
fn part<'b>(tensor: &TensorRef, bytes: &'b [u8]) -> Result<&'b [u8], u64> {
    let (storage, view) = (&tensor.storage, &tensor.view);
    let width = storage.element.width();
    let end = view.end().ok_or(u64::MAX)?;
    if end == 0 {
        return Ok(&[]);
    }
    let end = end.checked_add(storage.start);
    let end = end.and_then(|end| end.checked_mul(width)).ok_or(u64::MAX)?;
    if end > part_end(storage).min(bytes.len()) {
        return Err(end as u64);
    }
    Ok(&bytes[storage.start * width..end])
}

/// Where the pickle says that a part of a storage ends, in bytes from the start of the whole; the
/// file may hold more.
fn part_end(storage: &StorageRef) -> usize {
    let end = storage.start.saturating_add(storage.length);
    let end = end.min(storage.whole);
    end.saturating_mul(storage.element.width())
}

/// Most elements of all tensors, of one storage, and most bytes of a pickle, in a file of
/// `file_length` bytes.
///
/// A few bytes suffice to describe a huge view of a small storage, many views of one, or a thousand
/// times as many compressed zeros. Weights are hardly compressible and at most tied in pairs.
pub(super) fn unpacked_limit(file_length: u64) -> u64 {
    file_length.saturating_mul(16).saturating_add(1 << 24)
}

/// How many more elements a file may give.
struct Budget {
    allowed: u64,
    spent: u64,
}

impl Budget {
    fn of_file(length: u64) -> Self {
        Self {
            allowed: unpacked_limit(length),
            spent: 0,
        }
    }

    fn spend(&mut self, name: &str, tensor: &TensorRef) -> Result<(), Mismatch> {
        let n = tensor.view.n_elements().map_or(u64::MAX, |n| n as u64);
        self.spent = self.spent.saturating_add(n);
        let whole = tensor.storage.whole as u64;
        let found = if self.spent > self.allowed {
            format!("{} elements up to tensor `{name}`", self.spent)
        } else if whole > self.allowed {
            format!("a storage of {whole} elements for tensor `{name}`")
        } else {
            return Ok(());
        };
        Err(Mismatch::new(
            found,
            format!("at most {} in a file of this length", self.allowed),
        ))
    }
}
