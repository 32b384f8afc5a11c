//! Tables of one JSON object a line.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use crate::lines::{Line, lines};
use crate::loose_json;

/// Objects whose keys are the columns.
const SAMPLE: usize = 1000;

/// The keys of the first objects, in the order in which they are met.
///
/// # Errors
/// If a line is no object.
pub(super) fn columns(path: &Path) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    let mut n_objects = 0;
    for line in lines(path)? {
        let Line { number, text } = line?;
        if text.trim().is_empty() {
            continue;
        }
        let object = object(path, number, &text)?.fields;
        columns.extend(
            object
                .into_iter()
                .map(|(key, _)| key)
                .filter(|key| known.insert(key.clone())),
        );
        n_objects += 1;
        if n_objects == SAMPLE {
            break;
        }
    }
    Ok(columns)
}

/// The fields of one line.
pub(super) struct Object {
    pub(super) fields: Map<String, Value>,
    /// Letters of which a half was missing.
    n_half_letters: usize,
}

/// Reads one line.
///
/// # Errors
/// If it is no object.
pub(super) fn object(path: &Path, number: u64, line: &str) -> Result<Object> {
    let refuse = |problem: String| {
        Err(Error::data(
            path,
            Place::Line(number),
            format!("not a JSON object: {problem}"),
            "write one object a line",
        ))
    };
    match loose_json::parse(line) {
        Ok(found) => match found.value {
            Value::Object(fields) => Ok(Object {
                fields,
                n_half_letters: found.n_half_letters,
            }),
            Value::Array(_) => refuse("a list".into()),
            _ => refuse("a single value".into()),
        },
        Err(problem) => refuse(problem),
    }
}

/// Calls `visit` with every object; see [`records::for_each`](super::records::for_each).
///
/// # Errors
/// If a line is no object, and those of `visit`.
pub(super) fn for_each(
    path: &Path,
    columns: &[String],
    wanted: &[&str],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<Account> {
    let mut account = Account::default();
    let mut known: HashSet<String> = columns.iter().cloned().collect();
    for line in lines(path)? {
        let Line { number, text } = line?;
        if text.trim().is_empty() {
            continue;
        }
        let mut found = object(path, number, &text)?;
        for _ in 0..found.n_half_letters {
            let how = "half of it is missing (a lone surrogate) and U+FFFD stands for it";
            account.chose_for("letter", how, format!("line {number}"));
        }
        for key in found
            .fields
            .keys()
            .filter(|key| !known.contains(*key))
            .cloned()
            .collect::<Vec<_>>()
        {
            account.pass(
                "column",
                "it is not asked for, and the first objects have none",
                &key,
            );
            known.insert(key);
        }
        let cells = wanted.iter().map(|key| cell(found.fields.remove(*key)));
        visit(Place::Line(number), cells.collect())?;
    }
    Ok(account)
}

fn cell(value: Option<Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::Array(items)) => {
            let nested = items.iter().find_map(keys_of_nested);
            match nested {
                Some(keys) => Cell::Keys(keys),
                None => Cell::Many(items.into_iter().map(text).collect()),
            }
        }
        Some(other) => match keys_of_nested(&other) {
            Some(keys) => Cell::Keys(keys),
            None => Cell::One(text(other)),
        },
    }
}

/// The keys of an object that says nothing by itself; of a list inside another one none.
fn keys_of_nested(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Object(fields) if !fields.contains_key("path") => {
            Some(fields.keys().cloned().collect())
        }
        Value::Array(_) => Some(Vec::new()),
        _ => None,
    }
}

/// A value as text; of an object its path, as Hugging Face data sets write an image.
pub(super) fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Object(mut fields) => match fields.remove("path") {
            Some(Value::String(path)) => path,
            _ => String::new(),
        },
        other => other.to_string(),
    }
}
