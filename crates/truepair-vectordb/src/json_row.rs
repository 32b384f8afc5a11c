//! Records as flat JSON objects, which Milvus and Qdrant keep, and hits out of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Number, Value as Json};

use crate::record::{Record, Value};
use crate::store::Hit;

/// A value as JSON.
pub(crate) fn json_of(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::Number((*value).into()),
        // Records and filters hold finite numbers only.
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::Text(value) => Json::String(value.clone()),
    }
}

/// The columns among what an engine returns; nested values and nothing are none.
pub(crate) fn columns_of<'a>(
    members: impl Iterator<Item = (&'a String, &'a Json)>,
) -> BTreeMap<String, Value> {
    let column = |(name, value): (&String, &Json)| {
        let value = match value {
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64()?),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        Some((name.clone(), value))
    };
    members.filter_map(column).collect()
}

/// Numbers of vectors in one request, about 11 MB of JSON; servers take 32 at least.
const NUMBERS_AT_ONCE: usize = 1 << 20;

/// Records of so many numbers that go into one request.
pub(crate) fn records_at_once(width: usize) -> usize {
    (NUMBERS_AT_ONCE / width.max(1)).max(1)
}

/// A record without its vector, or with it under `vector`.
#[derive(Debug)]
pub(crate) struct JsonRow<'a> {
    pub(crate) record: &'a Record,
    pub(crate) vector: Option<&'a [f32]>,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &record.id)?;
        if let Some(caption) = &record.caption {
            map.serialize_entry("caption", caption)?;
        }
        if let Some(picture) = &record.picture {
            map.serialize_entry("picture", picture)?;
        }
        if let Some(p) = record.p_mismatched {
            map.serialize_entry("p_mismatched", &p)?;
        }
        for (name, value) in &record.columns {
            map.serialize_entry(name, value)?;
        }
        if let Some(vector) = self.vector {
            map.serialize_entry("vector", vector)?;
        }
        map.end()
    }
}

/// A hit out of what [`JsonRow`] wrote; `None` without an id.
pub(crate) fn hit_of(row: &Map<String, Json>, score: f64) -> Option<Hit> {
    let text = |name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
    let own = [
        "id",
        "caption",
        "picture",
        "p_mismatched",
        "vector",
        "distance",
    ];
    Some(Hit {
        id: text("id")?,
        caption: text("caption"),
        picture: text("picture"),
        p_mismatched: row.get("p_mismatched").and_then(Json::as_f64),
        columns: columns_of(row.iter().filter(|(name, _)| !own.contains(&name.as_str()))),
        score,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back() {
        let columns = [
            ("a".to_owned(), Value::Bool(true)),
            ("b".to_owned(), Value::Int(i64::MAX)),
            ("c".to_owned(), Value::Float(0.1)),
            ("d".to_owned(), Value::Text("x\"\\\n".into())),
        ];
        let record = Record {
            id: "7".into(),
            caption: Some("c".into()),
            columns: columns.into(),
            p_mismatched: Some(0.25),
            ..Record::default()
        };
        let row = JsonRow {
            record: &record,
            vector: Some(&[0.1, 2.0]),
        };
        let text = serde_json::to_string(&row).unwrap();
        // Numbers of 32 bits are written as such.
        assert!(text.contains("\"vector\":[0.1,2.0]"), "{text}");
        let row: Map<String, Json> = serde_json::from_str(&text).unwrap();
        let hit = hit_of(&row, 1.5).unwrap();
        assert_eq!(
            (hit.id, hit.caption, hit.picture),
            ("7".into(), Some("c".into()), None)
        );
        assert_eq!(
            (hit.columns, hit.p_mismatched),
            (record.columns, Some(0.25))
        );
    }
}
