//! Inputs of every format of pairs, each with pairs that a cleaned list leaves out.
//!
//! Wherever a format allows it there are three pictures with two captions each. Captions with `drop` in them are
//! removed, so that the first picture loses one of its captions and the second one all of them.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use truepair_core::npy::header_bytes;
use truepair_read::dataset::{CaptionFeatures, ReadOptions, WriteForm};

/// One input and what its cleaned list must hold.
pub(crate) struct Case {
    /// The format that reads it.
    pub(crate) format: &'static str,
    /// What is special about it.
    pub(crate) what: &'static str,
    /// What is opened, seen from the folder of the files.
    pub(crate) path: &'static str,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) split: &'static str,
    pub(crate) caption_features: CaptionFeatures,
    /// The columns of images and captions, where no name says them.
    columns: Option<[&'static str; 2]>,
    pub(crate) form: WriteForm,
    /// Why things may be passed over in the cleaned list that its input used.
    pub(crate) may_pass: &'static str,
    /// Parts of files of the cleaned list.
    pub(crate) holds: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn of(format: &'static str, what: &'static str, path: &'static str) -> Self {
        Self {
            format,
            what,
            path,
            files: Vec::new(),
            split: "train",
            caption_features: CaptionFeatures::default(),
            columns: None,
            form: WriteForm::Own,
            may_pass: "",
            holds: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, content.into()));
        self
    }

    fn holds(mut self, name: &'static str, part: &'static str) -> Self {
        self.holds.push((name, part));
        self
    }

    fn may_pass(mut self, reason: &'static str) -> Self {
        self.may_pass = reason;
        self
    }

    fn as_form(mut self, form: WriteForm) -> Self {
        self.form = form;
        self
    }

    /// With a picture for each of three names.
    fn with_pictures(mut self, names: [&'static str; 3]) -> Self {
        for name in names {
            self.files
                .push((name, format!("picture {name}").into_bytes()));
        }
        self
    }

    pub(crate) fn write(&self, root: &Path) {
        for (name, content) in &self.files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    pub(crate) fn options(&self) -> ReadOptions {
        ReadOptions {
            split: self.split.into(),
            caption_features: self.caption_features.clone(),
            image_column: self.columns.map(|[image, _]| image.into()),
            caption_columns: self.columns.map(|[_, captions]| vec![captions.into()]),
            ..ReadOptions::default()
        }
    }
}

/// Whether a pair stays.
pub(crate) fn stays(id: &str, text: &str) -> bool {
    !text.contains("drop") && !(text == "of both" && id == "2")
}

/// `0, 1, 2, ..` of this shape.
pub(crate) fn floats(shape: &[usize]) -> Vec<u8> {
    let n: usize = shape.iter().product();
    let numbers = (0..n).flat_map(|at| (at as f32).to_le_bytes());
    header_bytes("<f4", shape)
        .into_iter()
        .chain(numbers)
        .collect()
}

fn ints(values: &[i64], shape: &[usize]) -> Vec<u8> {
    let numbers = values.iter().flat_map(|value| value.to_le_bytes());
    header_bytes("<i8", shape)
        .into_iter()
        .chain(numbers)
        .collect()
}

/// An array of texts, as NumPy keeps them.
fn words(texts: &[&str]) -> Vec<u8> {
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap();
    let mut bytes = header_bytes(&format!("<U{width}"), &[texts.len()]);
    for text in texts {
        let letters = text.chars().map(u32::from).chain(std::iter::repeat(0));
        bytes.extend(letters.take(width).flat_map(u32::to_le_bytes));
    }
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let stored = zip::write::SimpleFileOptions::default();
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn safetensors(arrays: &[(&str, [usize; 2])]) -> Vec<u8> {
    let (mut head, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in arrays {
        let start = data.len();
        let n = shape[0] * shape[1];
        data.extend((0..n).flat_map(|at| (at as f32).to_le_bytes()));
        head.push(format!(
            "\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{start},{}]}}",
            data.len()
        ));
    }
    let head = format!("{{{}}}", head.join(","));
    [
        &(head.len() as u64).to_le_bytes()[..],
        head.as_bytes(),
        &data,
    ]
    .concat()
}

/// One column of a parquet table.
enum Column<'a> {
    Texts(&'a str, &'a [&'a str]),
    /// A list of texts in every record.
    Lists(&'a str, &'a [&'a [&'a str]]),
    /// Two numbers in every record, for so many records.
    Vectors(&'a str, usize),
    /// Bytes and names of pictures.
    Pictures(&'a str, &'a [&'a str]),
}

/// The values of one leaf, with where its lists begin.
enum Leaf {
    Bytes(Vec<ByteArray>, Option<Vec<i16>>),
    Floats(Vec<f32>),
}

impl Column<'_> {
    fn schema(&self) -> String {
        let list = "(LIST) { repeated group list { required";
        match self {
            Column::Texts(name, _) => format!("required binary {name} (STRING);"),
            Column::Lists(name, _) => {
                format!("required group {name} {list} binary element (STRING); }} }}")
            }
            Column::Vectors(name, _) => {
                format!("required group {name} {list} float element; }} }}")
            }
            Column::Pictures(name, _) => format!(
                "required group {name} {{ required binary bytes; required binary path (STRING); }}"
            ),
        }
    }

    fn leaves(&self) -> Vec<Leaf> {
        let bytes = |texts: &[&str]| texts.iter().map(|text| ByteArray::from(*text)).collect();
        match self {
            Column::Texts(_, texts) => vec![Leaf::Bytes(bytes(texts), None)],
            Column::Lists(_, lists) => {
                let begins = lists
                    .iter()
                    .flat_map(|list| (0..list.len()).map(|at| i16::from(at > 0)));
                vec![Leaf::Bytes(bytes(&lists.concat()), Some(begins.collect()))]
            }
            Column::Vectors(_, n) => vec![Leaf::Floats((0..2 * n).map(|at| at as f32).collect())],
            Column::Pictures(_, names) => {
                let pictures = names
                    .iter()
                    .map(|name| ByteArray::from(format!("picture {name}").into_bytes()));
                vec![
                    Leaf::Bytes(pictures.collect(), None),
                    Leaf::Bytes(bytes(names), None),
                ]
            }
        }
    }
}

fn parquet(columns: &[Column<'_>]) -> Vec<u8> {
    let schema: String = columns.iter().map(Column::schema).collect();
    let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut leaves = columns.iter().flat_map(Column::leaves);
    while let Some(mut column) = group.next_column().unwrap() {
        match (column.untyped(), leaves.next().unwrap()) {
            (ColumnWriter::FloatColumnWriter(writer), Leaf::Floats(values)) => {
                let begins: Vec<i16> = (0..values.len()).map(|at| (at % 2) as i16).collect();
                let there = vec![1; values.len()];
                writer
                    .write_batch(&values, Some(&there), Some(&begins))
                    .unwrap();
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Leaf::Bytes(values, begins)) => {
                let there = begins.as_ref().map(|begins| vec![1; begins.len()]);
                writer
                    .write_batch(&values, there.as_deref(), begins.as_deref())
                    .unwrap();
            }
            _ => unreachable!("leaves stand in the order of the schema"),
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
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

const CAPTIONS: [&str; 6] = [
    "one",
    "drop two",
    "drop three",
    "drop four",
    "five",
    "six, and more",
];
const LINES: &str = "one\ndrop two\ndrop three\ndrop four\nfive\nsix, and more\n";
const UIDS: [&str; 6] = [
    "f123456789abcdef0123456789abcde0",
    "0123456789abcdef0123456789abcde1",
    "0123456789abcdef0123456789abcde2",
    "0123456789abcdef0123456789abcde3",
    "0123456789abcdef0123456789abcde4",
    "0123456789abcdef0123456789abcde5",
];

/// Every input.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = matrices();
    all.extend(annotations());
    all.extend(tables());
    all.extend(table_files());
    all.extend(folders());
    all.extend(joined());
    all
}

fn matrices() -> Vec<Case> {
    let names = ["a.jpg", "b.jpg", "c.jpg"];
    let ids = names.join("\n") + "\n";
    let pairs = ints(&[0, 0, 0, 1, 1, 2, 1, 3, 2, 4, 2, 5], &[6, 2]);
    let both = || vec![("images", floats(&[3, 2])), ("captions", floats(&[6, 2]))];
    let with = |more: Vec<(&'static str, Vec<u8>)>| npz(&[both(), more].concat());
    vec![
        Case::of(
            "precomp",
            "two splits, labels, pictures and captions' embeddings of two kinds",
            "",
        )
        .with("train_ims.npy", floats(&[3, 2]))
        .with("train_caps.txt", LINES)
        .with("train_ids.txt", ids.clone())
        .with("train_caps_bert.npy", floats(&[6, 2]))
        .with("train_caps_clip.npy", floats(&[6, 3]))
        .with("train_labels.npy", ints(&[4, 5, 6], &[3]))
        .with("dev_ims.npy", floats(&[1, 2]))
        .with("dev_caps.txt", "seven\n")
        .with_pictures(["images/a.jpg", "images/b.jpg", "images/c.jpg"])
        .named("clip"),
        Case::of("precomp", "no splits and no ids", "")
            .with("ims.npy", floats(&[3, 4, 2]))
            .with("caps.txt", LINES)
            .holds("caps.tsv", "2\tfive\n"),
        Case::of("embeddings", "a folder with texts and ids", "")
            .with("images.npy", floats(&[3, 2]))
            .with("captions.npy", floats(&[6, 2]))
            .with("captions.txt", LINES)
            .with("ids.txt", ids),
        Case::of("embeddings", "a folder without texts", "")
            .with("img_emb.npy", floats(&[3, 2]))
            .with("text_emb.npy", floats(&[6, 2])),
        Case::of("embeddings", "an archive with texts and ids in it", "e.npz").with(
            "e.npz",
            with(vec![("ids", words(&names)), ("texts", words(&CAPTIONS))]),
        ),
        Case::of(
            "embeddings",
            "an archive with texts, ids and pairs in it",
            "e.npz",
        )
        .with(
            "e.npz",
            with(vec![
                ("ids", words(&names)),
                ("texts", words(&CAPTIONS)),
                ("pairs", pairs),
                ("odd", floats(&[2])),
            ]),
        ),
        Case::of(
            "embeddings",
            "one file of tensors and texts beside it",
            "e.safetensors",
        )
        .with(
            "e.safetensors",
            safetensors(&[("images", [3, 2]), ("captions", [6, 2])]),
        )
        .with("captions.txt", LINES),
        Case::of("clip_retrieval", "two shards with metadata", "")
            .with("img_emb/img_emb_0.npy", floats(&[2, 2]))
            .with("img_emb/img_emb_1.npy", floats(&[4, 2]))
            .with("text_emb/text_emb_0.npy", floats(&[2, 2]))
            .with("text_emb/text_emb_1.npy", floats(&[4, 2]))
            .with(
                "metadata/metadata_0.parquet",
                parquet(&[
                    Column::Texts("image_path", &["a", "b"]),
                    Column::Texts("caption", &CAPTIONS[..2]),
                ]),
            )
            .with(
                "metadata/metadata_1.parquet",
                parquet(&[
                    Column::Texts("image_path", &["c", "d", "e", "f"]),
                    Column::Texts("caption", &CAPTIONS[2..]),
                ]),
            ),
        Case::of("datacomp", "two shards", "")
            .with(
                "0a.parquet",
                parquet(&[
                    Column::Texts("uid", &UIDS[..4]),
                    Column::Texts("text", &CAPTIONS[..4]),
                    Column::Texts("odd", &UIDS[..4]),
                ]),
            )
            .with(
                "0a.npz",
                npz(&[("b32_img", floats(&[4, 2])), ("b32_txt", floats(&[4, 2]))]),
            )
            .with(
                "0b.parquet",
                parquet(&[
                    Column::Texts("uid", &UIDS[4..]),
                    Column::Texts("text", &CAPTIONS[4..]),
                    Column::Texts("odd", &UIDS[4..]),
                ]),
            )
            .with(
                "0b.npz",
                npz(&[("b32_img", floats(&[2, 2])), ("b32_txt", floats(&[2, 2]))]),
            ),
        Case::of("datacomp", "one shard by its name", "0a.parquet")
            .with(
                "0a.parquet",
                parquet(&[
                    Column::Texts("uid", &UIDS),
                    Column::Texts("text", &CAPTIONS),
                ]),
            )
            .with(
                "0a.npz",
                npz(&[("b32_img", floats(&[6, 2])), ("b32_txt", floats(&[6, 2]))]),
            ),
        Case::of("embedding_columns", "one table", "t.parquet")
            .with("t.parquet", vectors(&UIDS, &CAPTIONS)),
        Case::of("embedding_columns", "shards of two splits", "")
            .with(
                "data/train-00000-of-00002.parquet",
                vectors(&UIDS[..3], &CAPTIONS[..3]),
            )
            .with(
                "data/train-00001-of-00002.parquet",
                vectors(&UIDS[3..], &CAPTIONS[3..]),
            )
            .with(
                "data/test-00000-of-00001.parquet",
                vectors(&UIDS[..1], &["seven"]),
            ),
    ]
}

impl Case {
    /// With the captions' embeddings of this name.
    fn named(mut self, name: &str) -> Self {
        self.caption_features = CaptionFeatures::Named(name.into());
        self
    }

    fn with_columns(mut self, columns: [&'static str; 2]) -> Self {
        self.columns = Some(columns);
        self
    }

    fn of_split(mut self, split: &'static str) -> Self {
        self.split = split;
        self
    }
}

fn vectors(uids: &[&str], texts: &[&str]) -> Vec<u8> {
    parquet(&[
        Column::Texts("uid", uids),
        Column::Texts("text", texts),
        Column::Vectors("image_embedding", texts.len()),
        Column::Vectors("text_embedding", texts.len()),
        Column::Texts("odd", uids),
    ])
}

const KARPATHY: &str = r#"{"dataset": "mine", "images": [
    {"filename": "a.jpg", "split": "train", "cocoid": 7, "sentences": [{"raw": "one", "sentid": 1}, {"raw": "drop two", "sentid": 2}]},
    {"filename": "b.jpg", "split": "train", "sentences": [{"raw": "drop three", "sentid": 3}]},
    {"filename": "z.jpg", "split": "test", "sentences": [{"raw": "seven", "sentid": 4}]},
    {"filename": "c.jpg", "split": "restval", "sentences": [{"raw": "five", "sentid": 5}, {"raw": "six, and more", "sentid": 6}]}]}"#;
const COCO: &str = r#"{"info": {"year": 2014}, "images": [{"id": 1, "file_name": "a.jpg", "coco_url": "u"}, {"id": 2, "file_name": "b.jpg"},
    {"id": 3, "file_name": "c.jpg"}], "annotations": [{"id": 10, "image_id": 3, "caption": "five "},
    {"id": 11, "image_id": 1, "caption": "one", "odd": 1}, {"id": 12, "image_id": 1, "caption": "drop two"},
    {"id": 13, "image_id": 2, "caption": "drop three"}, {"id": 14, "image_id": 3, "caption": "six, and more"}]}"#;
const MSRVTT: &str = r#"{"info": {"year": 2016}, "videos": [{"video_id": "v0", "split": "train", "url": "u"}, {"video_id": "v1", "split": "train"},
    {"video_id": "v2", "split": "test"}, {"video_id": "v3", "split": "train"}],
    "sentences": [{"video_id": "v0", "caption": "one", "sen_id": 0}, {"video_id": "v0", "caption": "drop two", "sen_id": 1},
    {"video_id": "v1", "caption": "drop three"}, {"video_id": "v2", "caption": "seven"}, {"video_id": "v3", "caption": "five", "sen_id": 2}]}"#;
const TOKENS: &str = "a.jpg#0\tone\na.jpg#1\tdrop two\nb.jpg#0\tdrop three\nz.jpg#0\tseven\nc.jpg#0\tfive\nc.jpg#1\tsix, and more\n";

fn annotations() -> Vec<Case> {
    let names = ["a.jpg", "b.jpg", "c.jpg"];
    vec![
        Case::of("karpathy", "features in the order of the images", "d.json")
            .with("d.json", KARPATHY)
            .with("d.npy", floats(&[4, 2]))
            .holds("d.json", r#"{"raw":"five","sentid":5}"#)
            .holds("d.json", r#"{"raw":"seven","sentid":4}"#),
        Case::of("karpathy", "pictures beside it", "d.json")
            .with("d.json", KARPATHY)
            .with("z.jpg", "picture z")
            .with_pictures(names),
        Case::of("coco", "features by name", "d.json")
            .with("d.json", COCO)
            .with(
                "d.npz",
                npz(&[
                    ("features", floats(&[3, 2])),
                    ("ids", words(&["c.jpg", "b.jpg", "a.jpg"])),
                ]),
            )
            .holds(
                "d.json",
                r#"{"id":11,"image_id":1,"caption":"one","odd":1}"#,
            )
            .holds(
                "d.json",
                r#""annotations":[{"id":10,"image_id":3,"caption":"five "}"#,
            )
            .holds("d.json", r#""info":{"year":2014}"#),
        Case::of("coco", "pictures in a folder beside it", "captions.json")
            .with("captions.json", COCO)
            .with_pictures(["images/a.jpg", "images/b.jpg", "images/c.jpg"]),
        Case::of("msrvtt", "features in the order of the videos", "d.json")
            .with("d.json", MSRVTT)
            .with("d.npy", floats(&[4, 2]))
            .holds("d.json", r#"{"video_id":"v0","caption":"one","sen_id":0}"#)
            .holds("d.json", r#"{"video_id":"v2","caption":"seven"}"#),
        Case::of("flickr_tokens", "lists of splits and features", "f.token")
            .with("f.token", TOKENS)
            .with("f.trainImages.txt", "a.jpg\nb.jpg\nc.jpg\n")
            .with("f.testImages.txt", "z.jpg\n")
            .with("f.npy", floats(&[4, 2]))
            .holds("f.token", "a.jpg#0\tone\n"),
        Case::of("flickr_tokens", "a folder with pictures", "")
            .with("f.token", TOKENS)
            .with_pictures(["images/a.jpg", "images/b.jpg", "images/c.jpg"])
            .with("images/z.jpg", "picture z"),
    ]
}

const CSV: &str = "odd,image,caption\n\"1, or more\",a.jpg,one\n2,a.jpg,drop two\n3,b.jpg,drop three\n4,c.jpg,five\n5,c.jpg,\"six, and more\"\n";

fn utf16(text: &str) -> Vec<u8> {
    [0xfeff]
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn tables() -> Vec<Case> {
    let table = |what, name| Case::of("table", what, name);
    let lines = "{\"image\": \"a.jpg\", \"captions\": [\"one\", \"drop two\"], \"odd\": {\"x\": [1.50]}}\n\
                 {\"image\": \"b.jpg\", \"captions\": [\"drop three\"]}\n\
                 {\"image\":\"c.jpg\", \"captions\": [\"five\", \"six, and more\"], \"odd\": 1e3}\n";
    let list = "[{\"image\": \"a.jpg\", \"caption\": [\"one\", \"drop two\"], \"odd\": 1},\n {\"image\": \"b.jpg\", \"caption\": \"drop three\"},\n {\"image\": \"c.jpg\",  \"caption\": \"five\"}]";
    let by_split = "{\"version\": 3, \"train\": [{\"image\": \"a.jpg\", \"caption\": [\"one\", \"drop two\"], \"odd\": 1}, {\"image\": \"b.jpg\", \"caption\": \"drop three\"}, \
                    {\"image\": \"c.jpg\",  \"caption\": \"five\"}], \"test\": [{\"image\": \"z.jpg\", \"caption\": \"seven\"}]}";
    let talk = "[{\"id\": 1, \"image\": \"a.jpg\", \"conversations\": [{\"from\": \"human\", \"value\": \"<image>\\nWhat?\"}, {\"from\": \"gpt\", \"value\": \"one\"}, \
                {\"from\": \"human\", \"value\": \"And?\"}, {\"from\": \"gpt\", \"value\": \"drop two\"}]}, \
                {\"id\": 2, \"image\": \"b.jpg\", \"conversations\": [{\"from\": \"human\", \"value\": \"<image>\\nWhat?\"}, {\"from\": \"gpt\", \"value\": \"drop three\"}]}, \
                {\"id\": 3, \"image\": \"c.jpg\", \"conversations\": [{\"from\": \"human\", \"value\": \"<image>\\nWhat?\"}, {\"from\": \"gpt\", \"value\": \"five\"}]}]";
    vec![
        table("features in the order of the images", "t.csv")
            .with("t.csv", CSV)
            .with("t.npy", floats(&[3, 2]))
            .holds("t.csv", "odd,image,caption\n\"1, or more\",a.jpg,one\n4,c.jpg,five\n"),
        table("embeddings of both sides", "pairs.csv")
            .with("pairs.csv", CSV)
            .with("pairs.npz", npz(&[("images", floats(&[5, 2])), ("captions", floats(&[5, 2]))])),
        table("features by name", "t.csv")
            .with("t.csv", CSV)
            .with("t.npz", npz(&[("features", floats(&[3, 2])), ("ids", words(&["c.jpg", "b.jpg", "a.jpg"]))])),
        table("a column of splits", "t.tsv")
            .with("t.tsv", "image\tcaption\tsplit\nz.jpg\tseven\ttest\na.jpg\tone\ttrain\na.jpg\tdrop two\ttrain\nb.jpg\tdrop three\ttrain\nc.jpg\tfive\ttrain\n")
            .with("t.npy", floats(&[5, 2]))
            .holds("t.tsv", "c.jpg\tfive\ttrain\n"),
        table("UTF-16", "t.csv").with("t.csv", utf16(CSV)).with("t.npy", floats(&[3, 2])),
        table("a line that says what separates", "t.csv")
            .with("t.csv", "sep=;\r\nimage;caption\r\na.jpg;one\r\na.jpg;drop two\r\nb.jpg;drop three\r\nc.jpg;five, or six\r\n")
            .with("t.npy", floats(&[3, 2]))
            .holds("t.csv", "c.jpg;five, or six"),
        table("no names of columns", "t.csv")
            .with_columns(["1", "2"])
            .with("t.csv", "a.jpg,one\na.jpg,drop two\nb.jpg,drop three\nc.jpg,five\n")
            .with("t.npy", floats(&[3, 2])),
        table("packed with gzip", "t.csv.gz").with("t.csv.gz", gzip(CSV)).with("t.npy", floats(&[3, 2])),
        table("lists in lines of JSON", "t.jsonl")
            .with("t.jsonl", lines)
            .with("t.npy", floats(&[3, 2]))
            .holds("t.jsonl", "{\"image\":\"c.jpg\", \"captions\": [\"five\", \"six, and more\"], \"odd\": 1e3}\n"),
        table("one list of records", "t.json")
            .with("t.json", list)
            .with("t.npy", floats(&[3, 2]))
            .holds("t.json", "{\"image\": \"c.jpg\",  \"caption\": \"five\"}")
            .holds("t.json", "{\"image\":\"a.jpg\",\"caption\":[\"one\"],\"odd\":1}"),
        table("a list for every split", "t.json")
            .with("t.json", by_split)
            .with("t.npy", floats(&[3, 2]))
            .holds("t.json", "\"version\": 3")
            .holds("t.json", "{\"image\": \"z.jpg\", \"caption\": \"seven\"}"),
        table("conversations", "t.json")
            .with("t.json", talk)
            .with("t.npy", floats(&[3, 2]))
            .holds("t.json", "{\"from\":\"human\",\"value\":\"<image>\\nWhat?\"},{\"from\":\"gpt\",\"value\":\"one\"}]"),
    ]
}

fn table_files() -> Vec<Case> {
    let table = |what, name| Case::of("table", what, name);
    let three: &[&[&str]] = &[&CAPTIONS[..2], &CAPTIONS[2..4], &CAPTIONS[4..]];
    let names = ["a.jpg", "b.jpg", "c.jpg"];
    vec![
        table("parquet with lists and features", "t.parquet")
            .with(
                "t.parquet",
                parquet(&[
                    Column::Texts("image", &names),
                    Column::Lists("captions", three),
                    Column::Texts("odd", &UIDS[..3]),
                ]),
            )
            .with("t.npy", floats(&[3, 2])),
        table("parquet with embeddings of both sides", "t.parquet")
            .with(
                "t.parquet",
                parquet(&[
                    Column::Texts("image", &UIDS),
                    Column::Texts("caption", &CAPTIONS),
                ]),
            )
            .with(
                "t.npz",
                npz(&[("images", floats(&[6, 2])), ("captions", floats(&[6, 2]))]),
            ),
    ]
}

fn folders() -> Vec<Case> {
    let names = ["images/a.jpg", "images/b.jpg", "images/c.jpg"];
    let shard = archive(&[
        ("a.jpg", "A"),
        ("a.txt", "one\ndrop two"),
        ("a.json", "{\"odd\": 7, \"caption\": \"one\"}"),
        ("a.cls", "3"),
        ("b.jpg", "B"),
        ("b.txt", "drop three"),
        ("b.cls", "4"),
        ("c.jpg", "C"),
        ("c.txt", "five"),
        ("c.cls", "5"),
    ]);
    let test = archive(&[("z.jpg", "Z"), ("z.txt", "seven")]);
    let shards = |what| {
        Case::of("webdataset", what, "")
            .with("train/00000.tar", shard.clone())
            .with("test/00000.tar", test.clone())
    };
    vec![
        Case::of("webdataset", "one shard", "s.tar").with("s.tar", shard.clone()),
        shards("keys of samples").holds("kept_keys.jsonl", "train/00000.tar"),
        shards("shards of their own").as_form(WriteForm::Shards).holds("train/00000.tar", "\"odd\": 7").holds("test/00000.tar", "seven"),
        Case::of("folder", "texts beside pictures, in folders of splits", "")
            .with("train/a.jpg", "A").with("train/a.txt", "one\ndrop two\n")
            .with("train/more/b.jpg", "B").with("train/more/b.txt", "drop three")
            .with("train/more/c.jpg", "C").with("train/more/c.txt", " five \n\nsix")
            .with("val/d.png", "D").with("val/d.txt", "seven\n")
            .holds("train/more/c.txt", " five \n\nsix"),
        Case::of("folder", "texts beside pictures", "").of_split("all")
            .with("a.jpg", "A").with("a.txt", "one\ndrop two\n").with("b.jpg", "B").with("b.txt", "drop three")
            .with("c.jpg", "C").with("c.txt", "five"),
        Case::of("table", "a folder of pictures with a list of them", "")
            .with("metadata.csv", "file_name,text,odd\nimages/a.jpg,one,1\nimages/a.jpg,drop two,2\nimages/b.jpg,drop three,3\nimages/c.jpg,five,4\n")
            .with_pictures(names)
            .holds("metadata.csv", "file_name,text,odd\nimages/a.jpg,one,1\nimages/c.jpg,five,4\n"),
        Case::of("table", "a folder of pictures with one table of any name", "").with("mine.csv", CSV).with_pictures(names),
        Case::of("cub", "classes and splits", "")
            .with("images.txt", "1 001.A/a.jpg\n2 001.A/b.jpg\n3 001.A/c.jpg\n4 001.A/d.jpg\n5 001.A/e.jpg\n6 002.B/z.jpg\n")
            .with("image_class_labels.txt", "1 1\n2 1\n3 1\n4 1\n5 1\n6 2\n")
            .with("trainvalclasses.txt", "001.A\n").with("testclasses.txt", "002.B\n")
            .with_pictures(["images/001.A/a.jpg", "images/001.A/b.jpg", "images/001.A/c.jpg"])
            .with_pictures(["images/001.A/d.jpg", "images/001.A/e.jpg", "images/002.B/z.jpg"])
            .with("text_c10/001.A/a.txt", "one\ndrop two\n").with("text_c10/001.A/b.txt", "drop three\n")
            .with("text_c10/001.A/c.txt", "five\n").with("text_c10/001.A/d.txt", "six\n")
            .with("text_c10/001.A/e.txt", "held\n").with("text_c10/002.B/z.txt", "seven\n")
            .holds("text_c10/001.A/a.txt", "one\n").holds("text_c10/002.B/z.txt", "seven\n"),
        Case::of("huggingface", "parquet with pictures in it, two shards and two splits", "")
            .with("data/train-00000-of-00002.parquet", parquet(&[
                Column::Pictures("image", &["a.jpg", "b.jpg"]), Column::Lists("captions", &[&CAPTIONS[..2], &CAPTIONS[2..4]]), Column::Texts("odd", &["1", "2"]),
            ]))
            .with("data/train-00001-of-00002.parquet", parquet(&[
                Column::Pictures("image", &["c.jpg"]), Column::Lists("captions", &[&CAPTIONS[4..]]), Column::Texts("odd", &["3"]),
            ]))
            .with("data/test-00000-of-00001.parquet", parquet(&[
                Column::Pictures("image", &["z.jpg"]), Column::Lists("captions", &[&["seven"]]), Column::Texts("odd", &["4"]),
            ]))
            .with("README.md", "# mine\n"),
        Case::of("huggingface", "lines of JSON that name pictures", "")
            .with("train.jsonl", "{\"image\": \"images/a.jpg\", \"text\": \"one\"}\n{\"image\": \"images/a.jpg\", \"text\": \"drop two\"}\n\
                                  {\"image\": \"images/b.jpg\", \"text\": \"drop three\"}\n{\"image\": \"images/c.jpg\", \"text\": \"five\"}\n")
            .with("test.jsonl", "{\"image\": \"images/z.jpg\", \"text\": \"seven\"}\n")
            .with("images/z.jpg", "picture z")
            .with_pictures(names)
            .holds("test.jsonl", "seven"),
    ]
}

const CORPUS: &str = "{\"_id\": \"10\", \"image\": \"a.jpg\"}\n{\"_id\": \"11\", \"image\": \"b.jpg\"}\n{\"_id\": \"12\", \"image\": \"c.jpg\"}\n";
const QUERIES: &str = "{\"_id\": \"1\", \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \"drop two\"}\n{\"_id\": \"3\", \"text\": \"drop three\"}\n\
                       {\"_id\": \"4\", \"text\": \"five\"}\n{\"_id\": \"5\", \"text\": \"seven\"}\n";

fn joined() -> Vec<Case> {
    let benchmark = |what| {
        Case::of("mteb", what, "")
            .with("corpus.jsonl", CORPUS)
            .with("queries.jsonl", QUERIES)
            .with_pictures(["a.jpg", "b.jpg", "c.jpg"])
    };
    vec![
        // A picture that has lost its pair is one of the corpus that this split does not ask for.
        benchmark("judgments as tables, two splits that share a corpus")
            .may_pass("several splits share the corpus")
            .with("qrels/train.tsv", "query-id\tcorpus-id\tscore\n1\t10\t1.0\n2\t10\t1\n3\t11\t1\n4\t12\t2\n")
            .with("qrels/test.tsv", "query-id\tcorpus-id\tscore\n5\t12\t1\n")
            .holds("qrels/train.tsv", "1\t10\t1.0\n4\t12\t2\n"),
        benchmark("judgments as lines of JSON with numbers as ids")
            .with(
                "qrels/train.jsonl",
                "{\"query-id\": 1, \"corpus-id\": 10, \"score\": 1.0, \"odd\": [1]}\n{\"query-id\": 2, \"corpus-id\": 10, \"score\": 1}\n\
                 {\"query-id\": 3, \"corpus-id\": 11, \"score\": 1}\n{\"query-id\": 4, \"corpus-id\": 12, \"score\": 1}\n",
            )
            .holds("qrels/train.jsonl", "{\"query-id\": 1, \"corpus-id\": 10, \"score\": 1.0, \"odd\": [1]}\n"),
        Case::of("mteb", "parquet", "").of_split("test")
            .with("corpus/test-00000-of-00001.parquet", parquet(&[Column::Texts("id", &["10", "11", "12"]), Column::Pictures("image", &["a", "b", "c"])]))
            .with("queries/test-00000-of-00001.parquet", parquet(&[
                Column::Texts("id", &["1", "2", "3", "4"]), Column::Texts("text", &["one", "drop two", "drop three", "five"]),
            ]))
            .with("qrels/test-00000-of-00001.parquet", parquet(&[
                Column::Texts("query-id", &["1", "2", "3", "4"]), Column::Texts("corpus-id", &["10", "10", "11", "12"]), Column::Texts("score", &["1", "1", "1", "1"]),
            ])),
        Case::of("chinese_clip", "two splits", "")
            .with("train_imgs.tsv", "1\tQQ==\n2\tQg==\n3\tQw==\n")
            .with(
                "train_texts.jsonl",
                "{\"text_id\": 1, \"text\": \"one\", \"image_ids\": [1], \"odd\": 2}\n{\"text_id\": 2, \"text\": \"drop two\", \"image_ids\": [1]}\n\
                 {\"text_id\": 3, \"text\": \"of both\", \"image_ids\": [2, 3]}\n{\"text_id\": 4, \"text\": \"drop three\", \"image_ids\": [2]}\n",
            )
            .with("valid_imgs.tsv", "9\tQQ==\n")
            .with("valid_texts.jsonl", "{\"text_id\": 9, \"text\": \"seven\", \"image_ids\": [9]}\n")
            .holds("train_texts.jsonl", "\"image_ids\":[3]")
            .holds("valid_texts.jsonl", "seven"),
    ]
}
