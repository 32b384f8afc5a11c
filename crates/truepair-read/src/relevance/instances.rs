//! Labels of images as MS-COCO's annotations of objects have them: the set of categories that an image
//! shows.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use truepair_core::dataset::Bytes;
use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::{Codes, Ids};

/// What is read of `instances_*.json`; outlines and boxes of objects are not.
#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: i64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: i64,
    category_id: i64,
}

#[derive(Deserialize)]
struct Category {
    id: i64,
}

/// The most bits that all labels together may take.
const MOST_BITS: usize = 1 << 34;

/// Reads the categories of every image of `ids` out of MS-COCO's `instances_*.json`; an image without an
/// annotated object has no label. Images are found by the name of their file, folders before it apart,
/// or, where they are called by a number or as `COCO_val2014_000000000042` is, by their number there.
///
/// # Source
/// Chun et al., CVPR 2021 (PCME), whose plausible matches are images of similar sets. Code read at
/// naver-ai/pcme@4947684, `evaluate_pmrp_coco.py`: annotations of crowds count, images without an
/// object are left out.
///
/// # Errors
/// If the file cannot be read or is of another kind, speaks of an image or a category that it does not
/// have, or lacks an image of `ids`; or if `ids` are the numbers of rows, which name no image.
pub fn read_instances(path: &Path, ids: &Ids) -> Result<Codes> {
    let mut numbers = (0..).zip(ids.names());
    if !ids.is_empty() && numbers.all(|(row, name): (usize, _)| *name == row.to_string()) {
        return Err(Error::data(
            path,
            Place::Whole,
            "it speaks of images by their names, and the images are numbered",
            "say what the images are called: `--ids`, or the data that was ranked: `--data`",
        ));
    }
    let file = parse(path)?;
    let damaged = |problem: String| {
        let remedy = "download the annotations again";
        Error::data(path, Place::Whole, problem, remedy)
    };
    let mut column_of: Vec<i64> = file.categories.iter().map(|category| category.id).collect();
    column_of.sort_unstable();
    column_of.dedup();
    let width = column_of.len();
    if width == 0 {
        return Err(damaged("no categories".into()));
    }
    let rows = rows_of(path, &file.images, ids)?;
    if ids.len().saturating_mul(width) > MOST_BITS {
        return Err(damaged(format!(
            "{width} categories of {} images",
            ids.len()
        )));
    }
    let mut sets = vec![0i64; ids.len() * width];
    for annotation in &file.annotations {
        let Annotation {
            image_id,
            category_id,
        } = annotation;
        let Ok(column) = column_of.binary_search(category_id) else {
            return Err(damaged(format!(
                "an object of category {category_id}, which is not there"
            )));
        };
        let Some(rows) = rows.get(image_id) else {
            return Err(damaged(format!(
                "an object in image {image_id}, which is not there"
            )));
        };
        for row in rows {
            sets[row * width + column] = 1;
        }
    }
    Codes::sets(&sets, width)
}

fn parse(path: &Path) -> Result<File> {
    let bytes = Bytes::map(path)?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        let place = match cause.line() {
            0 => Place::Whole,
            line => Place::Line(line as u64),
        };
        Error::data(
            path,
            place,
            format!("not annotations of objects: {cause}"),
            "give instances_val2014.json or another file with images, annotations and categories",
        )
    })
}

/// The rows of `ids` that every image of the file has, by its number; most have none.
///
/// # Errors
/// If an image of `ids` is not there.
fn rows_of(path: &Path, images: &[Image], ids: &Ids) -> Result<HashMap<i64, Vec<usize>>> {
    let mut rows: HashMap<i64, Vec<usize>> =
        images.iter().map(|image| (image.id, Vec::new())).collect();
    let named = images
        .iter()
        .map(|image| (base_name(&image.file_name), image.id));
    let named: HashMap<&str, i64> = named.collect();
    for (row, name) in ids.names().iter().enumerate() {
        let number = named.get(base_name(name)).copied();
        let number = number.or_else(|| number_in(name));
        match number.and_then(|number| rows.get_mut(&number)) {
            Some(rows) => rows.push(row),
            None => {
                return Err(Error::data(
                    path,
                    Place::Whole,
                    format!("image '{name}' is not there"),
                    "give the annotations of the split that the images are from",
                ));
            }
        }
    }
    Ok(rows)
}

/// The name without the folders before it.
fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// 42 of `42`, `000000000042.jpg` and `COCO_val2014_000000000042.jpg`.
fn number_in(name: &str) -> Option<i64> {
    let stem = base_name(name).split('.').next()?;
    let digits = match stem.strip_prefix("COCO_") {
        Some(rest) => rest.rsplit('_').next()?,
        None => stem,
    };
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use truepair_core::relevance::{LabelRelevance, MatchRule};
    use truepair_core::scores::Direction;

    use super::*;

    fn file() -> Value {
        let object = |image: i64, category: i64, crowd: i64| json!({"image_id": image, "category_id": category, "iscrowd": crowd, "bbox": [0, 0, 1, 1]});
        json!({
            "info": {"year": 2014},
            "images": [
                {"id": 42, "file_name": "COCO_val2014_000000000042.jpg"},
                {"id": 7, "file_name": "COCO_val2014_000000000007.jpg"},
                {"id": 9, "file_name": "COCO_val2014_000000000009.jpg"},
                {"id": 11, "file_name": "COCO_val2014_000000000011.jpg"},
            ],
            "annotations": [
                object(42, 1, 0), object(42, 90, 0), object(42, 1, 0), object(7, 1, 0), object(7, 90, 1),
                object(9, 18, 0), object(9, 1, 0),
            ],
            "categories": [{"id": 1, "name": "person"}, {"id": 90}, {"id": 18}],
        })
    }

    fn read(file: &Value, names: &[&str]) -> Result<Codes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances_val2014.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let names = names.iter().map(|name| (*name).to_owned());
        read_instances(&path, &Ids::new(names.collect()).unwrap())
    }

    #[test]
    fn images_have_the_set_of_categories_they_show() {
        let names = [
            "val2014/COCO_val2014_000000000007.jpg",
            "42",
            "COCO_val2014_000000000011",
            "000000000009.png",
        ];
        let codes = read(&file(), &names).unwrap();
        assert_eq!((codes.len(), codes.n_unlabeled()), (4, 1));
        let labels = LabelRelevance::within_one_set(codes, MatchRule::Plausible).unwrap();
        let level = |a, b| labels.level(Direction::ImageToText, a, b);
        // Equal sets, though a crowd counts in one; one category exchanged is a distance of two.
        assert_eq!((level(0, 1), level(0, 3)), (Some(0), Some(2)));
        assert!(!labels.is_query(Direction::ImageToText, 2));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |file: &Value, names: &[&str]| read(file, names).unwrap_err().to_string();
        let rows = error(&file(), &["0", "1"]);
        assert!(rows.contains("the images are numbered"), "{rows}");
        let missing = error(&file(), &["42", "beach.jpg"]);
        assert!(
            missing.contains("image 'beach.jpg' is not there"),
            "{missing}"
        );
        let mut other = file();
        other["annotations"][0]["category_id"] = json!(5);
        assert!(error(&other, &["42"]).contains("category 5, which is not there"));
        other["annotations"][0] = json!({"image_id": 5, "category_id": 1});
        assert!(error(&other, &["42"]).contains("in image 5, which is not there"));
        other["annotations"] = json!([{"image_id": 42, "caption": "a person"}]);
        let captions = error(&other, &["42"]);
        assert!(
            captions.contains("missing field `category_id`"),
            "{captions}"
        );
    }
}
