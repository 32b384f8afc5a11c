//! Tables of JSON objects: one a line, or those of a list.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::json_list::Entry;
use super::selector::{Counted, NAME_A_KEY, Selector, noted};
use crate::lines::{Line, lines};
use crate::loose_json;

/// Objects whose keys are the columns.
const SAMPLE: usize = 1000;

/// The objects of a file of one a line, with their places.
///
/// # Errors
/// If the file cannot be opened; those of its lines come with them.
pub(super) fn entries(path: &Path) -> Result<impl Iterator<Item = Result<Entry>>> {
    let lines = lines(path)?.map(|line| {
        line.map(|Line { number, text }| Entry {
            place: Place::Line(number),
            text,
        })
    });
    let is_filled =
        |entry: &Result<Entry>| !(entry.as_ref()).is_ok_and(|entry| entry.text.trim().is_empty());
    Ok(lines.filter(is_filled))
}

/// The keys of the first objects, in the order in which they are met.
///
/// # Errors
/// If an entry is not an object.
pub(super) fn columns(
    path: &Path,
    entries: impl Iterator<Item = Result<Entry>>,
) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    let mut known = HashSet::new();
    for entry in entries.take(SAMPLE) {
        let Entry { place, text } = entry?;
        let object = object_at(path, place, &text)?.fields;
        columns.extend(
            object
                .into_iter()
                .map(|(key, _)| key)
                .filter(|key| known.insert(key.clone())),
        );
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
/// If it is not an object.
pub(super) fn object(path: &Path, number: u64, line: &str) -> Result<Object> {
    object_at(path, Place::Line(number), line)
}

/// Reads the text of one object, which stands at `place`.
///
/// # Errors
/// If it is not an object.
pub(super) fn object_at(path: &Path, place: Place, line: &str) -> Result<Object> {
    let remedy = match place {
        Place::Line(_) => "write one object a line",
        _ => "write a list of objects",
    };
    let refuse = |problem: String| {
        let problem = format!("not a JSON object: {problem}");
        Err(Error::data(path, place, problem, remedy))
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
/// If an entry is not an object, and those of `visit`.
pub(super) fn for_each(
    path: &Path,
    entries: impl Iterator<Item = Result<Entry>>,
    columns: &[String],
    wanted: &[Selector],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<Account> {
    let mut account = Account::default();
    let mut known: HashSet<String> = columns.iter().cloned().collect();
    for entry in entries {
        let Entry { place, text } = entry?;
        let mut found = object_at(path, place, &text)?;
        for _ in 0..found.n_half_letters {
            let how = "half of it is missing (a lone surrogate) and U+FFFD stands for it";
            account.chose_for("letter", how, name_of(place));
        }
        let new = found.fields.keys().filter(|key| !known.contains(*key));
        for key in new.cloned().collect::<Vec<_>>() {
            let why = "it is not asked for, and the first objects have none";
            account.pass("column", why, &key);
            known.insert(key);
        }
        let cells = cells(&mut found.fields, wanted)
            .map_err(|problem| Error::data(path, place, problem, NAME_A_KEY))?;
        let cells = noted(cells, place, &mut account);
        visit(place, cells)?;
    }
    Ok(account)
}

/// `line 7` or `record 7`.
fn name_of(place: Place) -> String {
    match place {
        Place::Line(number) => format!("line {number}"),
        other => other.to_string().trim_start_matches([':', ' ']).to_owned(),
    }
}

/// The cells of one object.
///
/// # Errors
/// What stands there instead of texts.
pub(super) fn cells(
    object: &mut Map<String, Value>,
    wanted: &[Selector],
) -> Result<Vec<Counted>, String> {
    let cell = |(n, place): (usize, &Selector)| {
        // Several places may lie in one column; the last one takes its value.
        let later = &wanted[n + 1..];
        let again = later.iter().any(|later| later.column == place.column);
        let value = match again {
            true => object.get(&place.column).cloned(),
            false => object.remove(&place.column),
        };
        place.counted(value.unwrap_or_default())
    };
    wanted.iter().enumerate().map(cell).collect()
}
