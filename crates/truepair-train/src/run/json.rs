//! One line of JSON, for histories and heads.

use serde::Serialize;

/// A plain value in one line.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with string keys serialize")
}
