//! Benchmarks as tables and as lines, both ways round, with what they get wrong.

use std::fs;
use std::io::Write;
use std::sync::Arc as Shared;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::{open, write_kept};
use super::*;

/// A table of ids and pictures whose paths are all null.
fn pictures(rows: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let schema = "message m { required binary id (STRING); optional group image { optional binary bytes; \
                  optional binary path (STRING); } }";
    let schema = Shared::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Shared::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut at = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        if let ColumnWriter::ByteArrayColumnWriter(writer) = column.untyped() {
            let bytes = rows.iter().filter_map(|(_, bytes)| *bytes);
            let (values, levels): (Vec<ByteArray>, Vec<i16>) = match at {
                0 => (
                    rows.iter().map(|(id, _)| ByteArray::from(*id)).collect(),
                    Vec::new(),
                ),
                1 => (
                    bytes.map(|bytes| ByteArray::from(bytes.to_vec())).collect(),
                    rows.iter()
                        .map(|(_, bytes)| 1 + i16::from(bytes.is_some()))
                        .collect(),
                ),
                _ => (Vec::new(), vec![1; rows.len()]),
            };
            let levels = (!levels.is_empty()).then_some(&levels[..]);
            writer.write_batch(&values, levels, None).unwrap();
        }
        column.close().unwrap();
        at += 1;
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(content).unwrap();
    }
}

fn pairs(data: &Dataset) -> Vec<(&str, &str)> {
    let texts = data.captions.as_ref().unwrap();
    let pair = |pair: &truepair_core::pair::Pair| {
        let image = data.image_ids[pair.image as usize].as_str();
        (image, texts[pair.caption as usize].as_str())
    };
    data.pairs.iter().map(pair).collect()
}

fn of_split(split: &str) -> ReadOptions {
    ReadOptions {
        split: split.into(),
        ..ReadOptions::default()
    }
}

const QUERIES: &str = "{\"id\": \"q0\", \"text\": \"one\"}\n{\"id\": \"q1\", \"text\": \"two\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq0\tc0\t1\nq0\tc1\t0\nq1\tc1\t2\nq1\tc0\t1\n";

/// Texts that ask for pictures.
fn benchmark() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let corpus = pictures(&[("c0", Some(b"A")), ("c1", Some(b"B")), ("c2", Some(b"C"))]);
    write(
        folder.path(),
        &[
            ("corpus/test-00000-of-00001.parquet", &corpus),
            ("query/test.jsonl", QUERIES.as_bytes()),
            ("qrels/test.tsv", QRELS.as_bytes()),
        ],
    );
    folder
}

#[test]
fn judgments_join_texts_and_pictures_without_paths() {
    let folder = benchmark();
    let data = open(folder.path(), &of_split("test")).unwrap();
    assert_eq!((data.format, data.split.as_str()), ("mteb", "test"));
    assert_eq!(pairs(&data), [("c0", "one"), ("c1", "two"), ("c0", "two")]);
    assert_eq!(
        data.image_ids,
        ["c0", "c1", "c2"],
        "the gallery stays whole"
    );
    assert_eq!(data.images.picture(1).unwrap().read().unwrap(), b"B");
    let said = data.account.lines().join("\n");
    assert!(
        said.contains("1 judgment: its score is 0 or less (q0 c1)"),
        "{said}"
    );
}

#[test]
fn pictures_may_ask_for_texts_and_configurations_are_splits() {
    let folder = tempfile::tempdir().unwrap();
    let asking = pictures(&[("q0", Some(b"A")), ("q1", None)]);
    let corpus = b"{\"_id\": \"c0\", \"text\": \"one\"}\n{\"_id\": \"c1\", \"text\": \"two\"}\n";
    let qrels = b"query-id\tcorpus-id\tscore\nq0\tc1\t1\nq1\tc0\t1\n";
    for configuration in ["en", "de"] {
        let files = [
            (format!("{configuration}-corpus/corpus.jsonl"), &corpus[..]),
            (format!("{configuration}-queries/test.parquet"), &asking),
            (format!("{configuration}-qrels/test.tsv"), qrels),
        ];
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        write(folder.path(), &files);
    }
    let splits = Mteb.splits(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(splits, ["de-test", "en-test"]);
    let data = open(folder.path(), &of_split("en-test")).unwrap();
    assert_eq!(pairs(&data), [("q0", "two")]);
    assert_eq!(data.n_captions(), 2, "the gallery stays whole");
    let said = data.account.lines().join("\n");
    assert!(said.contains("its record has no bytes (q1)"), "{said}");
    assert!(
        said.contains("its picture was passed over (c0 q1)"),
        "{said}"
    );
}

#[test]
fn splits_that_share_a_corpus_have_their_own_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = "{\"_id\": \"a\", \"image\": \"a.jpg\"}\n{\"_id\": \"b\", \"image\": \"b.jpg\"}\n";
    write(
        folder.path(),
        &[
            ("corpus.jsonl", corpus.as_bytes()),
            (
                "queries.jsonl",
                QUERIES.replace("\"id\"", "\"_id\"").as_bytes(),
            ),
            ("qrels/train.tsv", b"query-id\tcorpus-id\tscore\nq0\ta\t1\n"),
            ("qrels/dev.tsv", b"query-id\tcorpus-id\tscore\nq1\tb\t1\n"),
            ("a.jpg", b"A"),
            ("b.jpg", b"B"),
        ],
    );
    let data = open(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(pairs(&data), [("a", "one")]);
    assert_eq!(data.image_ids, ["a"]);
    let said = data.account.lines().join("\n");
    assert!(
        said.contains("several splits share the corpus (b)"),
        "{said}"
    );
}

#[test]
fn cleaned_lists_open_again_with_planted_noise_or_without() {
    let folder = benchmark();
    let mut data = open(folder.path(), &of_split("test")).unwrap();
    let out = folder.path().join("out");
    write_kept(&data, &[true, false, true], &out).unwrap();
    let again = open(&out, &of_split("test")).unwrap();
    assert_eq!(pairs(&again), [("c0", "one"), ("c0", "two")]);
    let lines = fs::read_to_string(out.join("qrels/test.tsv")).unwrap();
    assert_eq!(lines, QRELS.replace("q1\tc1\t2\n", ""));
    data.pairs[0].image = 2;
    let out = folder.path().join("planted");
    write_kept(&data, &[true, false, true], &out).unwrap();
    let again = open(&out, &of_split("test")).unwrap();
    assert_eq!(pairs(&again), [("c2", "one"), ("c0", "two")]);
}

#[test]
fn unknown_ids_and_repeated_judgments_name_file_and_record() {
    let folder = benchmark();
    let refused = |qrels: &str| {
        write(folder.path(), &[("qrels/test.tsv", qrels.as_bytes())]);
        open(folder.path(), &of_split("test"))
            .unwrap_err()
            .to_string()
    };
    let head = "query-id\tcorpus-id\tscore\n";
    let unknown = refused(&format!("{head}q0\tc0\t1\nq0\tc9\t1\n"));
    assert!(
        unknown.contains("test.tsv: record 2: id 'c9' is not among the pictures of split 'test'"),
        "{unknown}"
    );
    let unknown = refused(&format!("{head}q9\tc0\t1\n"));
    assert!(
        unknown.contains("id 'q9' is not among the texts"),
        "{unknown}"
    );
    let twice = refused(&format!("{head}q0\tc0\t1\nq0\tc0\t1\n"));
    assert!(
        twice.contains("record 2: query 'q0' judges 'c0' a second time (first: record 1)"),
        "{twice}"
    );
    let score = refused(&format!("{head}q0\tc0\thigh\n"));
    assert!(
        score.contains("expected two ids and a number, found q0, c0, high"),
        "{score}"
    );
    let column = refused("query-id\tscore\nq0\t1\n");
    assert!(
        column.contains("there is no column 'corpus-id'"),
        "{column}"
    );
}
