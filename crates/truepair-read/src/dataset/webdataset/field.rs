//! What one member of a shard holds for the sample that it belongs to.

use std::path::Path;

use serde_json::Value;
use truepair_core::error::Result;

use super::super::captioned_pictures::captions_of;
use super::super::karpathy::one_line;
use super::super::pictures::is_picture;
use super::super::tar::{Content, Member};

/// Longest text or JSON of a sample; real ones are a thousand times shorter.
const LONGEST: u64 = 4 << 20;

/// Endings of texts with one caption a line, best first.
pub(super) const TEXTS: [&str; 5] = ["txt", "text", "caption", "cap", "captions"];

/// Keys of a sample's JSON under which captions stand, best first.
pub(super) const CAPTION_KEYS: [&str; 7] = [
    "caption",
    "captions",
    "text",
    "texts",
    "TEXT",
    "sentences",
    "title",
];

/// Keys that img2dataset writes beside the caption.
const DOWNLOAD_KEYS: [&str; 11] = [
    "error_message",
    "exif",
    "height",
    "key",
    "md5",
    "original_height",
    "original_width",
    "sha256",
    "status",
    "url",
    "width",
];

/// What a member holds.
#[derive(Debug, Clone)]
pub(super) enum Field {
    /// A picture, which stays where it is.
    Picture,
    /// Captions as text.
    Text(FieldText),
    /// Captions in JSON, or none.
    Json(JsonField),
    /// The text of a class.
    Class(String),
    /// Nothing: it is hidden, or a system left it behind.
    Hidden,
    /// Nothing that is read, and why.
    Other(&'static str),
}

/// A text with captions.
#[derive(Debug, Clone)]
pub(super) struct FieldText {
    pub(super) text: String,
    /// Whether bytes of it were no UTF-8.
    pub(super) is_repaired: bool,
}

/// The captions in a sample's JSON.
#[derive(Debug, Default, Clone)]
pub(super) struct JsonField {
    /// Captions by their key, in the order in which they are preferred; the key is empty where the
    /// JSON is nothing but captions.
    pub(super) captions: Vec<(String, Vec<String>)>,
    /// Keys that nobody asks for.
    pub(super) unread: Vec<String>,
}

impl Field {
    /// Whether a picture could be paired with it.
    pub(super) fn has_captions(&self) -> bool {
        match self {
            Field::Text(text) => !text.captions().is_empty(),
            Field::Json(json) => !json.captions.is_empty(),
            _ => false,
        }
    }

    /// Reads what is wanted of a member; `asked` are keys of captions that the caller named.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) fn read(
        member: &Member,
        content: &mut Content<'_>,
        asked: &[String],
    ) -> Result<Field> {
        let name = member.name.rsplit('/').next().unwrap_or_default();
        if is_of_system(&member.name) {
            return Ok(Field::Hidden);
        }
        if is_picture(Path::new(name)) {
            return Ok(Field::Picture);
        }
        let Some((_, ending)) = name.rsplit_once('.') else {
            return Ok(Field::Other("its name has no ending"));
        };
        let ending = ending.to_ascii_lowercase();
        let is_text = TEXTS.contains(&ending.as_str());
        if !is_text && ending != "json" && ending != "cls" {
            return Ok(Field::Other("its ending is not known"));
        }
        let Some(bytes) = content.up_to(LONGEST)? else {
            return Ok(Field::Other("it is longer than captions and classes are"));
        };
        Ok(match ending.as_str() {
            "json" => match serde_json::from_slice(&bytes) {
                Ok(value) => Field::Json(JsonField::of(value, asked)),
                Err(_) => Field::Other("it is not JSON"),
            },
            "cls" => Field::Class(String::from_utf8_lossy(&bytes).trim().to_owned()),
            _ => Field::Text(FieldText::of(&bytes)),
        })
    }
}

/// Files that systems put beside others, such as the `._NAME` of macOS, and hidden ones.
fn is_of_system(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.any(|part| part.starts_with('.') || part == "__MACOSX")
}

impl FieldText {
    /// UTF-8, or UTF-16 with the mark of its byte order.
    fn of(bytes: &[u8]) -> Self {
        let text = match bytes {
            [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
            [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        let had_none = !bytes
            .windows(3)
            .any(|window| window == "\u{fffd}".as_bytes());
        Self {
            is_repaired: had_none && text.contains(char::REPLACEMENT_CHARACTER),
            text,
        }
    }

    /// One caption a line.
    pub(super) fn captions(&self) -> Vec<String> {
        captions_of(&self.text)
    }

    /// All of it as one caption.
    pub(super) fn whole(&self) -> String {
        one_line(self.text.trim_start_matches('\u{feff}'))
    }
}

/// UTF-16 whose units `unit` makes of two bytes.
fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    let letters = char::decode_utf16(units);
    letters
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

impl JsonField {
    fn of(value: Value, asked: &[String]) -> Self {
        let Value::Object(object) = value else {
            let captions = texts(&value);
            return Self {
                captions: Some((String::new(), captions))
                    .filter(|(_, captions)| !captions.is_empty())
                    .into_iter()
                    .collect(),
                unread: Vec::new(),
            };
        };
        let wanted = || -> Box<dyn Iterator<Item = &str>> {
            match asked.is_empty() {
                true => Box::new(CAPTION_KEYS.into_iter()),
                false => Box::new(asked.iter().map(String::as_str)),
            }
        };
        let captions = wanted().filter_map(|key| {
            let captions = texts(object.get(key)?);
            (!captions.is_empty()).then(|| (key.to_owned(), captions))
        });
        let captions: Vec<_> = captions.collect();
        let is_unread = |key: &&String| {
            let known = wanted().chain(DOWNLOAD_KEYS).any(|known| known == *key);
            !known
        };
        Self {
            unread: object.keys().filter(is_unread).cloned().collect(),
            captions,
        }
    }
}

/// The captions of one value: a text, a list of texts, or a list of objects that hold one each.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let found: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let text = |value: &'_ Value| {
        let inner = match value {
            Value::Object(object) => ["raw", "caption", "text", "sentence"]
                .iter()
                .find_map(|key| object.get(*key)),
            other => Some(other),
        };
        inner.and_then(Value::as_str).map(one_line)
    };
    let texts = found.into_iter().filter_map(text);
    texts.filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, asked: &[&str]) -> JsonField {
        let asked: Vec<String> = asked.iter().map(|key| (*key).to_owned()).collect();
        JsonField::of(serde_json::from_str(text).unwrap(), &asked)
    }

    #[test]
    fn captions_stand_under_many_keys() {
        let found = json(
            r#"{"url": "u", "captions": ["a\nb", " "], "prompt": "x"}"#,
            &[],
        );
        assert_eq!(
            found.captions,
            [("captions".to_owned(), vec!["a b".to_owned()])]
        );
        assert_eq!(found.unread, ["prompt"]);
        let found = json(r#"{"sentences": [{"raw": "a"}, {"raw": "b"}]}"#, &[]);
        assert_eq!(found.captions[0].1, ["a", "b"]);
        let found = json(r#"{"prompt": "x", "caption": "y"}"#, &["prompt"]);
        assert_eq!(
            found.captions,
            [("prompt".to_owned(), vec!["x".to_owned()])]
        );
        assert_eq!(found.unread, ["caption"]);
        assert_eq!(json(r#"["a", "b"]"#, &[]).captions[0].1, ["a", "b"]);
        assert!(json("7", &[]).captions.is_empty());
        assert!(json(r#"{"caption": null}"#, &[]).captions.is_empty());
    }

    #[test]
    fn texts_are_decoded_and_repairs_told() {
        assert_eq!(
            FieldText::of(b"\xef\xbb\xbfa\r\n\r\nb").captions(),
            ["a", "b"]
        );
        let wide: Vec<u8> = "\u{feff}é\nb"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let found = FieldText::of(&wide);
        assert_eq!(
            (found.captions(), found.is_repaired),
            (vec!["é".into(), "b".into()], false)
        );
        assert!(FieldText::of(b"caf\xe9").is_repaired);
        assert!(!FieldText::of("caf\u{fffd}".as_bytes()).is_repaired);
    }
}
