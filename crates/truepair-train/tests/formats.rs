//! Specimens of every version of every format of a run directory: opened, or refused by name; see
//! `fixtures/formats/README.md`.

mod support;
mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use truepair_core::dataset::Dataset;
use truepair_core::rng::Seed;
use truepair_model::Accelerator;
use truepair_model::backbone::{BackboneConfig, MlpConfig};
use truepair_train::{Recipe, ledgers, load, load_last, recipe, train};

use support::session;

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/formats")
        .join(name)
}

fn data() -> Dataset {
    synthetic::pairs(8, 2, 1)
}

/// The run of the specimen as today's code makes it.
fn write_run(dir: &Path) {
    let small = || {
        BackboneConfig::Mlp(MlpConfig {
            hidden: 4,
            dim: 4,
            ..MlpConfig::default()
        })
    };
    let mut recipe = Recipe::default();
    recipe.matcher.image = Some(small());
    recipe.matcher.caption = Some(small());
    recipe.training.epochs = 1;
    recipe.training.batch = 4;
    let config = recipe.resolve(&data()).unwrap();
    let (stop, watch) = (AtomicBool::new(false), &mut ());
    let mut session = session(Some(dir), &stop, watch);
    train(&data(), Some(&data()), &config, Seed(0), &mut session).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What says which version a file has: its first bytes, or the header of safetensors.
fn opening(file: &Path) -> Vec<u8> {
    let bytes = fs::read(file).unwrap();
    let n = match file.extension().and_then(|ending| ending.to_str()) {
        Some("safetensors") => 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize,
        Some("bin") => 12,
        _ => 0,
    };
    bytes[..n].to_vec()
}

/// Numbers may differ in their last bits from processor to processor; files and versions may not.
#[test]
fn a_run_of_today_is_like_the_specimen() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats-run");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).unwrap();
    write_run(&fresh);
    let remedy = format!(
        "a change of a format raises its version, keeps the old file and adds one of {}",
        fresh.display()
    );
    assert_eq!(names(&fresh), names(&stored("run")), "{remedy}");
    for name in names(&fresh) {
        let (today, then) = (
            opening(&fresh.join(&name)),
            opening(&stored("run").join(&name)),
        );
        assert!(today == then, "{name}: {remedy}");
    }
}

#[test]
fn the_stored_run_opens() {
    let dir = stored("run");
    for trained in [
        load(&dir, Accelerator::Cpu).unwrap(),
        load_last(&dir, Accelerator::Cpu).unwrap(),
    ] {
        let scorer = trained.scorer(&data(), &mut ()).unwrap();
        let mut tile = [0.0; 2];
        scorer.tile(&[0], &[0, 1], &mut tile).unwrap();
        assert!(tile.iter().all(|score| score.is_finite()));
        let dev = trained.history[0].dev.as_ref().unwrap();
        assert!(dev.figure("rsum", None).unwrap() > 0.0);
    }
    assert_eq!(recipe(&dir).unwrap().training.epochs, 1);
    let ledgers = ledgers(&dir).unwrap();
    assert_eq!((ledgers.len(), ledgers[0].len()), (1, 8));
}

/// The stored run with one file of an earlier version.
fn with_former(name: &str, former: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for name in names(&stored("run")) {
        fs::copy(stored("run").join(&name), home.path().join(&name)).unwrap();
    }
    fs::copy(stored(former), home.path().join(name)).unwrap();
    home
}

#[track_caller]
fn refused(found: truepair_train::Result<truepair_train::Trained>, parts: &[&str]) {
    let error = found.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn former_weights_and_checkpoints_are_refused_by_name() {
    let home = with_former("weights.safetensors", "weights-1.safetensors");
    let found = load(home.path(), Accelerator::Cpu);
    refused(
        found,
        &["weights.safetensors", "weights version 1, expected 2"],
    );
    for version in [1, 2] {
        let home = with_former("checkpoint.bin", &format!("checkpoint-{version}.bin"));
        let found = load_last(home.path(), Accelerator::Cpu);
        refused(
            found,
            &[
                "checkpoint.bin",
                &format!("a checkpoint of format {version}"),
            ],
        );
    }
}

#[test]
fn former_histories_open() {
    let home = with_former("metrics.jsonl", "metrics-0.1.jsonl");
    let trained = load(home.path(), Accelerator::Cpu).unwrap();
    let record = &trained.history[0];
    assert_eq!(record.criterion.as_ref().unwrap().merit(), 5.0);
    let dev = record.dev.as_ref().unwrap();
    assert_eq!(dev.figure("rsum", None), Some(5.0));
}
