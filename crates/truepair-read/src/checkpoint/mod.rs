//! Tensors by name from the checkpoints that other people published, without running what is in
//! them.
//!
//! A PyTorch checkpoint is a Python pickle, that is, a program for a small stack machine whose
//! `GLOBAL` and `REDUCE` opcodes import and call any function. The reader here interprets the
//! opcodes but imports and calls nothing: a short list of names that occur in state dicts
//! (`collections.OrderedDict`, `torch._utils._rebuild_tensor_v2`, `argparse.Namespace`, ...) is
//! understood, every other name becomes an opaque object that ends up in [`Checkpoint::skipped`].
//!
//! Formats, told apart by their first bytes and never by the name of the file:
//!
//! | format | written by |
//! |---|---|
//! | zip archive with `data.pkl` and `data/KEY` | `torch.save` of PyTorch 1.6 and later |
//! | a sequence of pickles, then raw storages | `torch.save` before PyTorch 1.6 |
//! | safetensors | `safetensors.torch.save_file` |
//!
//! Source of the first two: `torch/serialization.py` and `torch/_utils.py` of
//! pytorch/pytorch@d0f2af8b66b2; of pickle: `Lib/pickletools.py` of python/cpython@v3.11.7.
//!
//! Deviations from `torch.load`:
//! 1. Containers are flattened: `{"model": [{"fc.weight": t}]}` gives `model.0.fc.weight`.
//! 2. The path segment `module`, which `DataParallel` puts before the names of what it wraps, is
//!    dropped wherever another segment follows it.
//! 3. Floating-point tensors become `f32` and integer and boolean tensors `i64`. A double too large
//!    for `f32` becomes infinite. Complex, quantized and sparse tensors are skipped.
//! 4. Every tensor is dense and row-major; tensors that share a storage are copied apart.
//!
//! Refused: pickles of protocol 0 and 1, the tar format of the first PyTorch releases, and files whose
//! objects would take far more memory than the file itself.

mod dense;
mod element;
mod error;
mod flatten;
mod legacy_format;
mod pickle;
mod safetensors_format;
mod storage;
mod zip_format;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

pub use error::{Error, Place, Result};

use error::Origin;
use truepair_core::source_file;

/// What a checkpoint holds, by flattened name.
///
/// The parts of a name are dictionary keys and list positions, joined by dots. A file that holds
/// one bare tensor gives it the empty name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Tensors, for example `model.0.fc.weight`.
    pub tensors: BTreeMap<String, Tensor>,
    /// Numbers, texts and booleans that are not tensors, for example `epoch` and `opt.margin`.
    /// Python's `None` has no entry.
    pub settings: BTreeMap<String, Scalar>,
    /// What was in the file but is neither tensor nor setting: `name: kind`, sorted, where `kind`
    /// is the Python name of the class or function, for example `optimizer: torch.optim.adam.Adam`.
    pub skipped: Vec<String>,
}

/// One tensor, dense and row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements; as many as the product of `shape`.
    pub values: TensorValues,
}

/// The elements of a [`Tensor`], the last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorValues {
    /// What the file holds as half, bfloat16, single or double precision.
    F32(Vec<f32>),
    /// What the file holds as integers of up to 64 bits or as booleans (0 and 1).
    I64(Vec<i64>),
}

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A Python or NumPy boolean.
    Bool(bool),
    /// An integer of at most 64 bits, signed.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text; bytes that are valid UTF-8 count as text, because that is what Python 2 wrote.
    Text(String),
}

/// Reads the whole checkpoint at `path`; the format is recognized by content.
///
/// Memory: the tensors, and one storage at a time on top of them.
///
/// ```
/// use std::path::Path;
/// use truepair_read::checkpoint::{Scalar, read};
///
/// // A file of `torch.save`, as a training script left it.
/// let found = read(Path::new("fixtures/checkpoints/zip_research.pth.tar"))?;
/// assert!(found.tensors.contains_key("model.0.fc.weight"));
/// assert!(matches!(found.settings.get("epoch"), Some(Scalar::Int(_))));
/// # Ok::<(), truepair_read::checkpoint::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be read, is of none of the formats, is cut short or damaged, two tensors get
/// the same name, or a tensor reaches beyond its storage.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let origin = Origin::file(path);
    let file = source_file::open(path).map_err(|cause| origin.unreadable(None, cause))?;
    read_from(BufReader::new(file), path)
}

/// Reads a checkpoint from the start of `reader`; `path` is for messages.
fn read_from(mut reader: impl BufRead + Seek, path: &Path) -> Result<Checkpoint> {
    let origin = Origin::file(path);
    let unreadable = |cause| origin.unreadable(None, cause);
    let file_length = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let mut start = Vec::new();
    reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut opening = reader.by_ref().take(START_LENGTH);
    opening.read_to_end(&mut start).map_err(unreadable)?;
    reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    match Format::of(&start, file_length) {
        Some(Format::Zip) => zip_format::read(reader, file_length, path),
        Some(Format::Legacy) => legacy_format::read(reader, file_length, path),
        Some(Format::Safetensors) => safetensors_format::read(reader, file_length, path),
        None => Err(origin.content(None, describe_unknown(&start), EXPECTED)),
    }
}

/// Bytes that tell the formats apart; a tar archive names itself at byte 257.
const START_LENGTH: u64 = 262;

const EXPECTED: &str = "a checkpoint of torch.save (zip archive or pickle) or a safetensors file";

enum Format {
    Zip,
    Legacy,
    Safetensors,
}

impl Format {
    /// The format of a file that begins with `start`.
    ///
    /// Safetensors is tried first: its first bytes are a length and could be those of the others,
    /// but then its ninth byte could not.
    fn of(start: &[u8], file_length: u64) -> Option<Format> {
        if let Some((length, rest)) = start.split_first_chunk::<8>()
            && rest.first() == Some(&b'{')
            && u64::from_le_bytes(*length) <= file_length
        {
            return Some(Format::Safetensors);
        }
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            return Some(Format::Zip);
        }
        pickle::is_start(start).then_some(Format::Legacy)
    }
}

fn describe_unknown(start: &[u8]) -> String {
    if start.is_empty() {
        return "an empty file".into();
    }
    if start.get(257..262) == Some(b"ustar") {
        return "a tar archive, perhaps of one of the first PyTorch releases".into();
    }
    let first: Vec<String> = start.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!(
        "a file of another kind, which begins with {}",
        first.join(" ")
    )
}

#[cfg(test)]
mod tests;
