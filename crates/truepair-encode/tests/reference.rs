//! Encoders against ONNX Runtime and the tokenizers library; see `fixtures/encoders/README.md`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use truepair_encode::{ImageEncoder, Pooling, Runtime, TextEncoder, WordPiece};
use truepair_image::{Preprocessing, decode};

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

fn preprocessing() -> Preprocessing {
    Preprocessing {
        size: 16,
        fit: truepair_image::Fit::Stretch,
        mean: [0.5; 3],
        std: [0.25; 3],
        ..Preprocessing::default()
    }
}

#[test]
fn tokens_are_those_of_the_tokenizers_library() {
    let tokenizer = WordPiece::open(&fixture("encoders/tokenizer.json"), None).unwrap();
    let expected = expected();
    for (text, ids) in expected.texts.iter().zip(&expected.ids) {
        assert_eq!(tokenizer.encode(text).0, *ids, "{text:?}");
    }
    assert_eq!(tokenizer.max_tokens(), 12);
    assert!(tokenizer.encode(&"a ".repeat(11)).1 && !tokenizer.encode("a a").1);
    let error = WordPiece::open(&fixture("encoders/tokenizer.json"), Some(2)).unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
}

#[test]
fn texts_get_the_reference_vectors_whatever_stands_beside_them() {
    let path = fixture("encoders/tiny_text.onnx");
    let encoder = TextEncoder::open(&path, None, None, Pooling::Mean, &Runtime::BuiltIn).unwrap();
    let expected = expected();
    assert_eq!(encoder.dim(), 16);
    close(
        &encoder.embed(&expected.texts).unwrap(),
        &expected.vectors.concat(),
    );
    let alone = encoder.embed(&expected.texts[3..4]).unwrap();
    close(&alone, &expected.vectors[3]);
    assert!(encoder.embed(&[""; 0]).unwrap().is_empty());
    let first = TextEncoder::open(&path, None, None, Pooling::First, &Runtime::BuiltIn).unwrap();
    let vector = first.embed(&expected.texts[..1]).unwrap();
    assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(
        vector
            .iter()
            .zip(&expected.vectors[0])
            .any(|(a, b)| (a - b).abs() > 1e-3)
    );
}

#[test]
fn pictures_get_the_reference_vectors() {
    let path = fixture("encoders/tiny_image.onnx");
    let picture = decode(&std::fs::read(fixture("pictures/rgb.png")).unwrap()).unwrap();
    let expected = expected().picture;
    let encoder =
        ImageEncoder::open(&path, Some(preprocessing()), None, &Runtime::BuiltIn).unwrap();
    assert_eq!((encoder.dim(), encoder.output()), (8, "pooled"));
    close(&encoder.embed(&picture).unwrap(), &expected.pooled);
    let encoder = ImageEncoder::open(
        &path,
        Some(preprocessing()),
        Some("logits"),
        &Runtime::BuiltIn,
    )
    .unwrap();
    close(&encoder.embed(&picture).unwrap(), &expected.logits);
    // Without settings the size is that of the model's input.
    let encoder = ImageEncoder::open(&path, None, None, &Runtime::BuiltIn).unwrap();
    assert_eq!(encoder.preprocessing().size, 16);
}

#[test]
fn what_does_not_fit_is_named() {
    let path = fixture("encoders/tiny_image.onnx");
    let open = |settings, output| {
        ImageEncoder::open(&path, settings, output, &Runtime::BuiltIn).unwrap_err()
    };
    let large = Preprocessing {
        size: 32,
        ..preprocessing()
    };
    let error = open(Some(large), None).to_string();
    assert!(
        error.contains("expected one input [n, 3, 32, 32]"),
        "{error}"
    );
    let error = open(Some(preprocessing()), Some("pool")).to_string();
    assert!(
        error.contains("no output 'pool'") && error.contains("pooled, logits"),
        "{error}"
    );
    let text = TextEncoder::open(&path, None, None, Pooling::Mean, &Runtime::BuiltIn)
        .unwrap_err()
        .to_string();
    assert!(text.contains("it reads 'image'"), "{text}");
    let error = ImageEncoder::open(
        &fixture("encoders/tiny_text.onnx"),
        None,
        None,
        &Runtime::BuiltIn,
    )
    .unwrap_err();
    assert!(error.to_string().contains("input_ids"), "{error}");
}
