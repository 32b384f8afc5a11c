//! Types of numbers as NumPy writes them.

use std::path::Path;

use super::Number;
use super::dictionary::Item;
use crate::error::{Error, Place, Result};

/// Names that other writers and old versions give the types.
const NAMES: &[(&str, &str)] = &[
    ("float16", "f2"),
    ("float32", "f4"),
    ("float64", "f8"),
    ("int8", "i1"),
    ("int16", "i2"),
    ("int32", "i4"),
    ("int64", "i8"),
    ("uint8", "u1"),
    ("uint16", "u2"),
    ("uint32", "u4"),
    ("uint64", "u8"),
    ("bool", "b1"),
    ("?", "b1"),
    ("e", "f2"),
    ("f", "f4"),
    ("d", "f8"),
    ("b", "i1"),
    ("h", "i2"),
    ("i", "i4"),
    ("q", "i8"),
    ("B", "u1"),
    ("H", "u2"),
    ("I", "u4"),
    ("Q", "u8"),
];

/// Reads a type such as `<f4`; the flag is whether the most significant byte comes first.
pub(super) fn parse(path: &Path, descr: &Item) -> Result<(Number, bool)> {
    let refuse = |what: String, remedy: &str| Err(Error::data(path, Place::Whole, what, remedy));
    let Item::Text(code) = descr else {
        return refuse(
            "it holds records with named fields, expected plain numbers".into(),
            "save one field as an array of its own: np.save(path, a['name'])",
        );
    };
    let (order, kind) = match code.strip_prefix(['<', '>', '|', '=']) {
        Some(kind) => (code.as_bytes()[0], kind),
        None => (b'=', code.as_str()),
    };
    let known = NAMES.iter().find(|(name, _)| *name == kind);
    let kind = known.map_or(kind, |(_, kind)| kind);
    let width = kind.get(1..).and_then(|width| width.parse().ok());
    let width = width.unwrap_or(0);
    let number = match (kind.as_bytes().first(), width) {
        (Some(b'f'), 2) => Number::F16,
        (Some(b'f'), 4) => Number::F32,
        (Some(b'f'), 8) => Number::F64,
        (Some(b'i'), 1 | 2 | 4 | 8) => Number::Int(width),
        (Some(b'u'), 1 | 2 | 4 | 8) => Number::Uint(width),
        (Some(b'b'), 1) => Number::Uint(1),
        (Some(b'U'), 1..=LONGEST_TEXT) => Number::Unicode(width),
        (Some(b'S'), 1..=LONGEST_TEXT) => Number::Ascii(width),
        // The only type of two bytes that NumPy has no name for.
        (Some(b'V'), 2) => Number::Bf16,
        (Some(b'V'), 1) => {
            return refuse(
                format!("type '{code}' has no name; ml_dtypes saves its 8-bit floats so"),
                "convert it before saving: np.save(path, a.astype('float32'))",
            );
        }
        (Some(b'O'), _) => {
            return refuse(
                "it holds pickled Python objects, which are never loaded".into(),
                "save plain numbers, np.save(path, np.stack(list(a)).astype('float32')), or plain \
                 texts, np.array(a, dtype=str)",
            );
        }
        _ => {
            return refuse(
                format!("type '{code}' is not read; expected f2, f4, f8 or integers"),
                "convert it: np.save(path, a.astype('float32'))",
            );
        }
    };
    let big_endian = match order {
        b'>' => true,
        b'<' | b'|' => false,
        _ => cfg!(target_endian = "big"),
    };
    Ok((number, big_endian))
}

/// Letters of a text in an array.
const LONGEST_TEXT: usize = 1 << 24;
