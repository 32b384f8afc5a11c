//! Specimens of every version of every format that the crate writes: opened, or refused by name; see
//! `fixtures/formats/README.md`.

use std::path::{Path, PathBuf};

use truepair_core::audit::{Findings, Kinds, NoiseRate};
use truepair_core::dataset::{Dataset, Features};
use truepair_core::labeled::{LabeledSet, Modality};
use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::metric::{Protocol, Report, evaluate};
use truepair_core::noise::{LabelManifest, Manifest, corrupt, corrupt_labels};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_core::scores::{Direction, Matrix, ScoreMatrix};
use truepair_core::text::LatentSemantics;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/formats")
        .join(name)
}

fn stored(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Expects the specimen to hold what is written today.
#[track_caller]
fn assert_stored(name: &str, written: &[u8]) {
    if std::fs::read(path(name)).ok().as_deref() != Some(written) {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&fresh, written).unwrap();
        panic!(
            "{name} is not what is written today; a change of the format raises its version and adds {} \
             as a new specimen",
            fresh.display()
        );
    }
}

#[test]
fn ledgers() {
    let error = Ledger::read(path("ledger-1.bin")).unwrap_err().to_string();
    assert!(error.contains("ledger-1.bin"), "{error}");
    assert!(error.contains("ledger version 1"), "{error}");

    let filled = |columns: &[ColumnSpec]| {
        let mut ledger = Ledger::with_columns(2, columns);
        ledger.loss = vec![0.5, 1.25];
        ledger.clean_posterior[1] = 0.25;
        ledger.soft_label[1] = 0.5;
        ledger.uncertainty[1] = 0.125;
        ledger.floats_mut(columns[0])[1] = 2.0;
        ledger
    };
    let unnamed = filled(&[ColumnSpec::floats("memory_0")]);
    assert_eq!(Ledger::read(path("ledger-2.bin")).unwrap(), unnamed);

    let columns = [ColumnSpec::floats("average"), ColumnSpec::ids("image")];
    let mut ledger = filled(&columns);
    ledger.ids_mut(columns[1])[0] = 7;
    assert_stored("ledger-3.bin", &ledger.to_bytes());
    assert_eq!(Ledger::read(path("ledger-3.bin")).unwrap(), ledger);
}

fn four_pairs() -> Dataset {
    let pair = |n| Pair {
        image: n,
        caption: n,
    };
    Dataset {
        name: "toy".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows(vec![0.0, 1.0, 2.0, 3.0], 1),
        image_ids: (0..4).map(|n| n.to_string()).collect(),
        image_files: Vec::new(),
        captions: Some((0..4).map(|n| format!("caption {n}")).collect()),
        caption_features: None,
        pairs: (0..4).map(pair).collect(),
        labels: None,
        files: Vec::new(),
        account: Default::default(),
    }
}

#[test]
fn manifests() {
    let old = Manifest::read(path("manifest-0.1.json")).unwrap();
    assert_eq!((old.realized, old.notes.len()), (0.5, 0));
    let without_moves = Manifest::read(path("manifest-without-moves.json")).unwrap();
    assert!(!without_moves.moves_whole_images);

    let spec = "image:0.5".parse().unwrap();
    let (_, manifest) = corrupt(&four_pairs(), &spec, Seed(3)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("manifest.json");
    manifest.write(&file).unwrap();
    assert_stored("manifest.json", &std::fs::read(file).unwrap());
    assert_eq!(Manifest::read(path("manifest.json")).unwrap(), manifest);
    assert_eq!(without_moves, manifest);
}

#[test]
fn label_manifests() {
    let modality = |name: &str| Modality {
        name: name.into(),
        features: Features::from_rows(vec![0.0, 1.0, 2.0, 3.0], 1),
        labels: vec![0, 1, 2, 0],
    };
    let set = LabeledSet {
        split: "train".into(),
        n_classes: 3,
        modalities: vec![modality("img"), modality("txt")],
    };
    let spec = "asymmetric:0.5".parse().unwrap();
    let (_, manifest) = corrupt_labels(&set, &spec, 0, Seed(3)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("manifest.json");
    manifest.write(&file).unwrap();
    assert_stored("label-manifest.json", &std::fs::read(file).unwrap());
    let read = LabelManifest::read(path("label-manifest.json")).unwrap();
    assert_eq!(read, manifest);
}

#[test]
fn reports() {
    let first = Some(Direction::ImageToText);
    let old: Report = serde_json::from_slice(&stored("report-0.1.json")).unwrap();
    assert_eq!(old.figure("recall@1", first), Some(0.5));
    assert_eq!(old.figure("rsum", None), Some(5.0));

    let pairs = [0, 1].map(|n| Pair {
        image: n,
        caption: n,
    });
    let relevance = Relevance::from_pairs(2, 2, &pairs);
    let scores = ScoreMatrix(Matrix::new(vec![0.9, 0.1, 0.8, 0.2], 2));
    let protocol = Protocol::new("toy", "test", &relevance);
    let report = evaluate(&scores, &relevance, protocol, &mut ()).unwrap();
    let read: Report = serde_json::from_slice(&stored("report.json")).unwrap();
    assert_eq!(read.protocol, report.protocol);
    // Metrics that came since have no number there.
    let known = |figure| report.figures.contains(figure);
    assert!(read.figures.len() > 30 && read.figures.iter().all(known));
}

#[test]
fn findings() {
    let mut findings: Findings = serde_json::from_slice(&stored("findings-0.1.json")).unwrap();
    assert!(findings.outcome.is_found());
    assert_eq!((findings.reading.readable, findings.illegible), (1.0, 0));
    assert_eq!(findings.verdicts[0].uncertainty, None);

    // Whatever came since, filled in.
    let rate = |estimate| NoiseRate {
        estimate,
        low: estimate - 0.05,
        high: estimate + 0.05,
    };
    findings.kinds = Some(Kinds {
        far: rate(0.25),
        near: rate(0.125),
        is_told_apart: true,
        is_found: true,
    });
    findings.reading.is_sloped = true;
    findings.illegible = 3;
    findings.verdicts[0].near = 0.25;
    findings.verdicts[0].uncertainty = Some(0.5);
    let written = serde_json::to_vec(&findings).unwrap();
    assert_stored("findings.json", &written);
    let read: Findings = serde_json::from_slice(&stored("findings.json")).unwrap();
    assert_eq!(serde_json::to_vec(&read).unwrap(), written);
}

#[test]
fn caption_vectors() {
    let name = "latent_semantics-1.safetensors";
    let read = LatentSemantics::read(path(name)).unwrap();
    assert!(read.embed("a red ball").iter().all(|x| x.is_finite()));
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(name);
    read.write(&file).unwrap();
    assert_stored(name, &std::fs::read(file).unwrap());
}
