//! Shards as people have them: what is read, what is told, and what the cleaned list holds.

use std::io::Write;
use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_core::error::Result;

use super::super::tar::archive;
use super::super::{
    KeptFolder, ReadOptions, WriteForm, WriteOptions, inspect, open, two_columns::two_columns,
    write_kept, write_kept_into,
};

type Members<'a> = &'a [(&'a str, &'a [u8])];

fn read(path: &Path) -> Result<Dataset> {
    open(path, &ReadOptions::default())
}

/// The data of one shard `s.tar`.
fn shard(members: Members<'_>) -> (tempfile::TempDir, Result<Dataset>) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s.tar");
    std::fs::write(&path, archive(members)).unwrap();
    let data = read(&path);
    (home, data)
}

fn pairs(data: &Dataset) -> Vec<(&str, &str)> {
    let captions = data.require_captions().unwrap();
    (data.pairs.iter())
        .map(|pair| {
            let id = &data.image_ids[pair.image as usize];
            (id.as_str(), captions[pair.caption as usize].as_str())
        })
        .collect()
}

fn said(data: &Dataset) -> String {
    data.account.lines().join("\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn samples_of_all_shards_are_read() {
    let home = tempfile::tempdir().unwrap();
    let first = archive(&[
        ("a/001.jpg", b"A"),
        ("a/001.txt", b"one\ntwo"),
        ("a/001.json", b"{\"caption\": \"other\"}"),
        ("a/001.cls", b"4\n"),
        ("a/002.json", b"{\"caption\": \"no picture\"}"),
        ("a/003.json", b"{\"caption\": \"three\"}"),
        ("a/003.seg.png", b"C"),
    ]);
    std::fs::write(home.path().join("00000.tar"), first).unwrap();
    let second = archive(&[("a/001.jpg", b"D"), ("a/001.txt", b"four")]);
    // The end of the archive is missing.
    std::fs::write(home.path().join("00002.tar"), &second[..2048]).unwrap();
    let data = read(home.path()).unwrap();
    assert_eq!(data.format, "webdataset");
    let expected = [
        ("00000.tar#a/001.jpg", "one"),
        ("00000.tar#a/001.jpg", "two"),
        ("00000.tar#a/003.seg.png", "three"),
        ("00002.tar#a/001.jpg", "four"),
    ];
    assert_eq!(pairs(&data), expected);
    assert_eq!(data.labels.as_deref(), Some(&[4, -1, -1][..]));
    assert_eq!(data.images.picture(2).unwrap().read().unwrap(), b"D");
    let said = said(&data);
    for part in [
        "1 sample: it has no picture (a/002)",
        "no mark of its end, so it was cut or is still written (00002.tar)",
        "1 caption of a JSON: the text of its sample is read, which has another",
        "1 text of several lines: each line is a caption (a/001.txt)",
        "1 key: it stands in several shards, whose names tell its samples apart (a/001)",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn members_of_a_sample_may_lie_anywhere() {
    let (_home, data) = shard(&[
        ("0.jpg", b"A"),
        ("1.jpg", b"B"),
        ("0.txt", b"a"),
        ("1.txt", b"b"),
    ]);
    let data = data.unwrap();
    assert_eq!(pairs(&data), [("s.tar#0.jpg", "a"), ("s.tar#1.jpg", "b")]);
    assert_eq!(data.account.summary(), None);
    assert!(said(&data).contains("used 1 shard, 4 members"));
    let (_home, data) = shard(&[("0.jpg", b"A"), ("0.txt", b"a"), ("./0.jpg", b"B")]);
    let error = data.unwrap_err().to_string();
    assert!(
        error.contains("member '0.jpg' stands at byte 512 and again at byte 2560"),
        "{error}"
    );
}

#[test]
fn keys_may_hold_dots() {
    let (_home, data) = shard(&[
        ("p/22.00.jpg", b"A"),
        ("p/22.00.txt", b"a"),
        ("p/22.01.jpg", b"B"),
        ("p/22.01.json", b"{\"caption\": \"b\"}"),
        ("p/23.00.jpg", b"C"),
        ("p/23.01.txt", b"of another"),
    ]);
    let data = data.unwrap();
    assert_eq!(
        pairs(&data),
        [("s.tar#p/22.00.jpg", "a"), ("s.tar#p/22.01.jpg", "b")]
    );
    let said = said(&data);
    assert!(
        said.contains("1 shard: names count up to the last dot"),
        "{said}"
    );
    assert!(
        said.contains("it has no caption (s.tar#p/23.00.jpg)"),
        "{said}"
    );
    assert!(said.contains("it has no picture (p/23.01)"), "{said}");
}

#[test]
fn endings_of_several_words_are_read_and_told() {
    let (_home, data) = shard(&[("0.input.jpg", b"A"), ("0.outputs.txt", b"a")]);
    let data = data.unwrap();
    assert_eq!(pairs(&data), [("s.tar#0.input.jpg", "a")]);
    assert!(said(&data).contains("an ending of several words (0.outputs.txt)"));
    let (_home, data) = shard(&[
        ("0.JPEG", b"A"),
        ("0.text", b"a"),
        ("0.npy", b""),
        ("1.webp", b"B"),
        ("1.caption", b"b"),
        ("2.png", b"C"),
        ("2.cap", b"caf\xe9"),
    ]);
    let data = data.unwrap();
    let expected = [
        ("s.tar#0.JPEG", "a"),
        ("s.tar#1.webp", "b"),
        ("s.tar#2.png", "caf\u{fffd}"),
    ];
    assert_eq!(pairs(&data), expected);
    let said = said(&data);
    assert!(
        said.contains("1 member: its ending is not known (0.npy)"),
        "{said}"
    );
    assert!(
        said.contains("1 text: bytes that are not UTF-8 are read as U+FFFD (2.cap)"),
        "{said}"
    );
}

#[test]
fn the_picture_of_a_sample_has_the_plain_ending() {
    let members: Members<'_> = &[
        ("0.depth.png", b"D"),
        ("0.jpg", b"A"),
        ("0.mask.png", b"M"),
        ("0.txt", b"a"),
    ];
    let (home, data) = shard(members);
    let data = data.unwrap();
    assert_eq!(pairs(&data), [("s.tar#0.jpg", "a")]);
    assert!(
        said(&data).contains("passed over 2 pictures"),
        "{}",
        said(&data)
    );
    assert!(said(&data).contains("(0.depth.png, 0.mask.png)"));
    let options = ReadOptions {
        image_column: Some("mask.png".into()),
        ..ReadOptions::default()
    };
    let data = open(home.path().join("s.tar"), &options).unwrap();
    assert_eq!(data.image_ids, ["s.tar#0.mask.png"]);

    let (_home, data) = shard(&[("0.a.png", b"D"), ("0.b.png", b"A"), ("0.txt", b"a")]);
    let error = data.unwrap_err().to_string();
    assert!(
        error.contains("sample '0' has 2 pictures: 0.a.png, 0.b.png"),
        "{error}"
    );
    assert!(
        error.contains("image column, for instance 'a.png'"),
        "{error}"
    );
    let (_home, data) = shard(&[("0.jpg", b"D"), ("0.en.txt", b"a"), ("0.de.txt", b"b")]);
    let error = data.unwrap_err().to_string();
    assert!(error.contains("has 2 texts: 0.en.txt, 0.de.txt"), "{error}");
}

#[test]
fn captions_stand_in_json() {
    let (home, data) = shard(&[
        ("0.jpg", b"A"),
        (
            "0.json",
            b"{\"captions\": [\"a\", \"b\\nc\"], \"prompt\": \"p\"}",
        ),
        ("1.jpg", b"B"),
        ("1.json", b"{\"prompt\": \"q\"}"),
        ("2.jpg", b"C"),
        ("2.json", b"{"),
    ]);
    let data = data.unwrap();
    assert_eq!(pairs(&data), [("s.tar#0.jpg", "a"), ("s.tar#0.jpg", "b c")]);
    let said = said(&data);
    for part in [
        "its JSON has no key that holds captions (1.json)",
        "it is not JSON (2.json)",
        "1 key of JSON: it is not asked for (prompt)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let options = ReadOptions {
        caption_columns: Some(vec!["prompt".into()]),
        ..ReadOptions::default()
    };
    let data = open(home.path().join("s.tar"), &options).unwrap();
    assert_eq!(pairs(&data), [("s.tar#0.jpg", "p"), ("s.tar#1.jpg", "q")]);
}

#[test]
fn lines_are_one_caption_where_the_json_says_so() {
    let (_home, data) = shard(&[
        ("0.jpg", b"A"),
        ("0.txt", b"a poem\nof two lines"),
        ("0.json", b"{\"caption\": \"a poem\\nof two lines\"}"),
        ("1.jpg", b"B"),
        ("1.txt", b"a\nb c\n d"),
        ("1.json", b"{\"captions\": [\"a\", \"b c d\"]}"),
    ]);
    let data = data.unwrap();
    let expected = [
        ("s.tar#0.jpg", "a poem of two lines"),
        ("s.tar#1.jpg", "a"),
        ("s.tar#1.jpg", "b c d"),
    ];
    assert_eq!(pairs(&data), expected);
    assert!(said(&data).contains("2 samples: the lines of its text are joined as in its JSON"));
}

#[test]
fn packed_archives_are_read_by_their_first_bytes() {
    let home = tempfile::tempdir().unwrap();
    let part = |n: u8| {
        let (picture, text) = (format!("{n}.jpg"), format!("{n}.txt"));
        archive(&[
            (&picture, &[n; 2000]),
            (&text, format!("caption {n}").as_bytes()),
        ])
    };
    let write = |name: &str, bytes: Vec<u8>| {
        std::fs::write(home.path().join(name), bytes).unwrap();
    };
    write("0.tar.gz", gzip(&[part(0), part(1)].concat()));
    write(
        "1.tgz",
        [gzip(&part(2)[..4096]), gzip(&part(2)[4096..])].concat(),
    );
    write(
        "2.tar.zst",
        zstd::encode_all(part(3).as_slice(), 3).unwrap(),
    );
    write("3.tar", gzip(&part(4)));
    write("4.tar", part(5));
    let data = read(home.path()).unwrap();
    assert_eq!(data.n_images(), 6);
    // Out of order, so that archives are unpacked again.
    for row in [5, 4, 0, 3, 1, 2, 0] {
        let picture = data.images.picture(row).unwrap();
        assert_eq!(picture.read().unwrap(), [row as u8; 2000], "{picture}");
    }
    assert!(
        data.images
            .picture(4)
            .unwrap()
            .to_string()
            .ends_with("3.tar: 4.jpg")
    );
    let said = said(&data);
    for part in [
        "packed with gzip and unpacked as it is read",
        "packed with gzip, though its name does not say so, and unpacked",
        "packed with Zstandard",
        "1 shard: it goes on after its end",
    ] {
        assert!(said.contains(part), "{said}");
    }
    std::fs::write(home.path().join("5.tar"), b"BZh91AY").unwrap();
    let error = read(home.path()).unwrap_err().to_string();
    assert!(
        error.contains("5.tar: it is a bzip2 file, expected tar"),
        "{error}"
    );
}

#[test]
fn a_packed_archive_that_is_damaged_is_told_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s.tar.gz");
    let bytes = archive(&[("0.jpg", &[1; 3000]), ("0.txt", b"a")]);
    let after_it: &[u8] = b"this is nothing that gzip wrote";
    std::fs::write(&path, [&gzip(&bytes[..1024])[..], after_it].concat()).unwrap();
    let error = read(&path).unwrap_err().to_string();
    for part in [
        "s.tar.gz: the gzip file cannot be read to its end",
        "copy it again, or unpack it",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_packed_archive_that_was_cut_keeps_what_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s.tar.gz");
    let mut state = 1u32;
    let mut noise = || -> Vec<u8> {
        let byte = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..9000).map(byte).collect()
    };
    let bytes = gzip(&archive(&[
        ("0.jpg", &noise()),
        ("0.txt", b"a"),
        ("1.txt", b"b"),
        ("1.jpg", &noise()),
    ]));
    std::fs::write(&path, &bytes[..bytes.len() - 5000]).unwrap();
    let data = read(&path).unwrap();
    assert_eq!(pairs(&data), [("s.tar.gz#0.jpg", "a")]);
    assert!(
        said(&data).contains("the archive ends inside it (1.jpg)"),
        "{}",
        said(&data)
    );
}

#[test]
fn downloads_that_failed_are_counted_by_their_status() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    let bytes = archive(&[("00.jpg", b"A"), ("00.txt", b"a")]);
    std::fs::write(root.join("00000.tar"), &bytes).unwrap();
    let rows = [
        ("00", "success"),
        ("01", "failed_to_download"),
        ("02", "failed_to_download"),
        ("03", "success"),
    ];
    let table = two_columns(["key", "status"], &rows).unwrap();
    std::fs::write(root.join("00000.parquet"), table).unwrap();
    let stats = br#"{"count": 5, "successes": 2, "failed_to_download": 3,
        "status_dict": {"success": 2, "HTTP Error 404: Not Found": 3}}"#;
    std::fs::write(root.join("00000_stats.json"), stats).unwrap();
    let found = said(&read(root).unwrap());
    for part in [
        "2 samples: its status is failed_to_download (01, 02)",
        "1 sample: its status is success, and the shard lacks it (03)",
    ] {
        assert!(found.contains(part), "{found}");
    }
    std::fs::remove_file(root.join("00000.parquet")).unwrap();
    let found = said(&read(root).unwrap());
    for part in [
        "3 samples: its status is HTTP Error 404: Not Found",
        "1 sample: its status is success, and the shard lacks it",
    ] {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn splits_are_folders_or_words_of_names() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("data");
    let one = |key: &str| {
        archive(&[
            (&format!("{key}.jpg"), b"A"),
            (&format!("{key}.txt"), key.as_bytes()),
        ])
    };
    for (name, key) in [
        ("train/0.tar", "a"),
        ("train/1.tar", "b"),
        ("val/0.tar", "c"),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, one(key)).unwrap();
    }
    let found = inspect(&root, &ReadOptions::default()).unwrap();
    let sizes: Vec<_> = (found.splits.iter())
        .map(|one| (one.split.as_str(), one.pairs))
        .collect();
    assert_eq!(sizes, [("dev", 1), ("train", 2)]);
    let data = read(&root).unwrap();
    assert_eq!(data.image_ids, ["train/0.tar#a.jpg", "train/1.tar#b.jpg"]);
    assert!(
        said(&data).contains("used 2 shards, 1 shard of other splits"),
        "{}",
        said(&data)
    );

    for form in [WriteForm::Keys, WriteForm::Shards] {
        let out = home.path().join(format!("out-{form}"));
        let options = WriteOptions { form };
        write_kept_into(&data, &[false, true], &KeptFolder::of(&out), &options).unwrap();
        let again = read(&out).unwrap();
        assert_eq!(again.image_ids, ["train/1.tar#b.jpg"], "{form}");
        let dev = ReadOptions {
            split: "dev".into(),
            ..ReadOptions::default()
        };
        assert_eq!(open(&out, &dev).unwrap().n_images(), 1);
    }
}

#[test]
fn what_is_not_kept_is_left_out_of_shards_and_lists() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("data");
    std::fs::create_dir(&root).unwrap();
    let members: Members<'_> = &[
        ("0.jpg", b"A"),
        ("1.jpg", b"B"),
        ("2.jpg", b"C"),
        ("3.jpg", b"D"),
        ("0.txt", b"a\nb\n"),
        (
            "1.json",
            b"{\"captions\": [\"c\", {\"raw\": \"d\"}], \"url\": \"u\"}",
        ),
        ("2.txt", b"e"),
        ("3.txt", b"f"),
        ("0.npy", b"numbers"),
    ];
    std::fs::write(root.join("s.tar.gz"), gzip(&archive(members))).unwrap();
    let mut data = read(&root).unwrap();
    let all = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(data.require_captions().unwrap(), all);
    // A pair that was planted: the picture of sample 3 with the caption of sample 2.
    data.pairs[5].caption = 4;
    let keep = [false, true, false, true, true, true];
    let expected = |shard: &str| {
        [("0", "b"), ("1", "d"), ("2", "e"), ("3", "e")]
            .map(|(key, caption)| (format!("{shard}#{key}.jpg"), caption.to_owned()))
    };
    for (form, shard) in [(WriteForm::Own, "s.tar.gz"), (WriteForm::Shards, "s.tar")] {
        let out = home.path().join(format!("out-{form}"));
        write_kept_into(&data, &keep, &KeptFolder::of(&out), &WriteOptions { form }).unwrap();
        let again = read(&out).unwrap();
        let found = pairs(&again).into_iter();
        let found: Vec<_> = found
            .map(|(id, text)| (id.to_owned(), text.to_owned()))
            .collect();
        assert_eq!(found, expected(shard), "{form}");
        assert_eq!(again.images.picture(2).unwrap().read().unwrap(), b"C");
    }
    let shard = std::fs::read(home.path().join("out-shards/s.tar")).unwrap();
    let text = String::from_utf8_lossy(&shard);
    assert!(text.contains(r#"{"captions":[{"raw":"d"}],"url":"u"}"#) && text.contains("numbers"));
    let list = std::fs::read_to_string(home.path().join("out-own/kept_keys.jsonl")).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        lines[0],
        r#"{"shard":"s.tar.gz","key":"0","captions":["b"]}"#
    );
    assert_eq!(lines[2], r#"{"shard":"s.tar.gz","key":"2"}"#);
}

#[test]
fn lists_of_keys_that_do_not_fit_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let bytes = archive(&[
        ("0.jpg", b"A"),
        ("0.txt", b"a"),
        ("1.jpg", b"B"),
        ("1.txt", b"b"),
    ]);
    std::fs::write(home.path().join("s.tar"), bytes).unwrap();
    let data = read(home.path()).unwrap();
    let error = write_kept(&data, &[true, false], home.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is the folder of the data itself"),
        "{error}"
    );
    for (line, problem) in [
        (
            r#"{"shard": "s.tar", "key": "9"}"#,
            "s.tar has no sample '9'",
        ),
        (
            r#"{"shard": "t.tar", "key": "0"}"#,
            "there is no shard t.tar",
        ),
        (
            r#"{"shard": "s.tar", "kye": "0"}"#,
            "kept_keys.jsonl:1: no kept sample",
        ),
        (
            "{\"shard\": \"s.tar\", \"key\": \"0\"}\n{\"shard\": \"s.tar\", \"key\": \"0\"}",
            "kept_keys.jsonl:2: sample '0' of s.tar already appears above",
        ),
    ] {
        std::fs::write(home.path().join("kept_keys.jsonl"), line).unwrap();
        let error = read(home.path()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// Bytes that were changed anywhere give data or an error, and never more than the file holds.
#[test]
fn damaged_shards_are_read_or_refused() {
    let long = "x".repeat(150);
    let good = archive(&[
        ("0.jpg", &[7; 700]),
        ("0.txt", b"a\nb"),
        ("0.json", b"{\"captions\": [\"a\", \"b\"]}"),
        (&format!("{long}.jpg"), b"B"),
        (&format!("{long}.txt"), b"c"),
    ]);
    let home = tempfile::tempdir().unwrap();
    let mut state = 1u64;
    let mut random = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % n
    };
    for round in 0..1000 {
        let mut bytes = good.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => {
                    // A header that holds, with another size or kind.
                    let start = at / 512 * 512;
                    if let Some(header) = bytes.get_mut(start..start + 512) {
                        header[124 + random(12)] = b'0' + random(8) as u8;
                        header[156] = b"0LxgS15KV\0"[random(10)];
                        header[148..156].fill(b' ');
                        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
                        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
                    }
                }
                _ => bytes[at..].rotate_left(1),
            }
        }
        let name = if round % 3 == 0 { "s.tar.gz" } else { "s.tar" };
        let path = home.path().join(name);
        let bytes = if round % 3 == 0 { gzip(&bytes) } else { bytes };
        std::fs::write(&path, bytes).unwrap();
        if let Ok(data) = read(&path) {
            for row in 0..data.n_images() {
                let bytes = data.images.picture(row).unwrap().read();
                assert!(bytes.is_ok_and(|bytes| bytes.len() <= good.len()));
            }
        }
    }
}

#[test]
fn the_table_of_downloads_alone_says_where_the_pictures_are() {
    let home = tempfile::tempdir().unwrap();
    let table = home.path().join("00000.csv");
    let content = "url,caption,key,status,error_message\nhttp://a/1.jpg,one,000000000,success,\n";
    std::fs::write(&table, content).unwrap();
    let refused = || {
        let error = super::super::open(&table, &ReadOptions::default()).unwrap_err();
        error.to_string()
    };
    let alone = refused();
    assert!(
        alone.contains("the shard 00000.tar with the pictures is not beside it"),
        "{alone}"
    );
    let folder = super::super::open(home.path(), &ReadOptions::default()).unwrap_err();
    assert!(
        folder.to_string().contains("copy the .tar files"),
        "{folder}"
    );
    std::fs::write(home.path().join("00000.tar"), "").unwrap();
    let beside = refused();
    assert!(
        beside.contains("the pictures are in 00000.tar (give 00000.tar, or the folder)"),
        "{beside}"
    );
    std::fs::remove_file(home.path().join("00000.tar")).unwrap();
    let features = truepair_core::dataset::Features::from_rows(vec![1.0], 1);
    super::super::write::write_features(&home.path().join("00000.npy"), &features, &[0]).unwrap();
    let data = super::super::open(&table, &ReadOptions::default()).unwrap();
    assert_eq!(data.image_ids, ["http://a/1.jpg"]);
}

#[test]
fn several_archives_are_one_data_set() {
    let home = tempfile::tempdir().unwrap();
    for name in ["s-8", "s-9", "s-10"] {
        let members: Members<'_> = &[("a.jpg", b"A"), ("a.txt", name.as_bytes())];
        let path = home.path().join(format!("{name}.tar"));
        std::fs::write(path, archive(members)).unwrap();
    }
    let pattern = home.path().join("s-{9..10}.tar");
    let data = read(&pattern).unwrap();
    assert_eq!(
        pairs(&data),
        [("s-9.tar#a.jpg", "s-9"), ("s-10.tar#a.jpg", "s-10")]
    );
    assert_eq!(data.name, "s-{9..10}.tar");
    let out = home.path().join("cleaned");
    write_kept(&data, &[false, true], &out).unwrap();
    assert_eq!(pairs(&read(&out).unwrap()), [("s-10.tar#a.jpg", "s-10")]);
    let missing = read(&home.path().join("s-{8..11}.tar")).unwrap_err();
    assert!(missing.to_string().contains("1 are missing"), "{missing}");
    std::fs::write(home.path().join("s-1.csv"), "image,caption\n").unwrap();
    std::fs::write(home.path().join("s-2.csv"), "image,caption\n").unwrap();
    let tables = read(&home.path().join("s-{1,2}.csv")).unwrap_err();
    assert!(tables.to_string().contains("tar archives"), "{tables}");
    let folder = crate::dataset::Pictures::In(home.path().to_path_buf());
    let options = ReadOptions {
        pictures: folder,
        ..ReadOptions::default()
    };
    let error = open(&pattern, &options).unwrap_err().to_string();
    assert!(error.contains("in the data itself"), "{error}");
}
