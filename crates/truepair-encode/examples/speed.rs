//! Time of an encoder: `speed image ENCODER.onnx N` or `speed text ENCODER.onnx N`, its
//! `tokenizer.json` beside it. `RAYON_NUM_THREADS` says on how many threads.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use truepair_core::dataset::{Features, Picture};
use truepair_encode::job::{Items, Job};
use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime, TextEncoder, TextOptions};

/// Seconds of processor time that this process has used; only Linux tells.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, kind, path, n] = words.as_slice() else {
        return Err("usage: speed image|text ENCODER.onnx N".into());
    };
    let (path, n): (&Path, usize) = (Path::new(path), n.parse()?);
    let parts = std::env::temp_dir().join(format!("truepair-speed-{}", std::process::id()));
    std::fs::create_dir(&parts)?;
    let pictures = |n: usize| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pictures/rgb.jpg");
        Features::from_pictures(vec![Picture::File(file); n])
    };
    let text = |n: usize| format!("a photo of {n} brown dogs that run over the green grass");
    let ids: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    let texts: Vec<String> = (0..n).map(text).collect();
    let options = ImageOptions {
        assume: Some(Assumption::Imagenet),
        ..ImageOptions::default()
    };
    let of_images = kind == "image";
    let images = of_images.then(|| ImageEncoder::open(path, &options, &Runtime::BuiltIn));
    let captions =
        (!of_images).then(|| TextEncoder::open(path, &TextOptions::default(), &Runtime::BuiltIn));
    let (images, captions) = (images.transpose()?, captions.transpose()?);
    let job = Job {
        images: images.as_ref(),
        captions: captions.as_ref(),
        half: false,
        batch: 32,
    };
    let pictures = pictures(n);
    let items = Items {
        image_ids: &ids,
        pictures: Some(&pictures),
        captions: Some(&texts),
    };
    let (start, used) = (Instant::now(), processor_seconds());
    job.run_items(items, &parts, &false.into(), &mut ())?;
    println!(
        "{:.2} ms, {:.2} ms of processor time each on {} threads",
        start.elapsed().as_secs_f64() * 1e3 / n as f64,
        (processor_seconds() - used) * 1e3 / n as f64,
        rayon::current_num_threads()
    );
    std::fs::remove_dir_all(&parts)?;
    Ok(())
}
