//! How fast a data set is read: every caption and, where there are some, every picture's bytes.
//!
//! `cargo run --release -p truepair-read --example reading_speed -- PATH [FEATURES]` prints one JSON object with
//! seconds, the bytes of the files under PATH and what was read. `scripts/reading_speed.py` sets it beside
//! Python's `webdataset`, `pyarrow` and `csv`.
#![allow(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use truepair_read::dataset::{ReadOptions, open};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let path = arguments
        .next()
        .ok_or("usage: reading_speed PATH [FEATURES]")?;
    let options = ReadOptions {
        features: arguments.next(),
        ..ReadOptions::default()
    };
    let start = Instant::now();
    let data = open(&path, &options)?;
    let opened = start.elapsed().as_secs_f64();
    let mut picture_bytes = 0;
    for row in 0..data.n_images() {
        if let Some(picture) = data.images.picture(row) {
            picture_bytes += picture.read()?.len();
        }
    }
    let captions = data.captions.iter().flatten();
    let caption_bytes: usize = captions.map(String::len).sum();
    println!(
        "{}",
        json!({
            "seconds": start.elapsed().as_secs_f64(),
            "opened": opened,
            "bytes": size_of_files(&path)?,
            "images": data.n_images(),
            "captions": data.n_captions(),
            "caption_bytes": caption_bytes,
            "picture_bytes": picture_bytes,
        })
    );
    Ok(())
}

fn size_of_files(path: &Path) -> Result<u64, std::io::Error> {
    let meta = path.metadata()?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    path.read_dir()?
        .map(|entry| entry.and_then(|entry| size_of_files(&entry.path())))
        .sum()
}
