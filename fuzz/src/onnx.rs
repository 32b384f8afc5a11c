//! Encoders: the file is walked, cut, loaded and run once, as a tower of pictures and as one of texts.

use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime, TextEncoder, TextOptions};
use truepair_image::Rgb;

use crate::scratch;

/// A tokenizer with a dozen words.
const TOKENIZER: &[u8] =
    include_bytes!("../../crates/truepair-encode/fixtures/encoders/tokenizer.json");

pub(crate) fn onnx(data: &[u8]) {
    let files = [("model.onnx", data), ("tokenizer.json", TOKENIZER)];
    scratch::with_files(&files, |folder| {
        let path = folder.join("model.onnx");
        let options = ImageOptions {
            assume: Some(Assumption::Clip),
            ..ImageOptions::default()
        };
        if let Ok(encoder) = ImageEncoder::open(&path, &options, &Runtime::BuiltIn) {
            let picture = Rgb::new(2, 1, vec![0, 128, 255, 9, 99, 199]);
            if let Ok(vector) = encoder.embed(&picture) {
                assert_eq!(vector.len(), encoder.dim());
                assert!(vector.iter().all(|number| number.is_finite()));
            }
        }
        let options = TextOptions::default();
        if let Ok(encoder) = TextEncoder::open(&path, &options, &Runtime::BuiltIn) {
            let texts = ["a red dog", "the cat"];
            if let Ok(vectors) = encoder.embed(&texts) {
                assert_eq!(vectors.len(), texts.len() * encoder.dim());
                assert!(vectors.iter().all(|number| number.is_finite()));
            }
        }
    });
}
