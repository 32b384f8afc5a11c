//! Pictures as Base64 beside texts that name them, as Chinese-CLIP and MUGE keep data sets.
//!
//! `SPLIT_imgs.tsv` has one picture a line, `SPLIT_texts.jsonl` one text with the ids of its pictures.
//! Source: <https://github.com/OFA-Sys/Chinese-CLIP>, its section on data.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::base64_pictures::Base64Pictures;
use super::json_lines;
use super::judged::{Items, Judged, kept_flags};
use super::leftovers::{Fate, account_for_folder, entries};
use super::shard_names::{ShardName, one_name};
use super::write::link_into;
use super::{Format, ReadOptions, resolve_split};
use crate::lines::lines;

/// What names of files of pictures end in.
const PICTURES: &str = "_imgs.tsv";
/// What names of files of texts end in, best first.
const TEXTS: &[&str] = &["_texts.jsonl", "_queries.jsonl"];
/// Keys of a text's id, the text, and the ids of its pictures.
const KEYS: [&[&str]; 3] = [
    &["text_id", "query_id", "id"],
    &["text", "query_text", "caption"],
    &["image_ids", "item_ids"],
];

/// A folder of `SPLIT_imgs.tsv` and `SPLIT_texts.jsonl`.
pub(super) struct ChineseClip;

impl Format for ChineseClip {
    fn name(&self) -> &'static str {
        "chinese_clip"
    }

    fn summary(&self) -> &'static str {
        "Pictures in Base64, one a line, and texts that name them by id, as Chinese-CLIP has them; a text may \
         have several pictures, and a picture several texts."
    }

    fn files(&self) -> &'static str {
        "`{split}_imgs.tsv` of id, tab and picture in Base64 (standard or for addresses), and \
         `{split}_texts.jsonl` of `text_id`, `text` and `image_ids` (or `{split}_queries.jsonl` of `query_id`, \
         `query_text` and `item_ids`)"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let found = Files::in_folder(path).ok()?;
        let first = found.first()?;
        let name = first.pictures.file_name()?.to_string_lossy();
        Some(format!("the folder holds {name} and its texts"))
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        let mut splits: Vec<String> = Files::in_folder(path)?
            .into_iter()
            .map(|f| f.split)
            .collect();
        splits.sort();
        Ok(splits)
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let all = Files::in_folder(path)?;
        let splits: Vec<String> = all.iter().map(|files| files.split.clone()).collect();
        let split = resolve_split(path, options, &splits)?;
        let of_split = all.iter().find(|files| files.split == split);
        let files = of_split.expect("the split was found");
        let mut judged = files.read()?;
        account_for_folder(&mut judged.account, path, |name| {
            let is = |file: &Path| file.file_name().is_some_and(|own| own == name);
            match all
                .iter()
                .find(|files| is(&files.pictures) || is(&files.texts))
            {
                Some(own) if own.split == split => Fate::Used,
                Some(_) => Fate::OfOtherSplits,
                None => Fate::PassedOver("it is neither pictures nor the texts of such a file"),
            }
        })?;
        judged.into_dataset(self.name(), path, split, options)
    }

    /// The same texts without the removed pictures, and without those that have none left.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let [pictures, texts] = &dataset.files[..] else {
            let problem = "the data does not name its files of pictures and texts";
            return Err(Error::argument(problem, "read it again"));
        };
        let list = out.join(texts.file_name().unwrap_or_default());
        durable::write(&list, cleaned(texts, dataset, keep)?.as_bytes())?;
        let mut written = vec![list, link_into(pictures, out)?];
        let folder = pictures.parent().unwrap_or(Path::new("."));
        let others = Files::in_folder(folder)?.into_iter();
        for other in others.filter(|other| other.split != dataset.split) {
            written.push(link_into(&other.pictures, out)?);
            written.push(link_into(&other.texts, out)?);
        }
        Ok(written)
    }
}

/// The files of one split.
#[derive(Debug)]
struct Files {
    split: String,
    pictures: PathBuf,
    texts: PathBuf,
}

impl Files {
    /// The splits in a folder; none where it has no such files.
    ///
    /// # Errors
    /// If the folder cannot be listed, or two splits have one name.
    fn in_folder(folder: &Path) -> Result<Vec<Self>> {
        let mut found: Vec<Self> = Vec::new();
        if !folder.is_dir() {
            return Ok(found);
        }
        for pictures in entries(folder)? {
            let name = pictures.file_name().unwrap_or_default().to_string_lossy();
            let Some(stem) = name.strip_suffix(PICTURES) else {
                continue;
            };
            let texts = TEXTS
                .iter()
                .map(|ending| folder.join(format!("{stem}{ending}")));
            let Some(texts) = texts.into_iter().find(|texts| texts.is_file()) else {
                continue;
            };
            let named = ShardName::parse(stem).split;
            let split = named.map_or_else(|| stem.to_owned(), |split| one_name(&split));
            if let Some(other) = found.iter().find(|other| other.split == split) {
                let problem = format!(
                    "{} and {name} are both the split '{split}'",
                    other.pictures.file_name().unwrap_or_default().display()
                );
                let remedy = "move one of the two away";
                return Err(Error::data(folder, Place::Whole, problem, remedy));
            }
            found.push(Self {
                split,
                texts,
                pictures: pictures.clone(),
            });
        }
        Ok(found)
    }

    fn read(&self) -> Result<Judged> {
        let mut judged = Judged {
            files: vec![self.pictures.clone(), self.texts.clone()],
            text_file: self.texts.clone(),
            ..Judged::default()
        };
        judged.images = Base64Pictures::open(&self.pictures, &mut judged.account)?;
        let mut texts: Items<String> = Items::default();
        let mut has_pair = Vec::new();
        each_text(&self.texts, |place, text| {
            if text.images.is_empty() {
                judged.account.pass("text", "it names no picture", &text.id);
                return Ok(());
            }
            texts.add(&self.texts, place, text.id.clone(), text.text)?;
            let before = judged.pairs.len();
            for image in text.images {
                if judged.images.find(&image).is_some() {
                    judged.pairs.push((image, text.id.clone()));
                } else {
                    let place = place.to_string();
                    let place = place.trim_start_matches([':', ' ']);
                    let why = "the text names a picture that is not there or cannot be read";
                    judged
                        .account
                        .pass("pair", why, format!("line {place}: {image}"));
                }
            }
            has_pair.push(judged.pairs.len() > before);
            Ok(())
        })?;
        for id in texts.retain(&has_pair) {
            judged
                .account
                .pass("text", "none of its pictures is there", id);
        }
        judged.texts = texts;
        Ok(judged)
    }
}

/// One line of a file of texts.
struct Text {
    id: String,
    text: String,
    images: Vec<String>,
    fields: Map<String, Value>,
    /// The key of the pictures.
    key: String,
    /// The line itself.
    line: String,
}

/// Calls `visit` with every text and its place.
///
/// # Errors
/// If a line is not an object with an id and a text, and those of `visit`.
fn each_text(path: &Path, mut visit: impl FnMut(Place, Text) -> Result<()>) -> Result<()> {
    for line in lines(path)? {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        let place = Place::Line(line.number);
        let fields = json_lines::object(path, line.number, &line.text)?.fields;
        let key = |keys: &'static [&'static str]| {
            let mut keys = keys.iter().copied();
            keys.find(|key| fields.contains_key(*key))
        };
        let refuse = |problem: String| {
            let remedy = "write {\"text_id\": 1, \"text\": \"...\", \"image_ids\": [1, 2]}";
            Error::data(path, place, problem, remedy)
        };
        let needed = |keys: &'static [&'static str]| {
            let word = key(keys).and_then(|key| word(&fields[key]));
            word.ok_or_else(|| refuse(format!("there is no '{}' that is a text", keys[0])))
        };
        let (id, text) = (needed(KEYS[0])?, needed(KEYS[1])?);
        let of_images = key(KEYS[2]).unwrap_or(KEYS[2][0]);
        let images = match fields.get(of_images) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(word).collect(),
            Some(one) => word(one).map(|one| vec![one]),
        };
        let images = images
            .ok_or_else(|| refuse(format!("'{of_images}' is not a list of texts or numbers")))?;
        let key = of_images.to_owned();
        let text = Text {
            id,
            text,
            images,
            key,
            fields,
            line: line.text,
        };
        visit(place, text)?;
    }
    Ok(())
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The lines of a cleaned list.
fn cleaned(texts: &Path, dataset: &Dataset, keep: &[bool]) -> Result<String> {
    let mut all: Vec<Text> = Vec::new();
    each_text(texts, |_, text| {
        all.push(text);
        Ok(())
    })?;
    let read = all.iter().flat_map(|text| {
        let images = text.images.iter();
        images.map(|image| (image.as_str(), text.text.as_str()))
    });
    let mut lines = String::new();
    let Some(flags) = kept_flags(dataset, keep, read) else {
        return planted(&all, dataset, keep);
    };
    let mut flags = flags.into_iter();
    for text in all {
        let n = text.images.len();
        let stays: Vec<&String> = (text.images.iter().zip(flags.by_ref().take(n)))
            .filter_map(|(image, keep)| keep.then_some(image))
            .collect();
        if stays.is_empty() {
            continue;
        }
        let mut fields = text.fields;
        match fields.get_mut(&text.key) {
            Some(Value::Array(ids)) if stays.len() < n => {
                ids.retain(|id| word(id).is_some_and(|id| stays.contains(&&id)));
                lines += &Value::Object(fields).to_string();
            }
            _ => lines += &text.line,
        }
        lines.push('\n');
    }
    Ok(lines)
}

/// The kept pairs of a data set with planted noise, by caption.
fn planted(all: &[Text], dataset: &Dataset, keep: &[bool]) -> Result<String> {
    let texts = dataset.require_captions()?;
    let ids: HashMap<&str, &str> = (all.iter().rev())
        .map(|text| (text.text.as_str(), text.id.as_str()))
        .collect();
    let mut images: Vec<Vec<&str>> = vec![Vec::new(); texts.len()];
    for pair in dataset.kept(keep) {
        images[pair.caption as usize].push(&dataset.image_ids[pair.image as usize]);
    }
    let mut lines = String::new();
    let captions = texts.iter().zip(images).enumerate();
    for (n, (text, images)) in captions.filter(|(_, (_, images))| !images.is_empty()) {
        // Texts that occur twice get ids of their own.
        let id = ids
            .get(text.as_str())
            .map_or_else(|| n.to_string(), |id| format!("{id}-{n}"));
        lines += &json!({"text_id": id, "text": text, "image_ids": images}).to_string();
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::{open, write_kept};
    use super::*;

    const PICTURES_FILE: &str = "1\t/+8=\n2\taGVsbG8h\n\n3\ta%VsbG8h\n4\taGVsbG8\n";
    const TEXTS_FILE: &str = r#"{"text_id": 7, "text": "one", "image_ids": [1, 2]}
{"text_id": 8, "text": "two", "image_ids": [2], "note": "kept"}
{"text_id": 9, "text": "three", "image_ids": [3]}
{"text_id": 10, "text": "four", "image_ids": []}
"#;

    fn data() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("train_imgs.tsv", PICTURES_FILE),
            ("train_texts.jsonl", TEXTS_FILE),
            ("MR_valid_imgs.tsv", "5\taGVsbG8h\n"),
            (
                "MR_valid_queries.jsonl",
                "{\"query_id\": 1, \"query_text\": \"five\", \"item_ids\": [5]}\n",
            ),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn pairs(data: &Dataset) -> Vec<(&str, &str)> {
        let texts = data.captions.as_ref().unwrap();
        let pair = |pair: &truepair_core::pair::Pair| {
            let image = data.image_ids[pair.image as usize].as_str();
            (image, texts[pair.caption as usize].as_str())
        };
        data.pairs.iter().map(pair).collect()
    }

    #[test]
    fn texts_find_their_pictures_and_broken_ones_are_named_by_line() {
        let folder = data();
        let found = open(folder.path(), &ReadOptions::default()).unwrap();
        assert_eq!((found.format, found.n_images()), ("chinese_clip", 3));
        assert_eq!(pairs(&found), [("1", "one"), ("2", "one"), ("2", "two")]);
        let picture = found.images.picture(1).unwrap();
        assert_eq!(picture.read().unwrap(), b"hello!");
        assert_eq!(
            found.images.picture(0).unwrap().read().unwrap(),
            [0xff, 0xef]
        );
        let said = found.account.lines().join("\n");
        for part in [
            "its Base64 is broken (line 4, id 3: '%' in place 2",
            "a picture that is not there or cannot be read (line 3: 3)",
            "it names no picture (10)",
            "none of its pictures is there (9)",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let splits = ChineseClip.splits(folder.path(), &ReadOptions::default());
        assert_eq!(splits.unwrap(), ["dev", "train"]);
        let options = ReadOptions {
            split: "dev".into(),
            ..ReadOptions::default()
        };
        assert_eq!(
            pairs(&open(folder.path(), &options).unwrap()),
            [("5", "five")]
        );
    }

    #[test]
    fn cleaned_lists_open_again_with_planted_noise_or_without() {
        let folder = data();
        let mut found = open(folder.path(), &ReadOptions::default()).unwrap();
        let out = folder.path().join("out");
        let files = write_kept(&found, &[false, true, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(pairs(&again), [("2", "one"), ("2", "two")]);
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(
            text.contains("\"image_ids\": [2], \"note\": \"kept\""),
            "{text}"
        );
        found.pairs[2].image = 0;
        let out = folder.path().join("planted");
        write_kept(&found, &[false, true, true], &out).unwrap();
        let again = open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(pairs(&again), [("2", "one"), ("1", "two")]);
    }

    #[test]
    fn ids_used_twice_and_lines_without_tab_are_refused() {
        let folder = data();
        let refused = |name: &str, content: &str| {
            let path = folder.path().join(name);
            let before = std::fs::read(&path).unwrap();
            std::fs::write(&path, content).unwrap();
            let error = open(folder.path(), &ReadOptions::default()).unwrap_err();
            std::fs::write(&path, before).unwrap();
            error.to_string()
        };
        let twice = refused("train_imgs.tsv", "1\tAA==\n1\tAA==\n");
        assert!(
            twice.contains("train_imgs.tsv:2: id '1' was already used (at 1)"),
            "{twice}"
        );
        let tab = refused("train_imgs.tsv", "1 AA==\n");
        assert!(tab.contains("train_imgs.tsv:1: no tab"), "{tab}");
        let text = refused(
            "train_texts.jsonl",
            "{\"text_id\": 1, \"image_ids\": [1]}\n",
        );
        assert!(
            text.contains("train_texts.jsonl:1: there is no 'text'"),
            "{text}"
        );
        let ids = refused(
            "train_texts.jsonl",
            "{\"text_id\": 1, \"text\": \"a\", \"image_ids\": [{}]}\n",
        );
        assert!(ids.contains("'image_ids' is not a list"), "{ids}");
    }
}
