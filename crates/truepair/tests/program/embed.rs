//! Embeddings of pictures and captions: made, gone on with, refused, and read by other commands.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Finished, listing, refused, truepair, words};

/// A fixture of the library `truepair-encode`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../truepair-encode/fixtures")
        .join(name)
}

/// A folder `data` of 12 captioned pictures, one of them a text, and the tiny encoders.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    for index in 0..12 {
        let name = ["rgb.png", "rgb.jpg", "lossy.webp"][index % 3];
        let ending = name.split('.').nth(1).unwrap();
        let path = home.path().join(format!("data/{index:02}.{ending}"));
        match index {
            7 => fs::write(&path, "a caption").unwrap(),
            _ => drop(fs::copy(fixture("pictures").join(name), &path).unwrap()),
        }
        let text = format!("a red dog runs on\nthe {} cat", ["big", "green"][index % 2]);
        fs::write(path.with_extension("txt"), text).unwrap();
    }
    for name in ["tiny_image.onnx", "tiny_text.onnx", "tokenizer.json"] {
        fs::copy(fixture("encoders").join(name), home.path().join(name)).unwrap();
    }
    home
}

fn embed(home: &Path, extra: &[&str]) -> Finished {
    let args = words("embed data --image-encoder tiny_image.onnx --assume imagenet --out out");
    truepair(home, &[&args[..], extra].concat())
}

#[cfg(not(feature = "ort"))]
#[test]
fn another_runtime_is_refused_where_it_was_not_built_in() {
    let home = home();
    let library = ["--runtime", "ort", "--runtime-library", "libonnxruntime.so"];
    let refused = embed(home.path(), &library);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--features ort"), "{}", refused.err);
    let alone = embed(home.path(), &["--runtime", "ort"]);
    assert_eq!(alone.code, Some(2));
    assert!(alone.err.contains("--runtime-library"), "{}", alone.err);
    let idle = embed(home.path(), &library[2..]);
    assert_eq!(idle.code, Some(2));
    assert!(idle.err.contains("is for --runtime ort"), "{}", idle.err);
}

const TEXT: [&str; 2] = ["--text-encoder", "tiny_text.onnx"];

#[test]
fn pictures_and_captions_become_data_that_other_commands_read() {
    let home = home();
    let done = embed(home.path(), &[&TEXT[..], &["--json"]].concat());
    assert!(
        done.err.contains("1 picture skipped") && done.err.contains("07.jpg"),
        "{}",
        done.err
    );
    let done = done.json();
    assert_eq!(
        (done["image_dim"].as_u64(), done["caption_dim"].as_u64()),
        (Some(8), Some(16))
    );
    assert_eq!(
        (
            done["splits"][0]["images"].as_u64(),
            done["skipped"].as_u64()
        ),
        (Some(11), Some(1))
    );
    let files = [
        "captions.npy",
        "captions.txt",
        "embed.json",
        "ids.txt",
        "images.npy",
        "pairs.npy",
        "skipped.tsv",
    ];
    assert_eq!(listing(&home.path().join("out")), files.map(PathBuf::from));
    let skipped = fs::read_to_string(home.path().join("out/skipped.tsv")).unwrap();
    assert!(
        skipped.contains("all\t07.jpg\t") && skipped.contains("no picture"),
        "{skipped}"
    );
    let seen = truepair(home.path(), &["inspect", "out", "--json"]).json();
    assert_eq!(seen["format"], "embeddings");
    assert_eq!(seen["splits"][0]["pairs"], 22);

    let images = fs::read(home.path().join("out/images.npy")).unwrap();
    let again = embed(home.path(), &[&TEXT[..], &["--json"]].concat());
    assert!(again.err.contains("already done"), "{}", again.err);
    assert_eq!(again.json(), done);
    assert_eq!(
        fs::read(home.path().join("out/images.npy")).unwrap(),
        images
    );
    let other = embed(home.path(), &[&TEXT[..], &["--half"]].concat());
    assert_eq!(other.code, Some(2));
    assert!(
        other.err.contains("another job, which differs in half"),
        "{}",
        other.err
    );
}

#[test]
fn parts_of_a_stopped_job_are_used_and_lead_to_the_same_bytes() {
    let (whole, stopped) = (home(), home());
    assert_eq!(embed(whole.path(), &TEXT).code, Some(0));
    // What a job leaves that was stopped after its pictures: the parts without the end.
    assert_eq!(embed(stopped.path(), &TEXT).code, Some(0));
    let out = stopped.path().join("out");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("embed.json")).unwrap()).unwrap();
    let marker = summary["job"].to_string();
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir_all(out.join(".truepair-embed/all")).unwrap();
    fs::write(out.join(".truepair-embed/job.json"), marker).unwrap();
    assert_eq!(embed(stopped.path(), &TEXT).code, Some(0));
    for name in ["images.npy", "captions.npy", "pairs.npy", "ids.txt"] {
        let read = |home: &tempfile::TempDir| fs::read(home.path().join("out").join(name)).unwrap();
        assert!(read(&whole) == read(&stopped), "{name}");
    }
    assert!(!out.join(".truepair-embed").exists());
}

/// Row 23 of the attack: a failure in the middle used to leave a folder that nobody had heard of.
#[test]
fn an_encoder_that_fails_in_the_middle_says_what_is_kept() {
    let home = home();
    let tokenizer = home.path().join("tokenizer.json");
    let text = fs::read_to_string(&tokenizer).unwrap();
    let mut beyond: serde_json::Value = serde_json::from_str(&text).unwrap();
    beyond["model"]["vocab"]["green"] = 100_000.into();
    fs::write(&tokenizer, beyond.to_string()).unwrap();
    for _ in 0..2 {
        let failed = embed(home.path(), &TEXT);
        let kept = "out: keeps what is embedded so far; the same command goes on with it";
        failed.is_refused(&["tiny_text.onnx", kept]);
        let parts = fs::read_dir(home.path().join("out/.truepair-embed/all")).unwrap();
        assert!(parts.count() > 0);
    }
}

#[test]
fn without_a_text_encoder_captions_stay_texts() {
    let home = home();
    let done = embed(home.path(), &["--half", "--json"]).json();
    assert!(done["caption_dim"].is_null());
    let seen = truepair(home.path(), &["inspect", "out", "--json"]).json();
    assert_eq!(
        (seen["format"].as_str(), seen["splits"][0]["dtype"].as_str()),
        (Some("precomp"), Some("f16"))
    );
    assert_eq!(seen["splits"][0]["captions"], 22);
}

#[test]
fn what_cannot_be_embedded_is_named() {
    let home = home();
    let home = home.path();
    let base = [
        "embed",
        "data",
        "--out",
        "out",
        "--assume",
        "imagenet",
        "--image-encoder",
    ];
    let with = |rest: &[&'static str]| [&base[..], rest].concat();
    refused(home, &with(&["none.onnx"]), &["none.onnx"]);
    refused(
        home,
        &with(&["tokenizer.json"]),
        &["tokenizer.json", "ONNX"],
    );
    refused(
        home,
        &with(&["tiny_image.onnx", "--size", "20"]),
        &["tiny_image.onnx", "[n, 3, 20, 20]"],
    );
    refused(
        home,
        &with(&["tiny_image.onnx", "--image-output", "x"]),
        &["pooled, logits"],
    );
    refused(
        home,
        &with(&["tiny_image.onnx", "--pixels", "16"]),
        &["--size"],
    );
    refused(
        home,
        &["audit", "data", "--frozen"],
        &["pictures, not features", "truepair embed"],
    );
    fs::write(home.join("data.csv"), "image,caption\na.jpg,one\n").unwrap();
    let table =
        words("embed data.csv --out out2 --image-encoder tiny_image.onnx --assume imagenet");
    let done = truepair(home, &table);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err.contains("a.jpg: there is no such file"),
        "{}",
        done.err
    );
}

#[test]
fn settings_are_found_told_and_never_guessed() {
    let home = home();
    let refused = truepair(
        home.path(),
        &words("embed data --image-encoder tiny_image.onnx --out out"),
    );
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--assume"), "{}", refused.err);
    let text = r#"{"size": 16, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
    fs::write(home.path().join("preprocessor_config.json"), text).unwrap();
    let done = truepair(
        home.path(),
        &words("embed data --image-encoder ./tiny_image.onnx --out out"),
    );
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.out
            .contains("mean [0.5, 0.5, 0.5] (preprocessor_config.json)"),
        "{}",
        done.out
    );
    let stored = fs::read(home.path().join("out/embed.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let settings = stored["settings"]["image_encoder"].as_array().unwrap();
    assert_eq!(settings[0]["source"], "preprocessor_config.json");
}

#[test]
fn pictures_alone_and_captions_alone_are_embedded_and_belong_to_nothing() {
    let home = home();
    for index in 0..12 {
        fs::remove_file(home.path().join(format!("data/{index:02}.txt"))).unwrap();
    }
    let done = embed(home.path(), &["--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.json()["splits"][0]["images"], 11);
    let files = ["embed.json", "ids.txt", "images.npy", "skipped.tsv"];
    assert_eq!(listing(&home.path().join("out")), files.map(PathBuf::from));
    fs::write(home.path().join("queries.txt"), "a red dog\n\nthe cat\n").unwrap();
    let queries = words("embed queries.txt --text-encoder tiny_text.onnx --out asked --json");
    let done = truepair(home.path(), &queries);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.json()["splits"][0]["captions"], 2);
    let files = ["captions.npy", "captions.txt", "embed.json"];
    assert_eq!(
        listing(&home.path().join("asked")),
        files.map(PathBuf::from)
    );
    refused(home.path(), &["audit", "out"], &["pictures alone"]);
    refused(home.path(), &["audit", "asked"], &["captions alone"]);
    let none = truepair(home.path(), &["embed", "data", "--out", "none"]);
    assert!(none.err.contains("--image-encoder"), "{}", none.err);
}

#[test]
fn a_network_trains_on_pixels() {
    let home = home();
    let args = words(
        "train data --pixels 16 --out run --json --set training.epochs=2 --set training.batch=8 --set matcher.image.kind=resnet --set matcher.image.depth=10 --set matcher.image.width=4 --set matcher.image.stem=small --set matcher.image.dim=16 --set training.keep=last",
    );
    let done = truepair(home.path(), &args);
    assert!(done.err.contains("1 picture skipped"), "{}", done.err);
    assert_eq!(done.json()["pairs"], 22);
    let config = fs::read_to_string(home.path().join("run/config.toml")).unwrap();
    assert!(config.contains("kind = \"resnet\""), "{config}");
    let measured = truepair(home.path(), &["eval", "run", "--split", "all", "--json"]);
    assert!(measured.json()["rsum"].is_f64());
}
