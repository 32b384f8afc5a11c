//! Relevance, or a ranking, as a JSON map from each query to its items.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::Judgments;

/// Reads `{"query": ["item", ...], ...}`; ids may be texts or integers.
///
/// ```
/// use truepair_read::relevance::read_map;
///
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("i2t.json");
/// std::fs::write(&path, r#"{"beach.jpg": [7, "c9"]}"#)?;
/// let judgments = read_map(&path)?;
/// let (query, items) = judgments.queries().next().expect("one query");
/// assert_eq!((query, items.collect::<Vec<_>>()), ("beach.jpg", vec!["7", "c9"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be read or is no such map (line and column are named), or a query lists an
/// item twice.
pub fn read_map(path: &Path) -> Result<Judgments> {
    let text = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
    let mut judgments = Judgments::new(path);
    let mut file = serde_json::Deserializer::from_slice(&text);
    let read = Map(&mut judgments)
        .deserialize(&mut file)
        .and_then(|read| file.end().map(|()| read));
    match read {
        Ok(Ok(())) => Ok(judgments),
        Ok(Err(twice)) => Err(twice),
        Err(cause) => Err(Error::data(
            path,
            Place::Whole,
            cause.to_string(),
            "write {\"query\": [\"item\", ...], ...}",
        )),
    }
}

/// The whole map; an item that is listed twice is an error of ours.
struct Map<'a>(&'a mut Judgments);

impl<'de> DeserializeSeed<'de> for Map<'_> {
    type Value = Result<()>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Map<'_> {
    type Value = Result<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map from each query to a list of ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // The rest is read on, or the parser would report an error of its own.
        let mut added = Ok(());
        while let Some(query) = map.next_key::<String>()? {
            let items = map.next_value_seed(Items(self.0))?;
            if added.is_ok() {
                added = self.0.add_interned(&query, items);
            }
        }
        Ok(added)
    }
}

/// One query's items, as the numbers of their names.
struct Items<'a>(&'a mut Judgments);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<u32>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Name(self.0))? {
            items.push(item);
        }
        Ok(items)
    }
}

/// One item, as the number of its name.
struct Name<'a>(&'a mut Judgments);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id, a text or an integer")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<u32, E> {
        Ok(self.0.intern(name))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u32, E> {
        Ok(self.0.intern(&number.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u32, E> {
        Ok(self.0.intern(&number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        std::fs::write(&path, text).unwrap();
        read_map(&path)
    }

    #[test]
    fn ids_may_be_numbers_or_texts() {
        let found = read(r#"{"205636": [633028, "634789", -1], "7": []}"#).unwrap();
        let lists: Vec<(&str, Vec<&str>)> = (found.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        assert_eq!(
            lists,
            [("205636", vec!["633028", "634789", "-1"]), ("7", vec![])]
        );
    }

    #[test]
    fn what_is_no_map_of_lists_is_refused() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        let list = message("[1, 2]");
        assert!(
            list.contains("map.json: ") && list.contains("a map from each query"),
            "{list}"
        );
        let number = message("{\n\"a\": 3}");
        assert!(
            number.contains("expected a list of ids at line 2"),
            "{number}"
        );
        assert!(message(r#"{"a": [1.5]}"#).contains("expected an id, a text or an integer"));
        let twice = message(r#"{"a": [1, "1"], "b": [2]}"#);
        assert!(
            twice.contains("map.json: query 'a' lists '1' twice"),
            "{twice}"
        );
        assert!(message(r#"{"a": [1]} {}"#).contains("trailing characters"));
    }
}
