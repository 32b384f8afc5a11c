//! The JSON of Karpathy's splits of Flickr8k, Flickr30k and MS-COCO.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::split_names::canonical;
use super::unread_keys::{AllUnread, UnreadKeys};
use super::write::link_into;
use super::{Choice, Format, ReadOptions, resolve_split};

/// Captions of an image that are used; papers keep the first five of the few images with more.
const CAPTIONS_PER_IMAGE: usize = 5;

/// One JSON file with `images[].sentences[].raw` and `images[].split`.
pub(super) struct Karpathy;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    #[serde(flatten)]
    unread: UnreadKeys,
}

#[derive(Deserialize)]
struct Image {
    filename: String,
    /// The folder of the picture, in MS-COCO.
    #[serde(default)]
    filepath: Option<String>,
    split: String,
    sentences: Vec<Sentence>,
    #[serde(flatten)]
    unread: UnreadKeys,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
    #[serde(flatten)]
    unread: UnreadKeys,
}

impl Format for Karpathy {
    fn name(&self) -> &'static str {
        "karpathy"
    }

    fn summary(&self) -> &'static str {
        "Karpathy's splits; `restval` counts as `train`, `val` is called `dev`, and the first five \
         captions of an image are used."
    }

    fn files(&self) -> &'static str {
        "one `.json` with `images[].sentences[].raw` and `images[].split`, and a file of image \
         features in the order of the images or keyed by file name"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let start = start_of_json(path)?;
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        (is_object(&start) && (has("sentences") || has("sentids")))
            .then(|| "a JSON file that begins with images and their sentences".into())
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(splits(&read_json(path)?))
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let file: File = read_json(path)?;
        let split = resolve_split(path, options, &splits(&file))?;
        let mut listing = Listing {
            n_records: file.images.len(),
            ..Listing::default()
        };
        let mut unread = AllUnread::default();
        unread.add("", file.unread);
        let mut first_at: HashMap<String, usize> = HashMap::new();
        for (index, image) in file.images.into_iter().enumerate() {
            let place = Place::Record(index as u64 + 1);
            unread.add("images", image.unread);
            if let Some(first) = first_at.insert(image.filename.clone(), index) {
                return Err(Error::data(
                    path,
                    place,
                    format!(
                        "image '{}' already appears at record {}",
                        image.filename,
                        first + 1
                    ),
                    "give every image a file name of its own",
                ));
            }
            let in_split = canonical(&image.split) == split;
            if in_split {
                let more = image.sentences.len().saturating_sub(CAPTIONS_PER_IMAGE);
                let why = "they stand after the fifth of their image";
                listing.account.pass_count("caption", why, more);
                let sentences = image.sentences.into_iter().take(CAPTIONS_PER_IMAGE);
                for sentence in sentences {
                    unread.add("images[].sentences", sentence.unread);
                    listing.captions.push(ListedCaption {
                        image: index as u32,
                        text: one_line(&sentence.raw),
                        place,
                        record: index as u32,
                    });
                }
            }
            let folder = image
                .filepath
                .map_or_else(String::new, |folder| folder + "/");
            let file = format!("{folder}{}", image.filename);
            let record = index as u32;
            listing.images.push(ListedImage {
                id: image.filename,
                file: Some(file),
                record,
                in_split,
            });
        }
        unread.note(&mut listing.account);
        listing.into_dataset(self.name(), path, split, options)
    }

    /// The same file with only the kept sentences of the split.
    fn names_all_images(&self) -> bool {
        true
    }

    fn keeps_other_splits(&self, _dataset: &Dataset) -> bool {
        true
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Features, Choice::CaptionFeatures]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let path = &dataset.files[0];
        let mut file: Value = read_json(path)?;
        let mut kept = kept_captions(dataset, keep)?;
        let images = file
            .get_mut("images")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten();
        for image in images {
            if image["split"].as_str().map(canonical) != Some(dataset.split.as_str()) {
                continue;
            }
            let kept = image["filename"].as_str().and_then(|id| kept.remove(id));
            let old = image["sentences"].take();
            image["sentences"] = with_originals(&kept.unwrap_or_default(), &old, "raw").into();
        }
        write_json(dataset, &file, out)
    }
}

/// Kept captions by image id.
pub(super) fn kept_captions(
    dataset: &Dataset,
    keep: &[bool],
) -> Result<HashMap<String, Vec<String>>> {
    let texts = dataset.require_captions()?;
    let mut kept: HashMap<String, Vec<String>> = HashMap::new();
    for pair in dataset.kept(keep) {
        let id = dataset.image_ids[pair.image as usize].clone();
        kept.entry(id)
            .or_default()
            .push(texts[pair.caption as usize].clone());
    }
    Ok(kept)
}

/// For every text its own object in `old`, or a new one when it is not there.
pub(super) fn with_originals(texts: &[String], old: &Value, key: &str) -> Vec<Value> {
    let mut old: Vec<&Value> = old.as_array().into_iter().flatten().collect();
    let object = |text: &String| {
        let at = old
            .iter()
            .position(|object| object[key].as_str().map(one_line).as_ref() == Some(text));
        at.map_or_else(|| json!({ key: text }), |at| old.remove(at).clone())
    };
    texts.iter().map(object).collect()
}

/// Writes `value` under the name of the file that was read, with links to the features.
pub(super) fn write_json(dataset: &Dataset, value: &Value, out: &Path) -> Result<Vec<PathBuf>> {
    let path = out.join(dataset.files[0].file_name().unwrap_or_default());
    let bytes =
        serde_json::to_vec(value).map_err(|cause| Error::io(&path, "write", cause.into()))?;
    durable::write(&path, &bytes)?;
    let mut written = vec![path];
    for features in &dataset.files[1..] {
        written.push(link_into(features, out)?);
    }
    Ok(written)
}

/// Whether the start of a document is that of an object.
pub(super) fn is_object(start: &str) -> bool {
    start
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('{')
}

/// The first 4 KiB of a `.json` file, enough to tell two formats apart without reading it all.
pub(super) fn start_of_json(path: &Path) -> Option<String> {
    if path.extension()? != "json" {
        return None;
    }
    let mut start = Vec::new();
    truepair_core::source_file::open(path)
        .ok()?
        .take(4096)
        .read_to_end(&mut start)
        .ok()?;
    Some(String::from_utf8_lossy(&start).into_owned())
}

pub(super) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let bytes = truepair_core::dataset::Bytes::map(path)?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        let place = if cause.line() == 0 {
            Place::Whole
        } else {
            Place::Line(cause.line() as u64)
        };
        let remedy = "check that the file is whole and of this format";
        Error::data(
            path,
            place,
            format!("not the expected JSON: {cause}"),
            remedy,
        )
    })
}

/// A caption without the line breaks that some of them end with.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn splits(file: &File) -> Vec<String> {
    let mut splits: Vec<String> = file
        .images
        .iter()
        .map(|image| canonical(&image.split).to_owned())
        .collect();
    splits.sort();
    splits.dedup();
    splits
}

#[cfg(test)]
mod tests {
    use truepair_core::dataset::Features;

    use super::super::{open, write::write_features, write_kept};
    use super::*;

    fn data(folder: &Path) -> PathBuf {
        let image = |name: &str, split: &str, n: usize| {
            let sentences: Vec<Value> = (0..n)
                .map(|k| json!({"raw": format!("{name} {k}\n"), "sentid": k}))
                .collect();
            json!({"filename": name, "split": split, "sentences": sentences, "imgid": 1})
        };
        let images = [
            image("a", "train", 5),
            image("b", "val", 2),
            image("c", "restval", 7),
        ];
        let path = folder.join("dataset_x.json");
        std::fs::write(&path, json!({"images": images, "dataset": "x"}).to_string()).unwrap();
        let features = Features::from_rows(vec![1.0, 2.0, 3.0], 1);
        write_features(&folder.join("dataset_x.npy"), &features, &[0, 1, 2]).unwrap();
        path
    }

    #[test]
    fn restval_is_train_and_captions_after_the_fifth_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(folder.path());
        let train = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!(
            (train.format, train.n_images(), train.n_captions()),
            ("karpathy", 2, 10)
        );
        assert_eq!(train.images.gather(&[0, 1]).unwrap(), [1.0, 3.0]);
        assert_eq!(train.captions.as_ref().unwrap()[9], "c 4");
        assert_eq!(
            train.pairs[9],
            truepair_core::pair::Pair {
                image: 1,
                caption: 9
            }
        );
        let passed = train.account.summary().unwrap();
        assert!(
            passed.contains("2 captions: they stand after the fifth"),
            "{passed}"
        );
        assert_eq!(
            Karpathy.splits(&path, &ReadOptions::default()).unwrap(),
            ["dev", "train"]
        );
    }

    #[test]
    fn the_cleaned_list_keeps_the_other_splits_and_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(folder.path());
        let train = open(&path, &ReadOptions::default()).unwrap();
        let keep: Vec<bool> = (0..10).map(|n| n % 2 == 0).collect();
        let out = folder.path().join("out");
        let written = write_kept(&train, &keep, &out).unwrap();
        let options = ReadOptions::default();
        let again = open(&written[0], &options).unwrap();
        assert_eq!(again.captions.unwrap(), ["a 0", "a 2", "a 4", "c 1", "c 3"]);
        let dev = open(
            &written[0],
            &ReadOptions {
                split: "dev".into(),
                ..options
            },
        )
        .unwrap();
        assert_eq!(dev.n_captions(), 2);
        let text = std::fs::read_to_string(&written[0]).unwrap();
        assert!(text.contains("sentid") && text.contains("\"dataset\":\"x\""));
    }
}
