//! What decides the embeddings of data: encoders, their settings, and the state of the pictures.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Result;
use serde_json::{Value, json};
use truepair_core::dataset::Features;
use truepair_core::digest::Digest;
use truepair_encode::{ImageEncoder, Length, TextEncoder};

use crate::file_hash::sha256;
use crate::remote;

/// A hash of where every picture lies, and of the full path, the size and the time of the last change of every file
/// that holds some: a picture that was replaced is embedded anew, without reading all bytes to know it.
pub(super) fn state_of_pictures(pictures: &Features) -> String {
    let mut digest = Digest::new();
    let mut last: Option<&Path> = None;
    for picture in (0..pictures.len()).filter_map(|row| pictures.picture(row)) {
        let file = picture.file();
        let name = picture.to_string();
        let within = name.strip_prefix(&file.display().to_string());
        let mut state = within.unwrap_or(&name).to_owned();
        if last.replace(file) != Some(file) {
            let full = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            let _ = write!(state, "\t{}", full.display());
            if let Ok(found) = std::fs::metadata(file) {
                let changed = found.modified().ok();
                let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let _ = write!(state, "\t{}\t{changed:?}", found.len());
            }
        }
        digest.add(&(state.len() as u64).to_le_bytes());
        digest.add(state.as_bytes());
    }
    digest.hex()
}

/// SHA-256 of what encoders read besides their own files: weights outside (`model.onnx_data`) and the settings and
/// tokenizers in JSON, beside them and one folder up.
pub(super) fn hashes_beside<'a>(
    encoders: impl Iterator<Item = &'a PathBuf>,
) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for encoder in encoders {
        let name = encoder.file_name().unwrap_or_default().to_string_lossy();
        let full = remote::full(encoder)?;
        for folder in full.ancestors().skip(1).take(2) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let beside = entry.file_name().to_string_lossy().into_owned();
                let is_weights = beside.starts_with(&*name) && beside.len() > name.len();
                let is_settings = SETTINGS.contains(&beside.as_str());
                if (is_weights || is_settings) && path.is_file() {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    files.dedup();
    files.iter().map(|file| sha256(file)).collect()
}

/// Files in which encoders' settings are looked up.
const SETTINGS: [&str; 7] = [
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// What decides the vectors of an image encoder.
///
/// # Errors
/// If its file cannot be read.
pub(crate) fn described_images(path: &Path, encoder: &ImageEncoder) -> Result<Value> {
    Ok(json!({
        "sha256": sha256(path)?,
        "output": encoder.output(),
        "preprocessing": encoder.preprocessing(),
    }))
}

/// What decides the vectors of a text encoder.
///
/// # Errors
/// If its file cannot be read.
pub(crate) fn described_captions(path: &Path, encoder: &TextEncoder) -> Result<Value> {
    let length = encoder.tokenizer().length();
    let (Length::AtMost(tokens) | Length::Exactly(tokens)) = length;
    Ok(json!({
        "sha256": sha256(path)?,
        "output": encoder.output(),
        "pooling": encoder.pooling(),
        "max_tokens": tokens,
        "padded": matches!(length, Length::Exactly(_)),
    }))
}
