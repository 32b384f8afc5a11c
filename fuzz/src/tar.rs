//! Shards of WebDataset.

use truepair_read::dataset::ReadOptions;

use crate::{pairs, scratch};

pub(crate) fn tar(data: &[u8]) {
    scratch::with_file("shard.tar", data, |path| {
        pairs::open_all(path, &pairs::with_pictures());
        pairs::open_all(path, &ReadOptions::default());
    });
}
