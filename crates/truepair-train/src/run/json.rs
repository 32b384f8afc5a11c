//! One line of JSON, for histories and heads.

use serde::Serialize;

/// A record in one line that begins with the name of its schema.
pub(crate) fn stamped(schema: &'static str, record: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Stamped<'a, T> {
        schema: &'static str,
        #[serde(flatten)]
        record: &'a T,
    }
    json(&Stamped { schema, record })
}

/// A plain value in one line.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with string keys serialize")
}
