//! What the program prints and stores for scripts, held against the JSON Schemas that it publishes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{files, labels, listing, truepair, words};

/// Every schema by its name, made strict: a field that a schema does not have is an error here.
fn schemas(home: &Path) -> BTreeMap<String, Value> {
    let done = truepair(home, &["schema", "--write", "schemas"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let files = fs::read_dir(home.join("schemas")).unwrap();
    let read = files.map(|file| {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        forbid_others(&mut schema);
        (schema["title"].as_str().unwrap().to_owned(), schema)
    });
    read.collect()
}

/// Lets objects have the fields that are listed and no others.
fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_whole = object.contains_key("properties")
                && !["anyOf", "oneOf", "allOf", "$ref"]
                    .iter()
                    .any(|key| object.contains_key(*key));
            object.values_mut().for_each(forbid_others);
            if is_whole {
                object.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// Expects an object to be what its own schema says.
#[track_caller]
fn is_valid(schemas: &BTreeMap<String, Value>, seen: &mut Vec<String>, value: &Value) {
    let name = value["schema"]
        .as_str()
        .unwrap_or_else(|| panic!("no schema is named: {value}"));
    let schema = schemas
        .get(name)
        .unwrap_or_else(|| panic!("no schema is called {name}"));
    let validator = jsonschema::validator_for(schema).unwrap();
    let problems = validator.iter_errors(value);
    let problems: Vec<String> = problems
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{name}: {}", problems.join("\n"));
    seen.push(name.to_owned());
}

fn stored(file: &Path) -> Value {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_schemas_are_those_of_the_program() {
    let home = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .join("docs/schema");
    if !docs.exists() {
        println!("skipped: there is no docs/schema beside the workspace");
        return;
    }
    truepair(home.path(), &["schema", "--write", "fresh"]);
    let read = |folder: &Path| -> BTreeMap<String, String> {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
        files
            .map(|file| (name(&file), fs::read_to_string(file).unwrap()))
            .collect()
    };
    let (fresh, published) = (read(&home.path().join("fresh")), read(&docs));
    let stale: Vec<&String> = fresh
        .keys()
        .filter(|name| fresh.get(*name) != published.get(*name))
        .collect();
    let remedy = "run `cargo run --release -p xtask -- codegen`";
    assert!(
        stale.is_empty() && fresh.len() == published.len(),
        "{remedy}: {stale:?}"
    );
}

/// Commands that print every kind of object that can be made here.
fn commands() -> Vec<String> {
    let small = "--set network.hidden=8 --set network.dim=4 --set training.epochs=1";
    vec![
        "inspect data --json".to_owned(),
        "audit data --frozen --noise caption:0.3 --inject random:0.2,near:0.1 --out audit --json".to_owned(),
        "train data --strategy ncr --noise caption:0.4 --set training.epochs=1 --out run --json".to_owned(),
        "train data --strategy pcme++ --caption-features none --set training.epochs=1 --out pcme --json".to_owned(),
        "eval run --per-query run.parquet --json".to_owned(),
        "eval run --compare-with run.parquet --check-ties --json".to_owned(),
        "eval pcme --occlusion seen.html --json".to_owned(),
        "compare data --out grid --strategies plain --seeds 2 --noise caption:0.4 --published f30k \
         --set training.epochs=1 --json"
            .to_owned(),
        "compare data --out grid-2 --strategies plain --seeds 1 --dry-run --json".to_owned(),
        format!("labels compare wiki {small} --rows rows.toml --out labels-compare --json"),
        format!("labels train wiki {small} --noise symmetric:0.2 --out labels-train --json"),
        format!("labels audit wiki {small} --noise symmetric:0.2 --out labels-audit --json"),
        "audit data --extend audit --out audit-2 --json".to_owned(),
        "index data --split test --out index --json".to_owned(),
        "search index --like photo-3 --json".to_owned(),
        "score pairs.tsv --data data --split test --out scored.csv --json".to_owned(),
        "recipes --json".to_owned(),
        "recipes nothing --json".to_owned(),
        "audit nowhere --json".to_owned(),
    ]
}

#[test]
fn real_output_is_what_the_schemas_say() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for split in ["train", "dev", "test"] {
        files::precomp(&home.join("data"), split, 30);
    }
    labels::labeled(&home.join("wiki"));
    fs::write(
        home.join("pairs.tsv"),
        "image\tcaption\nphoto-3\tphoto-3#0\n",
    )
    .unwrap();
    fs::write(home.join("mrl.toml"), "[method]\nkind = \"mrl\"\n").unwrap();
    let row = "title = \"t\"\nseeds = \"1\"\n[[row]]\nlabel = \"MRL\"\nconfigs = [\"mrl.toml\"]\n";
    fs::write(home.join("rows.toml"), row).unwrap();
    let schemas = schemas(home);
    let mut seen = Vec::new();
    let commands = commands();
    for line in &commands {
        let done = truepair(home, &words(line));
        let printed: Value = serde_json::from_str(&done.out)
            .unwrap_or_else(|error| panic!("{line}: {error}\n{}\n{}", done.out, done.err));
        is_valid(&schemas, &mut seen, &printed);
    }
    for name in [
        "audit/summary.json",
        "audit/findings.json",
        "audit/manifest.json",
        "run/result.json",
        "run/manifest.json",
        "seen.json",
        "grid/compare.json",
        "labels-compare/compare.json",
        "labels-train/summary.json",
        "labels-audit/summary.json",
        "labels-audit/manifest.json",
        "labels-audit/confusion.json",
    ] {
        is_valid(&schemas, &mut seen, &stored(&home.join(name)));
    }
    for name in ["run/metrics.jsonl", "labels-train/metrics.jsonl"] {
        for line in fs::read_to_string(home.join(name)).unwrap().lines() {
            is_valid(&schemas, &mut seen, &serde_json::from_str(line).unwrap());
        }
    }
    cells(home, &schemas, &mut seen);
    // Made by programs that need files or minutes which are not here; their types are the schemas' source.
    let elsewhere = ["bench", "conversion", "demo", "embed", "serve"];
    let missing: Vec<&String> = (schemas.keys())
        .filter(|name| !seen.contains(name))
        .filter(|name| !elsewhere.contains(&name.split('/').nth(1).unwrap()))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

/// What `compare` keeps of its cells, those that trained nothing among them.
fn cells(home: &Path, schemas: &BTreeMap<String, Value>, seen: &mut Vec<String>) {
    let runs = home.join("grid/runs");
    let files = listing(&runs).into_iter();
    let kept: Vec<_> = files
        .filter(|file| file.ends_with("result.json") || file.ends_with("cell.json"))
        .collect();
    assert!(kept.len() > 4, "{kept:?}");
    for file in kept {
        is_valid(schemas, seen, &stored(&runs.join(file)));
    }
}

#[test]
fn a_field_that_no_schema_has_is_noticed() {
    let mut schema = json!({ "type": "object", "properties": { "a": { "type": "number" } } });
    forbid_others(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({ "a": 1.5 })));
    assert!(!validator.is_valid(&json!({ "a": 1.5, "b": 2 })));
}
