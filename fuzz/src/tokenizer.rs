//! `tokenizer.json`.

use std::path::Path;

use truepair_encode::{Length, Tokenizer};

use crate::scratch;

/// Texts with words, without, in several scripts, and longer than most lengths.
const TEXTS: &[&str] = &[
    "a red dog",
    "",
    " \t\n",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
    "猫が 二匹 🐈🐈‍⬛ e\u{301}",
];

pub(crate) fn tokenizer(data: &[u8]) {
    scratch::with_file("tokenizer.json", data, |path| {
        for length in [None, Some(Length::AtMost(4)), Some(Length::Exactly(7))] {
            read(path, length);
        }
    });
}

fn read(path: &Path, length: Option<Length>) {
    let Ok(tokenizer) = Tokenizer::open(path, length) else {
        return;
    };
    for text in TEXTS {
        let Ok(tokens) = tokenizer.encode(text) else {
            continue;
        };
        let n = tokens.ids.len();
        assert_eq!((tokens.mask.len(), tokens.types.len()), (n, n));
        match tokenizer.length() {
            Length::AtMost(most) => assert!(n <= most, "{n} tokens of at most {most}"),
            Length::Exactly(exactly) => assert_eq!(n, exactly),
        }
        let again = tokenizer
            .encode(text)
            .expect("what was read once is read again");
        assert_eq!(tokens, again);
    }
}
