//! The names under which files speak of images and captions.

use std::collections::HashMap;
use std::path::Path;

use crate::dataset::npy;
use crate::error::{Error, Place, Result};

/// Names of a gallery's items, each with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Ids {
    /// Takes names in the order of the items.
    ///
    /// # Errors
    /// If a name occurs twice; it is named with both places, counted from 0.
    pub fn new(names: Vec<String>) -> Result<Self> {
        let mut index = HashMap::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            if let Some(first) = index.insert(name.clone(), at as u32) {
                return Err(Error::argument(
                    format!("the id '{name}' stands at {first} and at {at}"),
                    "give every item a name of its own",
                ));
            }
        }
        Ok(Self { names, index })
    }

    /// The numbers `0..n` as names, for data that has none.
    pub fn numbered(n: usize) -> Self {
        let names: Vec<String> = (0..n).map(|at| at.to_string()).collect();
        let numbered = names.iter().cloned().zip(0..);
        Self {
            index: numbered.collect(),
            names,
        }
    }

    /// Reads names from a file: `.npy` integers `[n]`, a JSON list of texts or numbers, or one name
    /// a line.
    ///
    /// # Errors
    /// If the file cannot be read, is none of these, or holds a name twice.
    pub fn read_all(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let names = match ending {
            Some("npy") => {
                let (values, _) = npy::read_ints(path)?;
                values.iter().map(ToString::to_string).collect()
            }
            Some("json") => json_names(path)?,
            _ => crate::dataset::read_lines(path)?,
        };
        Self::new(names).map_err(|cause| {
            Error::data(path, Place::Whole, cause.to_string(), "write every id once")
        })
    }

    /// As [`read_all`](Self::read_all), of a known number of items.
    ///
    /// # Errors
    /// As `read_all`, and if the file holds another number than `n`.
    pub fn read(path: &Path, n: usize) -> Result<Self> {
        let ids = Self::read_all(path)?;
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

    /// Number of items.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of an item.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn name(&self, item: u32) -> &str {
        &self.names[item as usize]
    }

    /// All names, in the order of the items.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The item of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }
}

fn json_names(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
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
        json_name(value).ok_or_else(|| expected(format!("{value} is no id")))
    };
    values.iter().map(name).collect()
}

/// A text, or an integer as text.
fn json_name(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) if !number.is_f64() => Some(number.to_string()),
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
            let ids = Ids::read(&path, 2).unwrap();
            assert_eq!((ids.find("182"), ids.name(0)), (Some(1), "38"));
            let error = Ids::read(&path, 3).unwrap_err().to_string();
            assert!(error.contains("2 ids, expected 3"), "{error}");
        }
        let error = Ids::read(&write("twice.txt", b"a\nb\na\n"), 3).unwrap_err();
        assert!(error.to_string().contains("'a' stands at 0 and at 2"));
        let error = Ids::read(&write("half.json", b"[1.5]"), 1).unwrap_err();
        assert!(error.to_string().contains("1.5 is no id"), "{error}");
    }

    #[test]
    fn numbers_are_names_where_there_are_none() {
        let ids = Ids::numbered(3);
        assert_eq!(
            (ids.len(), ids.find("2"), ids.find("3")),
            (3, Some(2), None)
        );
    }
}
