//! `truepair eval` as an evaluator of what other programs scored and ranked.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::files::{self, DIM};
use crate::{Finished, truepair, words};

const N_IMAGES: usize = 8;

/// Scores of 8 images and 16 captions, two captions each, in `s.npy`.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    scores(home.path(), "s.npy", 0.7);
    home
}

fn scores(home: &Path, name: &str, step: f32) {
    let values: Vec<f32> = (0..N_IMAGES * DIM)
        .map(|n| (n as f32 * step).sin())
        .collect();
    files::rows(&home.join(name), &values);
}

fn eval(home: &Path, args: &[&str]) -> Finished {
    truepair(home, &[&["eval"], args].concat())
}

fn figure(result: &Value, metric: &str, direction: &str) -> f64 {
    let figures = result["figures"].as_array().unwrap().iter();
    let mut like = figures.filter(|one| one["metric"] == metric && one["direction"] == direction);
    like.next()
        .unwrap_or_else(|| panic!("no {metric} {direction}"))["value"]
        .as_f64()
        .unwrap()
}

#[track_caller]
fn refused(home: &Path, args: &[&str], parts: &[&str]) {
    crate::refused(home, &[&["eval"], args].concat(), parts);
}

#[test]
fn every_figure_has_an_interval_around_it() {
    let home = home();
    let done = eval(home.path(), &["--scores", "s.npy", "--json"]).json();
    let figures = done["figures"].as_array().unwrap();
    assert!(figures.len() > 30, "{}", figures.len());
    for one in figures {
        let [low, value, high] = ["low", "value", "high"].map(|key| one[key].as_f64().unwrap());
        assert!(low - 1e-9 <= value && value <= high + 1e-9, "{one}");
    }
    assert_eq!(
        figure(&done, "recall@1", "i2t"),
        done["i2t"]["recall@1"].as_f64().unwrap()
    );
    assert_eq!(
        figure(&done, "rsum", "both"),
        done["rsum"].as_f64().unwrap()
    );
    let text = eval(home.path(), &["--scores", "s.npy", "--resamples", "0"]).out;
    assert!(text.contains("map@r") && text.contains("relevance") && !text.contains("95 %"));
}

#[test]
fn saturated_scores_are_told() {
    let home = home();
    let distinct = eval(home.path(), &["--scores", "s.npy", "--check-ties"]);
    assert!(
        distinct
            .out
            .contains("ties move no recall by more than 0.00 points"),
        "{}",
        distinct.out
    );
    files::rows(&home.path().join("flat.npy"), &[1.0; N_IMAGES * DIM]);
    let flat = ["--scores", "flat.npy", "--check-ties"];
    assert!(
        eval(home.path(), &flat)
            .out
            .contains("scores are saturated")
    );
    let gap = eval(home.path(), &[&flat[..], &["--json"]].concat()).json();
    assert_eq!(gap["tie_gap"], 1.0);
}

#[test]
fn exported_runs_and_qrels_give_the_same_figures_again() {
    let home = home();
    let export =
        words("--scores s.npy --trec-run i2t.run t2i.run --trec-qrels i2t.qrels t2i.qrels --json");
    let scored = eval(home.path(), &export).json();
    assert_eq!(scored["files"].as_array().unwrap().len(), 4);
    let lists = words("--ranked i2t.run t2i.run --relevance i2t.qrels t2i.qrels --json");
    let listed = eval(home.path(), &lists).json();
    for metric in [
        "recall@1",
        "set-recall@5",
        "precision@10",
        "r-precision",
        "map",
        "map@r",
        "ndcg",
    ] {
        for direction in ["i2t", "t2i"] {
            let [a, b] = [&scored, &listed].map(|result| figure(result, metric, direction));
            assert!((a - b).abs() < 1e-9, "{metric} {direction}: {a} and {b}");
        }
    }
    assert_eq!(listed["unmeasured"], Value::Array(Vec::new()));
    assert_eq!(listed["i2t"], scored["i2t"]);
}

#[test]
fn lists_that_end_early_leave_out_what_they_cannot_tell() {
    let home = home();
    let export = words("--scores s.npy --trec-run a.run b.run --depth 5");
    assert_eq!(eval(home.path(), &export).code, Some(0));
    // Image n owns the captions 2n and 2n + 1.
    let pairs: serde_json::Map<String, Value> = (0..N_IMAGES)
        .map(|image| {
            (
                image.to_string(),
                serde_json::json!([2 * image, 2 * image + 1]),
            )
        })
        .collect();
    fs::write(
        home.path().join("pairs.json"),
        serde_json::to_vec(&pairs).unwrap(),
    )
    .unwrap();
    let lists = ["--ranked", "a.run", "b.run", "--pairs", "pairs.json"];
    let found = eval(home.path(), &[&lists[..], &["--json"]].concat()).json();
    let whole = eval(home.path(), &["--scores", "s.npy", "--json"]).json();
    for direction in ["i2t", "t2i"] {
        let [a, b] = [&found, &whole].map(|result| figure(result, "recall@5", direction));
        assert!((a - b).abs() < 1e-9, "{direction}");
    }
    let unmeasured = found["unmeasured"].as_array().unwrap();
    assert!(unmeasured.contains(&"map i2t".into()) && !unmeasured.contains(&"map@r i2t".into()));
    // What the lists are long enough for is there, and nothing else.
    let i2t = &found["i2t"];
    assert!(
        i2t["recall@5"].is_f64() && i2t.get("map").is_none(),
        "{i2t}"
    );
    let text = eval(home.path(), &lists).out;
    assert!(text.contains("map i2t not measured"), "{text}");
}

#[test]
fn labels_measure_plausible_matches_in_folds() {
    let home = home();
    // Neighbors differ in two classes, every other image has the same two.
    let rows: Vec<i64> = (0..N_IMAGES)
        .flat_map(|at| [1, (at % 2) as i64, (1 - at % 2) as i64])
        .collect();
    let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
    files::npy(
        &home.path().join("labels.npy"),
        "<i8",
        &[N_IMAGES, 3],
        &bytes,
    );
    let labels = words("--scores s.npy --labels labels.npy --match plausible --json");
    let found = eval(home.path(), &[&labels[..], &["--folds", "2"]].concat()).json();
    let [strict, lax] = ["pmrp@0", "pmrp@2"].map(|metric| figure(&found, metric, "i2t"));
    assert_eq!(lax, 1.0, "all sets differ in at most two classes");
    assert!(strict < lax);
    let mean = (strict + figure(&found, "pmrp@1", "i2t") + lax) / 3.0;
    assert!((figure(&found, "pmrp", "i2t") - mean).abs() < 1e-9);
    let relevance = found["protocol"]["relevance"].as_str().unwrap();
    assert!(
        relevance.starts_with("labels, plausible, sha256 "),
        "{relevance}"
    );
}

#[test]
fn categories_of_annotated_objects_are_labels() {
    let home = home();
    let images: Vec<_> = (0..N_IMAGES)
        .map(|at| json!({"id": 40 + at, "file_name": format!("COCO_val2014_{:012}.jpg", 40 + at)}))
        .collect();
    // Neighbors differ in two categories; the last image shows nothing.
    let objects: Vec<_> = (0..N_IMAGES - 1)
        .flat_map(|at| [(at, 1), (at, 2 + at % 2)])
        .map(|(at, category)| json!({"image_id": 40 + at, "category_id": category}))
        .collect();
    let categories = [1, 2, 3].map(|id| json!({"id": id, "name": "thing"}));
    let file = json!({"images": images, "annotations": objects, "categories": categories});
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("instances.json", &file.to_string());
    let names: Vec<String> = (0..N_IMAGES).map(|at| (40 + at).to_string()).collect();
    write("images.txt", &names.join("\n"));
    let captions: Vec<String> = (0..2 * N_IMAGES).map(|at| format!("c{at}")).collect();
    write("captions.txt", &captions.join("\n"));
    let labels = words("--scores s.npy --labels instances.json --match plausible --json");
    let named = words("--ids images.txt captions.txt");
    let found = eval(home.path(), &[&labels[..], &named].concat());
    assert!(
        found.err.contains("1 image and 2 captions have no label"),
        "{}",
        found.err
    );
    let found = found.json();
    assert_eq!(figure(&found, "pmrp@2", "i2t"), 1.0);
    assert!(figure(&found, "pmrp@0", "i2t") < 1.0);
    // Rows are no names of images, and this data has no labels of its own.
    refused(home.path(), &labels, &["the images are numbered", "--ids"]);
    refused(
        home.path(),
        &["--scores", "s.npy", "--match", "same"],
        &["the data has none", "--labels"],
    );
    refused(
        home.path(),
        &["--scores", "s.npy", "--unlabeled", "keep"],
        &["--unlabeled is about labels"],
    );
}

#[test]
fn two_evaluations_are_compared_query_by_query() {
    let home = home();
    scores(home.path(), "other.npy", 1.9);
    let keep = ["--scores", "s.npy", "--per-query", "s.parquet"];
    assert_eq!(eval(home.path(), &keep).code, Some(0));
    let same = ["--scores", "s.npy", "--compare-with", "s.parquet", "--json"];
    let same = eval(home.path(), &same).json();
    let rows = same["compared"].as_array().unwrap();
    assert_eq!(rows.len(), same["figures"].as_array().unwrap().len());
    assert!(
        rows.iter()
            .all(|row| row["difference"] == 0.0 && row["p"] == 1.0),
        "{rows:?}"
    );
    let other = ["--scores", "other.npy", "--compare-with", "s.parquet"];
    let text = eval(home.path(), &other).out;
    assert!(
        text.contains("this - other") && text.contains("not corrected"),
        "{text}"
    );
    refused(
        home.path(),
        &[
            "--scores",
            "s.npy",
            "--folds",
            "2",
            "--compare-with",
            "s.parquet",
            "--per-query",
            "x.parquet",
        ],
        &["folds: 2, not 1"],
    );
    let table = fs::read(home.path().join("s.parquet")).unwrap();
    for at in (4..table.len()).step_by(table.len() / 24) {
        let mut damaged = table.clone();
        damaged[at] ^= 0xff;
        damaged[at - 1] = 0x99;
        fs::write(home.path().join("damaged.parquet"), damaged).unwrap();
        let line = ["--scores", "s.npy", "--compare-with", "damaged.parquet"];
        let done = eval(home.path(), &line);
        assert!(done.code == Some(0) || done.code == Some(2), "{}", done.err);
        assert!(!done.err.contains("internal fault"), "{at}: {}", done.err);
    }
    fs::write(home.path().join("no.parquet"), "PAR1").unwrap();
    refused(
        home.path(),
        &["--scores", "s.npy", "--compare-with", "no.parquet"],
        &["no.parquet: is not a table of queries"],
    );
}

#[test]
fn the_page_shows_the_hardest_queries_and_runs_no_caption() {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "test", N_IMAGES);
    let captions = home.path().join("data/test_caps.txt");
    let text = fs::read_to_string(&captions).unwrap();
    let hostile = "<script>alert(1)</script>";
    fs::write(
        &captions,
        text.replacen("picture 0 seen for the 0th time", hostile, 1),
    )
    .unwrap();
    // The first image's own captions score lowest of all.
    let n = N_IMAGES * files::EACH;
    let values: Vec<u8> = (0..N_IMAGES * n)
        .map(|at| {
            if at / n == 0 && at % n < files::EACH {
                -1.0
            } else {
                (at as f32 * 0.7).sin()
            }
        })
        .flat_map(f32::to_le_bytes)
        .collect();
    files::npy(&home.path().join("s.npy"), "<f4", &[N_IMAGES, n], &values);
    let args = words("--scores s.npy --data data --page page.html --page-queries 3");
    let done = eval(home.path(), &args);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let page = fs::read_to_string(home.path().join("page.html")).unwrap();
    assert!(
        !page.contains(hostile) && page.contains("&#60;script&#62;")
            || page.contains("&lt;script&gt;")
    );
    let first = page
        .find("<strong>36</strong>")
        .expect("rank of the first image");
    assert!(
        page[..first].matches("<strong>").count() == 1,
        "the hardest query comes first"
    );
    assert!(
        page.contains("photo-0")
            && page.contains(">wrong<")
            && page.contains("default-src &#39;none&#39;")
    );

    let args = words("--scores s.npy --data data --page one.html --show photo-3");
    assert_eq!(eval(home.path(), &args).code, Some(0));
    let page = fs::read_to_string(home.path().join("one.html")).unwrap();
    assert!(page.contains("1 of 8 queries, as asked for") && page.contains("photo-3"));
    refused(
        home.path(),
        &[
            "--scores", "s.npy", "--data", "data", "--page", "no.html", "--show", "photo-99",
        ],
        &["no query is called photo-99"],
    );
}

#[test]
fn judgments_that_do_not_fit_the_data() {
    let home = home();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("odd.json", r#"{"0": [1, 99], "7": [3], "44": [2]}"#);
    let judged = ["--scores", "s.npy", "--relevance", "odd.json"];
    refused(
        home.path(),
        &judged,
        &[
            "odd.json: 1 queries and 1 relevant items are not in the data, first item '99' of query '0'",
        ],
    );
    let counted = eval(
        home.path(),
        &[&judged[..], &["--unknown-ids", "count", "--json"]].concat(),
    );
    assert!(
        counted.err.contains("not in the data: 1 asking image"),
        "{}",
        counted.err
    );
    let counted = counted.json();
    assert_eq!(counted["queries"][0]["queries"], 2);
    assert_eq!(counted["queries"][0]["excluded"], 6);
    let ignored = eval(
        home.path(),
        &[&judged[..], &["--unknown-ids", "ignore", "--json"]].concat(),
    );
    let ignored = ignored.json();
    assert!(figure(&counted, "map", "i2t") < figure(&ignored, "map", "i2t"));

    write("twice.json", r#"{"0": [1, 1]}"#);
    refused(
        home.path(),
        &["--scores", "s.npy", "--relevance", "twice.json"],
        &["twice.json: query '0' lists '1' twice"],
    );
    write("none.json", r#"{"0": []}"#);
    refused(
        home.path(),
        &["--scores", "s.npy", "--relevance", "none.json"],
        &["nothing can be ranked"],
    );
}

#[test]
fn labels_that_do_not_fit_the_data() {
    let home = home();
    files::integers(&home.path().join("short.npy"), &[0, 1, 2]);
    refused(
        home.path(),
        &["--scores", "s.npy", "--labels", "short.npy"],
        &["short.npy: labels of 3 items, expected 8"],
    );
    files::integers(&home.path().join("classes.npy"), &[0, 1, 2, 0, 1, 2, 9, -1]);
    refused(
        home.path(),
        &[
            "--scores",
            "s.npy",
            "--labels",
            "classes.npy",
            "--classes",
            "3",
        ],
        &["classes.npy: label 9 of row 6 is outside the classes 0 to 2"],
    );
    refused(
        home.path(),
        &[
            "--scores",
            "s.npy",
            "--labels",
            "classes.npy",
            "--match",
            "plausible",
        ],
        &["single classes", "[n, k]"],
    );
    let done = eval(
        home.path(),
        &["--scores", "s.npy", "--labels", "classes.npy", "--json"],
    );
    assert!(
        done.err.contains("1 image and 2 captions have no label"),
        "{}",
        done.err
    );
    assert_eq!(done.json()["queries"][0]["excluded"], 1);
}

#[test]
fn rankings_that_make_no_sense() {
    let home = home();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("t2i.json", r#"{"a": ["p", "q"], "b": ["q", "p"]}"#);
    write("pairs.json", r#"{"p": ["a"], "q": ["b"]}"#);
    let ranked = |i2t| ["--ranked", i2t, "t2i.json", "--pairs", "pairs.json"];
    write("twice.json", r#"{"p": ["a", "a"], "q": ["b"]}"#);
    refused(
        home.path(),
        &ranked("twice.json"),
        &["twice.json: query 'p' lists 'a' twice"],
    );
    write("missing.json", r#"{"p": ["a", "b"]}"#);
    refused(
        home.path(),
        &ranked("missing.json"),
        &["1 image queries with a relevant item have no list"],
    );
    write("alone.json", r#"{"p": ["a", "b"], "q": ["a", "b"]}"#);
    refused(
        home.path(),
        &["--ranked", "alone.json", "t2i.json"],
        &["nothing says which captions belong to which images"],
    );
    write("ids.txt", "p\nq\n");
    write("captions.txt", "a\nz\n");
    refused(
        home.path(),
        &[
            "--ranked",
            "alone.json",
            "t2i.json",
            "--ids",
            "ids.txt",
            "captions.txt",
            "--pairs",
            "pairs.json",
        ],
        &["alone.json: 2 ids are not in the data, first item 'b' of query 'p'"],
    );
    let done = eval(
        home.path(),
        &[&ranked("alone.json")[..], &["--json"]].concat(),
    )
    .json();
    assert_eq!(figure(&done, "recall@1", "i2t"), 0.5);

    let mut values = vec![0.5f32; N_IMAGES * DIM];
    values[DIM + 3] = f32::NAN;
    files::rows(&home.path().join("nan.npy"), &values);
    refused(
        home.path(),
        &["--scores", "nan.npy"],
        &["image 1 and caption 3 is NaN"],
    );
    refused(
        home.path(),
        &["--scores", "s.npy", "--protocol", "coco1k"],
        &["5000 images with 5 captions each", "8 images"],
    );
    files::precomp(&home.path().join("data"), "test", 3);
    refused(
        home.path(),
        &["--scores", "s.npy", "--data", "data"],
        &["8 images and 16 captions", "3 and 15"],
    );
}

#[test]
fn two_outputs_of_one_file_are_refused() {
    let home = home();
    for outputs in [
        "--trec-run r r",
        "--page x --per-query x",
        "--page x --per-query ./x",
        "--page x --trec-qrels new/../x y",
    ] {
        let args = [&["--scores", "s.npy"][..], &words(outputs)].concat();
        refused(home.path(), &args, &["two outputs are this file"]);
    }
}

#[test]
fn outputs_replace_nothing_that_is_read() {
    let home = home();
    let at = home.path();
    let keep = words("--scores s.npy --per-query kept.parquet");
    assert_eq!(eval(at, &keep).code, Some(0));
    files::integers(&at.join("classes.npy"), &[0, 1, 2, 0, 1, 2, 0, 1]);
    files::precomp(&at.join("data"), "test", N_IMAGES);
    fs::write(at.join("data/notes.md"), "mine").unwrap();
    let reads = "is what this command reads";
    for (line, part) in [
        ("--page s.npy", reads),
        ("--page data/../s.npy", reads),
        ("--labels classes.npy --trec-qrels a classes.npy", reads),
        (
            "--compare-with kept.parquet --per-query kept.parquet",
            reads,
        ),
        ("--data data --page data/test_caps.txt", reads),
        ("--data data --page data/notes.md", "lies beside the data"),
        ("--page -", "./-"),
    ] {
        let args = [&["--scores", "s.npy"][..], &words(line)].concat();
        refused(at, &args, &[part]);
    }
    // What standard output is sent to would be cut off from its name.
    let printed = fs::File::create(at.join("all.html")).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(at)
        .args(words("eval --scores s.npy --page all.html"))
        .stdout(printed)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    let message = String::from_utf8(done.stderr).unwrap();
    assert!(message.contains("all.html: is where"), "{message}");
}

#[cfg(unix)]
#[test]
fn outputs_go_through_links_and_leave_pipes() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let home = home();
    let at = home.path();
    let outputs = [
        ("table.parquet", "far/table.parquet"),
        ("page.html", "far/page.html"),
    ];
    for (link, file) in outputs {
        symlink(file, at.join(link)).unwrap();
    }
    let line = words("--scores s.npy --per-query table.parquet --page page.html");
    // At first the links lead to nothing.
    for _ in 0..2 {
        let done = eval(at, &line);
        assert_eq!(done.code, Some(0), "{}", done.err);
        for (link, file) in outputs {
            assert!(at.join(link).is_symlink(), "{link}");
            assert!(fs::metadata(at.join(file)).unwrap().len() > 100, "{file}");
        }
    }
    symlink("s.npy", at.join("scores.html")).unwrap();
    let line = ["--scores", "s.npy", "--page", "scores.html"];
    refused(at, &line, &["scores.html: is what this command reads"]);
    let line = "--scores s.npy --page page.html --per-query far/page.html";
    refused(at, &words(line), &["two outputs are this file"]);

    let made = Command::new("mkfifo").arg(at.join("pipe")).status();
    assert!(made.unwrap().success());
    for outputs in ["--per-query pipe", "--page pipe", "--trec-run a pipe"] {
        let args = [&["--scores", "s.npy"][..], &words(outputs)].concat();
        refused(at, &args, &["pipe: cannot write", "but a pipe"]);
    }
    let pipe = fs::symlink_metadata(at.join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
}
