//! Places inside records: a column, and what to take of the lists and objects in it.
//!
//! `caption` is a column, `captions[].raw` the value `raw` of every object in a list, and
//! `conversations[from=gpt].value` the value of those that `gpt` said.

use std::fmt;

use serde_json::{Map, Value};
use truepair_core::dataset::Account;
use truepair_core::error::Place;

use super::cell::Cell;
use crate::loose_json;

/// Names under which objects hold a caption, best first.
const TEXT_KEYS: &[&str] = &[
    "raw",
    "caption",
    "text",
    "sentence",
    "title",
    "description",
    "value",
    "content",
];
/// Who speaks, and whose words are captions: the keys of turns of a conversation, and the speaker.
const SPEAKERS: &[(&str, &str, &str)] =
    &[("from", "value", "gpt"), ("role", "content", "assistant")];

/// A place inside every record of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) column: String,
    pub(super) steps: Vec<Step>,
}

/// One step from a value to values inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Every element of a list.
    Each,
    /// The objects in a list whose value at `key` is `value`.
    Where {
        /// The key.
        key: String,
        /// Its value as text.
        value: String,
    },
    /// The value of an object at this key.
    Key(String),
}

/// What the values of a column are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Texts or numbers, or lists of them.
    Plain,
    /// One object with these keys.
    Object(Vec<String>),
    /// A list of objects with these keys.
    Objects(Vec<String>),
}

impl Selector {
    /// A whole column.
    pub(super) fn column(name: &str) -> Self {
        Self {
            column: name.to_owned(),
            steps: Vec::new(),
        }
    }

    /// Reads `text` as one of `columns`, or as such a column with steps behind it. A column whose
    /// own name has dots or brackets comes first.
    ///
    /// # Errors
    /// What is wrong with it; no column of this name among other things.
    pub(super) fn parse(text: &str, columns: &[String]) -> Result<Self, String> {
        let rest = |column: &String| {
            let rest = text.strip_prefix(column.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
        };
        let longest = (columns.iter())
            .filter_map(|column| Some((column, rest(column)?)))
            .max_by_key(|(column, _)| column.len());
        let Some((column, rest)) = longest else {
            let end = text.find(['.', '[']).unwrap_or(text.len());
            return Err(format!("there is no column '{}'", &text[..end]));
        };
        Ok(Self {
            column: column.clone(),
            steps: steps(text, rest)?,
        })
    }

    /// What stands at this place of a record's `value`.
    ///
    /// # Errors
    /// What stands there instead of texts.
    pub(super) fn cell(&self, value: Value) -> Result<Cell, String> {
        self.counted(value).map(|found| found.cell)
    }

    /// As [`cell`](Self::cell), with the lines that were left out.
    ///
    /// # Errors
    /// Those of [`cell`](Self::cell).
    pub(super) fn counted(&self, value: Value) -> Result<Counted, String> {
        let mut found = Found::default();
        self.walk(&self.steps, value, &mut found)?;
        let cell = match found.is_list {
            false => found.texts.pop().flatten().map_or(Cell::Missing, Cell::One),
            true if found.texts.contains(&None) => Cell::Gapped(found.texts),
            true => Cell::Many(found.texts.into_iter().flatten().collect()),
        };
        Ok(Counted {
            cell,
            n_marks: found.n_marks,
        })
    }

    /// What stands at this place of a cell that is JSON, as tables of lists are written.
    ///
    /// # Errors
    /// If the cell is no JSON, or something else than texts stands there.
    pub(super) fn in_text(&self, cell: Cell) -> Result<Counted, String> {
        let text = match cell {
            Cell::One(text) if !self.steps.is_empty() => text,
            other => return Ok(other.into()),
        };
        if text.trim().is_empty() {
            return Ok(Cell::Missing.into());
        }
        let value = loose_json::parse(&text).map_err(|cause| {
            format!("column '{}' is not the expected JSON: {cause}", self.column)
        })?;
        self.counted(value.value)
    }

    fn walk(&self, steps: &[Step], value: Value, found: &mut Found) -> Result<(), String> {
        match (steps, value) {
            (steps, Value::Null) => {
                if found.is_list && !has_condition(steps) {
                    found.texts.push(None);
                }
                Ok(())
            }
            ([Step::Each, rest @ ..], Value::Array(items)) => {
                found.is_list = true;
                items
                    .into_iter()
                    .try_for_each(|item| self.walk(rest, item, found))
            }
            // Some records have one object where others have a list.
            ([Step::Each, rest @ ..], one) => self.walk(rest, one, found),
            ([Step::Where { key, value }, rest @ ..], Value::Object(fields)) => {
                let is_meant = match fields.get(key) {
                    Some(Value::String(text)) => text == value,
                    Some(other) => {
                        let written = other.to_string();
                        written == *value
                    }
                    None => false,
                };
                if is_meant {
                    self.walk(rest, Value::Object(fields), found)?;
                }
                Ok(())
            }
            ([Step::Key(key), rest @ ..], Value::Object(mut fields)) => match fields.remove(key) {
                Some(value) => self.walk(rest, value, found),
                None => Ok(()),
            },
            // A list on the way is walked through, whether it is written or not.
            (steps, Value::Array(items)) => {
                found.is_list = true;
                items
                    .into_iter()
                    .try_for_each(|item| self.walk(steps, item, found))
            }
            ([], Value::Object(mut fields)) => match fields.remove("path") {
                Some(Value::String(path)) => self.walk(&[], Value::String(path), found),
                Some(Value::Null) if fields.contains_key("bytes") => Ok(()),
                _ => Err(objects_in(&self.column, &keys(&fields))),
            },
            ([], Value::String(text)) => {
                if !self.steps.is_empty() {
                    found.n_marks += n_marks(&text);
                }
                found.texts.extend(self.plain(text).map(Some));
                Ok(())
            }
            ([], other) => {
                found.texts.push(Some(other.to_string()));
                Ok(())
            }
            (_, other) => Err(format!("'{self}' leads into {other}, which has no parts")),
        }
    }
}

impl Selector {
    /// A text at this place without the lines that stand for the picture, which conversations have;
    /// `None` where nothing else is there.
    pub(super) fn plain(&self, text: String) -> Option<String> {
        match self.steps.is_empty() {
            true => Some(text),
            false => without_marks(text),
        }
    }

    /// As [`plain`](Self::plain), of all texts of a cell.
    pub(super) fn plain_cell(&self, cell: Cell) -> Counted {
        if self.steps.is_empty() {
            return cell.into();
        }
        let (cell, n_marks) = match cell {
            Cell::Missing => (Cell::Missing, 0),
            Cell::One(text) => {
                let n = n_marks(&text);
                (self.plain(text).map_or(Cell::Missing, Cell::One), n)
            }
            Cell::Many(texts) => {
                let n = texts.iter().map(|text| n_marks(text)).sum();
                let texts = texts.into_iter().filter_map(|text| self.plain(text));
                (Cell::Many(texts.collect()), n)
            }
            Cell::Gapped(texts) => {
                let n = texts.iter().flatten().map(|text| n_marks(text)).sum();
                let texts = texts.into_iter().filter_map(|text| match text {
                    Some(text) => self.plain(text).map(Some),
                    None => Some(None),
                });
                (Cell::Gapped(texts.collect()), n)
            }
        };
        Counted { cell, n_marks }
    }
}

/// Whether a step asks what the objects of a list say; null is none of those that are meant.
fn has_condition(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Where { .. }))
}

/// What stands at a place, and how many lines of nothing but [`MARK`]s were left out of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) cell: Cell,
    pub(super) n_marks: usize,
}

impl From<Cell> for Counted {
    fn from(cell: Cell) -> Self {
        Self { cell, n_marks: 0 }
    }
}

/// The cells of a record; what was left out of them is noted in `account`.
pub(super) fn noted(found: Vec<Counted>, place: Place, account: &mut Account) -> Vec<Cell> {
    let n_marks = found.iter().map(|found| found.n_marks).sum();
    note_marks(n_marks, place, account);
    found.into_iter().map(|found| found.cell).collect()
}

/// Notes lines of a record that were left out.
pub(super) fn note_marks(n_marks: usize, place: Place, account: &mut Account) {
    for _ in 0..n_marks {
        let how =
            "it is nothing but <image>, which stands for the picture, and no part of the caption";
        let record = place.to_string();
        let record = record.trim_start_matches([':', ' ']);
        account.chose_for("line", how, record);
    }
}

/// Whether a line is nothing but [`MARK`]s.
fn is_mark(line: &str) -> bool {
    line.contains(MARK) && line.replace(MARK, "").trim().is_empty()
}

fn n_marks(text: &str) -> usize {
    if !text.contains(MARK) {
        return 0;
    }
    text.lines().filter(|line| is_mark(line)).count()
}

/// The text without lines that are nothing but [`MARK`]s.
fn without_marks(text: String) -> Option<String> {
    if !text.contains(MARK) {
        return Some(text);
    }
    let lines: Vec<&str> = text.lines().filter(|line| !is_mark(line)).collect();
    let plain = lines.join("\n");
    (!plain.trim().is_empty()).then_some(plain)
}

/// What of a value stays, where some of the texts at a place are taken out.
pub(super) struct Pruning<'a> {
    /// Whether the next text stays; asked in the order in which the texts stand.
    pub(super) stays: &'a mut dyn FnMut(&str) -> bool,
    /// Whether something was taken out.
    pub(super) has_changed: bool,
    /// Whether the texts stand inside a column's values, where lines may stand for the picture.
    is_inside: bool,
    /// Whether a list was met on the way: an element without a text is an empty caption.
    is_in_list: bool,
}

impl<'a> Pruning<'a> {
    /// Asks `stays` for every text.
    pub(super) fn new(stays: &'a mut dyn FnMut(&str) -> bool) -> Self {
        Self {
            stays,
            has_changed: false,
            is_inside: false,
            is_in_list: false,
        }
    }
}

impl Selector {
    /// Takes texts at this place out of a record's `value`: elements out of lists, with the objects
    /// that they are in; what is no list becomes null. Turns of a conversation go with the turn
    /// before them.
    pub(super) fn prune(&self, value: &mut Value, pruning: &mut Pruning<'_>) {
        pruning.is_inside = !self.steps.is_empty();
        if !pruning.walk(&self.steps, value) {
            *value = Value::Null;
            pruning.has_changed = true;
        }
    }
}

impl Pruning<'_> {
    /// Whether `value` stays.
    fn walk(&mut self, steps: &[Step], value: &mut Value) -> bool {
        match (steps, value) {
            (steps, Value::Null) => !self.is_in_list || has_condition(steps) || (self.stays)(""),
            ([Step::Where { key, value: wanted }, rest @ ..], Value::Array(items)) => {
                self.is_in_list = true;
                self.turns((key, wanted), rest, items);
                true
            }
            ([Step::Each, rest @ ..] | rest, Value::Array(items)) => {
                self.is_in_list = true;
                let n = items.len();
                items.retain_mut(|item| self.walk(rest, item));
                self.has_changed |= items.len() < n;
                true
            }
            ([Step::Each | Step::Where { .. }, rest @ ..], one) => self.walk(rest, one),
            ([Step::Key(key), rest @ ..], Value::Object(fields)) => match fields.get_mut(key) {
                Some(value) => self.walk(rest, value),
                None => true,
            },
            ([], Value::String(text)) if text.trim().is_empty() => {
                !self.is_in_list || (self.stays)("")
            }
            ([], Value::String(text)) => match self.is_inside {
                true => without_marks(text.clone()).is_none_or(|plain| (self.stays)(&plain)),
                false => (self.stays)(text),
            },
            _ => true,
        }
    }

    /// Walks through the turns of a conversation. With an answer goes the question before it; a mark
    /// that stands for the picture moves to the first question that stays.
    fn turns(&mut self, (key, wanted): (&str, &str), rest: &[Step], items: &mut Vec<Value>) {
        let is_meant = |item: &Value| item.get(key).and_then(Value::as_str) == Some(wanted);
        let mut stays = vec![true; items.len()];
        for at in 0..items.len() {
            if !is_meant(&items[at]) || self.walk(rest, &mut items[at]) {
                continue;
            }
            stays[at] = false;
            if at > 0 && !is_meant(&items[at - 1]) {
                stays[at - 1] = false;
            }
        }
        if stays.iter().all(|stays| *stays) {
            return;
        }
        self.has_changed = true;
        let lost = items.iter().zip(&stays).filter(|(_, stays)| !**stays);
        let lost = lost.filter_map(|(item, _)| text_of(rest, item));
        let has_lost_mark = lost.into_iter().any(|text| text.contains(MARK));
        let mut flags = stays.into_iter();
        items.retain(|_| flags.next().unwrap_or(true));
        let is_question = |item: &&mut Value| !is_meant(item);
        if let (true, Some(question)) = (has_lost_mark, items.iter_mut().find(is_question)) {
            give_mark(rest, question);
        }
    }
}

/// What stands for the picture in the first question of a conversation.
const MARK: &str = "<image>";

fn text_of<'a>(rest: &[Step], item: &'a Value) -> Option<&'a str> {
    match rest {
        [Step::Key(key)] => item.get(key)?.as_str(),
        _ => item.as_str(),
    }
}

fn give_mark(rest: &[Step], item: &mut Value) {
    let text = match rest {
        [Step::Key(key)] => item.get_mut(key),
        _ => Some(item),
    };
    if let Some(Value::String(text)) = text
        && !text.contains(MARK)
    {
        *text = format!("{MARK}\n{text}");
    }
}

/// What stood at the place.
#[derive(Default)]
struct Found {
    /// `None` for a null in a list.
    texts: Vec<Option<String>>,
    /// Whether a list was met on the way.
    is_list: bool,
    /// Lines that were left out of the texts.
    n_marks: usize,
}

/// As it is written.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.column)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Each => f.write_str("[]"),
            Step::Where { key, value } => write!(f, "[{key}={value}]"),
            Step::Key(key) => write!(f, ".{key}"),
        })
    }
}

/// Where the captions stand in a column of this shape; `None` when the column itself holds them.
///
/// # Errors
/// If it holds objects, of which none or several values may be captions.
pub(super) fn captions_in(column: &str, shape: &Shape) -> Result<Option<Selector>, String> {
    let (keys, each) = match shape {
        Shape::Plain => return Ok(None),
        Shape::Object(keys) => (keys, None),
        Shape::Objects(keys) => (keys, Some(Step::Each)),
    };
    let has = |key: &str| keys.iter().any(|found| found == key);
    let speaker = SPEAKERS
        .iter()
        .find(|(who, what, _)| each.is_some() && has(who) && has(what));
    let selector = |steps: Vec<Step>| Selector {
        column: column.to_owned(),
        steps,
    };
    if let Some((who, what, name)) = speaker {
        let turn = Step::Where {
            key: (*who).to_owned(),
            value: (*name).to_owned(),
        };
        return Ok(Some(selector(vec![turn, Step::Key((*what).to_owned())])));
    }
    let known: Vec<&&str> = TEXT_KEYS.iter().filter(|key| has(key)).collect();
    match known[..] {
        [key] => {
            let steps = each.into_iter().chain([Step::Key((*key).to_owned())]);
            Ok(Some(selector(steps.collect())))
        }
        _ => Err(objects_in(column, keys)),
    }
}

fn objects_in(column: &str, keys: &[String]) -> String {
    format!(
        "column '{column}' holds objects with the keys {}",
        keys.join(", ")
    )
}

/// What to do about objects where texts are expected.
pub(super) const NAME_A_KEY: &str =
    "say which of them is meant, for instance --caption-columns 'captions[].raw'";

/// The keys of an object.
pub(super) fn keys(fields: &Map<String, Value>) -> Vec<String> {
    fields.keys().cloned().collect()
}

/// The shape of one value; `None` when it says nothing.
pub(super) fn shape_of(value: &Value) -> Option<Shape> {
    match value {
        Value::Null => None,
        Value::Object(fields) => Some(Shape::Object(keys(fields))),
        Value::Array(items) => match items.iter().find(|item| !item.is_null())? {
            Value::Object(fields) => Some(Shape::Objects(keys(fields))),
            _ => Some(Shape::Plain),
        },
        _ => Some(Shape::Plain),
    }
}

fn steps(text: &str, mut rest: &str) -> Result<Vec<Step>, String> {
    let unreadable =
        || format!("'{text}' is not a place in a column; write for instance captions[].raw");
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']').ok_or_else(unreadable)?;
            steps.push(match inside.split_once('=') {
                Some((key, value)) if !key.is_empty() => Step::Where {
                    key: key.to_owned(),
                    value: value.to_owned(),
                },
                None if inside.is_empty() => Step::Each,
                _ => return Err(unreadable()),
            });
            rest = after;
        } else {
            let key = rest.strip_prefix('.').ok_or_else(unreadable)?;
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 {
                return Err(unreadable());
            }
            steps.push(Step::Key(key[..end].to_owned()));
            rest = &key[end..];
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, value: Value) -> Result<Vec<String>, String> {
        let columns = ["captions", "talk", "image", "a.b"].map(String::from);
        Ok(Selector::parse(text, &columns)?.cell(value)?.texts())
    }

    #[test]
    fn places_lead_through_lists_and_objects() {
        let captions = json!([{"raw": "one", "n": 1}, null, {"raw": "two"}, {"n": 3}]);
        let talk = json!([{"from": "human", "value": "?"}, {"from": "gpt", "value": "yes"}]);
        for (text, value, found) in [
            ("captions", json!(["a", null, 7]), vec!["a", "7"]),
            ("captions[]", json!(["a", "b"]), vec!["a", "b"]),
            ("captions[].raw", captions.clone(), vec!["one", "two"]),
            ("captions.raw", captions.clone(), vec!["one", "two"]),
            ("captions[].raw", json!({"raw": "x"}), vec!["x"]),
            ("captions[n=3].raw", captions.clone(), vec![]),
            ("talk[from=gpt].value", talk, vec!["yes"]),
            ("a.b", json!("dotted"), vec!["dotted"]),
            (
                "image",
                json!({"path": "p.jpg", "bytes": ""}),
                vec!["p.jpg"],
            ),
            ("image", json!({"path": null, "bytes": ""}), vec![]),
        ] {
            assert_eq!(read(text, value).unwrap(), found, "{text}");
        }
        let gaps = json!([{"raw": null}, null, {"n": 3}, {"raw": " "}, {"raw": "x"}]);
        let columns = ["captions".to_owned()];
        let place = Selector::parse("captions[].raw", &columns).unwrap();
        let found = place.cell(gaps).unwrap().captions();
        assert_eq!(found, ["", "", "", "x"]);
        let error = read("captions[].raw", json!(["x"])).unwrap_err();
        assert!(error.contains("leads into \"x\""), "{error}");
        let error = read("captions", captions).unwrap_err();
        assert!(error.contains("objects with the keys raw, n"), "{error}");
    }

    #[test]
    fn what_is_no_place_is_named() {
        for (text, problem) in [
            ("other[].raw", "no column 'other'"),
            ("captions[raw", "not a place in a column"),
            ("captions[raw]", "not a place in a column"),
            ("captions..raw", "not a place in a column"),
            ("captionsraw", "no column 'captionsraw'"),
        ] {
            let error = read(text, Value::Null).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn captions_are_found_in_objects_where_one_key_can_be_meant() {
        let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let found =
            |shape: Shape| captions_in("c", &shape).map(|found| found.map(|s| s.to_string()));
        let raw = Shape::Objects(keys(&["raw", "sentid"]));
        assert_eq!(found(raw).unwrap().unwrap(), "c[].raw");
        let talk = Shape::Objects(keys(&["from", "value"]));
        assert_eq!(found(talk).unwrap().unwrap(), "c[from=gpt].value");
        let one = Shape::Object(keys(&["text", "n"]));
        assert_eq!(found(one).unwrap().unwrap(), "c.text");
        assert_eq!(found(Shape::Plain).unwrap(), None);
        for unclear in [&["en", "de"][..], &["raw", "text"]] {
            let error = found(Shape::Objects(keys(unclear))).unwrap_err();
            assert!(error.contains(&unclear.join(", ")), "{error}");
        }
    }
}
