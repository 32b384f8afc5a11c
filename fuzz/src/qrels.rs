//! Judgments of TREC and of BEIR.

use truepair_read::relevance::read_qrels;

use crate::{judged, scratch};

pub(crate) fn qrels(data: &[u8]) {
    scratch::with_file("i2t.qrels", data, |path| {
        let Ok(judgments) = read_qrels(path) else {
            return;
        };
        judged::check(&judgments);
        let again = read_qrels(path).expect("what was read once is read again");
        assert_eq!(judged::lists(&judgments), judged::lists(&again));
    });
}
