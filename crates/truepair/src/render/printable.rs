//! Texts of other people on a terminal, and in files that people open: what would steer a terminal, or turn the text
//! around it, is shown instead.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal acts on a character instead of showing it: control characters but for line ends and tabs, and
/// those that turn the direction of the text around them.
fn steers(char: char) -> bool {
    let turns = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (char.is_control() && char != '\n' && char != '\t')
}

/// The text with what steers a terminal as escapes such as `\u{1b}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    shown(text, |out, char| write!(out, "{}", char.escape_unicode()))
}

/// JSON with the same as JSON's own escapes, so that it says what it said.
pub(super) fn printable_json(text: &str) -> Cow<'_, str> {
    // All of them have at most 16 bits.
    shown(text, |out, char| write!(out, "\\u{:04x}", u32::from(char)))
}

fn shown(text: &str, escape: impl Fn(&mut String, char) -> std::fmt::Result) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if steers(char) {
            // Writing to a string cannot fail.
            let _ = escape(&mut out, char);
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a \u{1b}]0;title\u{7} dog\r\n\tund Käse \u{9b}2J \u{202e}fdp.exe";
        assert_eq!(
            printable(text),
            "a \\u{1b}]0;title\\u{7} dog\\u{d}\n\tund Käse \\u{9b}2J \\u{202e}fdp.exe"
        );
        assert!(matches!(printable("🐕 plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_says_the_same_afterwards() {
        let value = serde_json::json!({ "caption": "a \u{1b}[31m \u{7f} \u{9b} \u{202e} dog" });
        let text = serde_json::to_string(&value).unwrap();
        let shown = printable_json(&text);
        assert!(!shown.contains(steers), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
