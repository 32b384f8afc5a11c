//! Objects for scripts on their way out and back: each names its schema with a version.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use truepair_core::audit::Findings;
use truepair_core::noise::{LabelManifest, Manifest};
use truepair_train::EpochRecord;
use truepair_train::labeled::LabelEpoch;

/// The field that names an object's schema.
pub(crate) const FIELD: &str = "schema";

/// An object for scripts.
pub(crate) trait Output: Serialize {
    /// Its name and version, for instance `truepair/audit/1`.
    const SCHEMA: &'static str;
}

impl Output for Findings {
    const SCHEMA: &'static str = "truepair/findings/1";
}

impl Output for Manifest {
    const SCHEMA: &'static str = "truepair/manifest/1";
}

impl Output for LabelManifest {
    const SCHEMA: &'static str = "truepair/labels-manifest/1";
}

impl Output for EpochRecord {
    const SCHEMA: &'static str = truepair_train::EPOCH_SCHEMA;
}

impl Output for LabelEpoch {
    const SCHEMA: &'static str = truepair_train::labeled::EPOCH_SCHEMA;
}

/// An object with the name of its schema in front.
#[derive(Serialize)]
struct Stamped<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// `value` as indented JSON that names its schema, with a line end.
///
/// # Errors
/// If it holds something that JSON cannot.
pub(crate) fn text<T: Output>(value: &T) -> serde_json::Result<String> {
    let stamped = Stamped {
        schema: T::SCHEMA,
        value,
    };
    Ok(serde_json::to_string_pretty(&stamped)? + "\n")
}

/// Reads an object whether or not it names its schema.
///
/// # Errors
/// If it is not the JSON of a `T`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut value: Value = serde_json::from_str(text)?;
    if let Some(object) = value.as_object_mut() {
        object.remove(FIELD);
    }
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Answer {
        pairs: usize,
    }

    impl Output for Answer {
        const SCHEMA: &'static str = "truepair/answer/1";
    }

    #[test]
    fn what_is_written_is_read_with_and_without_its_name() {
        let answer = text(&Answer { pairs: 3 }).unwrap();
        assert!(
            answer.contains("\"schema\": \"truepair/answer/1\""),
            "{answer}"
        );
        for text in [answer.as_str(), "{\"pairs\": 3}"] {
            let found: BTreeMap<String, Value> = read(text).unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found["pairs"], 3);
        }
    }
}
