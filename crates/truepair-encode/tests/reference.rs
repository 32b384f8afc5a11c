//! Encoders against ONNX Runtime and the tokenizers library; see the `README.md` beside each fixture.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use truepair_encode::{
    Assumption, ImageEncoder, ImageOptions, Length, Pooling, Runtime, TextEncoder, TextOptions,
    Tokenizer,
};
use truepair_image::{Fit, KnownPreprocessing, decode};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<i64>>,
    vectors: Vec<Vec<f32>>,
    picture: Picture,
}

#[derive(Deserialize)]
struct Picture {
    pooled: Vec<f32>,
    logits: Vec<f32>,
}

fn expected() -> Expected {
    let bytes = std::fs::read(fixture("encoders/expected.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[track_caller]
fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 2e-6, "{found:?}, expected {expected:?}");
    }
}

/// Preparation as the reference picture had it.
fn as_given() -> ImageOptions {
    ImageOptions {
        prepare: KnownPreprocessing {
            size: Some(16),
            fit: Some(Fit::Stretch),
            mean: Some([0.5; 3]),
            std: Some([0.25; 3]),
            ..KnownPreprocessing::default()
        },
        ..ImageOptions::default()
    }
}

fn image_encoder(options: &ImageOptions) -> truepair_core::Result<ImageEncoder> {
    let path = fixture("encoders/tiny_image.onnx");
    ImageEncoder::open(&path, options, &Runtime::BuiltIn)
}

#[test]
fn tokens_are_those_of_the_tokenizers_library() {
    let tokenizer = Tokenizer::open(&fixture("encoders/tokenizer.json"), None).unwrap();
    let expected = expected();
    for (text, ids) in expected.texts.iter().zip(&expected.ids) {
        assert_eq!(tokenizer.encode(text).unwrap().ids, *ids, "{text:?}");
    }
    assert_eq!(tokenizer.length(), Length::AtMost(12));
    let error = Tokenizer::open(&fixture("encoders/tokenizer.json"), Some(Length::AtMost(2)));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
}

#[test]
fn every_kind_of_tokenizer_gives_the_ids_of_the_library() {
    let bytes = std::fs::read(fixture("tokenizers/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
    for (name, ids) in expected["ids"].as_object().unwrap() {
        let path = fixture("tokenizers").join(format!("{name}.json"));
        let tokenizer = Tokenizer::open(&path, None).unwrap();
        let ids: Vec<Vec<i64>> = serde_json::from_value(ids.clone()).unwrap();
        for (text, ids) in texts.iter().zip(ids) {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokens.ids, ids, "{name}: {text:?}");
            assert_eq!(
                (tokens.mask.len(), tokens.types.len()),
                (ids.len(), ids.len())
            );
        }
    }
    let unigram = Tokenizer::open(&fixture("tokenizers/unigram.json"), None).unwrap();
    assert_eq!(unigram.length(), Length::Exactly(10));
    let mask = unigram.encode("a dog").unwrap().mask;
    assert!(
        mask.starts_with(&[1, 1, 1]) && mask.ends_with(&[0, 0]),
        "{mask:?}"
    );
}

#[test]
fn a_broken_tokenizer_is_named_with_what_it_lacks() {
    let whole = std::fs::read_to_string(fixture("tokenizers/bpe.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let refused = |text: &str, words: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let error = Tokenizer::open(&path, None).unwrap_err().to_string();
        let named = words.iter().all(|word| error.contains(word));
        assert!(named && error.contains("tokenizer.json"), "{error}");
    };
    let changed = |change: fn(&mut serde_json::Value)| {
        let mut file = whole.clone();
        change(&mut file);
        file.to_string()
    };
    refused("{", &["not JSON"]);
    refused("{}", &["no `model`"]);
    refused(
        &changed(|file| file["model"]["type"] = "Bytes".into()),
        &["Bytes", "WordPiece"],
    );
    let without = |file: &mut serde_json::Value| {
        drop(file["model"].as_object_mut().unwrap().remove("merges"))
    };
    refused(&changed(without), &["BPE", "`merges`"]);
    refused(
        &changed(|file| file["normalizer"]["type"] = "X".into()),
        &["`normalizer`"],
    );
    refused(
        &changed(|file| file["added_tokens"][0]["id"] = 7.into()),
        &["startoftext", "7"],
    );
    refused(
        &changed(|file| {
            file["normalizer"] =
                serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
        }),
        &["Precompiled"],
    );
    let mut unknown: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("tokenizers/word_level.json")).unwrap())
            .unwrap();
    unknown["model"]["vocab"]
        .as_object_mut()
        .unwrap()
        .remove("[UNK]");
    unknown["added_tokens"] = serde_json::json!([]);
    refused(&unknown.to_string(), &["cannot read the text"]);
}

#[test]
fn texts_get_the_reference_vectors_whatever_stands_beside_them() {
    let path = fixture("encoders/tiny_text.onnx");
    let open = |pooling| {
        let options = TextOptions {
            pooling,
            ..TextOptions::default()
        };
        TextEncoder::open(&path, &options, &Runtime::BuiltIn).unwrap()
    };
    let encoder = open(None);
    let expected = expected();
    assert_eq!((encoder.dim(), encoder.pooling()), (16, Pooling::Mean));
    close(
        &encoder.embed(&expected.texts).unwrap(),
        &expected.vectors.concat(),
    );
    let alone = encoder.embed(&expected.texts[3..4]).unwrap();
    close(&alone, &expected.vectors[3]);
    assert!(encoder.embed(&[""; 0]).unwrap().is_empty());
    let vector = open(Some(Pooling::First))
        .embed(&expected.texts[..1])
        .unwrap();
    assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    let mut both = vector.iter().zip(&expected.vectors[0]);
    assert!(both.any(|(a, b)| (a - b).abs() > 1e-3));
}

#[test]
fn pictures_get_the_reference_vectors() {
    let picture = decode(&std::fs::read(fixture("pictures/rgb.png")).unwrap()).unwrap();
    let expected = expected().picture;
    let encoder = image_encoder(&as_given()).unwrap();
    assert_eq!((encoder.dim(), encoder.output()), (8, "pooled"));
    close(&encoder.embed(&picture).unwrap(), &expected.pooled);
    let logits = ImageOptions {
        output: Some("logits".into()),
        ..as_given()
    };
    let encoder = image_encoder(&logits).unwrap();
    close(&encoder.embed(&picture).unwrap(), &expected.logits);
}

#[test]
fn preparation_is_looked_up_and_never_guessed() {
    let error = image_encoder(&ImageOptions::default())
        .unwrap_err()
        .to_string();
    let words = [
        "the mean and the standard deviation",
        "preprocessor_config.json",
        "--assume",
    ];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    let assumed = ImageOptions {
        assume: Some(Assumption::Clip),
        ..ImageOptions::default()
    };
    let told = |encoder: &ImageEncoder| -> Vec<String> {
        encoder.settings().iter().map(ToString::to_string).collect()
    };
    let settings = told(&image_encoder(&assumed).unwrap());
    assert_eq!(settings[0], "size 16 (the model's input)");
    assert!(settings[3].ends_with("(assumed: clip)"), "{settings:?}");

    let home = tempfile::tempdir().unwrap();
    let onnx = home.path().join("onnx");
    std::fs::create_dir(&onnx).unwrap();
    std::fs::copy(fixture("encoders/tiny_image.onnx"), onnx.join("model.onnx")).unwrap();
    let text = r#"{"image_processor": {"size": 16, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25], "resample": 2, "do_center_crop": false}}"#;
    std::fs::write(home.path().join("processor_config.json"), text).unwrap();
    let found = ImageEncoder::open(
        &onnx.join("../onnx/model.onnx"),
        &ImageOptions::default(),
        &Runtime::BuiltIn,
    );
    let settings = told(&found.unwrap());
    assert_eq!(
        settings,
        [
            "size 16 (processor_config.json one folder up)",
            "fit crop (processor_config.json one folder up)",
            "filter bilinear (processor_config.json one folder up)",
            "mean [0.5, 0.5, 0.5] (processor_config.json one folder up)",
            "std [0.25, 0.25, 0.25] (processor_config.json one folder up)",
            "output pooled (by its name)",
        ]
    );
}

/// A text encoder in a folder of its own, with these files beside it.
fn text_encoder(model: &[&str], files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in model {
        std::fs::copy(fixture("towers").join(name), folder.path().join(name)).unwrap();
    }
    let tokenizer = fixture("encoders/tokenizer.json");
    std::fs::copy(tokenizer, folder.path().join("tokenizer.json")).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = folder.path().join(model[0]);
    (folder, path)
}

#[test]
fn texts_have_the_length_that_the_encoder_was_trained_with() {
    let files = ["siglip_text.onnx", "siglip_text.onnx.data"];
    let config = r#"{"model_type": "siglip", "text_config": {"max_position_embeddings": 10}}"#;
    let (_folder, path) = text_encoder(&files, &[("config.json", config)]);
    let encoder = TextEncoder::open(&path, &TextOptions::default(), &Runtime::BuiltIn).unwrap();
    assert_eq!(encoder.tokenizer().length(), Length::Exactly(10));
    assert_eq!(encoder.output(), "pooler_output");
    let (_folder, path) = text_encoder(
        &["clip.onnx"],
        &[
            ("sentence_bert_config.json", r#"{"max_seq_length": 9}"#),
            (
                "1_Pooling/config.json",
                r#"{"pooling_mode_cls_token": true}"#,
            ),
        ],
    );
    let encoder = TextEncoder::open(&path, &TextOptions::default(), &Runtime::BuiltIn).unwrap();
    assert_eq!(encoder.tokenizer().length(), Length::AtMost(9));
    assert_eq!((encoder.output(), encoder.dim()), ("text_embeds", 6));
    assert_eq!(encoder.pooling(), Pooling::First);
}

#[test]
fn what_does_not_fit_is_named() {
    let open = |change: fn(&mut ImageOptions)| {
        let mut options = as_given();
        change(&mut options);
        image_encoder(&options).unwrap_err().to_string()
    };
    let error = open(|options| options.prepare.size = Some(32));
    assert!(
        error.contains("expected one input [n, 3, 32, 32]"),
        "{error}"
    );
    let error = open(|options| options.output = Some("pool".into()));
    assert!(
        error.contains("no output 'pool'") && error.contains("pooled, logits"),
        "{error}"
    );
    let path = fixture("encoders/tiny_image.onnx");
    let error = TextEncoder::open(&path, &TextOptions::default(), &Runtime::BuiltIn);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("it reads 'image'"), "{error}");
    let path = fixture("encoders/tiny_text.onnx");
    let error = ImageEncoder::open(&path, &as_given(), &Runtime::BuiltIn);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("input_ids"), "{error}");
}
