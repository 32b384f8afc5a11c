//! Videos and sentences apart in one JSON document, as MSR-VTT keeps them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};

use super::karpathy::{is_object, one_line, read_json, start_of_json, write_json};
use super::kept_pairs::KeptPairs;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::split_names::canonical;
use super::{Choice, Format, ReadOptions, resolve_split};

/// Keys that are read of a video and of a sentence.
const OF_VIDEO: &[&str] = &["video_id", "split"];
const OF_SENTENCE: &[&str] = &["video_id", "caption"];

/// One JSON file with `videos[]` and `sentences[]`.
pub(super) struct Msrvtt;

impl Format for Msrvtt {
    fn name(&self) -> &'static str {
        "msrvtt"
    }

    fn summary(&self) -> &'static str {
        "MSR-VTT's videos and sentences; a video stands for an image, and `validate` is called `dev`."
    }

    fn files(&self) -> &'static str {
        "one `.json` with `videos[]` of `video_id` and `split`, and `sentences[]` of `video_id` and `caption`, and a \
         file of features in the order of `videos[]` or keyed by `video_id`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let start = start_of_json(path)?;
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        let is_it = is_object(&start) && has("video_id") && (has("videos") || has("sentences"));
        is_it.then(|| "a JSON file that begins with videos or their sentences".into())
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(Document::read(path)?.splits())
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let document = Document::read(path)?;
        let split = resolve_split(path, options, &document.splits())?;
        let mut listing = Listing {
            n_records: document.videos.len(),
            ..Listing::default()
        };
        let mut index: HashMap<&str, u32> = HashMap::new();
        for (n, video) in (0..).zip(&document.videos) {
            let id = text(path, video, "videos", n, "video_id")?;
            if let Some(first) = index.insert(id, n) {
                let problem = format!("video '{id}' was already listed (record {})", first + 1);
                let place = Place::Record(u64::from(n) + 1);
                return Err(Error::data(path, place, problem, "list every video once"));
            }
            listing.images.push(ListedImage {
                id: id.to_owned(),
                file: None,
                record: n,
                in_split: split_of(video) == split,
            });
        }
        for (n, sentence) in (0..).zip(&document.sentences) {
            let id = text(path, sentence, "sentences", n, "video_id")?;
            let place = Place::Record(u64::from(n) + 1);
            let Some(&image) = index.get(id) else {
                let problem = format!("sentence of video '{id}', which is not among the videos");
                let remedy = "add the video, or remove the sentence";
                return Err(Error::data(path, place, problem, remedy));
            };
            if !listing.images[image as usize].in_split {
                listing.account.used("sentence of other splits", 1);
                continue;
            }
            let caption = text(path, sentence, "sentences", n, "caption")?;
            listing.captions.push(ListedCaption {
                image,
                text: one_line(caption),
                place,
                record: image,
            });
        }
        document.note_unread(&mut listing);
        listing.into_dataset(self.name(), path, split, options)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Features, Choice::CaptionFeatures]
    }

    /// The same document without the removed sentences.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let path = &dataset.files[0];
        let mut file: Value = read_json(path)?;
        let mut pairs = KeptPairs::new(dataset, keep);
        let mut sentences = file["sentences"].as_array().cloned().unwrap_or_default();
        let word = |sentence: &Value, key: &str| {
            sentence[key]
                .as_str()
                .map(str::to_owned)
                .unwrap_or_default()
        };
        sentences.retain(|sentence| {
            let id = word(sentence, "video_id");
            !pairs.has_image(&id) || pairs.take(&id, &one_line(&word(sentence, "caption")))
        });
        if pairs.into_order().is_none() {
            sentences.clear();
            let texts = dataset.require_captions()?;
            for pair in dataset.kept(keep) {
                let id = &dataset.image_ids[pair.image as usize];
                let caption = &texts[pair.caption as usize];
                sentences.push(serde_json::json!({"caption": caption, "video_id": id}));
            }
        }
        file["sentences"] = sentences.into();
        write_json(dataset, &file, out)
    }
}

struct Document {
    videos: Vec<Map<String, Value>>,
    sentences: Vec<Map<String, Value>>,
    /// The other keys of the document.
    others: Vec<String>,
}

impl Document {
    fn read(path: &Path) -> Result<Self> {
        let mut file: Map<String, Value> = read_json(path)?;
        let mut list = |key: &str| match file.remove(key) {
            Some(Value::Array(items)) => {
                let objects = items.into_iter().enumerate().map(|(n, item)| match item {
                    Value::Object(fields) => Ok(fields),
                    _ => {
                        let place = Place::Record(n as u64 + 1);
                        let problem = format!("an element of '{key}' is not an object");
                        Err(Error::data(
                            path,
                            place,
                            problem,
                            "check that the file is whole",
                        ))
                    }
                });
                objects.collect::<Result<Vec<_>>>()
            }
            _ => Err(Error::data(
                path,
                Place::Whole,
                format!("there is no list '{key}'"),
                "give the file with both videos and sentences",
            )),
        };
        Ok(Self {
            videos: list("videos")?,
            sentences: list("sentences")?,
            others: file.into_iter().map(|(key, _)| key).collect(),
        })
    }

    fn splits(&self) -> Vec<String> {
        let mut splits: Vec<String> = self.videos.iter().map(split_of).collect();
        splits.sort();
        splits.dedup();
        splits
    }

    fn note_unread(&self, listing: &mut Listing) {
        let why = "it is not read";
        for key in &self.others {
            listing.account.pass("key", why, key);
        }
        for (of, items, known) in [
            ("videos", &self.videos, OF_VIDEO),
            ("sentences", &self.sentences, OF_SENTENCE),
        ] {
            let mut keys: Vec<&String> = items.iter().flat_map(Map::keys).collect();
            keys.sort();
            keys.dedup();
            for key in keys
                .into_iter()
                .filter(|key| !known.contains(&key.as_str()))
            {
                listing.account.pass("key", why, format!("{of}[].{key}"));
            }
        }
    }
}

fn split_of(video: &Map<String, Value>) -> String {
    match video.get("split").and_then(Value::as_str) {
        Some("validate") => "dev".into(),
        Some(split) => canonical(split).to_owned(),
        None => "all".into(),
    }
}

fn text<'a>(
    path: &Path,
    fields: &'a Map<String, Value>,
    of: &str,
    n: u32,
    key: &str,
) -> Result<&'a str> {
    fields.get(key).and_then(Value::as_str).ok_or_else(|| {
        Error::data(
            path,
            Place::Record(u64::from(n) + 1),
            format!("'{of}[].{key}' is not a text"),
            "correct or remove the record",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use truepair_core::dataset::Features;

    use super::super::write::write_features;
    use super::super::{open, write_kept};
    use super::*;

    #[test]
    fn sentences_find_their_videos_and_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train_val.json");
        let sentence = |id: &str, text: &str| json!({"caption": text, "video_id": id, "sen_id": 1});
        let file = json!({"info": {}, "videos": [
            {"video_id": "v0", "split": "train", "url": "u"},
            {"video_id": "v1", "split": "validate"}],
            "sentences": [sentence("v0", "one"), sentence("v1", "two"), sentence("v0", "three")]});
        std::fs::write(&path, file.to_string()).unwrap();
        let features = Features::from_rows(vec![0.0, 1.0], 1);
        write_features(&path.with_extension("npy"), &features, &[0, 1]).unwrap();
        let data = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!((data.format, data.n_images()), ("msrvtt", 1));
        assert_eq!(data.captions.as_deref().unwrap(), ["one", "three"]);
        let said = data.account.lines().join("\n");
        assert!(
            said.contains("sentences[].sen_id") && said.contains("videos[].url"),
            "{said}"
        );
        let out = folder.path().join("out");
        let files = write_kept(&data, &[false, true], &out).unwrap();
        let dev = ReadOptions {
            split: "dev".into(),
            ..ReadOptions::default()
        };
        assert_eq!(open(&files[0], &dev).unwrap().captions.unwrap(), ["two"]);
        let again = open(&files[0], &ReadOptions::default()).unwrap();
        assert_eq!(again.captions.unwrap(), ["three"]);
        std::fs::write(
            &path,
            file.to_string()
                .replace("\"v1\"", "\"v2\"")
                .replacen("v2", "v1", 1),
        )
        .unwrap();
        let error = open(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("record 2: sentence of video 'v2'"),
            "{error}"
        );
    }
}
