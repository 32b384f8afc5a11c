//! The sample of `truepair demo`, carried inside the program, and its captions as word vectors.
//!
//! An installed program has no checkout beside it, and one way for both cases is one way less to
//! break: the files are always unpacked from the program, next to what the demo writes, where they
//! stay as an example of the format to copy from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use include_dir::{Dir, include_dir};
use truepair_core::audit::normalize;
use truepair_core::dataset::{Dataset, Features, NamedFeatures};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../samples/emoji");

const SPLITS: &[&str] = &["train", "dev", "test"];

const TEXTS_PER_IMAGE: usize = 5;

/// Writes the sample into `folder`, which is made.
pub(crate) fn unpack(folder: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        FILES.extract(folder)
    };
    let place = || format!("{}: cannot unpack the sample", folder.display());
    write().with_context(place)?;
    SPLITS
        .iter()
        .try_for_each(|split| join_texts(&folder.join(format!("{split}_caps.txt"))))
}

/// Makes one caption of the five texts of an emoji, every word once. A text such as `grin` alone
/// says too little to tell one emoji from the next.
fn join_texts(file: &Path) -> Result<()> {
    let place = || format!("{}: cannot join the texts", file.display());
    let text = fs::read_to_string(file).with_context(place)?;
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    for texts in lines.chunks(TEXTS_PER_IMAGE) {
        let mut parts: Vec<&str> = Vec::new();
        for part in texts.iter().flat_map(|text| text.split(", ")) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        out.push_str(&parts.join(", "));
        out.push('\n');
    }
    fs::write(file, out).with_context(place)
}

/// Numbers per caption; wide enough that few of the sample's words share a place.
const WIDTH: usize = 1024;

/// Gives the captions of the sample vectors of hashed words and parts of words (Weinberger et
/// al., ICML 2009).
///
/// A vocabulary built from a thousand captions knows too few words: measured, the audit's AUC is
/// 0.74 with a trained bag of words and 0.84 with these vectors. They need no training at all.
pub(crate) fn with_word_vectors(mut dataset: Dataset) -> Result<Dataset> {
    let texts = dataset.require_captions()?;
    let mut values = vec![0.0_f32; texts.len() * WIDTH];
    for (text, row) in texts.iter().zip(values.chunks_exact_mut(WIDTH)) {
        for word in normalize(text).split(' ') {
            add(row, word, 1.0);
            // Parts of words join `grin` and `grinning`, and reach words that training never saw.
            let letters: Vec<char> = format!("<{word}>").chars().collect();
            for part in letters.windows(4) {
                add(row, &String::from_iter(part), 0.5);
            }
        }
    }
    let features = Features::from_rows(values, WIDTH);
    dataset.caption_features = Some(NamedFeatures {
        name: "words".to_owned(),
        features,
    });
    Ok(dataset)
}

fn add(row: &mut [f32], part: &str, weight: f32) {
    let hash = fnv1a(part);
    row[hash as usize % WIDTH] += if hash >> 63 == 0 { weight } else { -weight };
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo), the same on every machine.
fn fnv1a(word: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    word.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_published_values() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn the_sample_comes_with_its_licenses_and_three_splits() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sample");
        unpack(&folder).unwrap();
        for name in [
            "SOURCES.txt",
            "train_ims.npy",
            "dev_caps.txt",
            "test_ids.txt",
        ] {
            assert!(folder.join(name).is_file(), "{name}");
        }
        let ids = fs::read_to_string(folder.join("train_ids.txt")).unwrap();
        let captions = fs::read_to_string(folder.join("train_caps.txt")).unwrap();
        assert_eq!(ids.lines().count(), captions.lines().count());
        assert_eq!(
            captions
                .lines()
                .next()
                .unwrap()
                .matches("grinning face")
                .count(),
            1
        );
    }
}
