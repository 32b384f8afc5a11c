//! Lists of records in one JSON document, as ALBEF, BLIP and LLaVA keep their pairs.
//!
//! `[{..}, {..}]`, or an object with such a list for every split, perhaps one object deeper:
//! `{"train": [..], "val": [..]}`, `{"annotations": {"train": [..]}}`, `{"annotations": [..]}`. Records are
//! read one at a time from where they stand, so that a cleaned list keeps the bytes of those that stay.

use std::ops::Range;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::shard_names::{is_split, one_name};
use crate::loose_json;
use crate::text_file::read_whole;

/// Bytes of a file that is read whole.
const LARGEST: u64 = 1 << 36;
/// Keys of the only list of a document.
const WRAPPERS: &[&str] = &[
    "annotations",
    "data",
    "samples",
    "records",
    "items",
    "captions",
    "pairs",
];
/// Objects and lists inside one another.
const DEEPEST: usize = 128;

/// Where a document is damaged, and how.
pub(super) type Broken = (usize, &'static str);
/// Where a key and a value of an object are.
type Member = (Range<usize>, Range<usize>);

/// One list of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    /// The one name of the split that its key says.
    pub(super) split: Option<String>,
    /// What stands between its brackets.
    pub(super) inside: Range<usize>,
}

/// A document that is read whole, and its lists.
pub(super) struct Document {
    pub(super) text: String,
    pub(super) lists: Vec<List>,
}

/// One record, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) text: String,
}

impl Document {
    /// # Errors
    /// If the file cannot be read, is not UTF-8, or holds no list of records.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = read_whole(path, LARGEST)?;
        let refuse = |place: Place, problem: &str, remedy: &str| {
            Err(Error::data(path, place, problem, remedy))
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return refuse(Place::Whole, "not valid UTF-8", "save the file as UTF-8");
        };
        match lists_in(&text) {
            Ok(lists) if !lists.is_empty() => Ok(Self { text, lists }),
            Ok(_) => refuse(
                Place::Whole,
                "there is no list of records in it",
                "write [{\"image\": ..., \"caption\": ...}, ...], or such a list for every split",
            ),
            Err((at, problem)) => {
                let line = text[..at.min(text.len())]
                    .bytes()
                    .filter(|byte| *byte == b'\n')
                    .count();
                let place = Place::Line(line as u64 + 1);
                refuse(place, problem, "check that the file is whole")
            }
        }
    }

    /// The names of the splits that keys say, sorted.
    pub(super) fn splits(&self) -> Vec<String> {
        let mut splits: Vec<String> = self
            .lists
            .iter()
            .filter_map(|list| list.split.clone())
            .collect();
        splits.sort();
        splits.dedup();
        splits
    }

    /// The lists of a split, or all of them.
    pub(super) fn of_split(&self, split: Option<&str>) -> impl Iterator<Item = &List> {
        let is_wanted = move |list: &&List| split.is_none() || list.split.as_deref() == split;
        self.lists.iter().filter(is_wanted)
    }

    /// The elements of a list, each where it stands.
    ///
    /// # Errors
    /// Where something else than a comma stands between two elements, and what is wrong.
    pub(super) fn elements(&self, list: &List) -> Result<Vec<Range<usize>>, Broken> {
        let mut scan = Scan {
            text: self.text.as_bytes(),
            at: list.inside.start,
        };
        let mut found = Vec::new();
        loop {
            scan.skip_spaces();
            if scan.at >= list.inside.end {
                return Ok(found);
            }
            if !found.is_empty() {
                scan.expect(b',', "expected a comma between two records")?;
                scan.skip_spaces();
            }
            let start = scan.at;
            scan.skip_value(0)?;
            found.push(start..scan.at);
        }
    }
}

/// The records of a file, all or those of one split.
///
/// # Errors
/// Those of [`Document::read`], and if the commas between records are not right.
pub(super) fn entries(path: &Path, split: Option<&str>) -> Result<Vec<Entry>> {
    let document = Document::read(path)?;
    let mut entries = Vec::new();
    for list in document.of_split(split) {
        let elements = document.elements(list).map_err(|(_, problem)| {
            let place = Place::Record(entries.len() as u64 + 1);
            Error::data(path, place, problem, "check that the file is whole")
        })?;
        for range in elements {
            entries.push(Entry {
                place: Place::Record(entries.len() as u64 + 1),
                text: document.text[range].to_owned(),
            });
        }
    }
    Ok(entries)
}

/// How a `.json` file holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One object a line.
    Lines,
    /// A list, or one for every split.
    List,
}

/// What a `.json` file is: a list of records, or one object a line; `None` for any other document.
pub(super) fn form_of(path: &Path) -> Option<Form> {
    let bytes = read_whole(path, LARGEST).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(inside) = start.strip_prefix('[') {
        // Lists of texts or numbers are of other kinds.
        let inside = inside.trim_start();
        return inside.starts_with(['{', ']']).then_some(Form::List);
    }
    if !start.starts_with('{') {
        return None;
    }
    let mut lines = start.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next()?;
    if lines
        .next()
        .is_some_and(|line| line.trim_start().starts_with('{'))
        && loose_json::parse(first).is_ok()
    {
        return Some(Form::Lines);
    }
    let lists = lists_in(&text).ok()?;
    (!lists.is_empty()).then_some(Form::List)
}

/// The lists of records of a document.
fn lists_in(text: &str) -> Result<Vec<List>, Broken> {
    let mut scan = Scan {
        text: text.as_bytes(),
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
    };
    scan.skip_spaces();
    let root = scan.at;
    if scan.peek() == Some(b'[') {
        scan.skip_value(0)?;
        let inside = root + 1..scan.at - 1;
        let is_empty = text[inside.clone()].trim().is_empty();
        if !is_empty && !is_list_of_records(&text[root..]) {
            return Ok(Vec::new());
        }
        return Ok(vec![List {
            split: None,
            inside,
        }]);
    }
    if scan.peek() != Some(b'{') {
        return Ok(Vec::new());
    }
    let members = scan.members()?;
    let by_split = lists_by_split(text, &members);
    if !by_split.is_empty() {
        return Ok(by_split);
    }
    // Annotations of MS-COCO belong to a list of images.
    if members
        .iter()
        .any(|(key, _)| text[key.clone()] == *"images")
    {
        return Ok(Vec::new());
    }
    let mut wrapped = Vec::new();
    for (key, value) in members {
        if !WRAPPERS.contains(&&text[key]) {
            continue;
        }
        if is_list_of_records(&text[value.clone()]) {
            let inside = value.start + 1..value.end - 1;
            wrapped.push(List {
                split: None,
                inside,
            });
        } else if text.as_bytes()[value.start] == b'{' {
            let mut scan = Scan {
                text: text.as_bytes(),
                at: value.start,
            };
            wrapped.extend(lists_by_split(text, &scan.members()?));
        }
    }
    Ok(wrapped)
}

/// The lists whose keys name splits; none where another key has a list of records.
fn lists_by_split(text: &str, members: &[Member]) -> Vec<List> {
    let mut lists = Vec::new();
    for (key, value) in members
        .iter()
        .filter(|(_, value)| is_list_of_records(&text[value.clone()]))
    {
        let key = &text[key.clone()];
        if !is_split(key) {
            return Vec::new();
        }
        lists.push(List {
            split: Some(one_name(key)),
            inside: value.start + 1..value.end - 1,
        });
    }
    lists
}

fn is_list_of_records(value: &str) -> bool {
    let inside = value.strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with('{'))
}

/// A walk over a document that knows no more than where values end.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), Broken> {
        self.skip_spaces();
        if self.peek() != Some(byte) {
            return Err((self.at, problem));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes behind the value that begins here.
    fn skip_value(&mut self, depth: usize) -> Result<(), Broken> {
        if depth > DEEPEST {
            return Err((self.at, "too many values inside one another"));
        }
        match self.peek() {
            None => Err((self.at, "the document ends where a value is expected")),
            Some(b'"') => self.skip_text(),
            Some(open @ (b'{' | b'[')) => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                loop {
                    match self.peek() {
                        None => return Err((self.at, "a list or an object is not closed")),
                        Some(byte) if byte == close => break self.at += 1,
                        Some(b'"' | b'{' | b'[') => self.skip_value(depth + 1)?,
                        Some(b'}' | b']') => {
                            return Err((self.at, "a bracket closes what was not opened"));
                        }
                        Some(_) => self.at += 1,
                    }
                }
                Ok(())
            }
            Some(b',' | b':' | b'}' | b']') => Err((self.at, "expected a value")),
            Some(_) => {
                let ends = |byte: u8| byte.is_ascii_whitespace() || b",:]}\"[{".contains(&byte);
                while self.peek().is_some_and(|byte| !ends(byte)) {
                    self.at += 1;
                }
                Ok(())
            }
        }
    }

    fn skip_text(&mut self) -> Result<(), Broken> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err((start, "a text is not closed")),
                Some(b'\\') => self.at += 2,
                Some(b'"') => break self.at += 1,
                Some(_) => self.at += 1,
            }
        }
        Ok(())
    }

    /// Keys, without their quotation marks, and values of the object that begins here.
    fn members(&mut self) -> Result<Vec<Member>, Broken> {
        let mut members = Vec::new();
        self.expect(b'{', "expected an object")?;
        self.skip_spaces();
        if self.peek() == Some(b'}') {
            return Ok(members);
        }
        loop {
            self.skip_spaces();
            let key = self.at;
            if self.peek() != Some(b'"') {
                return Err((key, "expected a key between quotation marks"));
            }
            self.skip_text()?;
            let key = key + 1..self.at - 1;
            self.expect(b':', "expected a colon")?;
            self.skip_spaces();
            let value = self.at;
            self.skip_value(0)?;
            members.push((key, value..self.at));
            self.skip_spaces();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => return Ok(members),
                _ => return Err((self.at, "expected a comma or }")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Document> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        std::fs::write(&path, text).unwrap();
        Document::read(&path)
    }

    #[test]
    fn lists_are_found_at_every_usual_place() {
        for (text, splits, records) in [
            (
                r#" [{"a": "]}\""}, {"a": [1, {"b": 2}]}]"#,
                &[][..],
                &[r#"{"a": "]}\""}"#, r#"{"a": [1, {"b": 2}]}"#][..],
            ),
            (
                r#"{"train": [{"a": 1}], "val": [{"a": 2}], "info": {}}"#,
                &["dev", "train"],
                &[r#"{"a": 1}"#, r#"{"a": 2}"#],
            ),
            (
                r#"{"annotations": {"test": [{"a": 1}]}}"#,
                &["test"],
                &[r#"{"a": 1}"#],
            ),
            (
                r#"{"info": {"n": 1}, "annotations": [{"a": 1}]}"#,
                &[],
                &[r#"{"a": 1}"#],
            ),
            ("\u{feff}[]", &[], &[]),
        ] {
            let document = read(text).unwrap();
            assert_eq!(document.splits(), splits, "{text}");
            let mut found = Vec::new();
            for list in &document.lists {
                let elements = document.elements(list).unwrap();
                found.extend(elements.into_iter().map(|range| &document.text[range]));
            }
            assert_eq!(found, records, "{text}");
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, told) in [
            (
                r#"{"images": [{"id": 1}], "annotations": [{"a": 1}]}"#,
                "no list of records",
            ),
            (r#"{"a": [1, 2]}"#, "no list of records"),
            ("3", "no list of records"),
            (
                "[{\"a\": 1},\n{\"a\"",
                "list.json:2: a list or an object is not closed",
            ),
            ("[{\"a\": 1]", "closes what was not opened"),
            ("[{\"a\": \"1", "a text is not closed"),
            ("{\"a\": 1 \"b\"", "expected a comma or }"),
            ("{1}", "expected a key"),
        ] {
            let error = read(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err());
    }
}
