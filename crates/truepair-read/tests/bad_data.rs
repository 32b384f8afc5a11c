//! Data that cannot be used: every error names the file, the place and what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use truepair_core::dataset::Dataset;
use truepair_read::dataset::{OnEmpty, ReadOptions, inspect, open, open_embeddings, write_kept};

/// A folder that is removed with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A readable folder of two images with one caption each.
    fn good() -> Self {
        let folder = Self::new();
        folder.write("train_ims.npy", &floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        folder.write("train_caps.txt", b"a dog\na cat\n");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn open(&self) -> Result<Dataset, truepair_core::Error> {
        open(self.path(), &ReadOptions::default())
    }
}

/// An array as NumPy would save it.
fn array(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        numbers,
    ]
    .concat()
}

fn floats(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let numbers: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    array("'<f4'", &format!("({axes})"), &numbers)
}

/// Checks that the error holds every part, in this order.
#[track_caller]
fn check<T>(outcome: Result<T, truepair_core::Error>, parts: &[&str]) {
    let message = outcome.err().expect("an error").to_string();
    let mut rest = message.as_str();
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("no {part:?} in {message:?}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_good_folder_is_good() {
    let data = Folder::good().open().unwrap();
    assert_eq!(
        (data.n_images(), data.n_captions(), data.pairs.len()),
        (2, 2, 2)
    );
    data.images.check_finite(&mut ()).unwrap();
}

#[test]
fn feature_files_that_are_no_arrays_of_numbers() {
    let cases: [(&[u8], &[&str]); 8] = [
        (
            b"",
            &["train_ims.npy: the file is empty", "copy or write it again"],
        ),
        (
            b"PK\x03\x04",
            &["train_ims.npy: not a .npy file", "numpy.save"],
        ),
        (
            b"\x93NUMPY\x01\x00\x80\x00{'descr'",
            &["ends inside its header", "copy or write it again"],
        ),
        (b"\x93NUMPY\x09\x00\x80\x00", &["version 9", "numpy.save"]),
        (
            &array("'|O'", "(2, 2)", &[0; 32]),
            &["train_ims.npy: it holds pickled", "np.stack"],
        ),
        (
            &array("'<c8'", "(2, 2)", &[0; 32]),
            &["type '<c8' is not read", "astype('float32')"],
        ),
        (
            &array("'<U4'", "(2, 2)", &[0; 64]),
            &["found text", "astype('float32')"],
        ),
        (
            &array("'<i8'", "(2, 2)", &[0; 32]),
            &["found i64", "astype('float32')"],
        ),
    ];
    for (content, parts) in cases {
        let folder = Folder::good();
        folder.write("train_ims.npy", content);
        check(folder.open(), parts);
    }
}

#[test]
fn a_truncated_array_says_how_much_is_missing() {
    let folder = Folder::good();
    let mut content = floats(&[2, 2], &[1.0; 4]);
    content.truncate(content.len() - 3);
    folder.write("train_ims.npy", &content);
    check(
        folder.open(),
        &[
            "train_ims.npy: shape [2, 2] of f32 needs",
            "the file has",
            "cut short",
        ],
    );
}

#[test]
fn arrays_of_another_shape() {
    for (shape, parts) in [
        ("(4,)", ["shape [4]", "expected [n, d]"]),
        ("(1, 1, 2, 2)", ["shape [1, 1, 2, 2]", "expected [n, d]"]),
        ("(2, 0)", ["shape [2, 0]", "rows must have numbers"]),
    ] {
        let folder = Folder::good();
        let n_bytes = if shape.ends_with("0)") { 0 } else { 16 };
        folder.write("train_ims.npy", &array("'<f4'", shape, &[0; 16][..n_bytes]));
        check(folder.open(), &parts);
    }
}

#[test]
fn features_that_are_not_finite_name_the_row() {
    for bad in [f32::NAN, f32::INFINITY] {
        let folder = Folder::good();
        folder.write("train_ims.npy", &floats(&[2, 2], &[1.0, 2.0, 3.0, bad]));
        let checked = folder.open().unwrap().images.check_finite(&mut ());
        check(
            checked,
            &[
                "train_ims.npy: row 1: ",
                "NaN or infinite",
                "extract this row again",
            ],
        );
    }
}

#[test]
fn counts_that_do_not_divide_are_both_named() {
    let folder = Folder::good();
    folder.write("train_caps.txt", b"a\nb\nc\n");
    check(
        folder.open(),
        &[
            "train_caps.txt: 3 captions",
            "2 images",
            "the same number of captions",
        ],
    );
}

#[test]
fn an_empty_caption_names_its_line_and_can_be_dropped() {
    let folder = Folder::good();
    folder.write("train_caps.txt", b"a dog\n \t\n");
    check(
        folder.open(),
        &["train_caps.txt:2: empty caption", "--on-empty drop"],
    );
    let options = ReadOptions {
        on_empty: OnEmpty::Drop,
        ..Default::default()
    };
    let data = open(folder.path(), &options).unwrap();
    assert_eq!(
        (data.n_images(), data.n_captions(), data.pairs.len()),
        (2, 1, 1)
    );
}

#[test]
fn a_line_that_is_not_utf8_is_named() {
    let folder = Folder::good();
    folder.write("train_caps.txt", b"a dog\na caf\xe9\n");
    check(
        folder.open(),
        &[
            "train_caps.txt:2: byte 6 is not valid UTF-8",
            "save the file as UTF-8",
        ],
    );
}

#[test]
fn ids_that_repeat_or_are_too_few() {
    let folder = Folder::good();
    folder.write("train_ims.npy", &floats(&[4, 1], &[1.0; 4]));
    folder.write("train_caps.txt", b"a\nb\nc\nd\n");
    folder.write("train_ids.txt", b"x\ny\nz\nx\n");
    check(
        folder.open(),
        &[
            "train_ids.txt:4: id 'x' already appears at line 1",
            "an id of its own",
        ],
    );
    folder.write("train_ids.txt", b"x\ny\nz\n");
    check(
        folder.open(),
        &[
            "train_ids.txt: 3 ids for 4 images and 4 captions",
            "one id per image",
        ],
    );
}

#[test]
fn ids_may_stand_once_per_caption() {
    let folder = Folder::good();
    folder.write("train_caps.txt", b"a\nb\nc\nd\n");
    folder.write("train_ids.txt", b"x\nx\ny\ny\n");
    assert_eq!(folder.open().unwrap().image_ids, ["x", "y"]);
    folder.write("train_ids.txt", b"x\ny\nx\ny\n");
    check(
        folder.open(),
        &["train_ids.txt: 4 ids for 2 images and 4 captions"],
    );
}

#[test]
fn images_stored_once_per_caption_are_one_image_unless_their_rows_differ() {
    let folder = Folder::good();
    folder.write("train_caps.txt", b"a\nb\nc\nd\n");
    folder.write("train_ids.txt", b"x\nx\ny\ny\n");
    folder.write("train_ims.npy", &floats(&[4, 1], &[1.0, 1.0, 2.0, 2.0]));
    let data = folder.open().unwrap();
    assert_eq!(
        (data.image_ids.clone(), data.pairs.len()),
        (vec!["x".into(), "y".into()], 4)
    );
    folder.write("train_ims.npy", &floats(&[4, 1], &[1.0, 1.5, 2.0, 2.0]));
    assert_eq!(
        folder.open().unwrap().image_ids,
        ["x#0", "x#1", "y#0", "y#1"]
    );
}

#[test]
fn captions_with_ids_find_their_images() {
    let folder = Folder::good();
    fs::remove_file(folder.path().join("train_caps.txt")).unwrap();
    folder.write("train_ids.txt", b"x\ny\n");
    folder.write("train_caps.tsv", b"y\tone\nx\ttwo\ny\tthree\thttp://a\n");
    let data = folder.open().unwrap();
    let images: Vec<u32> = data.pairs.iter().map(|pair| pair.image).collect();
    assert_eq!(images, [1, 0, 1]);
    assert_eq!(data.captions.unwrap()[2], "three");
    folder.write("train_caps.tsv", b"y\tone\nq\ttwo\n");
    check(
        folder.open(),
        &["train_caps.tsv:2: image id 'q'", "correct the id"],
    );
    folder.write("train_caps.tsv", b"y\tone\nx two\n");
    check(folder.open(), &["train_caps.tsv:2: no tab", "one tab"]);
}

#[test]
fn missing_splits_and_files_say_what_there_is() {
    let folder = Folder::good();
    folder.write("test_ims.npy", &floats(&[1, 2], &[1.0, 2.0]));
    let options = ReadOptions {
        split: "dev".into(),
        ..Default::default()
    };
    check(
        open(folder.path(), &options),
        &["no split 'dev'; there are: test, train", "choose one"],
    );
    let options = ReadOptions {
        split: "test".into(),
        ..Default::default()
    };
    check(
        open(folder.path(), &options),
        &[
            "neither test_caps.txt nor test_caps.tsv",
            "one caption a line",
        ],
    );
}

#[test]
fn an_unsplit_folder_is_one_split_called_all() {
    let folder = Folder::new();
    folder.write("ims.npy", &floats(&[2, 1], &[1.0, 2.0]));
    folder.write("caps.txt", b"a\nb\nc\nd\ne\nf\n");
    let data = folder.open().unwrap();
    assert_eq!((data.split.as_str(), data.n_captions()), ("all", 6));
    let options = ReadOptions {
        split: "test".into(),
        ..Default::default()
    };
    check(
        open(folder.path(), &options),
        &["no split 'test'; there are: all"],
    );
}

#[test]
fn a_split_without_rows_is_refused_but_inspected() {
    let folder = Folder::good();
    folder.write("train_ims.npy", &floats(&[0, 2], &[]));
    folder.write("train_caps.txt", b"");
    check(folder.open(), &["train_caps.txt: no image and no caption"]);
    let found = inspect(folder.path(), &ReadOptions::default()).unwrap();
    assert!(
        found.splits[0]
            .problem
            .as_ref()
            .unwrap()
            .contains("no image and no caption")
    );
    folder.write("train_ims.npy", &floats(&[1, 2], &[1.0, 2.0]));
    folder.write("train_caps.txt", b" \n");
    let options = ReadOptions {
        on_empty: OnEmpty::Drop,
        ..Default::default()
    };
    check(
        open(folder.path(), &options),
        &["split 'train' holds no pair", "choose another split"],
    );
}

#[test]
fn one_pair_opens() {
    let folder = Folder::good();
    folder.write("train_ims.npy", &floats(&[1, 2], &[1.0, 2.0]));
    folder.write("train_caps.txt", b"a dog\n");
    assert_eq!(folder.open().unwrap().pairs.len(), 1);
}

#[test]
fn companions_of_another_length() {
    let folder = Folder::good();
    folder.write("train_caps_minilm.npy", &floats(&[3, 1], &[1.0; 3]));
    check(
        folder.open(),
        &[
            "train_caps_minilm.npy",
            "2 captions",
            "embed every caption once",
        ],
    );
    let options = ReadOptions {
        caption_features: String::from("clip").into(),
        ..Default::default()
    };
    check(
        open(folder.path(), &options),
        &["train_caps_clip.npy", "there are: minilm"],
    );
    let options = ReadOptions {
        caption_features: String::from("none").into(),
        ..Default::default()
    };
    assert!(
        open(folder.path(), &options)
            .unwrap()
            .caption_features
            .is_none()
    );
    let folder = Folder::good();
    folder.write("train_labels.npy", &array("'<i8'", "(3,)", &[0; 24]));
    check(
        folder.open(),
        &[
            "train_labels.npy: labels [3] for 2 images",
            "one class per image",
        ],
    );
}

#[test]
fn the_bad_record_of_a_million_is_named() {
    let folder = Folder::new();
    let mut table = String::from("image,caption\n");
    for row in 1..=1_000_000 {
        table.push_str(if row == 765_432 { "i,a,b\n" } else { "i,a\n" });
    }
    let path = folder.write("pairs.csv", table.as_bytes());
    let outcome = open(&path, &ReadOptions::default());
    check(
        outcome,
        &[
            "pairs.csv: record 765432: 3 fields, the header has 2",
            "quotation mark",
        ],
    );
}

#[test]
fn tables_without_what_they_need() {
    let folder = Folder::new();
    let path = folder.write("pairs.csv", b"image,caption\na.jpg,one\nb.jpg,\n");
    let read = || open(&path, &ReadOptions::default());
    check(
        read(),
        &[
            "pairs.csv: it names images but no features",
            "pairs.npy",
            "keyed by id",
        ],
    );
    folder.write("pairs.npy", &floats(&[5, 1], &[1.0; 5]));
    check(
        read(),
        &[
            "pairs.npy: 5 rows, expected one per image (2)",
            "key them by id",
        ],
    );
    folder.write("pairs.npy", &floats(&[2, 1], &[1.0; 2]));
    check(
        read(),
        &["pairs.csv: record 2: empty caption", "remove the pair"],
    );
    let options = ReadOptions {
        image_column: Some("photo".into()),
        ..Default::default()
    };
    check(
        open(&path, &options),
        &["no column 'photo'; the columns are: image, caption"],
    );
    folder.write("pairs.csv", b"image,caption\na.jpg,one\n,two\n");
    check(read(), &["pairs.csv: record 2: the record names no image"]);
    folder.write("pairs.csv", b"image,caption\na.jpg,caf\xe9\n");
    check(
        read(),
        &["pairs.csv: record 1: column 'caption' is not valid UTF-8"],
    );
}

#[test]
fn embeddings_that_do_not_belong_together() {
    let folder = Folder::new();
    let images = folder.write("a.npy", &floats(&[2, 2], &[1.0; 4]));
    let captions = folder.write("b.npy", &floats(&[2, 2, 1], &[1.0; 4]));
    let outcome = open_embeddings(&images, &captions, &ReadOptions::default());
    check(
        outcome,
        &["b.npy: caption embeddings have three axes", "one vector"],
    );
    folder.write("b.npy", &floats(&[2, 1], &[1.0; 2]));
    folder.write(
        "pairs.npy",
        &array("'<i8'", "(1, 2)", &[[0u8; 8], 9i64.to_le_bytes()].concat()),
    );
    let outcome = open_embeddings(&images, &captions, &ReadOptions::default());
    check(outcome, &["pairs.npy: row 0: rows 0 and 9", "count from 0"]);
}

#[test]
fn a_cleaned_list_never_replaces_the_data() {
    let folder = Folder::good();
    let data = folder.open().unwrap();
    check(
        write_kept(&data, &[true, false], folder.path()),
        &["is the folder of the data itself"],
    );
    check(
        write_kept(&data, &[false, false], folder.path().join("out")),
        &["no pair is kept"],
    );
    assert!(!folder.path().join("out").exists());
    let written = write_kept(&data, &[false, true], folder.path().join("out")).unwrap();
    assert!(written.iter().all(|file| file.exists()));
    let again = open(folder.path().join("out"), &ReadOptions::default()).unwrap();
    assert_eq!(again.require_captions().unwrap(), ["a cat"]);
    assert_eq!((again.n_images(), again.pairs[0].image), (2, 1));
}

#[test]
fn the_content_hash_follows_the_content() {
    let folder = Folder::good();
    let hash = folder.open().unwrap().content_hash().unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(folder.open().unwrap().content_hash().unwrap(), hash);
    folder.write("train_caps.txt", b"a dog\na bat\n");
    assert_ne!(folder.open().unwrap().content_hash().unwrap(), hash);
}

#[test]
fn of_unlike_features_per_record_the_first_of_an_image_is_used_and_said_so() {
    let folder = Folder::new();
    let list = folder.write(
        "t.csv",
        b"image,caption\na.jpg,one\na.jpg,two\nb.jpg,three\n",
    );
    folder.write("t.npy", &floats(&[3, 1], &[1.0, 1.0, 2.0]));
    for (second, n_others) in [(1.0, 0), (5.0, 1)] {
        folder.write("t.npy", &floats(&[3, 1], &[1.0, second, 2.0]));
        let data = open(&list, &ReadOptions::default()).unwrap();
        assert_eq!(data.images.gather(&[0, 1]).unwrap(), [1.0, 2.0]);
        let said = data.account.lines().join("\n");
        assert_eq!(
            said.matches("which differs (a.jpg)").count(),
            n_others,
            "{said}"
        );
    }
}

#[test]
fn a_number_that_is_none_names_no_image() {
    let folder = Folder::new();
    let schema = "message m { required double image_id; required binary caption (STRING); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let ids = [1.0, f64::NAN, 2.0, f64::NAN];
    let writer = column.typed::<DoubleType>();
    writer.write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let captions = ["one", "two", "three", "four"].map(ByteArray::from);
    let writer = column.typed::<ByteArrayType>();
    writer.write_batch(&captions, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let list = folder.write("t.parquet", &file.into_inner().unwrap());
    folder.write("t.npy", &floats(&[2, 1], &[1.0, 2.0]));
    let parts = ["t.parquet: record 2: the record names no image"];
    check(open(&list, &ReadOptions::default()), &parts);
}
