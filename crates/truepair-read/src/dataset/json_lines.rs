//! Tables of one JSON object a line.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::selector::{NAME_A_KEY, Selector};
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
    wanted: &[Selector],
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
        let place = Place::Line(number);
        let cells = cells(&mut found.fields, wanted)
            .map_err(|problem| Error::data(path, place, problem, NAME_A_KEY))?;
        visit(place, cells)?;
    }
    Ok(account)
}

/// The cells of one object.
///
/// # Errors
/// What stands there instead of texts.
pub(super) fn cells(
    object: &mut Map<String, Value>,
    wanted: &[Selector],
) -> Result<Vec<Cell>, String> {
    let cell = |(n, place): (usize, &Selector)| {
        // Several places may lie in one column; the last one takes its value.
        let later = &wanted[n + 1..];
        let again = later.iter().any(|later| later.column == place.column);
        let value = match again {
            true => object.get(&place.column).cloned(),
            false => object.remove(&place.column),
        };
        place.cell(value.unwrap_or_default())
    };
    wanted.iter().enumerate().map(cell).collect()
}
