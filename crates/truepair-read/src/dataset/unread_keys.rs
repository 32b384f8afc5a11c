//! Keys of JSON objects that a reader does not ask for, so that its account can name them.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use truepair_core::dataset::Account;

/// Keys by which the formats describe themselves, number things or say a caption again; nothing of
/// the pairs is lost with them.
const KNOWN: &[&str] = &[
    "cocoid",
    "coco_url",
    "dataset",
    "date_captured",
    "flickr_url",
    "height",
    "id",
    "imgid",
    "info",
    "license",
    "licenses",
    "sentid",
    "sentids",
    "tokens",
    "type",
    "width",
];

/// The keys of one object that were not asked for and are not [`KNOWN`]; for `#[serde(flatten)]`.
#[derive(Debug, Default)]
pub(super) struct UnreadKeys(Vec<String>);

impl<'a> Deserialize<'a> for UnreadKeys {
    fn deserialize<D: Deserializer<'a>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_map(Keys)
    }
}

struct Keys;

impl<'a> Visitor<'a> for Keys {
    type Value = UnreadKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<UnreadKeys, A::Error> {
        let mut unread = Vec::new();
        while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
            if !KNOWN.contains(&key.as_str()) {
                unread.push(key);
            }
        }
        Ok(UnreadKeys(unread))
    }
}

/// The unread keys of all objects of one file, each counted once.
#[derive(Debug, Default)]
pub(super) struct AllUnread(BTreeSet<String>);

impl AllUnread {
    /// Adds those of one object, which stands in the file as `place[]`, or is the file itself.
    pub(super) fn add(&mut self, place: &str, keys: UnreadKeys) {
        for key in keys.0 {
            let key = match place.is_empty() {
                true => key,
                false => format!("{place}[].{key}"),
            };
            self.0.insert(key);
        }
    }

    pub(super) fn note(self, account: &mut Account) {
        for key in self.0 {
            account.pass("key", "it is not asked for", key);
        }
    }
}
