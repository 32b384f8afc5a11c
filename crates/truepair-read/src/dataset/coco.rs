//! Caption annotations as MS-COCO publishes them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};

use super::json_list;
use super::karpathy::{
    is_object, kept_captions, one_line, read_json, start_of_json, with_originals, write_json,
};
use super::kept_pairs::KeptPairs;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::unread_keys::{AllUnread, UnreadKeys};
use super::{Choice, Format, ReadOptions, resolve_split};

/// One JSON file with `images[]` and `annotations[]`.
pub(super) struct Coco;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    #[serde(flatten)]
    unread: UnreadKeys,
}

#[derive(Deserialize)]
struct Image {
    id: ImageId,
    file_name: String,
    #[serde(flatten)]
    unread: UnreadKeys,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Option<ImageId>,
    image_id: ImageId,
    /// Absent in annotations of boxes, and null where a caption was taken out.
    #[serde(default)]
    caption: Option<String>,
    #[serde(flatten)]
    unread: UnreadKeys,
}

/// A number, or a text in files that were not made by MS-COCO's tools.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ImageId {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IdVisitor)
    }
}

/// Reads an id, and says what else stands in its place.
struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = ImageId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, a whole number or a text")
    }

    fn visit_i64<E: de::Error>(self, id: i64) -> Result<ImageId, E> {
        Ok(ImageId::Number(id))
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<ImageId, E> {
        i64::try_from(id)
            .map(ImageId::Number)
            .map_err(|_| no_id(id))
    }

    fn visit_f64<E: de::Error>(self, id: f64) -> Result<ImageId, E> {
        Err(no_id(format_args!("{id:?}")))
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<ImageId, E> {
        Ok(ImageId::Text(id.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<ImageId, E> {
        Err(no_id("null"))
    }
}

fn no_id<E: de::Error>(found: impl fmt::Display) -> E {
    E::custom(format_args!(
        "an id is {found}, expected a whole number below 2^63 or a text"
    ))
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageId::Number(number) => number.fmt(f),
            ImageId::Text(text) => write!(f, "'{text}'"),
        }
    }
}

impl Format for Coco {
    fn name(&self) -> &'static str {
        "coco"
    }

    fn summary(&self) -> &'static str {
        "Caption annotations of MS-COCO; one file is one split, called `all`."
    }

    fn files(&self) -> &'static str {
        "one `.json` with `images[]` and `annotations[]` of `image_id` and `caption`, and a file of \
         image features in the order of `images[]` or keyed by file name"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let start = start_of_json(path)?;
        if !is_object(&start) || json_list::form_of(path).is_some() {
            return None;
        }
        let has = |key: &str| start.contains(&format!("\"{key}\""));
        (has("file_name") || has("annotations") || has("image_id"))
            .then(|| "a JSON file that begins as caption annotations do".into())
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &["all".to_owned()])?;
        let file: File = read_json(path)?;
        let index_of = index_of(path, &file.images)?;
        let mut listing = Listing {
            n_records: file.images.len(),
            ..Listing::default()
        };
        let mut unread = AllUnread::default();
        unread.add("", file.unread);
        let mut has_caption = vec![false; file.images.len()];
        let mut ids = HashSet::new();
        for (n, annotation) in file.annotations.into_iter().enumerate() {
            let place = Place::Record(n as u64 + 1);
            let name = format!("record {}", n + 1);
            unread.add("annotations", annotation.unread);
            let image = *index_of.get(&annotation.image_id).ok_or_else(|| {
                let id = &annotation.image_id;
                let problem = format!("annotation of image {id}, which is not there");
                let remedy = "add the image, or remove the annotation";
                Error::data(path, place, problem, remedy)
            })?;
            let Some(caption) = annotation.caption else {
                let why = "it has no caption";
                listing.account.pass("annotation", why, name);
                continue;
            };
            if annotation.id.is_some_and(|id| !ids.insert(id)) {
                let how = "its id was used before, and both are read";
                listing.account.chose_for("annotation", how, name);
            }
            has_caption[image as usize] = true;
            listing.captions.push(ListedCaption {
                image,
                text: one_line(&caption),
                place,
                record: n as u32,
            });
        }
        list_images(file.images, &has_caption, &mut listing, &mut unread);
        unread.note(&mut listing.account);
        listing.into_dataset(self.name(), path, split, options)
    }

    /// The same file with only the kept annotations.
    fn names_all_images(&self) -> bool {
        true
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::Features, Choice::CaptionFeatures]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let path = &dataset.files[0];
        let mut file: Value = read_json(path)?;
        if let Some(annotations) = kept_annotations(&file, dataset, keep) {
            file["annotations"] = annotations.into();
            return write_json(dataset, &file, out);
        }
        let kept = kept_captions(dataset, keep)?;
        let mut old: HashMap<String, Vec<Value>> = HashMap::new();
        for annotation in file["annotations"].as_array().into_iter().flatten() {
            let id = annotation["image_id"].to_string();
            old.entry(id).or_default().push(annotation.clone());
        }
        let mut annotations = Vec::new();
        for image in file["images"].as_array().into_iter().flatten() {
            let Some(texts) = image["file_name"].as_str().and_then(|name| kept.get(name)) else {
                continue;
            };
            let own = Value::from(old.remove(&image["id"].to_string()).unwrap_or_default());
            for mut annotation in with_originals(texts, &own, "caption") {
                annotation["image_id"] = image["id"].clone();
                annotations.push(annotation);
            }
        }
        file["annotations"] = annotations.into();
        write_json(dataset, &file, out)
    }
}

/// The annotations that stay, in their order; `None` where the pairs are not those of the annotations, because
/// noise was planted.
fn kept_annotations(file: &Value, dataset: &Dataset, keep: &[bool]) -> Option<Vec<Value>> {
    let of = |key: &str| file[key].as_array().into_iter().flatten();
    let names: HashMap<String, &str> = of("images")
        .filter_map(|image| Some((image["id"].to_string(), image["file_name"].as_str()?)))
        .collect();
    let mut pairs = KeptPairs::new(dataset, keep);
    let stays = |annotation: &&Value| {
        let name = names.get(&annotation["image_id"].to_string());
        let text = annotation["caption"].as_str().map(one_line);
        // What is not a caption was not read, and stays.
        name.zip(text)
            .is_none_or(|(name, text)| pairs.take(name, &text))
    };
    let kept: Vec<Value> = of("annotations").filter(stays).cloned().collect();
    pairs.into_order().map(|_| kept)
}

/// The index of every image by its id.
///
/// # Errors
/// If two images have one id.
fn index_of(path: &Path, images: &[Image]) -> Result<HashMap<ImageId, u32>> {
    let mut index_of = HashMap::with_capacity(images.len());
    for (index, image) in images.iter().enumerate() {
        if let Some(first) = index_of.insert(image.id.clone(), index as u32) {
            let id = &image.id;
            let problem = format!("image id {id} already appears at record {}", first + 1);
            let place = Place::Record(index as u64 + 1);
            let remedy = "give every image an id of its own";
            return Err(Error::data(path, place, problem, remedy));
        }
    }
    Ok(index_of)
}

/// Adds the images to the listing, and says which have no caption.
fn list_images(
    images: Vec<Image>,
    has_caption: &[bool],
    listing: &mut Listing,
    unread: &mut AllUnread,
) {
    for (record, (image, has_caption)) in (0..).zip(images.into_iter().zip(has_caption)) {
        unread.add("images", image.unread);
        if !has_caption {
            let how = "it has no caption and stays in the gallery without a pair";
            listing.account.chose_for("image", how, &image.file_name);
        }
        listing.images.push(ListedImage {
            id: image.file_name,
            file: None,
            record,
            in_split: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use truepair_core::dataset::Features;
    use truepair_core::pair::Pair;

    use super::super::{open, write::write_features, write_kept};
    use super::*;

    fn data(folder: &Path, annotations: &Value) -> PathBuf {
        let images = json!([{"id": 9, "file_name": "a.jpg"}, {"id": 4, "file_name": "b.jpg"}]);
        let path = folder.join("captions.json");
        let file = json!({"images": images, "annotations": annotations, "info": {"year": 2014}});
        std::fs::write(&path, file.to_string()).unwrap();
        let features = Features::from_rows(vec![1.0, 2.0], 1);
        write_features(&folder.join("captions.npy"), &features, &[0, 1]).unwrap();
        path
    }

    #[test]
    fn annotations_find_their_images_and_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let annotation =
            |id: i64, image: i64, text: &str| json!({"id": id, "image_id": image, "caption": text});
        let annotations = json!([
            annotation(1, 4, "one"),
            annotation(2, 9, "two"),
            annotation(3, 4, "three")
        ]);
        let path = data(folder.path(), &annotations);
        let data = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!((data.format, data.split.as_str()), ("coco", "all"));
        assert_eq!(
            data.pairs[0],
            Pair {
                image: 1,
                caption: 0
            }
        );
        let out = folder.path().join("out");
        let written = write_kept(&data, &[false, true, true], &out).unwrap();
        let file: Value = read_json(&written[0]).unwrap();
        assert_eq!(file["annotations"], json!([annotations[1], annotations[2]]));
        assert_eq!(file["info"]["year"], 2014);
    }

    #[test]
    fn an_annotation_without_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = data(folder.path(), &json!([{"image_id": 5, "caption": "lost"}]));
        let error = open(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("captions.json: record 1: annotation of image 5"),
            "{error}"
        );
    }

    #[test]
    fn what_is_missing_or_there_twice_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let annotations = json!([
            {"id": 1, "image_id": 9, "caption": null},
            {"id": 2, "image_id": 4, "caption": "one"},
            {"id": 2, "image_id": 4, "caption": "two"},
            {"id": 3, "image_id": 4, "bbox": [0, 0, 1, 1]}
        ]);
        let path = data(folder.path(), &annotations);
        let data = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!(data.captions.as_deref().unwrap(), ["one", "two"]);
        let said = data.account.lines().join("\n");
        for part in [
            "2 annotations: it has no caption (record 1, record 4)",
            "1 annotation: its id was used before, and both are read (record 3)",
            "it has no caption and stays in the gallery without a pair (a.jpg)",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}
