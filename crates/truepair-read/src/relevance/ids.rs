//! Files of the names under which other files speak of images and captions.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::npy::{self, Header, Number};
use truepair_core::relevance::Ids;

use crate::text_file::read_whole;

/// Bytes of a file that is read whole.
const LARGEST: u64 = 1 << 34;

/// Reads names from a file: `.npy` whole numbers or texts `[n]`, a JSON list of texts or whole numbers,
/// or one name a line.
///
/// # Errors
/// If the file cannot be read, is none of these, or holds a name twice.
pub fn read_all_ids(path: &Path) -> Result<Ids> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let names = match ending {
        Some("npy") => npy_names(path)?,
        Some("json") => json_names(path)?,
        _ => crate::lines::read_lines(path)?,
    };
    Ids::new(names)
        .map_err(|cause| Error::data(path, Place::Whole, cause.to_string(), "write every id once"))
}

/// As [`read_all_ids`], of a known number of items.
///
/// # Errors
/// As `read_all_ids`, and if the file holds another number than `n`.
pub fn read_ids(path: &Path, n: usize) -> Result<Ids> {
    let ids = read_all_ids(path)?;
    if ids.len() == n {
        return Ok(ids);
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!("{} ids, expected {n}", ids.len()),
        "write one id per row of the scores or embeddings, in their order",
    ))
}

/// The texts or whole numbers of an array.
fn npy_names(path: &Path) -> Result<Vec<String>> {
    let bytes = read_whole(path, LARGEST)?;
    let header = Header::parse(path, &bytes)?;
    if let Number::Unicode(_) | Number::Ascii(_) = header.number {
        return npy::texts(path, &header, &bytes);
    }
    let (values, _) = npy::ints(path, &header, &bytes)?;
    Ok(values.iter().map(ToString::to_string).collect())
}

fn json_names(path: &Path) -> Result<Vec<String>> {
    let text = read_whole(path, LARGEST)?;
    let expected = |problem: String| {
        Error::data(
            path,
            Place::Whole,
            problem,
            "write a list of ids: [\"a\", \"b\"] or [38, 182]",
        )
    };
    let values: Vec<serde_json::Value> =
        serde_json::from_slice(&text).map_err(|cause| expected(cause.to_string()))?;
    let name = |value: &serde_json::Value| {
        json_name(value).ok_or_else(|| expected(format!("{value} is not an id")))
    };
    values.iter().map(name).collect()
}

/// A text, or a whole number as text, with a point or not.
fn json_name(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        serde_json::Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|x| x.fract() == 0.0 && x.abs() < 1e15)?;
            Some((whole as i64).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_three_kinds_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let mut array = npy::header_bytes("<i8", &[2]);
        array.extend([38i64, 182].iter().flat_map(|id| id.to_le_bytes()));
        for path in [
            write("ids.npy", &array),
            write("ids.json", b"[38, \"182\"]"),
            write("ids.txt", b"38\n182\n"),
        ] {
            let ids = read_ids(&path, 2).unwrap();
            assert_eq!((ids.find("182"), ids.name(0)), (Some(1), "38"));
            let error = read_ids(&path, 3).unwrap_err().to_string();
            assert!(error.contains("2 ids, expected 3"), "{error}");
        }
        let error = read_ids(&write("twice.txt", b"a\nb\na\n"), 3).unwrap_err();
        assert!(error.to_string().contains("'a' stands at 0 and at 2"));
        let whole = read_ids(&write("whole.json", b"[38.0, 182]"), 2).unwrap();
        assert_eq!(whole.names(), ["38", "182"]);
        let error = read_ids(&write("long.json", b"[12345678901234567890123]"), 1).unwrap_err();
        assert!(error.to_string().contains("is not an id"), "{error}");
        let mut texts = npy::header_bytes("<U1", &[2]);
        texts.extend(['a', 'b'].iter().flat_map(|id| (*id as u32).to_le_bytes()));
        let texts = read_ids(&write("texts.npy", &texts), 2).unwrap();
        assert_eq!(texts.names(), ["a", "b"]);
        let error = read_ids(&write("half.json", b"[1.5]"), 1).unwrap_err();
        assert!(error.to_string().contains("1.5 is not an id"), "{error}");
    }
}
