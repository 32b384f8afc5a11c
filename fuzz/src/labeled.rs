//! What must hold of labeled data.

use std::path::Path;

use truepair_core::labeled::LabeledData;
use truepair_read::dataset::KeptFolder;
use truepair_read::labeled::{LabeledOptions, open, write_kept_items};

use crate::{pairs, scratch};

/// Reads labeled data twice, and the items that stay once more.
pub(crate) fn read(path: &Path) {
    let options = LabeledOptions::default();
    let Ok(data) = open(path, &options) else {
        return;
    };
    check(&data);
    let again = open(path, &options).expect("what was read once is read again");
    assert_eq!(labels(&data), labels(&again));
    assert_eq!(data.account.lines(), again.account.lines());
    let Some(set) = data.splits.first().filter(|set| set.len() > 1) else {
        return;
    };
    let mut keep = vec![true; set.len()];
    keep[0] = false;
    let out = scratch::output();
    let target = KeptFolder::of(&out);
    if let Ok(kept) = write_kept_items(path, &options, (&data, set), &keep, &target) {
        assert!(kept.files.iter().all(|file| file.starts_with(&out)));
    }
}

fn check(data: &LabeledData) {
    assert!(!data.splits.is_empty(), "labeled data has a split");
    for set in &data.splits {
        assert!(set.modalities.len() >= 2);
        for modality in &set.modalities {
            assert_eq!(modality.labels.len(), modality.features.len());
            assert_eq!(modality.labels.len(), set.len());
            let classes = set.n_classes;
            assert!((modality.labels.iter()).all(|label| (*label as usize) < classes));
            pairs::check_rows(&modality.features);
        }
        let all: Vec<u32> = (0..set.len() as u32).collect();
        assert_eq!(set.select(&all).len(), set.len());
    }
    data.class_name(0);
}

fn labels(data: &LabeledData) -> Vec<&[u32]> {
    let modalities = data.splits.iter().flat_map(|set| &set.modalities);
    modalities
        .map(|modality| modality.labels.as_slice())
        .collect()
}
