//! The other files that say who counts as right: JSON maps, Crisscrossed Captions, names and classes.

use truepair_core::relevance::Ids;
use truepair_read::dataset::read_pairs;
use truepair_read::relevance::{read_all_ids, read_codes, read_cxc, read_instances, read_map};

use crate::{judged, scratch};

pub(crate) fn relevance(data: &[u8]) {
    scratch::with_file("i2t.json", data, |path| {
        if let Ok(judgments) = read_map(path) {
            judged::check(&judgments);
        }
        let _ = read_all_ids(path);
        let images = Ids::new(["a.jpg", "7"].map(String::from).into());
        if let Ok(codes) = read_instances(path, &images.expect("two names")) {
            assert_eq!(codes.len(), 2);
        }
    });
    scratch::with_file("sits_test.csv", data, |path| {
        if let Ok(judgments) = read_cxc(path) {
            judged::check(&judgments);
        }
    });
    scratch::with_file("names.txt", data, |path| {
        if let Ok(ids) = read_all_ids(path) {
            let found = (0..ids.len() as u32).map(|at| ids.find(ids.name(at)));
            assert!(found.eq((0..ids.len() as u32).map(Some)));
            let _ = read_codes(path, ids.len(), None);
        }
        for pair in read_pairs(path, 3, 6).unwrap_or_default() {
            assert!(pair.image < 3 && pair.caption < 6);
        }
    });
}
