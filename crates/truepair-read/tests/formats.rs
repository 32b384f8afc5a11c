//! Specimens of what is written for TREC's tools; see `fixtures/formats/README.md`.

use std::path::{Path, PathBuf};

use truepair_core::pair::Pair;
use truepair_core::ranking::Found;
use truepair_core::relevance::{Ids, Judgments, Relevance};
use truepair_core::scores::Direction;
use truepair_read::ranking::{read_trec_run, write_trec_run};
use truepair_read::relevance::{read_qrels, write_qrels};

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/formats")
        .join(name)
}

fn ids(names: &[&str]) -> Ids {
    Ids::new(names.iter().map(|&name| name.to_owned()).collect()).unwrap()
}

fn items(judgments: &Judgments) -> Vec<(String, Vec<String>)> {
    let queries = judgments.queries();
    queries
        .map(|(query, items)| (query.to_owned(), items.map(str::to_owned).collect()))
        .collect()
}

#[test]
fn runs_and_judgments_are_those_of_trec() {
    let (images, captions) = (ids(&["beach.jpg"]), ids(&["c7", "c9"]));
    let found = [(1, 0.9), (0, 0.5)].map(|(item, score)| Found { item, score });
    let mut run = Vec::new();
    write_trec_run(&mut run, "beach.jpg", &found, &captions, "mine").unwrap();
    assert_eq!(run, std::fs::read(stored("i2t.run")).unwrap());

    let pairs = [0, 1].map(|caption| Pair { image: 0, caption });
    let relevance = Relevance::from_pairs(1, 2, &pairs);
    let mut qrels = Vec::new();
    let direction = Direction::ImageToText;
    write_qrels(&mut qrels, &relevance, direction, &images, &captions).unwrap();
    assert_eq!(qrels, std::fs::read(stored("i2t.qrels")).unwrap());

    let ranked = read_trec_run(&stored("i2t.run")).unwrap();
    assert_eq!(
        items(&ranked),
        [("beach.jpg".into(), vec!["c9".into(), "c7".into()])]
    );
    let judged = read_qrels(&stored("i2t.qrels")).unwrap();
    assert_eq!(
        items(&judged),
        [("beach.jpg".into(), vec!["c7".into(), "c9".into()])]
    );
}
