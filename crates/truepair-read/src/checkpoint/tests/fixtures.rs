//! Files that PyTorch wrote give what PyTorch reads from them; see `fixtures/checkpoints/README.md`.

use serde_json::Value as Json;

use super::super::{Checkpoint, Scalar, Tensor, TensorValues, read};
use super::{fixture, fixture_names, folder, read_bytes};

fn expected() -> Json {
    serde_json::from_slice(&fixture("expected.json")).unwrap()
}

/// Compares all fixtures whose names begin with `prefix` with `expected.json`.
fn compare(prefix: &str) {
    let expected = expected();
    let names = fixture_names();
    let names: Vec<&String> = names
        .iter()
        .filter(|name| name.starts_with(prefix))
        .collect();
    assert!(!names.is_empty());
    for name in names {
        let checkpoint = read(&folder().join(name)).unwrap();
        compare_tensors(&checkpoint, &expected[name]["tensors"], name);
        compare_settings(&checkpoint, &expected[name]["settings"], name);
        let skipped: Vec<&str> = texts(&expected[name]["skipped"]);
        assert_eq!(checkpoint.skipped, skipped, "{name}");
    }
}

fn texts(list: &Json) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

fn compare_tensors(checkpoint: &Checkpoint, expected: &Json, file: &str) {
    let expected = expected.as_object().unwrap();
    let names: Vec<&String> = checkpoint.tensors.keys().collect();
    let mut expected_names: Vec<&String> = expected.keys().collect();
    expected_names.sort();
    assert_eq!(names, expected_names, "{file}");
    for (name, tensor) in &checkpoint.tensors {
        assert_eq!(as_json(tensor), expected[name], "{file}: {name}");
    }
}

fn as_json(tensor: &Tensor) -> Json {
    let (kind, values): (&str, Vec<Json>) = match &tensor.values {
        TensorValues::F32(values) => {
            let values = values.iter().map(|value| Json::from(f64::from(*value)));
            ("f32", values.collect())
        }
        TensorValues::I64(values) => ("i64", values.iter().copied().map(Json::from).collect()),
    };
    serde_json::json!({"kind": kind, "shape": tensor.shape, "values": values})
}

fn compare_settings(checkpoint: &Checkpoint, expected: &Json, file: &str) {
    let settings = checkpoint.settings.iter().map(|(name, scalar)| {
        let scalar = match scalar {
            Scalar::Bool(boolean) => Json::from(*boolean),
            Scalar::Int(integer) => Json::from(*integer),
            Scalar::Float(float) => Json::from(*float),
            Scalar::Text(text) => Json::from(text.as_str()),
        };
        (name.clone(), scalar)
    });
    assert_eq!(&Json::Object(settings.collect()), expected, "{file}");
}

#[test]
fn zip_archives_give_what_pytorch_reads() {
    compare("zip_");
}

#[test]
fn legacy_files_give_what_pytorch_reads() {
    compare("legacy_");
}

#[test]
fn safetensors_give_what_was_written() {
    compare("tensors.");
}

#[test]
fn every_expectation_has_its_fixture() {
    let expected = expected();
    let mut names: Vec<&String> = expected.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(fixture_names().iter().collect::<Vec<_>>(), names);
}

#[test]
fn names_of_research_checkpoints() {
    let checkpoint = read_bytes(&fixture("legacy_research.pth.tar")).unwrap();
    // The second state dict was written from inside a `DataParallel`.
    for name in [
        "model.0.fc.weight",
        "model.1.fc.weight",
        "model.2.norm.running_var",
    ] {
        assert!(checkpoint.tensors.contains_key(name), "{name}");
    }
    assert_eq!(checkpoint.tensors["model.1.fc.weight"].shape, [2, 3]);
    assert_eq!(checkpoint.settings["epoch"], Scalar::Int(3));
    assert_eq!(checkpoint.settings["best_rsum"], Scalar::Float(512.25));
    assert_eq!(checkpoint.settings["opt.margin"], Scalar::Float(0.2));
    assert_eq!(
        checkpoint.settings["opt.max_violation"],
        Scalar::Bool(false)
    );
    assert!(!checkpoint.settings.contains_key("opt.resume"));
    let twins = read_bytes(&fixture("zip_twins_protocol3.pth.tar")).unwrap();
    assert!(
        twins
            .tensors
            .contains_key("model_B.0.norm.num_batches_tracked")
    );
}

#[test]
fn nothing_in_a_file_is_executed() {
    let file = folder().join("zip_strangers_protocol2.pth");
    let checkpoint = read(&file).unwrap();
    let attack = "attack: posix.mkdir".to_owned();
    assert!(checkpoint.skipped.contains(&attack));
    assert!(!std::path::Path::new("checkpoint-was-executed").exists());
    assert!(checkpoint.tensors.contains_key("weight"));
}

#[test]
fn the_format_is_recognized_by_content() {
    let folder = tempfile::tempdir().unwrap();
    for (name, ending) in [
        ("zip_state_dict.pth", "safetensors"),
        ("legacy_state_dict.pth", "zip"),
        ("tensors.safetensors", "pth"),
    ] {
        let path = folder.path().join("weights").with_extension(ending);
        std::fs::write(&path, fixture(name)).unwrap();
        assert_eq!(read(&path).unwrap(), read_bytes(&fixture(name)).unwrap());
    }
}

/// Its header has 640 bytes, so the file begins with the bytes of a pickle of protocol 2.
#[test]
fn safetensors_that_look_like_a_pickle_are_safetensors() {
    let head = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let file = [
        &640u64.to_le_bytes(),
        format!("{head:640}").as_bytes(),
        &[7],
    ]
    .concat();
    assert!(file.starts_with(b"\x80\x02"));
    let checkpoint = read_bytes(&file).unwrap();
    assert_eq!(checkpoint.tensors["a"].values, TensorValues::I64(vec![7]));
}
