//! Small inputs that people really have, or that are damaged: each gives exactly these pairs, or an error
//! with these words. None may end in a panic.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_read::dataset::{Pictures, ReadOptions, open};

/// What must come out.
enum Out {
    /// Ids of images and captions, and words that the account must hold.
    Pairs(&'static [(&'static str, &'static str)], &'static str),
    /// Words of the error.
    Error(&'static str),
}

use Out::{Error, Pairs};

struct Row {
    /// The input that is opened; the folder itself when empty.
    input: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Places of captions, between commas; the usual ones when empty.
    captions: &'static str,
    out: Out,
}

const fn row(input: &'static str, files: &'static [(&'static str, &'static str)], out: Out) -> Row {
    Row {
        input,
        files,
        captions: "",
        out,
    }
}

const fn asked(
    input: &'static str,
    files: &'static [(&'static str, &'static str)],
    captions: &'static str,
    out: Out,
) -> Row {
    Row {
        input,
        files,
        captions,
        out,
    }
}

/// Tables of separated fields under many names.
const TABLES: &[Row] = &[
    row(
        "t.csv",
        &[("t.csv", "image,alt_text\na.jpg,one\n")],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "t.csv",
        &[("t.csv", "photo,caption_text\na.jpg,one\n")],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "t.tsv",
        &[("t.tsv", "img\talt\na.jpg\tone\n")],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "t.csv",
        &[("t.csv", "image,Sentences\na.jpg,one\n")],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "captions.txt",
        &[("captions.txt", "image,caption\na.jpg,\"one, two\"\n")],
        Pairs(&[("a.jpg", "one, two")], ""),
    ),
    row(
        "t.txt",
        &[("t.txt", "image;caption\na.jpg;one, two\n")],
        Pairs(&[("a.jpg", "one, two")], "';' separates"),
    ),
    row(
        "t.txt",
        &[("t.txt", "a.jpg\tone dog\nb.jpg\ttwo dogs\n")],
        Pairs(
            &[("a.jpg", "one dog"), ("b.jpg", "two dogs")],
            "the first line is a record",
        ),
    ),
    row(
        "t.token",
        &[("t.token", "image|caption\na.jpg|one\n")],
        Pairs(&[("a.jpg", "one")], "'|' separates"),
    ),
    row(
        "results.csv",
        &[(
            "results.csv",
            "image_name| comment_number| comment\na.jpg| 0| one\na.jpg| 1   two\nb.jpg| 0| three\n",
        )],
        Pairs(
            &[("a.jpg", "one"), ("b.jpg", "three")],
            "a bar is missing (record 2, line 3)",
        ),
    ),
    row(
        "results.csv",
        &[("results.csv", "image_name|comment\na.jpg|one|two\n")],
        Error("record 1: 3 fields"),
    ),
    row(
        "t.csv",
        &[("t.csv", "image,caption\na.jpg\n")],
        Error("record 1: 1 fields"),
    ),
    row(
        "t.txt",
        &[("t.txt", "foo;bar\n1;2\n")],
        Error("a table separated by ';' without known columns"),
    ),
    row(
        "t.txt",
        &[("t.txt", "only lines\nof text\n")],
        Error("lines of text without images"),
    ),
    row("t.txt", &[("t.txt", "")], Error("an empty file")),
    row("t.csv", &[("t.csv", "")], Error("there is no column")),
    row("t.csv", &[("t.csv", "image,caption\n")], Error("no image")),
    row(
        "t.csv",
        &[("t.csv", "image,caption\n,one\n")],
        Error("names no image"),
    ),
    row(
        "t.csv",
        &[("t.csv", "image,caption\na.jpg,\n")],
        Error("record 1: empty caption"),
    ),
];

/// JSON documents.
const JSON: &[Row] = &[
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "caption": "one", "image_id": 3}]"#,
        )],
        Pairs(&[("a.jpg", "one")], "image_id"),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "caption": ["one", "two"]}, {"image": "b.jpg", "caption": "three"}]"#,
        )],
        Pairs(
            &[("a.jpg", "one"), ("a.jpg", "two"), ("b.jpg", "three")],
            "",
        ),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"{"train": [{"image": "a.jpg", "caption": "one"}], "val": [{"image": "b.jpg", "caption": "two"}]}"#,
        )],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"{"annotations": {"train": [{"image": "a.jpg", "caption": "one"}], "test": [{"image": "b.jpg", "caption": "x"}]}}"#,
        )],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"{"annotations": [{"image": "a.jpg", "caption": "one"}]}"#,
        )],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            "{\"image\": \"a.jpg\", \"caption\": \"one\"}\n{\"image\": \"b.jpg\", \"caption\": \"two\"}\n",
        )],
        Pairs(&[("a.jpg", "one"), ("b.jpg", "two")], ""),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "score": NaN, "caption": "one"}]"#,
        )],
        Pairs(&[("a.jpg", "one")], "score"),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"id": "0", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "one"}]},
            {"id": "1", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "two"}]}]"#,
        )],
        Pairs(&[("a.jpg", "one")], "it names no image (record 2)"),
    ),
    asked(
        "l.json",
        &[(
            "l.json",
            r#"[{"id": "0", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "one"}]}]"#,
        )],
        "conversations[].value",
        Pairs(
            &[("a.jpg", "What?"), ("a.jpg", "one")],
            "1 line: it is nothing but <image>",
        ),
    ),
    asked(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "one"}]}]"#,
        )],
        "conversations[].value",
        Pairs(&[("a.jpg", "one")], "no part of the caption (record 1)"),
    ),
    asked(
        "l.json",
        &[("l.json", r#"[{"image": "a.jpg", "talk": "one"}]"#)],
        "speech",
        Error("there is no column 'speech'; the columns are: image, talk"),
    ),
    row(
        "l.json",
        &[("l.json", r#"[{"image": "a.jpg", "words": "one"}]"#)],
        Error("no column of captions; the columns are: image, words"),
    ),
    row(
        "l.json",
        &[("l.json", r#"[{"image": "a.jpg", "caption": "one"}, 3]"#)],
        Error("record 2: not a JSON object"),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "caption": "one"} {"image": "b.jpg"}]"#,
        )],
        Error("expected a comma between two records"),
    ),
    row(
        "l.json",
        &[("l.json", "[{\"image\": \"a.jpg\",\n\"caption\": \"one\"")],
        Error("l.json:2: a list or an object is not closed"),
    ),
    row("l.json", &[("l.json", "[]")], Error("there is no column")),
    row(
        "l.json",
        &[("l.json", "[1, 2]")],
        Error("a JSON document without pairs"),
    ),
    row(
        "l.json",
        &[("l.json", "{}")],
        Error("a JSON document without pairs"),
    ),
    row(
        "l.json",
        &[(
            "l.json",
            r#"[{"image": "a.jpg", "image": "b.jpg", "caption": "x"}]"#,
        )],
        Error("key 'image' appears twice"),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            r#"{"images": [{"id": 1, "file_name": "x/a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "one"}, {"id": 1, "image_id": 1, "caption": null}]}"#,
        )],
        Pairs(&[("x/a.jpg", "one")], "it has no caption"),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            r#"{"images": [{"id": "1", "file_name": "a.jpg"}], "annotations": [{"image_id": "1", "caption": "one"}]}"#,
        )],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, "caption": "one"}]}"#,
        )],
        Error("record 1: annotation of image 2, which is not there"),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"caption": "one"}]}"#,
        )],
        Error("missing field `image_id`"),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            "{\"images\": [{\"id\": 5, \"file_name\": \"a.jpg\"}], \"annotations\": [\n\
             {\"image_id\": 5.0, \"caption\": \"one\"}]}",
        )],
        Error("c.json:2: not the expected JSON: an id is 5.0, expected a whole number"),
    ),
    row(
        "c.json",
        &[(
            "c.json",
            r#"{"images": [{"id": 9223372036854775808, "file_name": "a.jpg"}], "annotations": []}"#,
        )],
        Error("an id is 9223372036854775808, expected a whole number"),
    ),
];

/// Captions of Flickr8k and Flickr30k.
const FLICKR: &[Row] = &[
    row(
        "f.token.txt",
        &[("f.token.txt", "a.jpg#0\tone .\na.jpg#4\ttwo .\n")],
        Pairs(&[("a.jpg", "one ."), ("a.jpg", "two .")], ""),
    ),
    row(
        "",
        &[
            ("f.token", "a.jpg#0\tone\n"),
            ("readme.md", "x"),
            ("a.jpg", "A"),
        ],
        Pairs(&[("a.jpg", "one")], ""),
    ),
    row(
        "f.token",
        &[
            ("f.token", "a.jpg#0\tone\nb.jpg#0\ttwo\n"),
            ("x.testImages.txt", "a.jpg\n"),
            ("x.trainImages.txt", "b.jpg\n"),
        ],
        Pairs(&[("b.jpg", "two")], "x.trainImages.txt names"),
    ),
    row(
        "f.token",
        &[
            ("f.token", "a.jpg#0\tone\nb.jpg#0\ttwo\n"),
            ("train.txt", "b\n"),
        ],
        Pairs(&[("b.jpg", "two")], "no list of a split names it (a.jpg)"),
    ),
    row(
        "f.token",
        &[(
            "f.token",
            "a.jpg#0\tone\na.jpg#1\ttwo\na.jpg#2\tx\na.jpg#3\ty\nbroken\n",
        )],
        Error("f.token:5: expected IMAGE.jpg#NUMBER"),
    ),
    row(
        "f.token",
        &[("f.token", "a.jpg#0\t\n")],
        Error("f.token:1: empty caption"),
    ),
];

const IMGS: (&str, &str) = ("train_imgs.tsv", "1\tAAAA\n2\tAAA\n");

/// Chinese-CLIP's folders.
const CHINESE_CLIP: &[Row] = &[
    row(
        "",
        &[
            IMGS,
            (
                "train_texts.jsonl",
                r#"{"text_id": 1, "text": "one", "image_ids": [1, 2]}"#,
            ),
        ],
        Pairs(&[("1", "one"), ("2", "one")], ""),
    ),
    row(
        "",
        &[
            IMGS,
            (
                "train_texts.jsonl",
                r#"{"text_id": "1", "text": "one", "image_ids": ["2"]}"#,
            ),
        ],
        Pairs(&[("2", "one")], ""),
    ),
    row(
        "",
        &[
            IMGS,
            (
                "train_queries.jsonl",
                r#"{"query_id": 1, "query_text": "one", "item_ids": [1]}"#,
            ),
        ],
        Pairs(&[("1", "one")], ""),
    ),
    row(
        "",
        &[
            ("train_imgs.tsv", "1\t!!!!\n2\tAAAA\n"),
            (
                "train_texts.jsonl",
                r#"{"text_id": 1, "text": "one", "image_ids": [1, 2]}"#,
            ),
        ],
        Pairs(&[("2", "one")], "its Base64 is broken (line 1"),
    ),
    row(
        "",
        &[
            ("train_imgs.tsv", "1\tA\n"),
            (
                "train_texts.jsonl",
                r#"{"text_id": 1, "text": "one", "image_ids": [1]}"#,
            ),
        ],
        Error("its Base64 is broken (line 1"),
    ),
    row(
        "",
        &[IMGS, ("train_texts.jsonl", "{\"text_id\": 1")],
        Error("train_texts.jsonl:1: not a JSON object"),
    ),
    row(
        "",
        &[
            IMGS,
            (
                "train_texts.jsonl",
                r#"{"text_id": 1, "text": "one", "image_ids": 1.5}"#,
            ),
        ],
        Error("a picture that is not there"),
    ),
    row(
        "",
        &[("train_imgs.tsv", ""), ("train_texts.jsonl", "")],
        Error("has no picture"),
    ),
    row(
        "",
        &[
            IMGS,
            (
                "train_texts.jsonl",
                "{\"text_id\": 1, \"text\": \"a\", \"image_ids\": [1]}\n{\"text_id\": 1, \"text\": \"b\", \"image_ids\": [1]}",
            ),
        ],
        Error("id '1' was already used"),
    ),
    row(
        "",
        &[
            IMGS,
            (
                "train_texts.jsonl",
                r#"{"text_id": 1, "text": " ", "image_ids": [1]}"#,
            ),
        ],
        Error("train_texts.jsonl:1: empty caption"),
    ),
];

const CORPUS: (&str, &str) = ("corpus.jsonl", r#"{"_id": "c", "image": "a.jpg"}"#);
const QUERIES: (&str, &str) = ("queries.jsonl", r#"{"_id": "q", "text": "one"}"#);
const HEAD: &str = "query-id\tcorpus-id\tscore\nq\tc\t1\n";

/// Benchmarks of MTEB and BEIR.
const MTEB: &[Row] = &[
    row(
        "",
        &[CORPUS, QUERIES, ("qrels/train.tsv", HEAD), ("a.jpg", "A")],
        Pairs(&[("c", "one")], ""),
    ),
    row(
        "",
        &[
            CORPUS,
            QUERIES,
            (
                "qrels/train.jsonl",
                r#"{"query-id": "q", "corpus-id": "c", "score": 1}"#,
            ),
            ("a.jpg", "A"),
        ],
        Pairs(&[("c", "one")], ""),
    ),
    row(
        "",
        &[
            ("data/corpus.jsonl", r#"{"id": 1, "image": "a.jpg"}"#),
            ("data/query.jsonl", r#"{"id": 2, "text": "one"}"#),
            (
                "data/qrels/train.tsv",
                "query-id\tcorpus-id\tscore\n2\t1\t1\n",
            ),
            ("a.jpg", "A"),
        ],
        Pairs(&[("1", "one")], ""),
    ),
    row(
        "",
        &[
            ("corpus.jsonl", r#"{"_id": "c", "text": "one"}"#),
            ("queries.jsonl", r#"{"_id": "q", "image": "a.jpg"}"#),
            ("qrels/train.tsv", HEAD),
            ("a.jpg", "A"),
        ],
        Pairs(&[("q", "one")], ""),
    ),
    row(
        "",
        &[
            CORPUS,
            QUERIES,
            ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq\tc\t0\n"),
            ("a.jpg", "A"),
        ],
        Error("holds no pair"),
    ),
    row(
        "",
        &[
            CORPUS,
            QUERIES,
            ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq\tx\t1\n"),
            ("a.jpg", "A"),
        ],
        Error("record 1: id 'x' is not among the pictures"),
    ),
    row(
        "",
        &[
            CORPUS,
            QUERIES,
            ("qrels/train.tsv", "q\tc\t1\n"),
            ("a.jpg", "A"),
        ],
        Error("there is no column 'query-id'"),
    ),
    row(
        "",
        &[
            ("corpus.jsonl", r#"{"_id": "c", "text": "x"}"#),
            QUERIES,
            ("qrels/train.tsv", HEAD),
        ],
        Error("the corpus holds texts, the queries hold texts"),
    ),
    row(
        "",
        &[
            ("corpus.jsonl", r#"{"image": "a.jpg"}"#),
            QUERIES,
            ("qrels/train.tsv", HEAD),
        ],
        Error("there is no column of ids; the columns are: image"),
    ),
    row(
        "",
        &[CORPUS, QUERIES, ("qrels/train.tsv", HEAD)],
        Error("there is no such file (c)"),
    ),
];

/// Whole folders that are of no format.
const NOTHING: &[Row] = &[
    row(
        "",
        &[("a.jpg", "A"), ("b.png", "B")],
        Error("2 pictures without captions"),
    ),
    row(
        "",
        &[("00000_stats.json", "{}")],
        Error("img2dataset's metadata"),
    ),
    row("", &[], Error("an empty folder")),
];

fn pairs(data: &Dataset) -> Vec<(String, String)> {
    let texts = data.captions.as_deref().unwrap();
    let pair = |pair: &truepair_core::pair::Pair| {
        let id = data.image_ids[pair.image as usize].clone();
        (id, texts[pair.caption as usize].clone())
    };
    data.pairs.iter().map(pair).collect()
}

fn check(row: &Row) -> Result<(), String> {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in row.files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let captions =
        (!row.captions.is_empty()).then(|| row.captions.split(',').map(str::to_owned).collect());
    let options = ReadOptions {
        pictures: Pictures::Beside,
        caption_columns: captions,
        ..ReadOptions::default()
    };
    let input = home.path().join(row.input);
    let input: &Path = if row.input.is_empty() {
        home.path()
    } else {
        &input
    };
    let opened = catch_unwind(|| open(input, &options)).map_err(|_| "it panicked".to_owned())?;
    match (opened, &row.out) {
        (Ok(data), Pairs(expected, said)) => {
            let found = pairs(&data);
            let own: Vec<(&str, &str)> = found
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            let account = data.account.lines().join("\n");
            if own != *expected {
                return Err(format!("pairs {own:?}"));
            }
            match account.contains(said) {
                true => Ok(()),
                false => Err(format!("account {account}")),
            }
        }
        (Err(error), Error(words)) if error.to_string().contains(words) => Ok(()),
        (Err(error), _) => Err(format!("error {error}")),
        (Ok(data), Error(_)) => Err(format!("pairs {:?} and no error", pairs(&data))),
    }
}

#[test]
fn every_input_gives_its_pairs_or_an_error_in_words() {
    let groups = [TABLES, JSON, FLICKR, CHINESE_CLIP, MTEB, NOTHING];
    let rows: Vec<&Row> = groups.into_iter().flatten().collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut wrong = String::new();
    for row in rows {
        if let Err(found) = check(row) {
            wrong += &format!("{:?} {}\n   found {found}\n", row.files, row.captions);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
