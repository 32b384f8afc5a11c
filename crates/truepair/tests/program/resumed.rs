//! Runs that are gone on with.

use crate::{files, truepair, words};

#[test]
fn a_finished_run_of_every_matcher_is_resumed_to_its_result() {
    let home = tempfile::tempdir().unwrap();
    for (split, n) in [("train", 60), ("dev", 30), ("test", 30)] {
        files::precomp(&home.path().join("data"), split, n);
    }
    for matcher in ["linear", "residual"] {
        let line = format!(
            "train data --matcher {matcher} --set training.epochs=2 --out {matcher} --json"
        );
        let done = truepair(home.path(), &words(&line)).json();
        for line in [
            format!("train --resume {matcher} --json"),
            format!("{line} --resume"),
        ] {
            let again = truepair(home.path(), &words(&line)).json();
            assert_eq!(again["test"], done["test"], "{line}");
        }
    }
}
