//! Base64, in the standard alphabet and in the one for addresses, with padding or without.

/// The bytes that a text stands for.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let digits = digits_of(text)?;
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut value: u32 = 0;
        for at in 0..4 {
            let digit = group.get(at).and_then(|digit| digit_of(*digit));
            value = value << 6 | u32::from(digit.unwrap_or(0));
        }
        bytes.extend(&value.to_be_bytes()[1..group.len()]);
    }
    Ok(bytes)
}

/// Whether a text is Base64, without decoding it.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    digits_of(text).map(|_| ())
}

/// The text without its padding.
fn digits_of(text: &[u8]) -> Result<&[u8], String> {
    let text = text.trim_ascii();
    let end = text.iter().rposition(|byte| *byte != b'=');
    let digits = &text[..end.map_or(0, |end| end + 1)];
    if let Some(at) = digits.iter().position(|byte| digit_of(*byte).is_none()) {
        let letter = char::from(digits[at]).escape_default();
        return Err(format!("'{letter}' in place {} is not Base64", at + 1));
    }
    if digits.is_empty() {
        return Err("there is nothing".into());
    }
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return Err(format!("{} letters of Base64, which was cut", digits.len()));
    }
    Ok(digits)
}

fn digit_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        for (text, bytes) in [
            ("AA==", &[0][..]),
            ("AA", &[0]),
            ("_-8=", &[0xff, 0xef]),
            ("/+8", &[0xff, 0xef]),
            ("aGVsbG8h", b"hello!"),
            (" aGVsbG8h\r", b"hello!"),
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes, "{text}");
            assert!(check(text.as_bytes()).is_ok());
        }
    }

    #[test]
    fn what_is_not_base64_is_told() {
        for (text, told) in [
            ("aGV%bG8h", "'%' in place 4"),
            ("aGVsb", "5 letters of Base64, which was cut"),
            ("", "there is nothing"),
            ("====", "there is nothing"),
            ("AA===", "was cut"),
        ] {
            let problem = decode(text.as_bytes()).unwrap_err();
            assert!(problem.contains(told), "{text}: {problem}");
            assert_eq!(check(text.as_bytes()).unwrap_err(), problem);
        }
    }
}
