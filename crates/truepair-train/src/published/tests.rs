//! Checkpoints that do not fit, and options that cannot be met.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use tempfile::TempDir;
use truepair_core::text::Vocabulary;
use truepair_read::checkpoint::{Scalar, Tensor, TensorValues};

use super::names::renamed;
use super::settings::Settings;
use super::state::State;
use super::{Draft, MODELS, Model, model, vsepp};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, MlpConfig};

const DIM: usize = 4;
const WIDTH: usize = 6;
const WORD_DIM: usize = 3;
const N_WORDS: usize = 7;

/// A folder with a checkpoint of `vsepp`, changed by `spoil`, and a vocabulary.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new(prefixes: &[&str], spoil: impl FnOnce(&mut BTreeMap<String, Vec<usize>>)) -> Self {
        let mut shapes = BTreeMap::new();
        for prefix in prefixes {
            for (name, shape) in [
                ("img_enc.fc.weight", vec![DIM, WIDTH]),
                ("img_enc.fc.bias", vec![DIM]),
                ("txt_enc.embed.weight", vec![N_WORDS, WORD_DIM]),
                ("txt_enc.rnn.weight_ih_l0", vec![3 * DIM, WORD_DIM]),
                ("txt_enc.rnn.weight_hh_l0", vec![3 * DIM, DIM]),
                ("txt_enc.rnn.bias_ih_l0", vec![3 * DIM]),
                ("txt_enc.rnn.bias_hh_l0", vec![3 * DIM]),
            ] {
                shapes.insert(format!("{prefix}{name}"), shape);
            }
        }
        spoil(&mut shapes);
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let bytes: BTreeMap<&String, Vec<u8>> = (shapes.iter())
            .map(|(name, shape)| (name, vec![0; 4 * shape.iter().product::<usize>()]))
            .collect();
        let views = (shapes.iter()).map(|(name, shape)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), &bytes[name]).unwrap();
            (name, view)
        });
        serialize_to_file(views, None, &home.checkpoint()).unwrap();
        let words = Vocabulary::build(["one two three"], 1);
        assert_eq!(words.len(), N_WORDS);
        words.write(home.vocabulary()).unwrap();
        home
    }

    fn checkpoint(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn vocabulary(&self) -> PathBuf {
        self.folder.path().join("words.json")
    }

    fn draft(&self, model: &'static Model) -> Result<Draft> {
        Draft::read(&self.checkpoint(), model)
    }

    #[track_caller]
    fn refused(&self, model: &'static Model) -> String {
        let draft = self.draft(model).unwrap();
        let error = draft.convert(&self.vocabulary()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors"), "{error}");
        error
    }
}

fn vsepp() -> &'static Model {
    model("vsepp").unwrap()
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_checkpoint_of_the_model_is_converted_with_what_it_does_not_say() {
    let home = Home::new(&[""], |_| ());
    let draft = home.draft(vsepp()).unwrap();
    let options: Vec<&str> = draft.assumed.iter().map(|a| a.option).collect();
    assert_eq!(options, ["no_imgnorm", "measure", "use_abs"]);
    let converted = draft.convert(&home.vocabulary()).unwrap();
    assert_eq!(converted.peers.len(), 1);
    let n_gru = 3 * DIM * (WORD_DIM + DIM + 2);
    let n_image = DIM * (WIDTH + 1);
    let expected = n_image + N_WORDS * WORD_DIM + n_gru;
    assert_eq!(converted.n_weights(), expected);
}

#[test]
fn an_unknown_model_is_answered_with_all_names() {
    let error = model("vse").unwrap_err().to_string();
    holds(&error, &["`vse`"]);
    for model in MODELS {
        holds(&error, &[model.name]);
    }
}

#[test]
fn every_difference_is_named() {
    let home = Home::new(&["model."], |shapes| {
        shapes.remove("model.txt_enc.rnn.bias_ih_l0");
        shapes.insert("model.img_enc.cnn.weight".into(), vec![2, 2]);
        shapes.insert("model.txt_enc.rnn.weight_ih_l0".into(), vec![3, 5]);
        shapes.insert("model.img_enc.fc.num_batches_tracked".into(), vec![1]);
        shapes.insert("optimizer.state.0".into(), vec![1]);
    });
    let error = home.refused(vsepp());
    holds(
        &error,
        &[
            "is no checkpoint of `vsepp`",
            "1 tensor is missing: txt_enc.rnn.bias_ih_l0",
            "1 tensor is superfluous: img_enc.cnn.weight [2, 2]",
            "1 tensor is of another shape or kind: txt_enc.rnn.weight_ih_l0 [3, 5], expected [12, 3]",
        ],
    );
    assert!(!error.contains("optimizer") && !error.contains("batches"));
}

#[test]
fn ten_names_are_written_out_and_the_rest_is_counted() {
    let home = Home::new(&[""], |shapes| {
        for at in 10..25 {
            shapes.insert(format!("img_enc.layer{at}"), vec![1]);
        }
    });
    let error = home.refused(vsepp());
    holds(
        &error,
        &["15 tensors are superfluous", "layer19 [1] and 5 more"],
    );
    assert!(!error.contains("layer20"), "{error}");
}

#[test]
fn a_checkpoint_of_pytorch_with_other_layers_is_named_field_by_field() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A copy of the file that truepair-read is tested with; its README says who wrote it.
    let path = package.join("fixtures/zip_research.pth.tar");
    let home = Home::new(&[""], |_| ());
    let draft = Draft::read(&path, vsepp()).unwrap();
    let error = draft.convert(&home.vocabulary()).unwrap_err().to_string();
    holds(
        &error,
        &[
            "zip_research.pth.tar",
            "5 tensors are missing: txt_enc.embed.weight",
            "16 tensors are superfluous: 2.fc.bias [2]",
            "img_enc.norm.weight",
        ],
    );
}

/// Two networks, as `ncr` has them.
static TWO: Model = Model {
    networks: &["model_A", "model_B"],
    ..vsepp::MODEL
};

#[test]
fn two_networks_become_two_peers_and_are_told_apart() {
    let home = Home::new(&["model_A.", "model_B."], |_| ());
    let draft = home.draft(&TWO).unwrap();
    let converted = draft.convert(&home.vocabulary()).unwrap();
    assert_eq!(converted.peers.len(), 2);
    let home = Home::new(&["model_A.", "model_B."], |shapes| {
        shapes.remove("model_B.img_enc.fc.bias");
    });
    holds(
        &home.refused(&TWO),
        &["1 tensor is missing: model_B.img_enc.fc.bias"],
    );
    let home = Home::new(&["model_A."], |_| ());
    holds(&home.refused(&TWO), &["7 tensors are missing: model_B."]);
}

#[test]
fn a_vocabulary_of_another_size_names_both_numbers() {
    let home = Home::new(&[""], |shapes| {
        shapes.insert("txt_enc.embed.weight".into(), vec![9, WORD_DIM]);
    });
    let error = home.refused(vsepp());
    holds(&error, &["words.json", "7 words", "9 rows"]);
}

#[test]
fn widths_beyond_the_file_ask_for_no_memory() {
    let home = Home::new(&[""], |shapes| {
        shapes.insert("img_enc.fc.weight".into(), vec![5_000_000, 0]);
        shapes.insert("img_enc.fc.bias".into(), vec![60_000]);
        shapes.insert("txt_enc.rnn.weight_hh_l0".into(), vec![1, 300_000]);
    });
    holds(
        &home.refused(vsepp()),
        &["weight_hh_l0 [1, 300000]", "fc.weight [5000000, 0]"],
    );
}

#[test]
fn kinds_that_the_weights_cannot_fill_are_refused() {
    let home = Home::new(&[""], |_| ());
    let mut draft = home.draft(vsepp()).unwrap();
    draft.config.matcher.image = BackboneConfig::Mlp(MlpConfig::default());
    let error = draft.convert(&home.vocabulary()).unwrap_err().to_string();
    holds(&error, &["`vsepp`", "mlp images"]);
    let mut draft = home.draft(vsepp()).unwrap();
    draft.config.training.tile_mib = 0;
    let error = draft.convert(&home.vocabulary()).unwrap_err().to_string();
    holds(&error, &["training.tile_mib"]);
}

fn options(given: &[(&str, Scalar)]) -> BTreeMap<String, Scalar> {
    (given.iter())
        .map(|(name, scalar)| ((*name).to_owned(), scalar.clone()))
        .collect()
}

#[test]
fn options_are_read_in_the_forms_that_files_have() {
    let text = |text: &str| Scalar::Text(text.to_owned());
    let given = options(&[
        ("opt.a", Scalar::Float(4.5)),
        ("b", text("9")),
        ("opt.steps", Scalar::Int(3)),
        ("opt.off", text("False")),
        ("opt.on", Scalar::Int(1)),
        ("opt.mean", text("Mean")),
    ]);
    let mut settings = Settings::new(Path::new("file"), &given);
    assert_eq!(settings.number("a", "key.a", 1.0).unwrap(), 4.5);
    assert_eq!(settings.number("b", "key.b", 1.0).unwrap(), 9.0);
    assert_eq!(settings.count("steps", "key.steps", 1).unwrap(), 3);
    settings.require("off", false, "").unwrap();
    settings.require("on", true, "").unwrap();
    assert!(settings.switch("on", "key.on").unwrap());
    let word = |word: &str| word.to_lowercase();
    let mean: String = settings.word("mean", "key.mean", "Max", word).unwrap();
    assert_eq!(mean, "mean");
    assert_eq!(settings.number("c", "key.c", 6.0).unwrap(), 6.0);
    let assumed = settings.into_assumed();
    assert_eq!(assumed.len(), 1);
    let one = &assumed[0];
    assert_eq!((one.option, one.key), ("c", Some("key.c")));
    assert_eq!(one.value, "6");
}

#[test]
fn options_that_cannot_be_met_are_refused_by_name() {
    let text = |text: &str| Scalar::Text(text.to_owned());
    let given = options(&[
        ("opt.a", Scalar::Float(f64::NAN)),
        ("opt.steps", Scalar::Float(2.5)),
        ("opt.no_imgnorm", Scalar::Bool(true)),
        ("opt.measure", text("euclidean")),
    ]);
    let mut settings = Settings::new(Path::new("file"), &given);
    let error = settings.number("a", "key", 1.0).unwrap_err().to_string();
    holds(&error, &["file", "`a` is NaN"]);
    let error = settings.count("steps", "key", 1).unwrap_err().to_string();
    holds(&error, &["`steps` is 2.5"]);
    let error = settings.require("no_imgnorm", false, "images keep their length");
    let error = error.unwrap_err().to_string();
    holds(
        &error,
        &["`no_imgnorm` is True", "images keep their length"],
    );
    let error = vsepp::measure(&mut settings).unwrap_err().to_string();
    holds(&error, &["`measure` is `euclidean`", "cosine"]);
}

#[test]
fn a_convolution_over_one_place_is_a_dense_layer_and_integers_are_no_weights() {
    let tensor = |shape: &[usize], values| Tensor {
        shape: shape.to_vec(),
        values,
    };
    let names = renamed("ours", "theirs", &["weight"]);
    let expected = BTreeMap::from([("ours.weight".to_owned(), vec![2, 3])]);
    let read = |tensor: Tensor| {
        let mut tensors = BTreeMap::from([("theirs.weight".to_owned(), tensor)]);
        State::take(&mut tensors, "", &[], String::new()).into_parameters(&names, &expected)
    };
    let floats = || TensorValues::F32(vec![1.0; 6]);
    for shape in [&[2, 3][..], &[2, 3, 1], &[2, 3, 1, 1]] {
        let parameters = read(tensor(shape, floats())).unwrap();
        assert_eq!(parameters["ours.weight"].shape, [2, 3]);
    }
    for (shape, values, found) in [
        (&[2, 1, 3][..], floats(), "[2, 1, 3], expected [2, 3]"),
        (&[6], floats(), "[6], expected [2, 3]"),
        (&[2, 3], TensorValues::I64(vec![1; 6]), "of integers"),
    ] {
        let differences = read(tensor(shape, values)).unwrap_err();
        holds(&differences.describe(), &[found]);
    }
}
