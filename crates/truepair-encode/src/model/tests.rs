//! Files: their operators against reference values, what is cut out of them, and hostile ones.

use serde_json::Value;

use super::wire::{put_bytes, put_int, put_varint};
use super::*;

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    root.join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn every_operator_gives_the_reference_values() {
    let file = ModelFile::open(&fixture("encoders/operators.onnx")).unwrap();
    let expected = json("encoders/operators.json");
    let values = (0..252)
        .map(|n| (f64::from(n) * 0.37).sin() as f32)
        .collect();
    let input = Tensor {
        shape: vec![2, 3, 7, 6],
        values: Values::Floats(values),
    };
    let mut whole = Vec::new();
    for name in file.outputs() {
        let model = match file.load(name, &Runtime::BuiltIn) {
            Ok(model) => model,
            Err(error) => {
                assert!(name == "Conv_lower", "{name}: {error}");
                assert!(error.to_string().contains("SAME_LOWER"), "{error}");
                continue;
            }
        };
        let inputs = vec![input.clone(); model.inputs().len()];
        let found = match model.run(inputs, &Lane::new()) {
            Ok(found) => found,
            Err(error) => {
                assert!(
                    error.to_string().contains("whole numbers"),
                    "{name}: {error}"
                );
                whole.push(name);
                continue;
            }
        };
        let shape: Vec<usize> = serde_json::from_value(expected[name]["shape"].clone()).unwrap();
        assert_eq!(found.shape, shape, "{name}");
        let values = floats(&expected[name]["values"]);
        let largest = values.iter().fold(1.0f32, |m, x| m.max(x.abs()));
        for (at, (a, b)) in found.values.iter().zip(&values).enumerate() {
            let close = (a - b).abs() <= 1e-5 * largest;
            assert!(close, "{name}[{at}]: {a}, expected {b}");
        }
    }
    let share = whole.len() as f32 / file.outputs().len() as f32;
    assert!(share < 0.25, "most outputs are fractions: {whole:?}");
}

#[test]
fn towers_as_exporters_write_them_give_the_reference_values() {
    let picture: Vec<f32> = (0..768)
        .map(|n| (f64::from(n) * 0.37).sin() as f32)
        .collect();
    for case in json("towers/expected.json").as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let file = ModelFile::open(&fixture("towers").join(name)).unwrap();
        let output = case["output"].as_str().unwrap();
        let model = file.load(output, &Runtime::BuiltIn).unwrap();
        let inputs = model.inputs().iter().map(|input| {
            let given = &case["inputs"][&input.name];
            if given.is_null() {
                return Tensor {
                    shape: vec![1, 3, 16, 16],
                    values: Values::Floats(picture.clone()),
                };
            }
            let values: Vec<f64> = serde_json::from_value(given["values"].clone()).unwrap();
            Tensor {
                shape: serde_json::from_value(given["shape"].clone()).unwrap(),
                values: Values::Ints(values.into_iter().map(|value| value as i64).collect()),
            }
        });
        let found = model.run(inputs.collect(), &Lane::new()).unwrap();
        let expected = floats(&case["values"]);
        assert_eq!(found.values.len(), expected.len(), "{name}");
        // Half precision is computed in single precision here, and in its own there.
        let tolerance = if name.contains("fp16") { 2e-2 } else { 1e-4 };
        for (a, b) in found.values.iter().zip(&expected) {
            assert!(
                (a - b).abs() < tolerance,
                "{name}, {output}: {a}, expected {b}"
            );
        }
    }
}

#[test]
fn a_file_with_two_towers_is_cut_to_what_an_output_needs() {
    let file = ModelFile::open(&fixture("towers/clip.onnx")).unwrap();
    let names = |output: &str| {
        let inputs = file.inputs_of(output).unwrap().into_iter();
        inputs.map(|input| input.name).collect::<Vec<_>>()
    };
    assert_eq!(names("image_embeds"), ["pixel_values"]);
    assert_eq!(names("text_embeds"), ["input_ids", "attention_mask"]);
    assert_eq!(names("logits_per_image").len(), 3);
    let none = file.inputs_of("x").unwrap_err().to_string();
    assert!(none.contains("nothing computes the output 'x'"), "{none}");
    let whole = std::fs::metadata(fixture("towers/clip.onnx"))
        .unwrap()
        .len() as usize;
    let cut = file
        .graph
        .cut(&file.bytes, Path::new("."), "image_embeds")
        .unwrap();
    assert!(cut.len() < whole * 2 / 3, "{} of {whole} bytes", cut.len());
}

#[test]
fn weights_in_a_file_of_their_own_are_found_or_missed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (model, weights) = ("siglip_text.onnx", "siglip_text.onnx.data");
    let load = || {
        let file = ModelFile::open(&folder.path().join(model)).unwrap();
        file.load("pooler_output", &Runtime::BuiltIn).map(drop)
    };
    std::fs::copy(fixture("towers").join(model), folder.path().join(model)).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains(weights) && error.contains("of their own"),
        "{error}"
    );
    let bytes = std::fs::read(fixture("towers").join(weights)).unwrap();
    std::fs::write(folder.path().join(weights), &bytes[..bytes.len() / 2]).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains(weights) && error.contains("whole?"),
        "{error}"
    );
    std::fs::write(folder.path().join(weights), &bytes).unwrap();
    load().unwrap();
}

#[track_caller]
fn refused_with(content: &[u8], word: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.onnx");
    std::fs::write(&path, content).unwrap();
    let opened = ModelFile::open(&path).and_then(|file| {
        let output = file.outputs().first().copied().unwrap_or("y").to_owned();
        file.load(&output, &Runtime::BuiltIn)
    });
    let error = opened.unwrap_err().to_string();
    assert!(
        error.contains("bad.onnx") && error.contains(word),
        "{error}"
    );
}

/// A model of one operator from `x` and constants to `y`.
fn model(op: &str, constants: &[Vec<u8>], inputs: &[&str]) -> Vec<u8> {
    model_with(op, constants, inputs, &[])
}

/// As [`model`], with a setting of the operator.
fn model_with(op: &str, constants: &[Vec<u8>], inputs: &[&str], setting: &[u8]) -> Vec<u8> {
    let mut node = Vec::new();
    if !setting.is_empty() {
        put_bytes(5, setting, &mut node);
    }
    inputs
        .iter()
        .for_each(|name| put_bytes(1, name.as_bytes(), &mut node));
    put_bytes(2, b"y", &mut node);
    put_bytes(4, op.as_bytes(), &mut node);
    let mut graph = Vec::new();
    put_bytes(1, &node, &mut graph);
    constants
        .iter()
        .for_each(|constant| put_bytes(5, constant, &mut graph));
    for (number, name) in [(11, "x"), (12, "y")] {
        let mut port = Vec::new();
        put_bytes(1, name.as_bytes(), &mut port);
        put_bytes(number, &port, &mut graph);
    }
    let mut opset = Vec::new();
    put_int(2, 17, &mut opset);
    let mut model = Vec::new();
    put_int(1, 8, &mut model);
    put_bytes(8, &opset, &mut model);
    put_bytes(7, &graph, &mut model);
    model
}

/// A constant called `c` of 64-bit whole numbers (kind 7) or others.
fn constant(kind: u64, dims: &[i64], raw: &[u8]) -> Vec<u8> {
    let mut tensor = Vec::new();
    dims.iter()
        .for_each(|size| put_int(1, *size as u64, &mut tensor));
    put_int(2, kind, &mut tensor);
    put_bytes(8, b"c", &mut tensor);
    put_bytes(9, raw, &mut tensor);
    tensor
}

#[test]
fn files_that_are_cut_or_of_another_kind_are_refused_by_name() {
    let bytes = std::fs::read(fixture("encoders/tiny_image.onnx")).unwrap();
    for content in [&bytes[..bytes.len() / 2], b"no model", &[0xff; 64], b""] {
        refused_with(content, "");
    }
    assert!(ModelFile::open(&fixture("encoders")).is_err());
    assert!(ModelFile::open(&fixture("none.onnx")).is_err());
    // Any one byte may be wrong.
    for at in (0..bytes.len()).step_by(37) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x55;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changed.onnx");
        std::fs::write(&path, bytes).unwrap();
        let _ = ModelFile::open(&path).and_then(|file| file.load("pooled", &Runtime::BuiltIn));
    }
}

#[test]
fn sizes_that_nobody_meant_are_refused_before_anything_is_allocated() {
    let sizes = |sizes: &[i64]| -> Vec<u8> { sizes.iter().flat_map(|n| n.to_le_bytes()).collect() };
    let huge = constant(7, &[2], &sizes(&[1 << 40, 1 << 40]));
    refused_with(
        &model("ConstantOfShape", &[huge], &["c"]),
        "ConstantOfShape",
    );
    let huge = constant(7, &[1], &sizes(&[1 << 33]));
    refused_with(&model("Expand", &[huge], &["x", "c"]), "Expand");
    let short = constant(1, &[1 << 20, 1 << 20], &[0; 4]);
    refused_with(
        &model("Add", &[short], &["x", "c"]),
        "constant 'c': 4 bytes",
    );
    let overflow = constant(1, &[i64::MAX, 8], &[0; 4]);
    refused_with(
        &model("Add", &[overflow], &["x", "c"]),
        "constant 'c': shape",
    );
    let negative = constant(1, &[-1], &[0; 4]);
    refused_with(&model("Add", &[negative], &["x", "c"]), "constant 'c'");
    refused_with(&model("Nonsense", &[], &["x"]), "Nonsense");
    // A length beyond the end of the file, in a field that nobody reads.
    let mut long = model("Relu", &[], &["x"]);
    put_varint(2 << 3 | 2, &mut long);
    put_varint(1 << 40, &mut long);
    refused_with(&long, "cut short");
}

#[test]
fn graphs_in_graphs_end_somewhere() {
    let mut graph = Vec::new();
    for _ in 0..200 {
        let (mut attribute, mut node, mut outer) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(6, &graph, &mut attribute);
        put_bytes(5, &attribute, &mut node);
        put_bytes(1, &node, &mut outer);
        graph = outer;
    }
    let mut model = Vec::new();
    put_bytes(7, &graph, &mut model);
    refused_with(&model, "deeper");
}

#[test]
fn dropout_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropout.onnx");
    std::fs::write(&path, model("Dropout", &[], &["x"])).unwrap();
    let model = ModelFile::open(&path)
        .unwrap()
        .load("y", &Runtime::BuiltIn)
        .unwrap();
    let input = Tensor {
        shape: vec![1, 2],
        values: Values::Floats(vec![1.0, -2.0]),
    };
    let found = model.run(vec![input], &Lane::new()).unwrap();
    assert_eq!((found.shape, found.values), (vec![1, 2], vec![1.0, -2.0]));
}

#[test]
fn inputs_that_do_not_fit_name_the_operator() {
    let file = ModelFile::open(&fixture("encoders/tiny_image.onnx")).unwrap();
    let model = file.load("pooled", &Runtime::BuiltIn).unwrap();
    let input = Tensor {
        shape: vec![1, 2, 16, 16],
        values: Values::Floats(vec![0.0; 512]),
    };
    let error = model
        .run(vec![input], &Lane::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("tiny_image.onnx"), "{error}");
}

/// The model in `bytes`, run on `x` `[1, 2]`.
fn run(bytes: &[u8], x: [f32; 2]) -> Result<Output> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    let model = ModelFile::open(&path)?.load("y", &Runtime::BuiltIn)?;
    let input = Tensor {
        shape: vec![1, 2],
        values: Values::Floats(x.to_vec()),
    };
    model.run(vec![input], &Lane::new())
}

#[test]
fn numbers_of_bfloat16_are_those_of_single_precision() {
    // 1.5 and -2 without their lower halves.
    let halves = [0xc0, 0x3f, 0x00, 0xc0];
    let bytes = model("Add", &[constant(16, &[2], &halves)], &["x", "c"]);
    assert_eq!(run(&bytes, [1.0, 1.0]).unwrap().values, [2.5, -1.0]);
    let (mut listed, mut to) = (Vec::new(), Vec::new());
    put_int(1, 2, &mut listed);
    put_int(2, 16, &mut listed);
    put_bytes(8, b"c", &mut listed);
    let mut numbers = Vec::new();
    put_varint(0x3fc0, &mut numbers);
    put_varint(0xc000, &mut numbers);
    put_bytes(5, &numbers, &mut listed);
    let bytes = model("Add", &[listed], &["x", "c"]);
    assert_eq!(run(&bytes, [0.0, 0.0]).unwrap().values, [1.5, -2.0]);
    put_bytes(1, b"to", &mut to);
    put_int(3, 16, &mut to);
    put_int(20, 2, &mut to);
    let bytes = model_with("Cast", &[], &["x"], &to);
    assert_eq!(run(&bytes, [3.0, 4.0]).unwrap().values, [3.0, 4.0]);
    refused_with(
        &model("Add", &[constant(17, &[4], &[0; 4])], &["x", "c"]),
        "float8e4m3fn",
    );
}

#[test]
fn operators_that_give_up_name_the_file() {
    let sizes: Vec<u8> = [3i64, 5].iter().flat_map(|n| n.to_le_bytes()).collect();
    let bytes = model("Reshape", &[constant(7, &[2], &sizes)], &["x", "c"]);
    let error = run(&bytes, [1.0, 2.0]).unwrap_err().to_string();
    assert!(error.contains("model.onnx"), "{error}");
}
