//! Manifests as files.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::error::{Error, Place, Result};
use crate::source_file;

/// Writes a manifest as JSON so that `path` holds either the old or the new file.
pub(super) fn write(manifest: &impl Serialize, path: &Path) -> Result<()> {
    let json = serde_json::to_vec(manifest).expect("plain numbers, texts and lists are JSON");
    durable::write(path, &json)
}

/// Reads a manifest; `problem` is the message for any other file.
pub(super) fn read<T: DeserializeOwned>(path: &Path, problem: &str) -> Result<T> {
    let bytes = source_file::read(path, source_file::LIST)
        .map_err(|source| Error::io(path, "read", source))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = match error.line() {
            0 => Place::Whole,
            line => Place::Line(line as u64),
        };
        Error::data(
            path,
            place,
            format!("{problem}: {error}"),
            "plant the noise again to write a new one",
        )
    })
}
