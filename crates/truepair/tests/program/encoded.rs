//! Pictures and captions that are audited in one command, embedded on the way.

use std::fs;
use std::path::Path;

use crate::{CACHE, Finished, files, holds, listing, refused, truepair, words};

/// A table of captioned pictures beside their folder, and encoders; the last picture is a text.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let pictures = files::colors(&home.path().join("photos"), 125);
    let mut table = String::from("license,image,caption\n");
    for (name, caption) in &pictures {
        table += &format!("CC0,photos/{name},{caption}\n");
    }
    fs::write(home.path().join("captions.csv"), table).unwrap();
    fs::write(home.path().join("photos/124.bmp"), "a caption").unwrap();
    files::encoders(&home.path().join("clip"));
    home
}

const ENCODERS: &str =
    "--image-encoder clip/onnx/vision_model.onnx --text-encoder clip/onnx/text_model.onnx";

fn audit(home: &Path, rest: &str) -> Finished {
    truepair(
        home,
        &words(&format!("audit captions.csv {ENCODERS} {rest}")),
    )
}

#[test]
fn a_table_of_pictures_is_audited_in_one_command() {
    let home = home();
    let done = audit(home.path(), "--out audit --json");
    holds(&done.err, &["1 picture skipped", "photos/124.bmp"]);
    let summary = done.json();
    assert_eq!(summary["pairs"], 124);
    assert_eq!(summary["format"], "table");
    holds(
        &summary["notes"].to_string(),
        &["embedded by", "1 picture could not be decoded"],
    );
    assert_ne!(summary["verdict"], "refused", "{summary}");
    let out = home.path().join("audit");
    let verdicts = fs::read_to_string(out.join("verdicts.csv")).unwrap();
    holds(
        &verdicts,
        &["photos/000.bmp", "photos/123.bmp", "a red dog runs"],
    );
    let cleaned = fs::read_to_string(out.join("cleaned/captions.csv")).unwrap();
    assert!(
        cleaned.starts_with("license,image,caption\nCC0,photos/"),
        "{cleaned}"
    );
    assert!(!cleaned.contains("photos/124.bmp"));
    let kept = summary["decision"]["kept"].as_u64().unwrap();
    assert_eq!(cleaned.lines().count() as u64, kept + 1);
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    holds(
        &report,
        &[
            "data:image/bmp;base64",
            "<span>--image-encoder</span> <span>clip/onnx/vision_model.onnx</span>",
        ],
    );

    let cache = home.path().join(CACHE).join("embeddings");
    let before = listing(&cache);
    let again = audit(home.path(), "--json");
    holds(&again.err, &["embeddings from an earlier run"]);
    assert_eq!(again.json()["noise_rate"], summary["noise_rate"]);
    assert_eq!(listing(&cache), before);

    let plain = fs::read_to_string(home.path().join("captions.csv")).unwrap();
    let plain = plain.replace("license,", "").replace("CC0,", "");
    fs::write(home.path().join("plain.csv"), plain).unwrap();
    let strict = format!("audit plain.csv {ENCODERS} --strict");
    truepair(home.path(), &words(&strict))
        .is_refused(&["strict", "1 picture could not be decoded"]);
}

#[test]
fn a_run_remembers_its_encoders() {
    let home = home();
    let line = format!("train captions.csv {ENCODERS} --matcher linear --out run --json");
    assert_eq!(audit(home.path(), "").code, Some(0));
    let trained = truepair(home.path(), &words(&line));
    holds(&trained.err, &["embeddings from an earlier run"]);
    let trained = trained.json();
    assert_eq!(trained["pairs"], 124);
    let measured = truepair(home.path(), &words("eval run --split train --json"));
    holds(&measured.err, &["embeddings from an earlier run"]);
    assert!(measured.json()["rsum"].is_f64());
}

#[test]
fn methods_are_compared_on_pictures_and_captions() {
    let home = home();
    let mut table = String::from("image,caption,split\n");
    for (row, line) in fs::read_to_string(home.path().join("captions.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .take(124)
        .enumerate()
    {
        let split = ["test", "dev", "train", "train"][row % 4];
        let (_, rest) = line.split_once(',').unwrap();
        table += &format!("{rest},{split}\n");
    }
    fs::write(home.path().join("captions.csv"), table).unwrap();
    let grid = "--strategies plain --seeds 1 --no-baselines --set training.epochs=2 --out grid";
    let line = format!("compare captions.csv {ENCODERS} {grid} --json");
    let done = truepair(home.path(), &words(&line));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let line = format!("compare captions.csv {grid}2");
    let parts = ["truepair compare captions.csv --out grid2 --image-encoder"];
    refused(home.path(), &words(&line), &parts);
}

#[test]
fn captions_that_are_cut_are_told_once() {
    let home = home();
    let long = "a red dog runs ".repeat(30);
    let table = fs::read_to_string(home.path().join("captions.csv")).unwrap();
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    lines[3] = format!("CC0,photos/002.bmp,{long}");
    fs::write(home.path().join("captions.csv"), lines.join("\n")).unwrap();
    for _ in 0..2 {
        let done = audit(home.path(), "");
        assert_eq!(
            done.err.matches("1 of 125 captions was cut at").count(),
            1,
            "{}",
            done.err
        );
        assert_eq!(done.out.matches("was cut at").count(), 1, "{}", done.out);
        assert!(
            !done.err.contains("split "),
            "the data is told once: {}",
            done.err
        );
    }
}

#[test]
fn a_file_that_breaks_the_runtime_is_one_error() {
    let home = home();
    fs::write(
        home.path().join("clip/onnx/vision_model.onnx"),
        [8, 8, 0x3a, 0],
    )
    .unwrap();
    let line = format!("audit captions.csv {ENCODERS}");
    let done = truepair(home.path(), &words(&line));
    done.is_refused(&["vision_model.onnx"]);
    assert!(!done.err.contains("internal fault"), "{}", done.err);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
}

#[test]
fn without_encoders_the_two_files_and_the_command_are_named() {
    let home = home();
    let parts = [
        "an image encoder",
        "a text encoder",
        "Xenova/clip-vit-base-patch32",
        "truepair audit captions.csv --out audit/ --image-encoder",
    ];
    refused(home.path(), &["audit", "captions.csv"], &parts);
    let parts = ["truepair train captions.csv --out run --image-encoder"];
    refused(home.path(), &words("train captions.csv --out run"), &parts);
    let twice = format!("audit captions.csv {ENCODERS} --features x.npy");
    refused(home.path(), &words(&twice), &["--features", "drop one"]);
}

#[test]
fn inspect_says_how_encoders_are_set_up() {
    let home = home();
    let seen = truepair(
        home.path(),
        &words(&format!("inspect captions.csv {ENCODERS}")),
    );
    assert_eq!(seen.code, Some(0), "{}", seen.err);
    holds(
        &seen.err,
        &[
            "image encoder: vectors of 8 numbers",
            "preprocessor_config.json",
        ],
    );
    holds(&seen.out, &["125 images", "pictures"]);
}
