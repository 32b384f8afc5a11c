//! The cleaned list of a table of text: the same records and columns without the removed captions.

use std::path::Path;

use serde_json::json;
use truepair_core::error::{Error, Place, Result};

use super::ReadOptions;
use super::cell::Cell;
use super::delimited::Delimited;
use super::json_lines;
use super::json_list::Document;
use super::kept_pairs::KeptPairs;
use super::naming::Naming;
use super::records::Kind;
use super::selector::{Pruning, Selector};
use super::table_columns::{Columns, open_source};
use super::table_rows::split_name;
use crate::lines::lines;
use crate::loose_json;

/// One table on its way to the disk.
pub(super) struct KeptTable {
    pub(super) bytes: Vec<u8>,
    /// Whether anything was taken out.
    pub(super) has_changed: bool,
}

/// What is known of the records of a table.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) columns: &'a Columns,
    pub(super) naming: Naming,
    /// Index of the first record.
    pub(super) first: u32,
    /// The split that was read.
    pub(super) split: &'a str,
}

impl Records<'_> {
    /// Options by which a table is opened as it was read.
    fn options(&self) -> ReadOptions {
        let text = |place: &Selector| place.to_string();
        ReadOptions {
            image_column: self.columns.image.as_ref().map(text),
            caption_columns: Some(self.columns.captions.iter().map(text).collect()),
            id_column: self.columns.id.as_ref().map(text),
            ..ReadOptions::default()
        }
    }

    /// The id of the image of a record whose image and id are in these cells.
    fn id(&self, record: u32, image: Cell, id: Option<Cell>) -> Option<String> {
        match id {
            Some(id) => id.only().ok()?,
            None => self.naming.name(record, image).ok()?,
        }
    }
}

/// What stays of the table at `path`; takes its pairs out of `pairs`, and counts the records in
/// `n_records`.
///
/// # Errors
/// If it cannot be read again.
pub(super) fn kept(
    path: &Path,
    records: Records<'_>,
    pairs: &mut KeptPairs<'_>,
) -> Result<(KeptTable, u32)> {
    match Kind::of(path) {
        Some(Kind::JsonLines) => return json_objects(path, records, pairs),
        Some(Kind::JsonList) => return json_list(path, records, pairs),
        _ => {}
    }
    let source = open_source(path, &records.options())?;
    match &source.delimited {
        Some(table) => separated(table, records, pairs),
        None => json_objects(path, records, pairs),
    }
}

/// A table of the pairs alone, where the records are not those of the file: noise was planted.
pub(super) fn pairs_alone(kind: Option<Kind>, rows: &[(&str, &str)]) -> Vec<u8> {
    if kind == Some(Kind::JsonList) {
        let records = rows
            .iter()
            .map(|(image, caption)| json!({"image": image, "caption": caption}));
        return serde_json::Value::from_iter(records)
            .to_string()
            .into_bytes();
    }
    if kind == Some(Kind::JsonLines) {
        let line = |(image, caption): &(&str, &str)| {
            format!("{}\n", json!({"image": image, "caption": caption}))
        };
        return rows.iter().map(line).collect::<String>().into_bytes();
    }
    let separator = match kind {
        Some(Kind::Tsv) => b'\t',
        _ => b',',
    };
    let mut writer = csv::WriterBuilder::new()
        .delimiter(separator)
        .from_writer(Vec::new());
    let head = std::iter::once(&("image", "caption"));
    for (image, caption) in head.chain(rows) {
        // Memory takes any record.
        let _ = writer.write_record([image, caption]);
    }
    writer.into_inner().unwrap_or_default()
}

fn separated(
    table: &Delimited,
    records: Records<'_>,
    pairs: &mut KeptPairs<'_>,
) -> Result<(KeptTable, u32)> {
    let at = |place: &Selector| table.columns.iter().position(|name| *name == place.column);
    let columns = records.columns;
    let captions: Vec<(usize, &Selector)> = (columns.captions.iter())
        .filter_map(|place| Some((at(place)?, place)))
        .collect();
    let [image, id, split] =
        [&columns.image, &columns.id, &columns.split].map(|place| place.as_ref().and_then(at));
    let mut kept = KeptTable {
        bytes: table.head.clone(),
        has_changed: false,
    };
    let mut n = 0;
    table.for_each_raw(|record| {
        n += 1;
        let cell = |at: usize| Cell::One(record.texts[at].clone());
        // The same pair may stand in another split too.
        if split.is_some_and(|at| split_name(cell(at)) != records.split) {
            kept.has_changed = true;
            return Ok(());
        }
        let name = records.id(
            records.first + n - 1,
            image.map_or(Cell::Missing, cell),
            id.map(cell),
        );
        let name = name.filter(|name| pairs.has_image(name));
        let fate = name.map(|name| record_fate(&record.texts, &captions, &name, pairs));
        match fate.flatten() {
            None => kept.has_changed = true,
            Some(changed) if changed.iter().all(|(_, text)| text.is_empty()) => {
                let mut emptied: Vec<usize> = changed.iter().map(|(at, _)| *at).collect();
                emptied.sort_unstable();
                kept.has_changed |= !emptied.is_empty();
                kept.bytes.extend(table.written_again(&record, &emptied));
            }
            Some(changed) => {
                let mut texts: Vec<&str> = record.texts.iter().map(String::as_str).collect();
                for (at, text) in &changed {
                    texts[*at] = text;
                }
                kept.has_changed = true;
                kept.bytes.extend(table.line_of(&texts));
            }
        }
        Ok(())
    })?;
    Ok((kept, n))
}

/// The cells of a record that change, with what stays of them; `None` when no caption stays.
fn record_fate(
    texts: &[String],
    captions: &[(usize, &Selector)],
    id: &str,
    pairs: &mut KeptPairs<'_>,
) -> Option<Vec<(usize, String)>> {
    if captions.iter().all(|(at, _)| texts[*at].trim().is_empty()) {
        return pairs.take(id, "").then(Vec::new);
    }
    let (mut changed, mut any) = (Vec::new(), false);
    for (at, place) in captions {
        let text = &texts[*at];
        if text.trim().is_empty() {
            continue;
        }
        let mut stays = |text: &str| {
            let keep = pairs.take(id, text);
            any |= keep;
            keep
        };
        if place.steps.is_empty() {
            if !stays(text) {
                changed.push((*at, String::new()));
            }
            continue;
        }
        let mut value = loose_json::parse(text).ok()?.value;
        let mut pruning = Pruning::new(&mut stays);
        place.prune(&mut value, &mut pruning);
        if pruning.has_changed {
            changed.push((*at, value.to_string()));
        }
    }
    any.then_some(changed)
}

fn json_objects(
    path: &Path,
    records: Records<'_>,
    pairs: &mut KeptPairs<'_>,
) -> Result<(KeptTable, u32)> {
    let (mut text, mut has_changed, mut n) = (String::new(), false, 0);
    for line in lines(path)? {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        n += 1;
        let mut object = json_lines::object(path, line.number, &line.text)?.fields;
        let fate = object_fate(&mut object, records, records.first + n - 1, pairs);
        // A record that keeps all its captions stays as it was, to the byte.
        match fate {
            ObjectFate::Whole => text += &line.text,
            ObjectFate::Changed => text += &serde_json::Value::Object(object).to_string(),
            ObjectFate::Gone => {}
        }
        if fate != ObjectFate::Gone {
            text.push('\n');
        }
        has_changed |= fate != ObjectFate::Whole;
    }
    let bytes = text.into_bytes();
    Ok((KeptTable { bytes, has_changed }, n))
}

/// The same document without the records that lost all captions, with those of other splits.
fn json_list(
    path: &Path,
    records: Records<'_>,
    pairs: &mut KeptPairs<'_>,
) -> Result<(KeptTable, u32)> {
    let document = Document::read(path)?;
    let split =
        Some(records.split).filter(|split| document.splits().iter().any(|known| known == split));
    let (mut text, mut has_changed, mut n, mut copied) = (String::new(), false, 0, 0);
    for list in document.of_split(split) {
        let elements = document.elements(list).map_err(|(_, problem)| {
            Error::data(path, Place::Whole, problem, "check that the file is whole")
        })?;
        text += &document.text[copied..list.inside.start];
        copied = list.inside.end;
        let mut stays: Vec<String> = Vec::with_capacity(elements.len());
        for range in elements {
            n += 1;
            let own = &document.text[range];
            let place = Place::Record(u64::from(n));
            let mut object = json_lines::object_at(path, place, own)?.fields;
            let fate = object_fate(&mut object, records, records.first + n - 1, pairs);
            match fate {
                ObjectFate::Whole => stays.push(own.to_owned()),
                ObjectFate::Changed => stays.push(serde_json::Value::Object(object).to_string()),
                ObjectFate::Gone => {}
            }
            has_changed |= fate != ObjectFate::Whole;
        }
        text += &stays.join(",\n");
    }
    text += &document.text[copied..];
    let bytes = text.into_bytes();
    Ok((KeptTable { bytes, has_changed }, n))
}

/// What becomes of one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFate {
    Whole,
    Changed,
    Gone,
}

/// Takes the captions that do not stay out of one object.
pub(super) fn object_fate(
    object: &mut serde_json::Map<String, serde_json::Value>,
    records: Records<'_>,
    record: u32,
    pairs: &mut KeptPairs<'_>,
) -> ObjectFate {
    let columns = records.columns;
    let cell = |place: &Selector| {
        let value = object.get(&place.column).cloned().unwrap_or_default();
        place.cell(value).unwrap_or(Cell::Missing)
    };
    // The same pair may stand in another split too.
    if (columns.split.as_ref()).is_some_and(|place| split_name(cell(place)) != records.split) {
        return ObjectFate::Gone;
    }
    let image = columns.image.as_ref().map_or(Cell::Missing, cell);
    let id = records.id(record, image, columns.id.as_ref().map(cell));
    let Some(id) = id.filter(|id| pairs.has_image(id)) else {
        return ObjectFate::Gone;
    };
    let has_caption = |place: &Selector| !cell(place).captions().is_empty();
    if !columns.captions.iter().any(has_caption) {
        return if pairs.take(&id, "") {
            ObjectFate::Whole
        } else {
            ObjectFate::Gone
        };
    }
    let (mut any, mut has_changed) = (false, false);
    for place in &columns.captions {
        let Some(value) = object.get_mut(&place.column) else {
            continue;
        };
        let mut stays = |text: &str| {
            let keep = pairs.take(&id, text);
            any |= keep;
            keep
        };
        let mut pruning = Pruning::new(&mut stays);
        place.prune(value, &mut pruning);
        has_changed |= pruning.has_changed;
    }
    match (any, has_changed) {
        (false, _) => ObjectFate::Gone,
        (true, false) => ObjectFate::Whole,
        (true, true) => ObjectFate::Changed,
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use truepair_core::dataset::Dataset;
    use truepair_core::pair::Pair;

    use super::super::two_columns::two_columns;
    use super::super::write::write_features;
    use super::super::{open, write_kept};
    use super::*;

    /// Writes a table of two images with three captions, plants `pair` first, removes the second
    /// pair and reads the rest again.
    fn cleaned(name: &str, content: &[u8], pair: Pair) -> (String, Dataset) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let features = Features::from_rows(vec![1.0, 2.0], 1);
        write_features(&path.with_extension("npy"), &features, &[0, 1]).unwrap();
        let mut data = open(&path, &ReadOptions::default()).unwrap();
        data.pairs[0] = pair;
        let written = write_kept(&data, &[true, false, true], folder.path().join("out")).unwrap();
        let text = String::from_utf8_lossy(&std::fs::read(&written[0]).unwrap()).into_owned();
        (text, open(&written[0], &ReadOptions::default()).unwrap())
    }

    const OWN: Pair = Pair {
        image: 0,
        caption: 0,
    };
    const PLANTED: Pair = Pair {
        image: 1,
        caption: 0,
    };

    #[test]
    fn of_a_pair_in_two_splits_the_record_of_this_split_stays() {
        let table = "image,caption,split\na,one,test\na,one,train\na,two,train\nb,three,train\n";
        let (text, data) = cleaned("t.csv", table.as_bytes(), OWN);
        assert_eq!(text, "image,caption,split\na,one,train\nb,three,train\n");
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
        let [other, first, second, third] = [
            ("a", "one", "test"),
            ("a", "one", "train"),
            ("a", "two", "train"),
            ("b", "three", "train"),
        ]
        .map(|(image, caption, split)| {
            format!("{{\"image\":\"{image}\",\"caption\":\"{caption}\",\"split\":\"{split}\"}}\n")
        });
        let lines = [other, first.clone(), second, third.clone()].concat();
        let (text, _) = cleaned("t.jsonl", lines.as_bytes(), OWN);
        assert_eq!(text, first + &third);
    }

    #[test]
    fn other_columns_stay() {
        let tall = "note,image,caption\nb,a,one\nb,a,two\nx,b,three\n";
        let (text, _) = cleaned("t.csv", tall.as_bytes(), OWN);
        assert_eq!(text, "note,image,caption\nb,a,one\nx,b,three\n");
        let wide = "image\tcaption1\tcaption2\na\tone\ttwo\nb\tthree\t\n";
        let (text, data) = cleaned("t.tsv", wide.as_bytes(), OWN);
        assert_eq!(text, "image\tcaption1\tcaption2\na\tone\t\nb\tthree\t\n");
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
        let whole = "{\"z\": 2, \"image\": \"b\", \"captions\": [\"three\"]}\n";
        let lines = "{\"z\": 1, \"image\": \"a\", \"captions\": [\"one\", \"two\"]}\n";
        let (text, data) = cleaned("t.jsonl", format!("{lines}{whole}").as_bytes(), OWN);
        assert!(text.ends_with(whole), "{text}");
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
    }

    #[test]
    fn lists_of_records_keep_the_bytes_of_what_stays() {
        let whole = "{\"z\": 2, \"image\": \"b\", \"captions\": [\"three\"]}";
        let first = "{\"z\": 1, \"image\": \"a\", \"captions\": [\"one\", \"two\"]}";
        let (text, data) = cleaned("t.json", format!("[{first}, {whole}]\n").as_bytes(), OWN);
        let changed = "{\"z\":1,\"image\":\"a\",\"captions\":[\"one\"]}";
        assert_eq!(text, format!("[{changed},\n{whole}]\n"));
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
        let by_split = format!("{{\"train\": [{first}, {whole}], \"val\": [{first}], \"n\": 1}}");
        let (text, data) = cleaned("t.json", by_split.as_bytes(), OWN);
        assert_eq!(
            text,
            format!("{{\"train\": [{changed},\n{whole}], \"val\": [{first}], \"n\": 1}}")
        );
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
        let (text, data) = cleaned("t.json", format!("[{first}, {whole}]").as_bytes(), PLANTED);
        assert!(
            text.starts_with("[{\"image\":\"b\",\"caption\":\"one\"}"),
            "{text}"
        );
        assert_eq!(data.image_ids, ["b"]);
    }

    #[test]
    fn texts_under_other_endings_and_with_bars_are_written_as_they_were() {
        let comma = "image,caption\na.jpg,one\na.jpg,two\nb.jpg,three\n";
        let (text, data) = cleaned("captions.txt", comma.as_bytes(), OWN);
        assert_eq!(text, "image,caption\na.jpg,one\nb.jpg,three\n");
        assert_eq!((data.format, data.n_captions()), ("table", 2));
        let bars =
            "image_name| n| comment\na.jpg| 0| one\na.jpg| 1| two\nb.jpg| 0   x\nb.jpg| 0| three\n";
        let (text, data) = cleaned("results.csv", bars.as_bytes(), OWN);
        assert_eq!(
            text,
            "image_name| n| comment\na.jpg| 0| one\nb.jpg| 0| three\n"
        );
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
        let talk = "[{\"image\": \"a\", \"conversations\": [{\"from\": \"gpt\", \"value\": \"<image>\\none\"}, \
                    {\"from\": \"gpt\", \"value\": \"two\"}]}, {\"image\": \"b\", \"conversations\": \
                    [{\"from\": \"gpt\", \"value\": \"three\"}]}]";
        let (text, data) = cleaned("talk.json", talk.as_bytes(), OWN);
        assert!(!text.contains("two") && text.contains("<image>"), "{text}");
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
    }

    #[test]
    fn planted_pairs_are_listed_as_pairs() {
        let tall = "image,caption\na,one\na,two\nb,three\n";
        let (text, data) = cleaned("t.csv", tall.as_bytes(), PLANTED);
        assert_eq!(text, "image,caption\nb,one\nb,three\n");
        assert_eq!(data.images.to_matrix().unwrap().values(), [2.0]);
        let lines = "{\"image\": \"a\", \"captions\": [\"one\", \"two\"]}\n\
                     {\"image\": \"b\", \"captions\": [\"three\"]}\n";
        let (_, data) = cleaned("t.jsonl", lines.as_bytes(), PLANTED);
        assert_eq!(data.image_ids, ["b"]);
        assert_eq!(data.captions.unwrap(), ["one", "three"]);
    }

    #[test]
    fn parquet_is_written_and_read() {
        let rows = [("a", "one"), ("a", "two"), ("b", "zwei ü")];
        let content = two_columns(["image", "caption"], &rows).unwrap();
        let (_, data) = cleaned("t.parquet", &content, OWN);
        assert_eq!(data.format, "table");
        assert_eq!(data.image_ids, ["a", "b"]);
        assert_eq!(data.captions.unwrap(), ["one", "zwei ü"]);
    }
}
