//! The cleaned list of a table: the same records and columns without the removed captions.
//!
//! A cell counts as a caption when its text, with the image of its record, is a pair of the data;
//! so no choice of columns has to be remembered. When the pairs are not those of the file, because
//! noise was planted, and for parquet, the list has one record per pair and two columns. Pictures that
//! stand in the table are [`kept_pictures`]' to write.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};
use truepair_core::pair::Pair;

use super::delimited::Delimited;
use super::json_lines;
use super::kept_pictures;
use super::records::{Kind, unpacked};
use super::write::write_features;
use crate::lines::lines;
use crate::spelling::normal;
use crate::text_file::{pack, packing_named_by};

/// Writes the kept pairs of `dataset` into a file of the same name in `out`, and the features of
/// their images beside it.
pub(super) fn write(dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
    let source = &dataset.files[0];
    let path = out.join(source.file_name().unwrap_or_default());
    if kept_pictures::hold_bytes(dataset) {
        kept_pictures::write(dataset, keep, &path)?;
        return Ok(vec![path]);
    }
    let kept = Kept::new(dataset, keep)?;
    let list = match Kind::require(source)? {
        Kind::Parquet => kept.parquet(&path)?,
        Kind::JsonLines => kept.json_lines(source)?,
        Kind::Csv | Kind::Tsv => kept.separated(&kept.table(source)?)?,
    };
    let packing = packing_named_by(&path);
    let bytes = pack(packing, list.bytes).map_err(|cause| Error::io(&path, "pack", cause))?;
    durable::write(&path, &bytes)?;
    if dataset.images.are_pictures() {
        return Ok(vec![path]);
    }
    let index_of: HashMap<&str, u32> = dataset
        .image_ids
        .iter()
        .zip(0..)
        .map(|(id, index)| (id.as_str(), index))
        .collect();
    let mut seen = HashSet::new();
    let first = list.images.into_iter().filter(|image| seen.insert(*image));
    let rows: Vec<u32> = first.map(|image| index_of[image]).collect();
    let beside = unpacked(&path).with_extension("npy");
    let features = write_features(&beside, &dataset.images, &rows)?;
    Ok(vec![path, features])
}

/// A table of two columns of text as parquet.
pub(super) fn two_columns(
    names: [&str; 2],
    rows: &[(&str, &str)],
) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let columns = names.map(|name| format!("REQUIRED BYTE_ARRAY {name} (UTF8);"));
    let schema = parse_message_type(&format!("message pairs {{ {} }}", columns.concat()))?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties)?;
    let mut group = writer.next_row_group()?;
    let (left, right): (Vec<&str>, Vec<&str>) = rows.iter().copied().unzip();
    for texts in [left, right] {
        let values: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        if let Some(mut column) = group.next_column()? {
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, None, None)?;
            column.close()?;
        }
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

/// The pairs as the texts that stand in the file.
struct Kept<'a> {
    /// The ids of the images, each found however its letters are written.
    ids: HashMap<Cow<'a, str>, &'a str>,
    given: HashSet<(&'a str, &'a str)>,
    /// The kept pairs, each with a number of its own.
    kept: HashMap<(&'a str, &'a str), usize>,
    /// The kept pairs in their order.
    list: Vec<(&'a str, &'a str)>,
}

/// A table on its way to the disk.
struct List<'a> {
    bytes: Vec<u8>,
    /// The image of each record.
    images: Vec<&'a str>,
}

impl<'a> Kept<'a> {
    fn new(dataset: &'a Dataset, keep: &[bool]) -> Result<Self> {
        let texts = dataset.require_captions()?;
        let texts_of = |pair: Pair| {
            let id = dataset.image_ids[pair.image as usize].as_str();
            (id, texts[pair.caption as usize].as_str())
        };
        let list: Vec<_> = dataset.kept(keep).map(texts_of).collect();
        Ok(Self {
            ids: dataset
                .image_ids
                .iter()
                .map(|id| (normal(id), id.as_str()))
                .collect(),
            given: dataset.pairs.iter().map(|pair| texts_of(*pair)).collect(),
            kept: list.iter().copied().zip(0..).collect(),
            list,
        })
    }

    /// The table as it was read: whether its first line is a record is seen from the images.
    fn table(&self, source: &Path) -> Result<Delimited> {
        let usual = match Kind::of(source) {
            Some(Kind::Tsv) => b'\t',
            _ => b',',
        };
        let table = Delimited::open(source, usual, &|_| true)?;
        let cells: Vec<&str> = table.first_line.iter().map(String::as_str).collect();
        match self.image_of(&cells) {
            Some(_) => Ok(table.without_header()),
            None => Ok(table),
        }
    }

    fn separated(&self, table: &Delimited) -> Result<List<'a>> {
        let mut bytes = table.head.clone();
        let (mut found, mut images) = (HashSet::new(), Vec::new());
        table.for_each_raw(|record| {
            let texts: Vec<&str> = record.texts.iter().map(String::as_str).collect();
            let Some(image) = self.image_of(&texts) else {
                return Ok(());
            };
            let kept = texts
                .iter()
                .filter_map(|text| self.kept.get(&(image, *text)));
            let kept: Vec<usize> = kept.copied().collect();
            if kept.is_empty() {
                return Ok(());
            }
            found.extend(kept);
            let removed = texts.iter().enumerate();
            let removed = removed.filter(|(_, text)| self.is_removed(image, text));
            let removed: Vec<usize> = removed.map(|(at, _)| at).collect();
            bytes.extend(table.written_again(&record, &removed));
            images.push(image);
            Ok(())
        })?;
        if found.len() < self.kept.len() {
            bytes = table.line_of(&["image", "caption"]);
            for (image, caption) in &self.list {
                bytes.extend(table.line_of(&[image, caption]));
            }
            images = self.images();
        }
        Ok(List { bytes, images })
    }

    fn json_lines(&self, source: &Path) -> Result<List<'a>> {
        let mut text = String::new();
        let (mut found, mut images) = (HashSet::new(), Vec::new());
        for line in lines(source)? {
            let line = line?;
            if line.text.trim().is_empty() {
                continue;
            }
            let mut object = json_lines::object(source, line.number, &line.text)?.fields;
            let ids: Vec<String> = object.values().cloned().map(json_lines::text).collect();
            let mut texts: Vec<&str> = object.values().flat_map(captions_in).collect();
            texts.extend(ids.iter().map(String::as_str));
            let Some(image) = self.image_of(&texts) else {
                continue;
            };
            let kept = texts
                .iter()
                .filter_map(|text| self.kept.get(&(image, *text)));
            let kept: Vec<usize> = kept.copied().collect();
            if kept.is_empty() {
                continue;
            }
            found.extend(kept);
            images.push(image);
            let removed = object
                .values_mut()
                .map(|value| self.remove_from(value, image));
            // A record that keeps all its captions stays as it was, to the byte.
            let changed = removed.fold(false, |any, removed| any | removed);
            text += &if changed {
                Value::Object(object).to_string()
            } else {
                line.text
            };
            text.push('\n');
        }
        if found.len() < self.kept.len() {
            let line = |(image, caption): &(&str, &str)| {
                format!("{}\n", json!({"image": image, "caption": caption}))
            };
            text = self.list.iter().map(line).collect();
            images = self.images();
        }
        Ok(List {
            bytes: text.into_bytes(),
            images,
        })
    }

    fn parquet(&self, path: &Path) -> Result<List<'a>> {
        let bytes = two_columns(["image", "caption"], &self.list).map_err(|cause| {
            let remedy = "choose CSV or JSONL for the data";
            Error::data(
                path,
                Place::Whole,
                format!("cannot be written: {cause}"),
                remedy,
            )
        })?;
        Ok(List {
            bytes,
            images: self.images(),
        })
    }

    fn images(&self) -> Vec<&'a str> {
        self.list.iter().map(|(image, _)| *image).collect()
    }

    /// The image of a record with these cells: the one that forms a pair with another cell, as the
    /// cells of other columns may happen to be ids too.
    fn image_of(&self, texts: &[&str]) -> Option<&'a str> {
        let is_image = |id: &&str| texts.iter().any(|text| self.given.contains(&(*id, *text)));
        texts
            .iter()
            .filter_map(|text| self.ids.get(normal(text).as_ref()).copied())
            .find(is_image)
    }

    fn is_removed(&self, image: &str, text: &str) -> bool {
        self.given.contains(&(image, text)) && !self.kept.contains_key(&(image, text))
    }

    /// Removes captions that are not kept from one value of a record of `image`, and says whether
    /// there were any.
    fn remove_from(&self, value: &mut Value, image: &str) -> bool {
        match value {
            Value::String(text) if self.is_removed(image, text) => {
                *value = Value::Null;
                true
            }
            Value::Array(items) => {
                let n = items.len();
                items.retain(|item| {
                    !item
                        .as_str()
                        .is_some_and(|text| self.is_removed(image, text))
                });
                items.len() < n
            }
            _ => false,
        }
    }
}

/// The texts of a value that may hold captions.
fn captions_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::{ReadOptions, open, write_kept};
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
