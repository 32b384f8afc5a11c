//! Names in files whose fields stand between spaces, as TREC's do: spaces in a name are written `%20`,
//! as in addresses.

use std::borrow::Cow;

/// The name with `%XX` for every byte of a space, line break or other sign that would end a field, and
/// for `%` itself.
///
/// ```
/// use truepair_core::relevance::{escaped, unescaped};
///
/// assert_eq!(escaped("img 1.jpg"), "img%201.jpg");
/// assert_eq!(unescaped("img%201.jpg").as_deref(), Some("img 1.jpg"));
/// assert_eq!(unescaped("100%"), None);
/// ```
pub fn escaped(name: &str) -> Cow<'_, str> {
    let must = |letter: char| letter == '%' || letter.is_whitespace() || letter.is_control();
    if !name.contains(must) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        if must(letter) {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                text += &format!("%{byte:02X}");
            }
        } else {
            text.push(letter);
        }
    }
    Cow::Owned(text)
}

/// The name that was written so; `None` when nothing in it is escaped, or not by these rules.
pub fn unescaped(name: &str) -> Option<String> {
    if !name.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for name in ["a b", "100%", "a%20b", " \t\n\u{a0}\u{2003}é", "%", "%zz %"] {
            let text = escaped(name);
            assert!(!text.contains(char::is_whitespace), "{text}");
            assert_eq!(unescaped(&text).as_deref(), Some(name));
        }
        assert_eq!(escaped("plain-é"), "plain-é");
        for other in ["plain", "50%", "%4", "%+1", "%ff"] {
            assert_eq!(unescaped(other), None, "{other}");
        }
    }
}
