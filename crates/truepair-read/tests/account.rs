//! Every format accounts for what it met: what it does not read is named, and strict reading
//! refuses it.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use truepair_core::npy::header_bytes;
use truepair_read::dataset::{FORMATS, Pictures, ReadOptions, inspect, open};
use truepair_read::labeled::{self, LABELED_FORMATS, LabeledOptions};

/// Files by their names in a folder.
type Files<'a> = &'a [(&'a str, Vec<u8>)];

fn floats(shape: &[usize]) -> Vec<u8> {
    let n: usize = shape.iter().product();
    let numbers = (0..n).flat_map(|at| (at as f32).to_le_bytes());
    header_bytes("<f4", shape)
        .into_iter()
        .chain(numbers)
        .collect()
}

fn text(content: &str) -> Vec<u8> {
    content.as_bytes().to_vec()
}

/// A table of two rows with names, captions, two columns of vectors and one that nobody asks for.
fn table_of_vectors() -> Vec<u8> {
    let vectors = |name: &str| {
        format!(
            "required group {name} (LIST) {{ repeated group list {{ required float element; }} }}"
        )
    };
    let schema = format!(
        "message m {{ required binary uid (STRING); required binary text (STRING); {} {} required binary odd (STRING); }}",
        vectors("image_embedding"),
        vectors("text_embedding"),
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::FloatColumnWriter(vectors) => {
                let numbers = [0.0, 1.0, 1.0, 0.0];
                let levels = (Some(&[1, 1, 1, 1][..]), Some(&[0, 1, 0, 1][..]));
                vectors.write_batch(&numbers, levels.0, levels.1).unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(texts) => {
                let uids = [
                    "0123456789abcdef0123456789abcde0",
                    "0123456789abcdef0123456789abcde1",
                ];
                let values = uids.map(ByteArray::from);
                texts.write_batch(&values, None, None).unwrap();
            }
            _ => unreachable!("the schema has texts and floats"),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

/// An `.npz` of arrays of two rows.
fn arrays(names: &[&str]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        let stored = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, stored).unwrap();
        archive.write_all(&floats(&[2, 2])).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// An archive in the oldest layout.
fn archive(members: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

/// An input of every format that holds `odd` or something of this name, which no reader uses.
fn files_of(format: &str) -> (&'static str, Vec<(&'static str, Vec<u8>)>) {
    let karpathy = r#"{"images": [{"filename": "a", "split": "train", "odd": 1,
        "sentences": [{"raw": "one", "tokens": ["one"]}]}]}"#;
    let coco = r#"{"images": [{"id": 1, "file_name": "a"}], "info": {},
        "annotations": [{"image_id": 1, "caption": "one", "odd": 2}]}"#;
    match format {
        "precomp" => (
            "",
            vec![
                ("train_ims.npy", floats(&[2, 1])),
                ("train_caps.txt", text("one\ntwo\n")),
                ("dev_ims.npy", floats(&[2, 1])),
                ("odd.npy", floats(&[2, 1])),
            ],
        ),
        "clip_retrieval" => (
            "",
            vec![
                ("img_emb/img_emb_0.npy", floats(&[2, 1])),
                ("img_emb/odd.json", text("{}")),
                ("text_emb/text_emb_0.npy", floats(&[2, 1])),
            ],
        ),
        "embeddings" => (
            "",
            vec![
                ("images.npy", floats(&[2, 1])),
                ("captions.npy", floats(&[2, 1])),
                ("odd.npy", floats(&[2, 1])),
            ],
        ),
        "karpathy" => (
            "d.json",
            vec![("d.json", text(karpathy)), ("d.npy", floats(&[1, 1]))],
        ),
        "coco" => (
            "d.json",
            vec![("d.json", text(coco)), ("d.npy", floats(&[1, 1]))],
        ),
        "table" => (
            "t.csv",
            vec![
                ("t.csv", text("image,caption,odd\na,one,1\nb,two,2\n")),
                ("t.npy", floats(&[2, 1])),
            ],
        ),
        "cub" => (
            "",
            vec![
                ("images.txt", text("1 001.A/a.jpg\n")),
                ("image_class_labels.txt", text("1 1\n")),
                ("trainvalclasses.txt", text("001.A\n")),
                ("testclasses.txt", text("002.B\n")),
                ("images/001.A/a.jpg", text("picture")),
                ("text_c10/001.A/a.txt", text("one\n")),
                ("odd.txt", text("attributes")),
            ],
        ),
        "webdataset" => (
            "s.tar",
            vec![(
                "s.tar",
                archive(&[
                    ("a.jpg", "A"),
                    ("a.txt", "one"),
                    ("a.odd", "1"),
                    ("b.jpg", "B"),
                ]),
            )],
        ),
        "folder" => (
            "",
            vec![
                ("a.jpg", text("A")),
                ("a.txt", text("one")),
                ("odd.doc", text("1")),
            ],
        ),
        "huggingface" => (
            "",
            vec![
                ("data/train-0.csv", text("image,caption\na.jpg,one\n")),
                ("data/train-1.csv", text("image,caption\nb.jpg,two\n")),
                ("a.jpg", text("A")),
                ("data/b.jpg", text("B")),
                ("odd.doc", text("1")),
            ],
        ),
        "msrvtt" => (
            "d.json",
            vec![
                (
                    "d.json",
                    text(
                        r#"{"videos": [{"video_id": "v0", "split": "train", "odd": 1}],
                        "sentences": [{"video_id": "v0", "caption": "one"}]}"#,
                    ),
                ),
                ("d.npy", floats(&[1, 1])),
            ],
        ),
        "flickr_tokens" => (
            "f.token",
            vec![
                ("f.token", text("a.jpg#0\tone\nodd.jpg#0\ttwo\n")),
                ("train.txt", text("a.jpg\n")),
                ("f.npy", floats(&[2, 1])),
            ],
        ),
        "chinese_clip" => (
            "",
            vec![
                ("train_imgs.tsv", text("1\tAAAA\n")),
                (
                    "train_texts.jsonl",
                    text(r#"{"text_id": 1, "text": "one", "image_ids": [1, "odd"]}"#),
                ),
            ],
        ),
        "mteb" => (
            "",
            vec![
                (
                    "corpus.jsonl",
                    text(r#"{"_id": "c", "image": "a.jpg", "odd": 1}"#),
                ),
                ("queries.jsonl", text(r#"{"_id": "q", "text": "one"}"#)),
                (
                    "qrels/train.tsv",
                    text("query-id\tcorpus-id\tscore\nq\tc\t1\n"),
                ),
                ("a.jpg", text("A")),
            ],
        ),
        "datacomp" => (
            "",
            vec![
                ("0a.parquet", table_of_vectors()),
                ("0a.npz", arrays(&["b32_img.npy", "b32_txt.npy", "odd.npy"])),
            ],
        ),
        "embedding_columns" => ("t.parquet", vec![("t.parquet", table_of_vectors())]),
        other => panic!("write an input of format '{other}' that holds something it does not use"),
    }
}

fn write(root: &Path, files: Files<'_>) {
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn input(format: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (path, files) = files_of(format);
    write(folder.path(), &files);
    let path = folder.path().join(path);
    (folder, path)
}

#[test]
fn every_format_names_what_it_does_not_use() {
    for format in FORMATS {
        let (_folder, path) = input(format.name());
        let data = open(&path, &ReadOptions::default()).unwrap();
        assert_eq!(data.format, format.name());
        let line = data.account.summary().unwrap_or_default();
        assert!(line.contains("odd"), "{}: {line}", format.name());
        assert!(!data.account.all_used().is_empty(), "{}", format.name());

        let found = inspect(&path, &ReadOptions::default()).unwrap();
        let split = found.splits.iter().find(|split| split.split == data.split);
        assert_eq!(split.unwrap().account, data.account, "{}", format.name());

        let strict = ReadOptions {
            strict: true,
            ..ReadOptions::default()
        };
        let error = open(&path, &strict).unwrap_err().to_string();
        assert!(
            error.contains("odd") && error.contains("all is used: used "),
            "{error}"
        );
        let found = inspect(&path, &strict).unwrap();
        assert!(found.splits.iter().any(|split| split.problem.is_some()));
    }
}

#[test]
fn a_folder_with_a_list_names_the_pictures_that_no_record_names() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("metadata.csv", text("file_name,text\na.jpg,one\n")),
            ("a.jpg", text("A")),
            ("b.jpg", text("B")),
            (".DS_Store", text("x")),
        ],
    );
    let options = ReadOptions {
        pictures: Pictures::Beside,
        ..ReadOptions::default()
    };
    let line = open(folder.path(), &options)
        .unwrap()
        .account
        .summary()
        .unwrap();
    assert!(
        line.contains("1 picture: no record names it (b.jpg)"),
        "{line}"
    );
    assert!(line.contains(".DS_Store"), "{line}");
}

#[test]
fn every_layout_of_labeled_data_names_what_it_does_not_use() {
    let fixture = |name: &str| {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/labeled"));
        fs::read(folder.join(name)).unwrap()
    };
    for format in LABELED_FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let file = match format.name() {
            "mat" => Some("v7.mat"),
            "hdf5" => Some("mrl.h5py"),
            _ => None,
        };
        let mut files: Vec<(&str, Vec<u8>)> = vec![("odd.txt", text("read me"))];
        match file {
            Some(file) => files.push((file, fixture(file))),
            None => {
                files.push(("train_ims.npy", floats(&[2, 2])));
                files.push(("train_txt.npy", floats(&[2, 2])));
                let mut labels = header_bytes("<i8", &[2]);
                labels.extend([0i64, 1].iter().flat_map(|label| label.to_le_bytes()));
                files.push(("train_labels.npy", labels));
            }
        }
        write(folder.path(), &files);
        let data = labeled::open(folder.path(), &LabeledOptions::default()).unwrap();
        let line = data.account.summary().unwrap_or_default();
        assert!(line.contains("odd.txt"), "{}: {line}", format.name());
        let strict = LabeledOptions {
            strict: true,
            ..LabeledOptions::default()
        };
        let error = labeled::open(folder.path(), &strict)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("odd.txt") && error.contains("used"),
            "{error}"
        );
    }
}
