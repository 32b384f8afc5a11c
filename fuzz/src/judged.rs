//! What must hold of judgments and ranked lists.

use truepair_core::relevance::{Ids, Judgments, UnknownIds};
use truepair_core::scores::Direction;

/// Queries with their items.
pub(crate) type Lists = Vec<(String, Vec<String>)>;

/// Every query and item once, and all of them found again where names are known.
pub(crate) fn check(judgments: &Judgments) {
    let lists = lists(judgments);
    let mut queries: Vec<&str> = lists.iter().map(|(query, _)| query.as_str()).collect();
    queries.sort_unstable();
    assert!(queries.windows(2).all(|two| two[0] != two[1]));
    for (_, items) in &lists {
        let mut items: Vec<&String> = items.iter().collect();
        items.sort_unstable();
        assert!(items.windows(2).all(|two| two[0] != two[1]));
    }
    judgments.account().lines();
    let some = Ids::new(["a", "b", "1"].map(str::to_owned).to_vec()).expect("different names");
    for direction in [Direction::ImageToText, Direction::TextToImage] {
        if let Ok(found) = judgments.resolve(direction, &some, &some, UnknownIds::Count) {
            let is_there = |row: u32| (row as usize) < some.len();
            let pairs = found.pairs.iter();
            assert!({ pairs }.all(|pair| is_there(pair.image) && is_there(pair.caption)));
        }
    }
    judgments.mirrored();
}

/// The lists as the file has them.
pub(crate) fn lists(judgments: &Judgments) -> Lists {
    let own = |(query, items): (&str, _)| (query.to_owned(), strings(items));
    judgments.queries().map(own).collect()
}

fn strings<'a>(items: impl Iterator<Item = &'a str>) -> Vec<String> {
    items.map(str::to_owned).collect()
}
