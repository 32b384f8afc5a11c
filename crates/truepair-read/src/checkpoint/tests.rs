//! Fixtures that PyTorch wrote, files made to break the reader, and what both have in common.

mod assembly;
mod errors;
mod fixtures;
mod hostile;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Result};

/// The folder of the fixtures.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// Names of all fixtures, sorted.
fn fixture_names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let about = ["README.md", "make.py", "expected.json"];
    let mut names: Vec<String> = names
        .filter(|name| !about.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// Reads `bytes` as the content of the file `checkpoint`.
fn read_bytes(bytes: &[u8]) -> Result<Checkpoint> {
    super::read_from(Cursor::new(bytes), Path::new("checkpoint"))
}

fn message(bytes: &[u8]) -> String {
    read_bytes(bytes).unwrap_err().to_string()
}
