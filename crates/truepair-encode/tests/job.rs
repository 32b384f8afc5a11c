//! Jobs over a data set: stopped and resumed to the same bytes, broken pictures left out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use truepair_core::dataset::Dataset;
use truepair_core::watch::Watch;
use truepair_encode::job::{Embedded, Items, Job, Outcome};
use truepair_encode::{
    Assumption, ImageEncoder, ImageOptions, Runtime, TextEncoder, TextOptions, layout,
};
use truepair_read::dataset::{self, ReadOptions};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

const PICTURES: [&str; 5] = ["rgb.png", "rgb.jpg", "alpha.webp", "frames.gif", "rgb.bmp"];

/// A folder of `n` captioned pictures; the second is a text, the fourth empty.
fn folder(n: usize) -> (tempfile::TempDir, Dataset) {
    let home = tempfile::tempdir().unwrap();
    for index in 0..n {
        let name = PICTURES[index % PICTURES.len()];
        let ending = Path::new(name).extension().unwrap().to_str().unwrap();
        let path = home.path().join(format!("{index:04}.{ending}"));
        let bytes = match index {
            1 => b"a text".to_vec(),
            3 => Vec::new(),
            _ => std::fs::read(fixture("pictures").join(name)).unwrap(),
        };
        std::fs::write(&path, bytes).unwrap();
        let text = format!("a red dog runs\nthe {} cat", ["big", "green"][index % 2]);
        std::fs::write(path.with_extension("txt"), text).unwrap();
    }
    let dataset = dataset::open(home.path(), &ReadOptions::default()).unwrap();
    (home, dataset)
}

struct Encoders(ImageEncoder, TextEncoder);

impl Encoders {
    fn open() -> Self {
        let image = fixture("encoders/tiny_image.onnx");
        let text = fixture("encoders/tiny_text.onnx");
        let options = ImageOptions {
            assume: Some(Assumption::Imagenet),
            ..ImageOptions::default()
        };
        Self(
            ImageEncoder::open(&image, &options, &Runtime::BuiltIn).unwrap(),
            TextEncoder::open(&text, &TextOptions::default(), &Runtime::BuiltIn).unwrap(),
        )
    }

    fn job(&self, half: bool) -> Job<'_> {
        Job {
            images: Some(&self.0),
            captions: Some(&self.1),
            half,
            batch: 64,
        }
    }
}

/// Sets the stop flag at the `n`-th report.
struct StopAt<'a> {
    stop: &'a AtomicBool,
    n: usize,
}

impl Watch for StopAt<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {
        self.n = self.n.saturating_sub(1);
        self.stop.store(self.n == 0, Ordering::Relaxed);
    }
}

fn finish(outcome: Outcome) -> Embedded {
    match outcome {
        Outcome::Done(embedded) => embedded,
        Outcome::Stopped => panic!("it was not asked to stop"),
    }
}

#[test]
fn a_stopped_job_goes_on_to_the_same_bytes_and_broken_pictures_are_listed() {
    let (_home, dataset) = folder(600);
    let encoders = Encoders::open();
    let job = encoders.job(false);
    let never = AtomicBool::new(false);
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at_once = finish(job.run(&dataset, whole.path(), &never, &mut ()).unwrap());
    let mut calls = 0;
    let resumed = loop {
        calls += 1;
        let stop = AtomicBool::new(false);
        let mut watch = StopAt { stop: &stop, n: 9 };
        match job.run(&dataset, parts.path(), &stop, &mut watch).unwrap() {
            Outcome::Stopped => {}
            Outcome::Done(embedded) => break embedded,
        }
        assert!(calls < 5, "it never ends");
    };
    assert!(calls > 1, "it was never stopped");
    for name in ["images_00000.npy", "images_00001.npy", "captions_00000.npy"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert!(read(&whole) == read(&parts), "{name}");
    }
    assert_eq!(at_once.skipped, resumed.skipped);
    let rows: Vec<u32> = resumed.skipped.iter().map(|one| one.row).collect();
    assert_eq!(rows, [1, 3]);
    assert!(resumed.skipped[0].place.ends_with("0001.jpg"));
    assert!(resumed.skipped[0].problem.contains("no picture"));
    assert_eq!(resumed.skipped[1].problem, "the file is empty");
    let images = resumed.images.unwrap();
    assert_eq!((images.len(), images.dim()), (598, 8));
}

#[test]
fn results_open_as_data_in_both_layouts() {
    let (_home, mut dataset) = folder(6);
    let encoders = Encoders::open();
    for (half, labels) in [(false, None), (true, Some(vec![0, 1, 2, 3, 4, 5]))] {
        dataset.labels = labels;
        let (parts, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let never = AtomicBool::new(false);
        let job = encoders.job(half);
        let embedded = finish(job.run(&dataset, parts.path(), &never, &mut ()).unwrap());
        layout::write(&dataset, &embedded, out.path()).unwrap();
        let read = dataset::open(out.path(), &ReadOptions::default()).unwrap();
        let format = if dataset.labels.is_some() {
            "precomp"
        } else {
            "embeddings"
        };
        assert_eq!(
            (read.format, read.images.dtype().as_str()),
            (format, if half { "f16" } else { "f32" })
        );
        assert_eq!(
            (read.n_images(), read.n_captions(), read.pairs.len()),
            (4, 8, 8)
        );
        assert_eq!(
            read.image_ids,
            ["0000.png", "0002.webp", "0004.bmp", "0005.png"]
        );
        let texts = read.require_captions().unwrap();
        assert_eq!(texts[5], "the big cat");
        assert_eq!(read.pairs[5].image, 2);
        let named = read.caption_features.as_ref().unwrap();
        let expected = encoders.1.embed(&texts[5..6]).unwrap();
        let found = named.features.gather(&[5]).unwrap();
        let close = found
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(close, "{found:?}, expected {expected:?}");
        assert_eq!(
            read.labels,
            dataset.labels.as_ref().map(|_| vec![0, 2, 4, 5])
        );
    }
}

#[test]
fn data_without_any_usable_picture_is_refused() {
    let (home, _) = folder(2);
    std::fs::write(home.path().join("0000.png"), b"x").unwrap();
    let dataset = dataset::open(home.path(), &ReadOptions::default()).unwrap();
    let encoders = Encoders::open();
    let parts = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let outcome = encoders
        .job(false)
        .run(&dataset, parts.path(), &never, &mut ());
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("0000.png") && error.contains("all other pictures"),
        "{error}"
    );
}

#[test]
fn pictures_alone_and_captions_alone_are_embedded() {
    let (_home, dataset) = folder(4);
    let encoders = Encoders::open();
    let never = AtomicBool::new(false);
    let pictures = dataset.clone().with_pictures().unwrap().images;
    let items = Items {
        image_ids: &dataset.image_ids,
        pictures: Some(&pictures),
        captions: None,
    };
    let (parts, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let job = encoders.job(false);
    let gallery = finish(job.run_items(items, parts.path(), &never, &mut ()).unwrap());
    assert!(gallery.captions.is_none());
    layout::write_images(&dataset.image_ids, &gallery, out.path()).unwrap();
    let ids = std::fs::read_to_string(out.path().join("ids.txt")).unwrap();
    assert_eq!(ids, "0000.png\n0002.webp\n");

    let texts: Vec<String> = ["a red dog", "the cat"].map(String::from).into();
    let items = Items {
        image_ids: &[],
        pictures: None,
        captions: Some(&texts),
    };
    let parts = tempfile::tempdir().unwrap();
    let queries = finish(job.run_items(items, parts.path(), &never, &mut ()).unwrap());
    assert!(queries.images.is_none());
    let files = layout::write_captions(&texts, &queries, out.path()).unwrap();
    assert!(files.iter().all(|file| file.is_file()));
    assert_eq!(queries.captions.unwrap().len(), 2);
}

#[test]
fn captions_that_are_cut_are_counted_and_stay_so() {
    let encoders = Encoders::open();
    let captions: Vec<String> = [
        "a red dog",
        &"the cat ".repeat(20),
        "a dog",
        &"dog ".repeat(30),
    ]
    .map(str::to_owned)
    .to_vec();
    let items = Items {
        image_ids: &[],
        pictures: None,
        captions: Some(&captions),
    };
    let (home, never) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
    let job = encoders.job(false);
    let run = || finish(job.run_items(items, home.path(), &never, &mut ()).unwrap()).n_cut;
    assert_eq!([run(), run()], [2, 2]);
    std::fs::remove_file(home.path().join("captions_00000.json")).unwrap();
    assert_eq!(run(), 2, "parts of earlier versions are counted again");
}
