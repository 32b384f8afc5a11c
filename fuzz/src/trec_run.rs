//! Ranked lists: TREC runs and JSON maps.

use std::path::Path;

use truepair_core::ranking::Found;
use truepair_core::relevance::Ids;
use truepair_read::ranking::{read_list_map, read_trec_run, write_trec_run};

use crate::{judged, scratch};

pub(crate) fn trec_run(data: &[u8]) {
    scratch::with_file("i2t.run", data, |path| {
        let Ok(run) = read_trec_run(path) else {
            return;
        };
        judged::check(&run);
        written_again(path, &judged::lists(&run));
    });
    scratch::with_file("i2t.json", data, |path| {
        if let Ok(lists) = read_list_map(path) {
            judged::check(&lists);
        }
    });
}

/// A run that was read has the same lists after writing.
fn written_again(path: &Path, lists: &judged::Lists) {
    let mut bytes = Vec::new();
    for (query, items) in lists {
        let found: Vec<Found> = (0..items.len() as u32)
            .map(|item| Found { item, score: 0.0 })
            .collect();
        let gallery = Ids::new(items.clone()).expect("a list names an item once");
        write_trec_run(&mut bytes, query, &found, &gallery, "fuzz").expect("names from a line");
    }
    std::fs::write(path, bytes).expect("the run is written");
    let again = read_trec_run(path).expect("a run that was just written");
    let written: judged::Lists = (lists.iter())
        .map(|(query, items)| {
            (
                escape(query),
                items.iter().map(|item| escape(item)).collect(),
            )
        })
        .collect();
    assert_eq!(judged::lists(&again), written);
}

/// A name as it stands in a file; it is unescaped where it is looked up.
fn escape(name: &str) -> String {
    truepair_core::relevance::escaped(name).into_owned()
}
