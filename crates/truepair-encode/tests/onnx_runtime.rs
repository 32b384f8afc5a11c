//! ONNX Runtime gives what the crate's own forward passes give. The environment variable
//! `TRUEPAIR_ONNX_RUNTIME` names the shared library.
#![cfg(feature = "ort")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use truepair_encode::{
    Assumption, ImageEncoder, ImageOptions, OnnxRuntime, Runtime, TextEncoder, TextOptions,
};
use truepair_image::Rgb;

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/encoders");
    root.join(name)
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn both_runtimes_agree_and_only_one_library_is_loaded() {
    let Some(library) = std::env::var_os("TRUEPAIR_ONNX_RUNTIME") else {
        // Written past the macros, whose output the test harness keeps when a test passes.
        let line = "skipped: TRUEPAIR_ONNX_RUNTIME names no shared library of ONNX Runtime";
        writeln!(std::io::stderr(), "{line}").unwrap();
        return;
    };
    let loaded = OnnxRuntime::load(Path::new(&library), 2).unwrap();
    let runtime = Runtime::OnnxRuntime(loaded);

    let path = fixture("tiny_image.onnx");
    let options = ImageOptions {
        assume: Some(Assumption::Imagenet),
        ..ImageOptions::default()
    };
    let open = |runtime| ImageEncoder::open(&path, &options, runtime).unwrap();
    let (ours, theirs) = (open(&Runtime::BuiltIn), open(&runtime));
    assert_eq!((ours.dim(), ours.output()), (theirs.dim(), theirs.output()));
    let picture = Rgb::new(20, 16, (0..960).map(|n| (n * 37 % 251) as u8).collect());
    assert_close(
        &theirs.embed(&picture).unwrap(),
        &ours.embed(&picture).unwrap(),
    );

    let path = fixture("tiny_text.onnx");
    let open = |runtime| TextEncoder::open(&path, &TextOptions::default(), runtime).unwrap();
    let (ours, theirs) = (open(&Runtime::BuiltIn), open(&runtime));
    let texts = ["a red dog runs on", "the big cat", "a"];
    assert_close(&theirs.embed(&texts).unwrap(), &ours.embed(&texts).unwrap());

    let wrong = ImageEncoder::open(&fixture("tokenizer.json"), &options, &runtime);
    assert!(wrong.unwrap_err().to_string().contains("tokenizer.json"));
    let second = OnnxRuntime::load(&fixture("tiny_text.onnx"), 1).unwrap_err();
    assert!(second.to_string().contains("ONNX Runtime"), "{second}");
}
