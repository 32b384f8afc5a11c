//! Captions of which nothing can be seen: characters without width, control characters, private use.
//!
//! Such a caption looks empty to a person and full to a program that only trims spaces.

/// Characters, first and last, that show nothing, beside white space and control characters.
const INVISIBLE: &[(char, char)] = &[
    // Soft hyphen, grapheme joiner, Arabic letter mark, fillers of Hangul, Khmer and Mongolian.
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    // No width, directions, invisible operators.
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    // A blank of Braille and a filler of Hangul.
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    // Private use, and code points that stand for nothing.
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffc}'),
    ('\u{fffe}', '\u{ffff}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{10ffff}'),
];

/// Different characters that [`invisible`] names.
const NAMED: usize = 3;

/// Whether nothing of a text can be seen.
///
/// ```
/// use truepair_core::text::is_blank;
///
/// assert!(is_blank(" \u{200b}\u{a0}") && is_blank("") && is_blank("\u{e001}"));
/// assert!(!is_blank("⚽") && !is_blank("a\u{200b}"));
/// ```
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// The characters of which a blank text is made, for instance `U+200B, U+00A0`; `None` where something
/// can be seen, or where there is nothing but plain spaces.
///
/// ```
/// use truepair_core::text::invisible;
///
/// assert_eq!(invisible(" \u{feff}\u{feff}\u{a0}").as_deref(), Some("U+FEFF, U+00A0"));
/// assert_eq!([invisible("  "), invisible("a dog")], [None, None]);
/// ```
pub fn invisible(text: &str) -> Option<String> {
    if !is_blank(text) {
        return None;
    }
    let mut found: Vec<char> = Vec::new();
    for character in text.chars() {
        if !matches!(character, ' ' | '\t' | '\n' | '\r') && !found.contains(&character) {
            found.push(character);
        }
    }
    let more = if found.len() > NAMED { ", …" } else { "" };
    let named: Vec<String> = (found.iter().take(NAMED))
        .map(|character| format!("U+{:04X}", u32::from(*character)))
        .collect();
    (!named.is_empty()).then(|| named.join(", ") + more)
}

fn is_invisible(character: char) -> bool {
    let in_range = |(first, last): &(char, char)| (*first..=*last).contains(&character);
    character.is_whitespace() || character.is_control() || INVISIBLE.iter().any(in_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_ascend_and_leave_letters_signs_and_emoji_alone() {
        assert!(INVISIBLE.is_sorted() && INVISIBLE.iter().all(|(first, last)| first <= last));
        for visible in ["é", "मे", "한", "‽", "👩‍👩‍👧", "☀\u{fe0f}", "\u{fffd}", "—", "𝒳"]
        {
            assert!(!is_blank(visible), "{visible}");
        }
        for blank in [
            "\u{2028}",
            "\u{1f}",
            "\u{3164}",
            "\u{2800}",
            "\u{100000}",
            "\u{200d}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
    }

    #[test]
    fn the_first_few_characters_are_named() {
        let named = invisible("\u{1}\u{2}\u{3}\u{4}").unwrap();
        assert_eq!(named, "U+0001, U+0002, U+0003, …");
    }
}
