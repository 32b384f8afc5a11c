//! JSON as programs write it: with NaN and infinities, numbers of any length and halves of letters.
//!
//! What a stricter parser refuses or rounds is kept as it stands in the text: a number that no
//! machine number gives back digit by digit becomes a text, NaN becomes null, and for half a letter
//! stands U+FFFD, which is counted. A key that stands twice in one object is an error, as either
//! value may be meant.

use serde_json::{Map, Number, Value};

/// Objects and lists inside one another.
const DEEPEST: usize = 100;

/// One value and what was met in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Loose {
    pub(crate) value: Value,
    /// Letters of which a half was missing.
    pub(crate) n_half_letters: usize,
}

/// Reads the one value of `text`.
///
/// # Errors
/// What is wrong, and in which column.
pub(crate) fn parse(text: &str) -> Result<Loose, String> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        n_half_letters: 0,
    };
    let value = parser.value()?;
    parser.skip_spaces();
    if parser.at < text.len() {
        return Err(parser.problem("expected nothing more"));
    }
    Ok(Loose {
        value,
        n_half_letters: parser.n_half_letters,
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    n_half_letters: usize,
}

impl<'a> Parser<'a> {
    fn problem(&self, what: &str) -> String {
        format!("{what} in column {}", self.at + 1)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_spaces();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') if !self.rest().starts_with("-I") => self.number(),
            _ => self.word(),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, String>,
    ) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.problem("too many values inside one another"));
        }
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn word(&mut self) -> Result<Value, String> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            // Python and pandas write a missing number so.
            ("NaN", Value::Null),
            ("Infinity", Value::String("Infinity".into())),
            ("-Infinity", Value::String("-Infinity".into())),
        ];
        let found = words.into_iter().find(|(word, _)| self.take(word));
        let value = found.map(|(_, value)| value);
        value.ok_or_else(|| match self.rest().is_empty() {
            true => self.problem("the text ends where a value is expected,"),
            false => self.problem("expected a value"),
        })
    }

    fn object(&mut self) -> Result<Value, String> {
        let mut fields = Map::new();
        self.skip_spaces();
        if self.take("}") {
            return Ok(Value::Object(fields));
        }
        loop {
            self.skip_spaces();
            if self.peek() != Some(b'"') {
                return Err(self.problem("expected a key between quotation marks"));
            }
            let key = self.string()?;
            self.skip_spaces();
            if !self.take(":") {
                return Err(self.problem("expected a colon"));
            }
            let value = self.value()?;
            if fields.contains_key(&key) {
                return Err(self.problem(&format!("key '{key}' appears twice in one object,")));
            }
            fields.insert(key, value);
            self.skip_spaces();
            if self.take("}") {
                return Ok(Value::Object(fields));
            }
            if !self.take(",") {
                return Err(self.problem("expected a comma or }"));
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        self.skip_spaces();
        if self.take("]") {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_spaces();
            if self.take("]") {
                return Ok(Value::Array(items));
            }
            if !self.take(",") {
                return Err(self.problem("expected a comma or ]"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        let digits = |parser: &mut Self| {
            let first = parser.at;
            while parser.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                parser.at += 1;
            }
            parser.at - first
        };
        self.take("-");
        let whole = digits(self);
        let leads_with_zero = self.text[start..self.at]
            .trim_start_matches('-')
            .starts_with('0');
        let mut fits = whole > 0 && (whole == 1 || !leads_with_zero);
        if self.take(".") {
            fits &= digits(self) > 0;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            fits &= digits(self) > 0;
        }
        let text = &self.text[start..self.at];
        if !fits {
            return Err(self.problem(&format!("'{text}' is not a number")));
        }
        Ok(as_written(text))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find(['"', '\\']);
            let end = end.ok_or_else(|| self.problem("a text without an end"))?;
            let plain = &rest[..end];
            if let Some(at) = plain.find(|c: char| c < ' ') {
                self.at += at;
                return Err(self.problem("a tab, line break or the like inside a text"));
            }
            text.push_str(plain);
            self.at += end + 1;
            if rest.as_bytes()[end] == b'"' {
                return Ok(text);
            }
            let letter = self.escaped()?;
            text.push(letter);
        }
    }

    /// What stands after a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let kind = self
            .peek()
            .ok_or_else(|| self.problem("a text without an end"))?;
        let plain = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.letter();
            }
            _ => return Err(self.problem("an unknown escape after a backslash")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// The letter of `XXXX`, or of `XXXX\uXXXX`.
    fn letter(&mut self) -> Result<char, String> {
        let first = self.unit()?;
        if let Some(letter) = char::from_u32(first.into()) {
            return Ok(letter);
        }
        let before = self.at;
        if first < 0xdc00 && self.take("\\u") {
            let second = self.unit()?;
            if let Some(Ok(letter)) = char::decode_utf16([first, second]).next() {
                return Ok(letter);
            }
            self.at = before;
        }
        self.n_half_letters += 1;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> Result<u16, String> {
        let digits = self.rest().get(..4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.problem("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }
}

/// A number that is written again as it stood, or the text of one that would not be.
fn as_written(text: &str) -> Value {
    let number = if let Ok(whole) = text.parse::<i64>() {
        Some(Number::from(whole))
    } else if let Ok(whole) = text.parse::<u64>() {
        Some(Number::from(whole))
    } else {
        text.parse::<f64>().ok().and_then(Number::from_f64)
    };
    match number.filter(|number| number.to_string() == text) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_json_reads_as_elsewhere() {
        for text in [
            r#"{"a": 1, "b": [true, false, null, -2.5, "x\n\u00e9\ud83c\udf88\/"], "c": {}}"#,
            "[]",
            "\"\"",
            " 18446744073709551615 ",
            "[[[{\"a\":[]}]]]",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            let found = parse(text).unwrap();
            assert_eq!(found.value, expected, "{text}");
            assert_eq!(found.n_half_letters, 0);
        }
    }

    #[test]
    fn numbers_keep_their_digits_and_halves_are_counted() {
        let value = |text: &str| parse(text).unwrap().value;
        assert_eq!(
            value("12345678901234567890123"),
            json!("12345678901234567890123")
        );
        assert_eq!(value("9007199254740993"), json!(9007199254740993u64));
        assert_eq!(
            value("[1e3, 1.0, 1.50, -0]"),
            json!(["1e3", 1.0, "1.50", "-0"])
        );
        assert_eq!(
            value("{\"a\": NaN, \"b\": -Infinity}"),
            json!({"a": null, "b": "-Infinity"})
        );
        let halves = parse(r#""a\ud83d \udc00b \ud83d\u0041""#).unwrap();
        assert_eq!(halves.value, json!("a\u{fffd} \u{fffd}b \u{fffd}A"));
        assert_eq!(halves.n_half_letters, 3);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_column() {
        for (text, words) in [
            ("", "ends where a value is expected, in column 1"),
            ("{\"a\": 1} x", "expected nothing more in column 10"),
            ("{\"a\": 1, \"a\": 2}", "key 'a' appears twice"),
            ("{a: 1}", "expected a key"),
            ("[1 2]", "expected a comma or ]"),
            ("[01]", "'01' is not a number"),
            ("[1.]", "'1.' is not a number"),
            ("[-]", "'-' is not a number"),
            ("\"a", "without an end"),
            ("\"a\tb\"", "a tab, line break"),
            ("\"\\x\"", "unknown escape"),
            ("\"\\u12g4\"", "four hexadecimal digits"),
            ("[nan]", "expected a value in column 2"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
        assert!(parse(&"[".repeat(200)).unwrap_err().contains("too many"));
    }
}
