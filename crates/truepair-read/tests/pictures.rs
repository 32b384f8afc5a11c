//! Pictures that tables and JSON files name or hold, as the images of a data set.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use truepair_core::dataset::Dataset;
use truepair_read::dataset::{Pictures, ReadOptions, open, write_kept};

fn options(pictures: Pictures) -> ReadOptions {
    ReadOptions {
        pictures,
        ..ReadOptions::default()
    }
}

/// The bytes of every image's picture.
fn bytes(dataset: &Dataset) -> Vec<Vec<u8>> {
    let pictures = (0..dataset.n_images()).map(|row| dataset.images.picture(row).unwrap());
    pictures.map(|picture| picture.read().unwrap()).collect()
}

/// A parquet file whose leaf columns hold these values, `None` = absent.
fn parquet(path: &Path, schema: &str, groups: &[Vec<Vec<Option<&[u8]>>>]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file =
        SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    for columns in groups {
        let mut group = file.next_row_group().unwrap();
        for values in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let present: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
            let values: Vec<ByteArray> = (values.iter().flatten())
                .map(|value| ByteArray::from(value.to_vec()))
                .collect();
            let written = column.typed::<ByteArrayType>();
            written.write_batch(&values, Some(&present), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    file.close().unwrap();
}

#[test]
fn a_parquet_column_holds_the_bytes_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.parquet");
    let schema = "message pairs {
        optional binary image;
        optional binary caption (STRING);
    }";
    let group = |images: [&'static [u8]; 2], captions: [&'static str; 2]| {
        vec![
            images.map(Some).to_vec(),
            captions.map(|text| Some(text.as_bytes())).to_vec(),
        ]
    };
    let groups = [
        group([b"\xff\xd8 first", b"\x89PNG second"], ["one", "two"]),
        group([b"\xff\xfe third", b"GIF fourth"], ["three", "four"]),
    ];
    parquet(&path, schema, &groups);
    let data = open(&path, &options(Pictures::Beside)).unwrap();
    assert!(data.images.are_pictures());
    assert_eq!((data.n_images(), data.n_captions()), (4, 4));
    let wanted: [&[u8]; 4] = [
        b"\xff\xd8 first",
        b"\x89PNG second",
        b"\xff\xfe third",
        b"GIF fourth",
    ];
    assert_eq!(bytes(&data), wanted);
    // Back and forth over the row groups.
    let read = |row: usize| data.images.picture(row).unwrap().read().unwrap();
    assert_eq!(
        [read(3), read(0), read(2)],
        [wanted[3], wanted[0], wanted[2]]
    );
    let place = data.images.picture(2).unwrap().to_string();
    assert!(place.ends_with("pairs.parquet: record 3"), "{place}");

    let keep = [true, false, false, true];
    let out = folder.path().join("out");
    let written = write_kept(&data, &keep, &out).unwrap();
    let list = written
        .iter()
        .find(|file| file.extension().is_some_and(|e| e == "parquet"));
    let again = open(list.unwrap(), &options(Pictures::Beside)).unwrap();
    assert_eq!(bytes(&again), [wanted[0], wanted[3]]);
    assert_eq!(again.captions.unwrap(), ["one", "four"]);
    // Images without names are called by the numbers of their records.
    assert_eq!(again.image_ids, ["0", "1"]);
}

#[test]
fn structs_of_bytes_and_path_name_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.parquet");
    let schema = "message hub {
        required group image {
            optional binary bytes;
            optional binary path (STRING);
        }
        optional binary caption (STRING);
    }";
    let text = |text: &'static str| Some(text.as_bytes());
    let columns = vec![
        vec![Some(&b"\xff\xd8 a"[..]), None, Some(b"\xff\xd8 c")],
        vec![text("a.jpg"), text("b.jpg"), text("c.jpg")],
        vec![text("one"), text("two"), text("three")],
    ];
    parquet(&path, schema, &[columns]);
    let data = open(&path, &options(Pictures::Beside)).unwrap();
    assert_eq!(data.image_ids, ["a.jpg", "b.jpg", "c.jpg"]);
    let read = |row: usize| data.images.picture(row).unwrap().read();
    assert_eq!(read(0).unwrap(), b"\xff\xd8 a");
    assert_eq!(read(1).unwrap_err(), "the record has no bytes");
    assert_eq!(read(2).unwrap(), b"\xff\xd8 c");

    let out = folder.path().join("out");
    let written = write_kept(&data, &[false, true, true], &out).unwrap();
    let again = open(&written[0], &options(Pictures::Beside)).unwrap();
    assert_eq!(again.image_ids, ["b.jpg", "c.jpg"]);
    let read = |row: usize| again.images.picture(row).unwrap().read();
    assert_eq!(read(0).unwrap_err(), "the record has no bytes");
    assert_eq!(read(1).unwrap(), b"\xff\xd8 c");
}

/// A folder `root` with pictures, whose content is their name.
fn picture_folder(root: &Path, files: &[&str]) -> PathBuf {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.as_bytes()).unwrap();
    }
    root.to_path_buf()
}

fn karpathy(path: &Path) {
    let image = |folder: &str, name: &str, split: &str| {
        let sentences = [json!({"raw": format!("{name} one")}), json!({"raw": "two"})];
        json!({"filepath": folder, "filename": name, "split": split, "sentences": sentences})
    };
    let images = [
        image("train2014", "a.jpg", "train"),
        image("val2014", "b.jpg", "test"),
        image("val2014", "c.jpg", "restval"),
    ];
    fs::write(
        path,
        json!({"images": images, "dataset": "coco"}).to_string(),
    )
    .unwrap();
}

#[test]
fn karpathys_json_finds_its_pictures_in_the_named_folder() {
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("dataset_coco.json");
    karpathy(&list);
    let files = ["train2014/a.jpg", "val2014/b.jpg", "val2014/c.jpg"];
    let root = picture_folder(&home.path().join("far/away"), &files);
    let train = open(&list, &options(Pictures::In(root.clone()))).unwrap();
    assert_eq!(train.image_ids, ["a.jpg", "c.jpg"]);
    assert_eq!(bytes(&train), [&b"train2014/a.jpg"[..], b"val2014/c.jpg"]);
    assert_eq!(train.n_captions(), 4);
    // Without their folders, as Flickr's archives unpack.
    let flat = picture_folder(&home.path().join("flat"), &["a.jpg", "c.jpg"]);
    let train = open(&list, &options(Pictures::In(flat))).unwrap();
    assert_eq!(bytes(&train), [&b"a.jpg"[..], b"c.jpg"]);

    let keep = [false, false, true, true];
    let written = write_kept(&train, &keep, home.path().join("out")).unwrap();
    let again = open(&written[0], &options(Pictures::In(root))).unwrap();
    assert_eq!(again.captions.unwrap(), ["c.jpg one", "two"]);
}

#[test]
fn coco_annotations_find_their_pictures_beside_the_list() {
    let home = tempfile::tempdir().unwrap();
    let images = json!([{"id": 7, "file_name": "x.jpg"}, {"id": 3, "file_name": "y.jpg"}]);
    let annotations = json!([
        {"id": 1, "image_id": 3, "caption": "of y"},
        {"id": 2, "image_id": 7, "caption": "of x"},
    ]);
    let list = home.path().join("annotations/captions_val2017.json");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(
        &list,
        json!({"images": images, "annotations": annotations}).to_string(),
    )
    .unwrap();
    picture_folder(home.path(), &["val2017/x.jpg", "val2017/y.jpg"]);
    let data = open(&list, &options(Pictures::Beside)).unwrap();
    assert_eq!(data.format, "coco");
    let image_of = |caption: usize| data.pairs[caption].image as usize;
    let found = bytes(&data);
    assert_eq!(found[image_of(0)], b"val2017/y.jpg");
    assert_eq!(found[image_of(1)], b"val2017/x.jpg");
}

#[test]
fn a_picture_that_is_not_there_is_missing_not_fatal() {
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("dataset_coco.json");
    karpathy(&list);
    let root = picture_folder(&home.path().join("some"), &["train2014/a.jpg"]);
    let train = open(&list, &options(Pictures::In(root))).unwrap();
    let picture = train.images.picture(1).unwrap();
    assert_eq!(picture.read().unwrap_err(), "there is no such file");
    assert!(
        picture.to_string().ends_with("some/val2014/c.jpg"),
        "{picture}"
    );
}
