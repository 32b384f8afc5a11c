//! Files of arrays in the places where the program takes them: as features of a list, as both sides of
//! embeddings, as labeled data.

use std::path::Path;

use truepair_read::dataset::{ReadOptions, open, open_embeddings};

use crate::{labeled, pairs, scratch};

/// A list of three images, whose features the file may be.
const LIST: &[u8] = b"image,caption\na.jpg,one\nb.jpg,two\nc.jpg,three\n";

/// Reads `data` as a file of arrays with this ending.
pub(crate) fn read(ending: &str, data: &[u8]) {
    let name = format!("arrays.{ending}");
    scratch::with_files(&[("list.csv", LIST), (&name, data)], |folder| {
        let file = folder.join(&name);
        let options = ReadOptions {
            features: Some(file.clone()),
            ..ReadOptions::default()
        };
        opened(open(folder.join("list.csv"), &options));
        opened(open_embeddings(&file, &file, &ReadOptions::default()));
    });
    scratch::with_file(&name, data, |file| {
        pairs::open_all(file, &ReadOptions::default());
        pairs::open_all(file, &pairs::of_texts());
        labeled::read(file);
    });
}

fn opened(data: truepair_core::Result<truepair_core::dataset::Dataset>) {
    if let Ok(data) = data {
        pairs::check(&data);
    }
}

/// Both sides of labeled data in a folder of single arrays.
pub(crate) fn labeled_folder(data: &[u8]) {
    let files = ["train_ims.npy", "train_txt.npy", "train_labels.npy"];
    scratch::with_files(&files.map(|name| (name, data)), |folder: &Path| {
        labeled::read(folder);
    });
}
