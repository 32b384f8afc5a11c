//! The sample of `truepair demo`, carried inside the program.
//!
//! An installed program has no checkout beside it, and a single way for both cases leaves less to
//! break: the files are always unpacked from the program, next to what the demo writes, where they
//! stay as an example of the format to copy from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples/emoji");

/// Writes the sample into `folder`, which is made.
pub(crate) fn unpack(folder: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        FILES.extract(folder)
    };
    write().with_context(|| format!("{}: cannot unpack the sample", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_read::dataset::{ReadOptions, open};

    #[test]
    fn the_sample_comes_with_its_licenses_and_three_splits() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("sample");
        unpack(&folder).unwrap();
        for split in ["train", "dev", "test"] {
            let options = ReadOptions {
                split: split.into(),
                ..Default::default()
            };
            let data = open(&folder, &options).unwrap();
            assert_eq!(data.n_captions(), 5 * data.n_images());
            assert_eq!(data.labels.as_ref().unwrap().len(), data.n_images());
            data.images.check_finite(&mut ()).unwrap();
            let pictures = data.image_files.iter().flatten().count();
            assert_eq!(pictures, if split == "train" { data.n_images() } else { 0 });
        }
        let sources = fs::read_to_string(folder.join("SOURCES.txt")).unwrap();
        assert!(sources.contains("Microsoft Corporation"), "{sources}");
        assert!(sources.contains("UNICODE LICENSE V3"), "{sources}");
    }
}
