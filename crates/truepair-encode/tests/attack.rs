//! Models of an attack on revision 188a689: each is refused at the door, and none ends in a panic or asks for all of
//! the memory.

use std::path::Path;

use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime, TextEncoder, TextOptions};

fn model(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/attack")
        .join(name)
}

#[test]
fn row_11_models_that_cannot_be_encoders_are_refused_by_name() {
    for name in [
        "noinput.onnx",
        "abs_of_no_width.onnx",
        "average_pool_pads.onnx",
    ] {
        let options = ImageOptions {
            assume: Some(Assumption::Imagenet),
            ..ImageOptions::default()
        };
        let error = ImageEncoder::open(&model(name), &options, &Runtime::BuiltIn);
        let error = error.expect_err(name).to_string();
        assert!(error.contains(name), "{name}: {error}");
        let error = TextEncoder::open(&model(name), &TextOptions::default(), &Runtime::BuiltIn);
        assert!(error.is_err(), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn row_8_an_encoder_that_is_a_pipe_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("m.onnx");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let error = ImageEncoder::open(&pipe, &ImageOptions::default(), &Runtime::BuiltIn);
    let error = error.expect_err("a pipe").to_string();
    assert!(error.contains("not a regular file but a pipe"), "{error}");
}
