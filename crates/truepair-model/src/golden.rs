//! Where a file of golden numbers lies, and what its index says of it.

// Each test program uses some of this.
#![allow(dead_code, unreachable_pub)]

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file with its entry of the index, which is null for a file that no index names.
pub struct Entry {
    pub bytes: Vec<u8>,
    name: String,
    entry: Value,
}

impl Entry {
    /// Reads `name` from the folder that `TRUEPAIR_GOLDEN` names. A file that the index of that
    /// folder does not know is one that only this repository has, and is read from its fixtures.
    pub fn open(name: &str) -> Self {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden");
        let (asked, own) = (std::env::var_os("TRUEPAIR_GOLDEN"), PathBuf::from(fixtures));
        let entries = (asked.map(PathBuf::from).into_iter())
            .chain([own.clone()])
            .find_map(|folder| entry(&folder, name).map(|entry| (folder, entry)));
        let (folder, entry) = entries.unwrap_or((own, Value::Null));
        let path = folder.join(name);
        let bytes =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            bytes,
            name: name.to_owned(),
            entry,
        }
    }

    /// A setting of the file's entry.
    pub fn setting(&self, key: &str) -> &Value {
        let value = &self.entry["config"][key];
        assert!(!value.is_null(), "{}: no setting {key:?}", self.name);
        value
    }

    /// A setting that is a number.
    pub fn number(&self, key: &str) -> f64 {
        number(self.setting(key))
    }

    /// A setting that is a number, or `default` where the file has none.
    pub fn number_or(&self, key: &str, default: f64) -> f64 {
        self.entry["config"][key].as_f64().unwrap_or(default)
    }

    /// A setting that is a whole number.
    pub fn count(&self, key: &str) -> usize {
        let value = self.number(key);
        assert!(value.fract() == 0.0, "{}: {key} is {value}", self.name);
        value as usize
    }

    /// A setting that is a list of numbers.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        let list = self.setting(key).as_array();
        let list = list.unwrap_or_else(|| panic!("{}: {key} is no list", self.name));
        list.iter().map(number).collect()
    }

    /// The number that stands behind `key` in what the index says of a tensor.
    pub fn stated(&self, tensor: &str, key: &str) -> f64 {
        let meaning = self.entry["tensors"][tensor]["meaning"].as_str();
        let meaning = meaning.unwrap_or_else(|| panic!("{}: no meaning of {tensor}", self.name));
        stated(meaning, key).unwrap_or_else(|| panic!("{}: no {key:?} in {meaning:?}", self.name))
    }
}

fn entry(folder: &Path, name: &str) -> Option<Value> {
    let path = folder.join("index.json");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = index["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["file"] == name).cloned()
}

fn number(value: &Value) -> f64 {
    (value.as_f64()).unwrap_or_else(|| panic!("{value} is no number"))
}

/// The number behind `key` in a text, as in `key=0.1`, `key 0.1` and `'key': 0.1`.
pub fn stated(text: &str, key: &str) -> Option<f64> {
    text.match_indices(key).find_map(|(at, _)| {
        let rest = text[at + key.len()..].trim_start_matches([' ', '=', ':', '\'', '"', '(']);
        let end = rest.find(|c: char| !(c.is_ascii_digit() || ".e-+".contains(c)));
        let digits = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '-', '+']);
        digits.parse().ok()
    })
}

/// A number as the names of cases have it: `0p05` for 0.05.
pub fn in_name(value: f64) -> String {
    value.to_string().replace('.', "p")
}
