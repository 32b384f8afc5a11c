//! Published checkpoints: converted, evaluated, and refused when they do not fit.

use std::fs;
use std::path::Path;

use crate::files::{self, DIM};
use crate::{Finished, holds, listing, truepair, words};

pub(crate) const WORDS: &[&str] = &["picture", "seen", "for", "the", "time"];

/// Shapes of a VSE++ checkpoint for features of `width` numbers.
pub(crate) fn vsepp(width: usize) -> Vec<(String, Vec<usize>)> {
    let (d, word_dim, n_words) = (8, 6, 4 + WORDS.len());
    let tensors = [
        ("model.0.fc.weight", vec![d, width]),
        ("model.0.fc.bias", vec![d]),
        ("model.1.embed.weight", vec![n_words, word_dim]),
        ("model.1.rnn.weight_ih_l0", vec![3 * d, word_dim]),
        ("model.1.rnn.weight_hh_l0", vec![3 * d, d]),
        ("model.1.rnn.bias_ih_l0", vec![3 * d]),
        ("model.1.rnn.bias_hh_l0", vec![3 * d]),
    ];
    (tensors.into_iter())
        .map(|(name, shape)| (name.to_owned(), shape))
        .collect()
}

fn home(tensors: &[(String, Vec<usize>)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "test", 20);
    files::safetensors(&home.path().join("model.safetensors"), tensors);
    files::vocabulary(&home.path().join("words.json"), WORDS);
    home
}

fn convert(home: &Path, extra: &[&str]) -> Finished {
    truepair(home, &arguments(extra))
}

/// Expects a failure that names `parts` and leaves nothing behind.
#[track_caller]
fn refused(home: &Path, extra: &[&str], parts: &[&str]) {
    crate::refused(home, &arguments(extra), parts);
}

fn arguments<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let args = words("convert model.safetensors --as vsepp --vocabulary words.json --out run");
    [&args[..], extra].concat()
}

#[test]
fn a_checkpoint_becomes_a_run_that_is_evaluated() {
    let home = home(&vsepp(DIM));
    let done = convert(home.path(), &["--json"]);
    holds(&done.err, &["no_imgnorm", "measure = cosine", "--set"]);
    let done = done.json();
    assert_eq!(
        (done["as"].as_str(), done["words"].as_u64()),
        (Some("vsepp"), Some(9))
    );
    assert_eq!(done["checkpoint"], "model.safetensors");
    assert_eq!(done["sha256"].as_str().map(str::len), Some(64));
    let stored = fs::read_to_string(home.path().join("run/provenance.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stored).unwrap(),
        done
    );
    let files = [
        "config.toml",
        "provenance.json",
        "vocabulary.json",
        "weights.safetensors",
    ];
    assert_eq!(
        listing(&home.path().join("run")),
        files.map(std::path::PathBuf::from)
    );

    let alone = truepair(home.path(), &["eval", "run"]);
    assert_eq!(alone.code, Some(2));
    holds(&alone.err, &["run", "--data"]);
    let measured = truepair(home.path(), &["eval", "run", "--data", "data", "--json"]).json();
    assert!(measured["rsum"].is_f64(), "{measured}");
    assert_eq!(measured["protocol"]["split"], "test");
}

#[test]
fn a_setting_replaces_what_was_read_and_is_no_longer_assumed() {
    let home = home(&vsepp(DIM));
    let sets = words("--set matcher.similarity.kind=order --set training.max_tokens=9");
    let done = convert(home.path(), &[&sets[..], &["--json"]].concat());
    assert!(!done.err.contains("measure"), "{}", done.err);
    assert_eq!(done.json()["similarity"], "order");
    let config = fs::read_to_string(home.path().join("run/config.toml")).unwrap();
    holds(&config, &["kind = \"order\"", "max_tokens = 9"]);
    let measured = truepair(home.path(), &["eval", "run", "--data", "data", "--json"]).json();
    assert!(measured["rsum"].is_f64(), "{measured}");
}

#[test]
fn checkpoints_that_do_not_fit_are_named_field_by_field() {
    let mut tensors = vsepp(DIM);
    tensors.retain(|(name, _)| name != "model.1.rnn.bias_hh_l0");
    tensors[1].1 = vec![9];
    tensors.push(("model.0.cnn.weight".to_owned(), vec![2]));
    let home = home(&tensors);
    let parts = [
        "model.safetensors",
        "`vsepp`",
        "missing: txt_enc.rnn.bias_hh_l0",
        "superfluous: img_enc.cnn.weight [2]",
        "img_enc.fc.bias [9], expected [8]",
    ];
    refused(home.path(), &[], &parts);
}

#[test]
fn conversions_that_make_no_sense() {
    let whole = home(&vsepp(DIM));
    let home = whole.path();
    let args = words("convert x --as vsep --vocabulary x --out x");
    let done = truepair(home, &args);
    assert_eq!(done.code, Some(2));
    holds(&done.err, &["vsep", "vsepp", "vsrn"]);

    refused(
        home,
        &["--set", "matcher.image.dmi=3"],
        &["dmi", "did you mean `dim`"],
    );
    refused(
        home,
        &["--set", "matcher.image.kind=mlp"],
        &["`vsepp`", "mlp images"],
    );
    refused(
        home,
        &["--set", "matcher.image.dim=9"],
        &["img_enc.fc.weight [8, 16], expected [9, 16]"],
    );

    files::vocabulary(&home.join("words.json"), &WORDS[1..]);
    refused(home, &[], &["words.json", "8 words", "9 rows"]);
    fs::write(home.join("words.json"), "\u{80}\u{2}}").unwrap();
    refused(home, &[], &["words.json", "not a vocabulary"]);
    files::vocabulary(&home.join("words.json"), WORDS);

    fs::create_dir(home.join("run")).unwrap();
    fs::write(home.join("run/thesis.tex"), "x").unwrap();
    refused(home, &[], &["run", "not empty", "choose another folder"]);
    fs::remove_file(home.join("run/thesis.tex")).unwrap();

    let file = home.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    refused(home, &[], &["model.safetensors"]);
    fs::write(&file, "weights").unwrap();
    refused(home, &[], &["model.safetensors", "torch.save"]);
    fs::remove_file(&file).unwrap();
    refused(home, &[], &["model.safetensors", "cannot read"]);
}

#[test]
fn features_of_another_width_are_refused_with_both_widths() {
    let home = home(&vsepp(DIM + 4));
    assert_eq!(convert(home.path(), &[]).code, Some(0));
    let done = truepair(home.path(), &["eval", "run", "--data", "data"]);
    assert_eq!((done.code, done.out.as_str()), (Some(2), ""));
    holds(&done.err, &["test_ims.npy", "16 numbers", "reads 20"]);
}
