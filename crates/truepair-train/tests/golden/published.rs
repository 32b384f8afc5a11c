//! Checkpoints made of the reference's weights: converted, loaded, and compared with what the
//! reference encodes.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Int, Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use truepair_core::text::Vocabulary;
use truepair_model::backbone::Backbone;
use truepair_model::encoding::Input;
use truepair_model::layer::Mode;
use truepair_model::similarity::SimilarityConfig;
use truepair_train::published::{Draft, model};
use truepair_train::{Trained, load};

use crate::support::{Golden, accelerator, assert_close, plain_device, vector};

/// Tensors of a checkpoint under the names that they have in the file.
pub(crate) type File = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// Adds the weights `w.THEIRS…` of a fixture under `prefix`.
pub(crate) fn add(file: &mut File, golden: &Golden, theirs: &str, prefix: &str) {
    let weights = format!("w.{theirs}");
    for (key, view) in golden.tensors().tensors() {
        let Some(name) = key.strip_prefix(&weights) else {
            continue;
        };
        let entry = (view.shape().to_vec(), view.data().to_vec());
        file.insert(format!("{prefix}{name}"), entry);
    }
}

fn write(file: &File, options: &[(&str, &str)], path: &Path) {
    let views = file.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name, view)
    });
    let options = (options.iter()).map(|(key, value)| (format!("opt.{key}"), (*value).to_owned()));
    serialize_to_file(views, Some(options.collect()), path).unwrap();
}

/// A vocabulary file of `n` words, the four special ones included.
fn write_vocabulary(n: usize, path: &Path) {
    let words: Vec<String> = (4..n).map(|at| format!("word{at}")).collect();
    let vocabulary = Vocabulary::build(words.iter().map(String::as_str), 1);
    assert_eq!(vocabulary.len(), n);
    vocabulary.write(path).unwrap();
}

/// Converts and loads; `n_words` is that of the vocabulary.
pub(crate) fn converted(
    name: &str,
    file: &File,
    options: &[(&str, &str)],
    n_words: usize,
) -> Trained {
    let home = tempfile::tempdir().unwrap();
    let [checkpoint, words, run] =
        ["checkpoint", "words.json", "run"].map(|name| home.path().join(name));
    write(file, options, &checkpoint);
    write_vocabulary(n_words, &words);
    let draft = Draft::read(&checkpoint, model(name).unwrap()).unwrap();
    let converted = draft.convert(&words).unwrap();
    std::fs::create_dir(&run).unwrap();
    converted.write(&run).unwrap();
    let trained = load(&run, accelerator()).unwrap();
    assert_eq!(trained.config, converted.config);
    let read = trained
        .texts
        .as_ref()
        .and_then(truepair_model::reader::Texts::vocabulary);
    assert_eq!(read, Some(&converted.vocabulary));
    assert!(trained.history.is_empty());
    trained
}

/// One vector an item compared with the reference's; returns them.
fn check_encoded(golden: &Golden, key: &str, backbone: &Backbone, input: &Input) -> Tensor<2> {
    let encoded = backbone.encode(input, &mut Mode::Evaluate).values;
    let found: Tensor<2> = encoded.squeeze_dim(1);
    let expected = golden.floats(key);
    assert_close(key, &vector(found.clone()), &expected, 1e-5, 1e-6);
    found
}

/// Vectors `[n, d]` or regions `[n, r, d]`.
pub(crate) fn images(golden: &Golden, lengths: Option<&str>) -> Input {
    let (n, regions, width) = match golden.shape("in.images")[..] {
        [n, width] => (n, 1, width),
        [n, regions, width] => (n, regions, width),
        _ => panic!("two or three axes"),
    };
    let values = TensorData::new(golden.floats("in.images"), [n, regions, width]);
    Input::Features {
        values: Tensor::from_data(values, &plain_device()),
        mask: lengths.map(|key| mask(&golden.integers(key), regions)),
    }
}

pub(crate) fn captions(golden: &Golden) -> Input {
    let [n, t] = golden.shape("in.captions")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.captions"), [n, t]);
    Input::Tokens {
        ids: Tensor::<2, Int>::from_data(ids, &plain_device()),
        mask: mask(&golden.integers("in.lengths"), t),
    }
}

/// 1 for the first `lengths` places of `m`, `[n, m]`.
fn mask(lengths: &[i64], m: usize) -> Tensor<2> {
    let mask: Vec<f32> = (lengths.iter())
        .flat_map(|&length| (0..m as i64).map(move |p| f32::from(p < length)))
        .collect();
    let data = TensorData::new(mask, [lengths.len(), m]);
    Tensor::from_data(data, &plain_device())
}

/// The rows of a file's embedding of words.
pub(crate) fn n_words(golden: &Golden) -> usize {
    let tensors = golden.tensors();
    let names = tensors.names();
    let is_table = |name: &&&str| name.starts_with("w.") && name.ends_with("embed.weight");
    let table = names.iter().find(is_table).expect("a table of words");
    golden.shape(table)[0]
}

#[test]
fn golden_conversion_of_vsepp_in_every_layout() {
    let golden = Golden::open("u06_vsepp_encoders.safetensors");
    for (image, text) in [
        ("model.0.", "model.1."),
        ("model.module.img_enc.", "model.module.txt_enc."),
        ("img_enc.", "txt_enc."),
        ("0.", "1."),
    ] {
        let mut file = File::new();
        add(&mut file, &golden, "img_enc.", image);
        add(&mut file, &golden, "txt_enc.", text);
        let trained = converted("vsepp", &file, &[], n_words(&golden));
        let peer = &trained.peers[0];
        let (images, captions) = (images(&golden, None), captions(&golden));
        let found = check_encoded(&golden, "out.img_emb", &peer.image, &images);
        let words = check_encoded(&golden, "out.cap_emb", &peer.caption, &captions);
        let scores = peer.scores(&images, &captions, &mut Mode::Evaluate);
        let expected = vector(found.matmul(words.transpose()));
        assert_close("scores", &vector(scores), &expected, 1e-5, 1e-6);
    }
}

#[test]
fn golden_conversion_of_order_embeddings() {
    let golden = Golden::open("u06_vsepp_encoders.safetensors");
    let mut file = File::new();
    add(&mut file, &golden, "img_enc.", "model.0.");
    add(&mut file, &golden, "txt_enc.", "model.1.");
    let options = [("measure", "order"), ("use_abs", "True")];
    let trained = converted("vsepp", &file, &options, n_words(&golden));
    let similarity = &trained.config.matcher.similarity;
    assert!(matches!(similarity, SimilarityConfig::Order(_)));
}

fn check_vsrn(image_file: &str, options: &[(&str, &str)], with_decoder: bool) {
    let golden = Golden::open(image_file);
    let text = Golden::open("u06_vsepp_encoders.safetensors");
    let mut file = File::new();
    add(&mut file, &golden, "", "model.0.");
    add(&mut file, &text, "txt_enc.", "model.1.");
    if with_decoder {
        let decoder = Golden::open("u07_vsrn_caption.safetensors");
        add(&mut file, &decoder, "", "model.2.");
    }
    let trained = converted("vsrn", &file, options, n_words(&text));
    let peer = &trained.peers[0];
    assert_eq!(peer.describer.is_some(), with_decoder);
    let images = images(&golden, None);
    check_encoded(&golden, "out.eval.img_emb", &peer.image, &images);
    check_encoded(&text, "out.cap_emb", &peer.caption, &captions(&text));
}

#[test]
fn golden_conversion_of_vsrn_for_both_data_sets() {
    let (flickr, coco) = (
        "u07_vsrn_image_f30k.safetensors",
        "u07_vsrn_image_coco.safetensors",
    );
    for with_decoder in [false, true] {
        check_vsrn(flickr, &[], with_decoder);
        check_vsrn(flickr, &[("data_name", "f30k_precomp")], with_decoder);
        check_vsrn(coco, &[("data_name", "coco_precomp")], with_decoder);
        check_vsrn(coco, &[], with_decoder);
    }
}

#[test]
fn golden_conversion_of_vse_infinity() {
    let golden = Golden::open("u06_vseinf_image.safetensors");
    let text = Golden::open("u06_vseinf_text.safetensors");
    let mut file = File::new();
    add(&mut file, &golden, "", "model.0.");
    add(&mut file, &text, "", "model.1.");
    // One row of the embedding is the mask token's.
    let trained = converted("vse_infinity", &file, &[], n_words(&text) - 1);
    let peer = &trained.peers[0];
    let images = images(&golden, Some("in.image_lengths"));
    check_encoded(&golden, "out.eval.img_emb", &peer.image, &images);
    check_encoded(&text, "out.cap_emb", &peer.caption, &captions(&text));
}
