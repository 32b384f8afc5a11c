//! Specimens of the parts of a job: gone on with today; see `fixtures/formats/README.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use truepair_core::dataset::{Dataset, Features};
use truepair_encode::job::{Embedded, Job, Outcome};
use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime, TextEncoder, TextOptions};
use truepair_read::dataset::{ReadOptions, open};

const PARTS: [&str; 3] = [
    "captions_00000.npy",
    "images_00000.json",
    "images_00000.npy",
];

/// What is written since cut captions are counted; parts without it are gone on with.
const COUNTED: &str = "captions_00000.json";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A folder with one picture, one text that calls itself a picture, and a caption each.
fn photos(home: &Path) -> Dataset {
    fs::copy(fixture("pictures/rgb.png"), home.join("a.png")).unwrap();
    fs::write(home.join("b.png"), "a text").unwrap();
    fs::write(home.join("a.txt"), "a red dog").unwrap();
    fs::write(home.join("b.txt"), "the cat").unwrap();
    open(home, &ReadOptions::default()).unwrap()
}

/// What the job leaves in `parts` when it may not begin a new part (`stopped`), or may.
fn run(dataset: &Dataset, parts: &Path, stopped: &AtomicBool) -> Embedded {
    let options = ImageOptions {
        assume: Some(Assumption::Imagenet),
        ..ImageOptions::default()
    };
    let (image, text) = (
        fixture("encoders/tiny_image.onnx"),
        fixture("encoders/tiny_text.onnx"),
    );
    let images = ImageEncoder::open(&image, &options, &Runtime::BuiltIn).unwrap();
    let captions = TextEncoder::open(&text, &TextOptions::default(), &Runtime::BuiltIn).unwrap();
    let job = Job {
        images: Some(&images),
        captions: Some(&captions),
        half: false,
        batch: 8,
    };
    match job.run(dataset, parts, stopped, &mut ()).unwrap() {
        Outcome::Done(embedded) => embedded,
        Outcome::Stopped => panic!("a stored part was not taken"),
    }
}

fn rows(features: &Features) -> Vec<f32> {
    features.to_matrix().unwrap().into_values()
}

#[test]
fn a_job_goes_on_with_stored_parts() {
    let home = tempfile::tempdir().unwrap();
    let dataset = photos(home.path());
    let parts = tempfile::tempdir().unwrap();
    for name in PARTS {
        let stored = fixture("formats/parts").join(name);
        fs::copy(stored, parts.path().join(name)).unwrap();
    }
    let embedded = run(&dataset, parts.path(), &AtomicBool::new(true));
    let stored = Features::open_npy(fixture("formats/parts/images_00000.npy")).unwrap();
    assert_eq!(rows(&embedded.images.unwrap()), rows(&stored.select(&[0])));
    assert_eq!(embedded.captions.unwrap().len(), 2);
    let skipped = &embedded.skipped[0];
    assert_eq!((skipped.row, skipped.id.as_str()), (1, "b.png"));
    assert!(skipped.problem.starts_with("no picture"), "{skipped:?}");
}

/// Vectors may differ in their last bits from processor to processor; names, shapes and fields may not.
#[test]
fn parts_of_today_are_like_the_specimens() {
    let home = tempfile::tempdir().unwrap();
    let dataset = photos(home.path());
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats-parts");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).unwrap();
    run(&dataset, &fresh, &AtomicBool::new(false));
    let mut names: Vec<String> = fs::read_dir(&fresh)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected: Vec<&str> = [COUNTED].into_iter().chain(PARTS).collect();
    assert_eq!(names, expected);
    for name in PARTS {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap_or_default();
        let (today, then) = (read(&fresh), read(&fixture("formats/parts")));
        let alike = match name.ends_with("json") {
            true => keys(&today) == keys(&then),
            // The header is padded to 128 bytes.
            false => today.get(..128) == then.get(..128) && today.len() == then.len(),
        };
        let place = fresh.display();
        assert!(
            alike,
            "{name} is not what is written today; that is in {place}"
        );
    }
}

/// The fields of the skipped pictures' records.
fn keys(json: &[u8]) -> Vec<String> {
    let record: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let skipped = record["skipped"][0].as_object();
    skipped.map_or_else(Vec::new, |fields| fields.keys().cloned().collect())
}
