//! Runs with Gaussian embeddings: batches by class, and what they make of seeing less.

use std::fs;
use std::path::Path;

use crate::{files, truepair};

const SHORT: [&str; 4] = ["--set", "training.epochs=2", "--set", "training.keep=last"];

fn train(home: &Path, data: &str, out: &str, more: &[&str]) -> crate::Finished {
    let args = [&["train", data, "--out", out, "--json"][..], &SHORT, more].concat();
    truepair(home, &args)
}

#[test]
fn batches_of_one_bird_per_class_and_pixels_and_words_erased() {
    let home = tempfile::tempdir().unwrap();
    files::cub(&home.path().join("birds"));
    let by_class = ["--set", "training.sampling=one-per-class"];
    let pcme = ["--strategy", "pcme", "--pixels", "8"];
    train(
        home.path(),
        "birds",
        "run",
        &[&pcme[..], &by_class].concat(),
    )
    .json();
    let config = fs::read_to_string(home.path().join("run/config.toml")).unwrap();
    assert!(config.contains("sampling = \"one-per-class\""), "{config}");

    // Whoever counts as right counts for the tenths, too: here everybody.
    fs::write(home.path().join("one.txt"), "3\n".repeat(20)).unwrap();
    let tenths = |more: &[&str]| {
        let args = [&["eval", "run", "--json"], more].concat();
        let found = truepair(home.path(), &args).json();
        let tenths = found["uncertainty"]["queries"]["text_to_image"]["tenths"].clone();
        let recalls = tenths.as_array().unwrap().iter();
        recalls
            .map(|tenth| tenth["recall@1"].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(tenths(&["--labels", "one.txt"]), [1.0; 10]);
    assert_ne!(tenths(&[]), [1.0; 10]);
    // Data that has labels needs no file of them.
    let found = truepair(home.path(), &["eval", "run", "--match", "same", "--json"]).json();
    let relevance = found["protocol"]["relevance"].as_str().unwrap();
    assert!(
        relevance.starts_with("labels of the data, same, sha256 "),
        "{relevance}"
    );

    let args = ["eval", "run", "--occlusion", "seen.html", "--json"];
    let done = truepair(home.path(), &args).json();
    let stored = fs::read(home.path().join("seen.json")).unwrap();
    let mut stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let schema = stored.as_object_mut().unwrap().remove("schema");
    assert_eq!(schema.unwrap(), "truepair/occlusion/1");
    assert_eq!(done["occlusion"], stored);
    for (side, erased, n) in [("images", "pixels", 20), ("captions", "words", 40)] {
        let curve = &stored[side];
        assert_eq!((&curve["erased"], &curve["n"]), (&erased.into(), &n.into()));
        let points = curve["points"].as_array().unwrap();
        assert_eq!(points.len(), 11);
        for (tenth, point) in points.iter().enumerate() {
            let number = |name: &str| point[name].as_f64().unwrap();
            assert!((number("share") - tenth as f64 / 10.0).abs() < 1e-9);
            assert!(
                number("low") <= number("uncertainty") && number("uncertainty") <= number("high")
            );
        }
        let rho = curve["correlation"]["rho"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&rho), "{curve}");
    }
    // Nothing erased is what the uncertainty of the queries says.
    let page = fs::read_to_string(home.path().join("seen.html")).unwrap();
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 2);
    let files = done["files"].to_string();
    assert!(
        files.contains("seen.html") && files.contains("seen.json"),
        "{files}"
    );
    let text = truepair(home.path(), &args[..4]).out;
    assert!(
        text.contains("images (pixels)") && text.contains("captions (words)"),
        "{text}"
    );
}

#[test]
fn data_without_classes_has_no_batches_by_class() {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "train", 40);
    let refused = train(
        home.path(),
        "data",
        "run",
        &["--set", "training.sampling=one-per-class"],
    );
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("has no classes"), "{}", refused.err);
    let unknown = train(
        home.path(),
        "data",
        "run",
        &["--set", "training.sampling=by-class"],
    );
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("one-per-class"), "{}", unknown.err);
}

#[test]
fn single_embeddings_have_nothing_to_erase() {
    let home = tempfile::tempdir().unwrap();
    for (split, n) in [("train", 60), ("test", 20)] {
        files::precomp(&home.path().join("data"), split, n);
    }
    let run = |out: &str, more: &[&str]| train(home.path(), "data", out, more).json();
    let occlude = |run: &str| {
        let args = ["eval", run, "--occlusion", "seen.html", "--json"];
        truepair(home.path(), &args)
    };
    run(
        "texts",
        &["--strategy", "pcme++", "--caption-features", "none"],
    );
    let done = occlude("texts").json();
    let refused = done["occlusion"]["images"]["refused"].as_str().unwrap();
    assert!(
        refused.contains("images are one embedding each"),
        "{refused}"
    );
    assert_eq!(done["occlusion"]["captions"]["erased"], "words");

    run("vectors", &["--strategy", "pcme++"]);
    let refused = occlude("vectors");
    assert_eq!(refused.code, Some(2));
    for side in ["images are one embedding", "captions are one embedding"] {
        assert!(refused.err.contains(side), "{}", refused.err);
    }
    run("plain", &["--strategy", "plain"]);
    let refused = occlude("plain");
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("are vectors"), "{}", refused.err);
    for distance in ["sampled-square", "sampled-distance"] {
        let args = ["eval", "vectors", "--distance", distance, "--json"];
        let done = truepair(home.path(), &args).json();
        assert_eq!(done["distance"], distance);
    }
}
