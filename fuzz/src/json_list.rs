//! JSON documents: lists of records, and the annotations of COCO, Karpathy and MSR-VTT.

use crate::{pairs, scratch, table};

pub(crate) fn json_list(data: &[u8]) {
    table::read("pairs.json", data);
    scratch::with_files(&[("captions_train2014.json", data)], |folder| {
        pairs::open_all(folder, &pairs::with_pictures());
    });
}
