//! What the name of a file in a folder of tables says: its split, and its number among the shards.

use super::split_names::canonical;

/// Words that name a split, in a file name or as a folder.
const SPLIT_WORDS: &[&str] = &[
    "train",
    "training",
    "validation",
    "valid",
    "val",
    "dev",
    "test",
    "testing",
    "restval",
];
/// Words that say only that a file is one of several.
const GENERIC: &[&str] = &["", "part", "shard", "chunk", "data", "default", "file"];

/// The parts of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardName {
    /// The split as it is written; `None` when the name gives none.
    pub(super) split: Option<String>,
    /// The number of the shard.
    pub(super) number: Option<u64>,
    /// How many shards there are, where the name says so.
    pub(super) of: Option<u64>,
}

impl ShardName {
    /// Reads the name of a file without its ending.
    pub(super) fn parse(stem: &str) -> Self {
        counted(stem)
            .or_else(|| numbered(stem))
            .unwrap_or_else(|| Self {
                split: split_in(stem),
                number: None,
                of: None,
            })
    }
}

/// `NAME-00000-of-00003`, perhaps with a hash behind it.
fn counted(stem: &str) -> Option<ShardName> {
    let (before, after) = stem.rsplit_once("-of-")?;
    let of = after.split_once('-').map_or(after, |(of, _)| of);
    let (name, number) = match before.rsplit_once('-') {
        Some((name, number)) => (name, number),
        None => ("", before),
    };
    Some(ShardName {
        split: (!GENERIC.contains(&name)).then(|| name.to_owned()),
        number: Some(digits(number)?),
        of: Some(digits(of)?),
    })
}

/// `0000`, `train-0`, `train_0001`, or `part-00000-` and what Spark writes behind it.
fn numbered(stem: &str) -> Option<ShardName> {
    if let Some(rest) = stem.strip_prefix("part-") {
        let number = rest.split('-').next().and_then(digits)?;
        return Some(ShardName {
            split: None,
            number: Some(number),
            of: None,
        });
    }
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = digits(&stem[name.len()..])?;
    let name = name.trim_end_matches(['-', '_', '.']);
    let split = match GENERIC.contains(&name.to_ascii_lowercase().as_str()) {
        true => None,
        false => split_in(name),
    };
    Some(ShardName {
        split,
        number: Some(number),
        of: None,
    })
}

/// The split that a name is, or holds as a word.
fn split_in(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(['-', '_', '.', ' ']);
    let mut found: Vec<&str> = words.filter(|word| SPLIT_WORDS.contains(word)).collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [word] => Some(word.to_owned()),
        _ => None,
    }
}

/// The split that a folder of this name holds: `train`, `split=train`, `partial-train`.
pub(super) fn split_of_folder(name: &str) -> Option<&str> {
    let word = name.strip_prefix("partial-").unwrap_or(name);
    let named = SPLIT_WORDS.contains(&word).then_some(word);
    name.strip_prefix("split=").or(named)
}

/// Whether a folder of this name says nothing of the data in it.
pub(super) fn is_generic(name: &str) -> bool {
    GENERIC.contains(&name)
}

/// Whether a word names a split.
pub(super) fn is_split(word: &str) -> bool {
    SPLIT_WORDS.contains(&word)
}

/// One name for each split.
pub(super) fn one_name(split: &str) -> String {
    canonical(split).to_owned()
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_splits_and_numbers() {
        let some = |split: &str| Some(split.to_owned());
        for (stem, split, number, of) in [
            ("train-00000-of-00003", some("train"), Some(0), Some(3)),
            (
                "minitrain-00001-of-00002-0a1b2c",
                some("minitrain"),
                Some(1),
                Some(2),
            ),
            ("00002-of-00003", None, Some(2), Some(3)),
            ("data-00002-of-00003", None, Some(2), Some(3)),
            ("train-0007", some("train"), Some(7), None),
            ("validation_12", some("validation"), Some(12), None),
            ("flickr30k_test", some("test"), None, None),
            ("flickr30k", None, None, None),
            ("0000", None, Some(0), None),
            ("part-00003-4f2a-c000.snappy", None, Some(3), None),
            ("captions", None, None, None),
            ("train_test", None, None, None),
            ("train", some("train"), None, None),
            ("test2017", some("test"), Some(2017), None),
            ("made-of-wood", None, None, None),
        ] {
            let found = ShardName::parse(stem);
            assert_eq!(found, ShardName { split, number, of }, "{stem}");
        }
        assert_eq!(split_of_folder("partial-train"), Some("train"));
        assert_eq!(split_of_folder("split=val"), Some("val"));
        assert_eq!(split_of_folder("default"), None);
    }
}
