//! The one name of every split, whatever a file or folder calls it.

/// One name for each split, whatever the file calls it and in whatever case.
pub(super) fn canonical(split: &str) -> &str {
    const WORDS: &[(&str, &[&str])] = &[
        ("train", &["train", "training", "restval"]),
        ("dev", &["dev", "val", "valid", "validation"]),
        ("test", &["test", "testing"]),
    ];
    let means = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(split));
    let known = WORDS.iter().find(|(_, words)| means(words));
    known.map_or(split, |(name, _)| name)
}
