//! Files of golden numbers; see `fixtures/golden/README.md`.

// Each test program uses some of this.
#![allow(dead_code, unreachable_pub)]

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use truepair_core::scores::Matrix;

/// One file with its entry of the index, which is null for a file that no index names.
pub struct Golden {
    pub bytes: Vec<u8>,
    entry: Value,
}

impl Golden {
    /// Reads `name` from the folder that `TRUEPAIR_GOLDEN` names. A file that the index of that
    /// folder does not know is one that only this crate has, and is read from its fixtures.
    pub fn open(name: &str) -> Self {
        let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden"));
        let asked = std::env::var_os("TRUEPAIR_GOLDEN").map(PathBuf::from);
        let known = (asked.into_iter().chain([own.clone()]))
            .find_map(|folder| entry(&folder, name).map(|entry| (folder, entry)));
        let (folder, entry) = known.unwrap_or((own, Value::Null));
        let bytes = bytes(&folder.join(name));
        Self { bytes, entry }
    }

    /// A setting of the entry that is a list of numbers.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        serde_json::from_value(self.entry["config"][key].clone())
            .unwrap_or_else(|error| panic!("setting {key:?}: {error}"))
    }

    pub fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::I64, "{name}");
        tensor
            .data()
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    pub fn matrix(&self, name: &str) -> Matrix {
        let dim = *self.tensors().tensor(name).unwrap().shape().last().unwrap();
        Matrix::new(self.floats(name), dim)
    }
}

fn entry(folder: &Path, name: &str) -> Option<Value> {
    let index: Value = serde_json::from_slice(&bytes(&folder.join("index.json"))).unwrap();
    let entries = index["entries"].as_array().unwrap();
    entries.iter().find(|entry| entry["file"] == name).cloned()
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// # Panics
/// If a value differs by more than the folder's tolerance.
pub fn assert_close(name: &str, found: &[f64], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected
        .iter()
        .fold(0.0f64, |largest, &x| largest.max(f64::from(x).abs()));
    for (index, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let difference = (a - f64::from(b)).abs();
        assert!(
            difference <= 1e-5 * largest + 1e-6,
            "{name}[{index}]: {a} against {b}"
        );
    }
}
