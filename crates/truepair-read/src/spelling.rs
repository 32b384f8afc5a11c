//! Names that look alike and are written in two ways: `é` as one sign, as most systems write it, or
//! as `e` and an accent, as macOS does in names of files.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The name with every letter as one sign where Unicode has it (NFC).
pub(crate) fn normal(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || is_nfc(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_one_name() {
        assert_eq!(normal("cafe\u{301}.jpg"), normal("caf\u{e9}.jpg"));
        assert!(matches!(normal("plain"), Cow::Borrowed(_)));
        assert_ne!(normal("CAFE"), normal("cafe"));
    }
}
